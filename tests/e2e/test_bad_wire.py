"""What is wrong on the wire is refused, costs nobody else anything, and is counted."""
import contextlib
import json
import re
import select
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest


def wire(city, *parts, timeout=10):
    """Sends bytes as they are and reads to the end: (status of each answer, all of it, whether the peer closed)."""
    host, port = city.address.split(":")
    answer, closed = b"", False
    with socket.create_connection((host, int(port)), timeout) as s:
        try:
            for part in parts:
                s.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            while True:
                data = s.recv(65536)
                if not data:
                    closed = True
                    break
                answer += data
        except ConnectionResetError:
            closed = True
        except TimeoutError:
            pass
    return [int(m) for m in re.findall(rb"^HTTP/1\.1 (\d{3}) ", answer, re.M)], answer, closed


GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"
BEHIND = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"  # what must never be taken for a request of its own

FRAMING = {
    "length and chunks": CHUNKED + b"Content-Length: 4\r\n\r\n0\r\n\r\n",
    "chunks and length": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "two other lengths": POST + b"Content-Length: 2\r\nContent-Length: 9\r\n\r\n{}",
    "a list of lengths": POST + b"Content-Length: 2, 2\r\n\r\n{}",
    "a length with a sign": POST + b"Content-Length: +2\r\n\r\n{}",
    "a negative length": POST + b"Content-Length: -2\r\n\r\n{}",
    "a length in hex": POST + b"Content-Length: 0x2\r\n\r\n{}",
    "a length past 64 bits": POST + b"Content-Length: 18446744073709551618\r\n\r\n{}",
    "no length": POST + b"Content-Length:\r\n\r\n",
    "bare LF": b"GET /healthz HTTP/1.1\nHost: x\n\n",
    "a bare LF in the header": GET + b"X-A: 1\n\r\n",
    "a bare CR in a value": GET + b"X-A: 1\rX-B: 2\r\n\r\n",
    "a bare CR after an empty value": GET + b"X-A:\rContent-Length: 5\r\n\r\n",
    "a header ended by CR LF CR": GET + b"\rX",
    "a folded line": GET + b"X-A: 1\r\n 2\r\n\r\n",
    "NUL in a value": GET + b"X-A: a\0b\r\n\r\n",
    "NUL in a name": GET + b"X-\0A: b\r\n\r\n",
    "NUL in the target": b"GET /health\0z HTTP/1.1\r\nHost: x\r\n\r\n",
    "a blank before the colon": GET + b"X-A : 1\r\n\r\n",
    "a line without colon": GET + b"nonsense\r\n\r\n",
    "an empty name": GET + b": 1\r\n\r\n",
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two hosts": GET + b"Host: y\r\n\r\n",
    "another encoding": POST + b"Transfer-Encoding: gzip\r\n\r\n",
    "an encoding that looks like chunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked not last": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": b"POST /api/v1/sessions HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "hidden encoding": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a chunk size in words": CHUNKED + b"\r\ntwo\r\n{}\r\n0\r\n\r\n",
    "a chunk size with a sign": CHUNKED + b"\r\n+2\r\n{}\r\n0\r\n\r\n",
    "a chunk size with 0x": CHUNKED + b"\r\n0x2\r\n{}\r\n0\r\n\r\n",
    "a negative chunk": CHUNKED + b"\r\n-2\r\n{}\r\n0\r\n\r\n",
    "an endless chunk size": CHUNKED + b"\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "a chunk longer than said": CHUNKED + b"\r\n2\r\n{}xx\r\n0\r\n\r\n",
    "a chunk ended by LF": CHUNKED + b"\r\n2\r\n{}\n0\r\n\r\n",
    "a bare LF after the size": CHUNKED + b"\r\n2\n{}\r\n0\r\n\r\n",
    "a blank before the chunk size": CHUNKED + b"\r\n 2\r\n{}\r\n0\r\n\r\n",
    "a version of nonsense": b"GET /healthz HTTP/1.x\r\nHost: x\r\n\r\n",
    "a method of nonsense": b"G=T /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS on a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
}


@pytest.mark.parametrize("name", FRAMING)
def test_wire__what_can_be_read_in_two_ways_is_refused(city, name):
    statuses, answer, closed = wire(city, FRAMING[name] + BEHIND)
    assert statuses == [400] and closed, (statuses, answer[:300])
    assert b"application/problem+json" in answer and b"Connection: close" in answer
    assert b"tongguan_" not in answer


@pytest.mark.parametrize("path", ["/api/v1/../v1/cases", "/api/v1/%2e%2e/cases", "/..%2f..%2fetc/passwd", "/console/../../etc/passwd",
                                  "/a%00b", "/%", "/%zz", "//evil", "/api//v1/cases"])
def test_wire__paths_that_are_none_are_refused(city, path):
    statuses, answer, _ = wire(city, b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path.encode())
    assert statuses == [400], answer[:200]


@pytest.mark.parametrize("name, head", [
    ("one header", GET + b"X-A: " + b"a" * (1 << 20) + b"\r\n\r\n"),
    ("one name", GET + b"a" * (1 << 20) + b": b\r\n\r\n"),
    ("many headers", GET + b"".join(b"X-%d: %s\r\n" % (i, b"a" * 1000) for i in range(1000)) + b"\r\n"),
    ("many short ones", GET + b"".join(b"a: b\r\n" for _ in range(200)) + b"\r\n"),
    ("blanks before a value", GET + b"X-A:" + b" " * (1 << 20) + b"b\r\n\r\n"),
])
def test_wire__a_header_of_a_megabyte_is_431_and_the_server_goes_on(city, name, head):
    statuses, answer, closed = wire(city, head)
    assert statuses == [431] and closed, (statuses, answer[:200])
    assert wire(city, GET + b"Connection: close\r\n\r\n")[0] == [200]


@pytest.mark.parametrize("line", [b"GET /healthz", b"GET /healthz HTTP/0.9", b"GET /healthz HTTP/2.0", b"PRI * HTTP/2.0"])
def test_wire__another_version_is_refused(city, line):
    statuses, answer, closed = wire(city, line + b"\r\nHost: x\r\n\r\n" + BEHIND)
    assert statuses in ([400], [505]) and closed and b"tongguan_" not in answer


def test_wire__a_target_of_a_megabyte_is_414(city):
    statuses, _, closed = wire(city, b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert statuses == [414] and closed


@pytest.mark.parametrize("name, parts", [
    ("by its length", [POST + b"Content-Length: 1048577\r\n\r\n"]),
    ("as it comes", [CHUNKED + b"\r\n", *[b"10000\r\n" + b"a" * 65536 + b"\r\n"] * 17, b"0\r\n\r\n"]),
])
def test_wire__a_body_too_large_is_413(city, name, parts):
    statuses, _, closed = wire(city, *parts)
    assert statuses == [413] and closed
    assert city.api().get("/api/v1/sessions/current")["name"] == "operator"


def refused_so_far(city, reason):
    metrics = city.api()("GET", "/metrics", raw=True)[2].decode()
    return float(re.search(r'^tongguan_http_refused_total{reason="%s"} (\S+)' % reason, metrics, re.M)[1])


def drip_until_closed(city, head, byte, every=0.1, limit=20):
    """Sends a byte now and then; (what was answered, seconds until the peer had closed)."""
    host, port = city.address.split(":")
    answer, began = b"", time.monotonic()
    with socket.create_connection((host, int(port))) as s:
        s.sendall(head)
        s.settimeout(every)
        while time.monotonic() - began < limit:
            with contextlib.suppress(TimeoutError):
                data = s.recv(65536)
                if not data:
                    break
                answer += data
            with contextlib.suppress(OSError):
                s.sendall(byte)
    return answer, time.monotonic() - began


def read_nothing(city, limit=20):
    """Asks for much and reads none of it; seconds until the peer has reset the connection."""
    host, port = city.address.split(":")
    began = time.monotonic()
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect((host, int(port)))
        s.setblocking(False)
        ask = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 100
        gone = select.poll()
        gone.register(s, select.POLLERR | select.POLLHUP)
        while time.monotonic() - began < limit and not gone.poll(100):
            with contextlib.suppress(BlockingIOError, OSError):
                s.send(ask)
    return b"", time.monotonic() - began


def test_wire__who_is_slow_is_cut_within_fifteen_seconds_and_counted(city):
    """A header, a body and a reader that are slow, at once; the limits are those of an installation without settings."""
    ways = {"header_slow": lambda: drip_until_closed(city, GET + b"X-A: ", b"a"),
            "body_slow": lambda: drip_until_closed(city, POST + b"Content-Length: 4096\r\n\r\n", b"x"),
            "reader_slow": lambda: read_nothing(city)}
    before = {reason: refused_so_far(city, reason) for reason in ways}
    with ThreadPoolExecutor(len(ways)) as pool:
        ended = dict(zip(ways, pool.map(lambda way: way(), ways.values())))
    for reason, (answer, took) in ended.items():
        assert 5 < took <= 15, (reason, took)
        assert reason == "reader_slow" or answer.startswith(b"HTTP/1.1 408 "), (reason, answer[:100])
        assert refused_so_far(city, reason) == before[reason] + 1, reason


def test_wire__good_requests_in_odd_shapes_are_served(city):
    """What the refusals above must not cost: pipelining, chunks, single bytes, HTTP/1.0."""
    statuses, _, _ = wire(city, GET + b"\r\n" + GET + b"\r\n" + GET + b"Connection: close\r\n\r\n")
    assert statuses == [200, 200, 200]
    body = json.dumps({"username": "operator", "password": city.passwords["operator"]}).encode()
    statuses, _, _ = wire(city, CHUNKED + b"Connection: close\r\n\r\n", b"%x;ext=1\r\n" % len(body), body, b"\r\n0\r\n\r\n")
    assert statuses == [201]
    statuses, _, _ = wire(city, *[bytes([b]) for b in GET + b"Connection: close\r\n\r\n"])
    assert statuses == [200]
    statuses, _, closed = wire(city, b"GET /healthz HTTP/1.0\r\n\r\n")
    assert statuses == [200] and closed


def test_wire__a_peer_that_goes_away_in_the_middle_costs_nothing(city):
    host, port = city.address.split(":")
    for cut in (10, len(POST), len(POST) + 25):
        for _ in range(20):
            with socket.create_connection((host, int(port))) as s:
                s.sendall((POST + b"Content-Length: 100\r\n\r\n{}")[:cut])
    began = time.monotonic()
    assert wire(city, GET + b"Connection: close\r\n\r\n")[0] == [200]
    assert time.monotonic() - began < 2
