"""A thousand listeners at once: each gets every change once and in order, those that come and go too; and what one costs.

Who sees everything gets the same changes byte for byte: a stream is compared by its checksum with one that is read word for
word. The signs of life between the changes are left out, since who came a moment later has one less of them.
"""
import http.client
import json
import multiprocessing
import random
import re
import resource
import selectors
import socket
import subprocess
import threading
import time
import zlib

import pytest
from api_calls import V1, create

LISTENERS, COMERS, RATE, SECONDS = 1000, 30, 200, 8
NO_CHANGE = re.compile(rb"(?:event: vitals\ndata: [^\n]*|: heartbeat|retry: \d+|id: \d+)\n\n")


class Listener:
    def __init__(self, address, token, last_id, whole=False):
        self.address, self.token, self.whole = address, token, whole
        self.text, self.seen, self.crc, self.size = b"", [], 0, 0
        self.connect(last_id)

    def connect(self, last_id):
        host, port = self.address.split(":")
        self.sock = socket.create_connection((host, int(port)))
        self.sock.sendall(f"GET {V1}/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.token}\r\n"
                          f"Last-Event-ID: {last_id}\r\n\r\n".encode())
        self.head, self.text = b"", b""
        self.sock.setblocking(False)

    def take(self):
        """False when the server has closed."""
        while True:
            try:
                data = self.sock.recv(1 << 16)
            except BlockingIOError:
                return True
            if not data:
                return False
            if self.head is not None:
                self.head += data
                if b"\r\n\r\n" not in self.head:
                    continue
                data, self.head = self.head.split(b"\r\n\r\n", 1)[1], None
            whole, cut, self.text = (self.text + data).rpartition(b"\n\n")
            changes = whole + cut
            if not self.size or b"event: vitals" in changes or b": heartbeat" in changes:
                changes = NO_CHANGE.sub(b"", changes)
            self.size += len(changes)
            self.crc = zlib.crc32(changes, self.crc)
            if self.whole:
                assert b"event: resync" not in changes
                self.seen += [int(n) for n in re.findall(rb"^id: (\d+)\nevent: (?:case|task|incident)$", changes, re.M)]


def make_changes(address, token, cases, pipe):
    """RATE comments a second for SECONDS, by one connection a case."""
    def one(case, first):
        conn = http.client.HTTPConnection(address)
        body = json.dumps({"action": "comment", "note": "x", "version": 1})
        for i in range(first, RATE * SECONDS, len(cases)):
            time.sleep(max(0, begin + i / RATE - time.monotonic()))
            conn.request("POST", f"{V1}/cases/{case}/actions", body, {"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
            answer = conn.getresponse()
            answer.read()
            assert answer.status == 200
    begin = time.monotonic()
    threads = [threading.Thread(target=one, args=(case, n)) for n, case in enumerate(cases)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    pipe.send(time.monotonic() - begin)


def memory_kb(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        return int(re.search(r"^VmRSS:\s+(\d+)", status.read(), re.M)[1])


@pytest.fixture(scope="module", autouse=True)
def many_files():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))


def dispatch_pid(city):
    return int(subprocess.run(["pgrep", "-P", str(city.up.pid), "-f", "tongguan dispatch"], capture_output=True, text=True).stdout.split()[0])


@pytest.fixture
def sockets():
    """What is registered here is closed in any case: a test that fails keeps no thousand files from those after it."""
    poll = selectors.DefaultSelector()
    yield poll
    for key in list(poll.get_map().values()):
        key.fileobj.close()
    poll.close()


def test_listeners__a_thousand_miss_nothing_under_two_hundred_changes_a_second(city, sockets):
    token, pid = city.api().token, dispatch_pid(city)
    cases = [create(city)["case_id"] for _ in range(8)]
    start = city.api().get(V1 + "/vitals")["last_pos"]
    before = memory_kb(pid)

    def listen(last_id, whole=False):
        one = Listener(city.address, token, last_id, whole)
        sockets.register(one.sock, selectors.EVENT_READ, one)
        return one

    def turn(seconds):
        for key, _ in sockets.select(seconds):
            assert key.data.take(), "the server cut a listener off"
    crowd = [listen(start) for _ in range(LISTENERS)]
    model = listen(start, whole=True)
    comers = [listen(start, whole=True) for _ in range(COMERS)]
    quiet = time.monotonic() + 2
    while time.monotonic() < quiet or any(one.head is not None for one in crowd):
        turn(0.2)
    each_kb = (memory_kb(pid) - before) / (LISTENERS + COMERS + 1)
    here, there = multiprocessing.Pipe()
    writer = multiprocessing.Process(target=make_changes, args=(city.address, token, cases, there))
    rng, returns, began = random.Random(3), 0, time.monotonic()
    writer.start()
    while writer.is_alive() or len(model.seen) < RATE * SECONDS:
        assert time.monotonic() - began < 60, f"{len(model.seen)} of {RATE * SECONDS} changes have come"
        turn(0.02)
        if writer.is_alive() and model.seen:
            one = rng.choice(comers)
            if one.seen and one.head is None:
                sockets.unregister(one.sock)
                one.sock.shutdown(socket.SHUT_RDWR)  # the writer's process has the file too
                one.sock.close()
                one.connect(one.seen[-1])
                sockets.register(one.sock, selectors.EVENT_READ, one)
                returns += 1
    writer.join()
    took, last = here.recv(), model.seen[-1]

    def others():
        return [one for one in crowd if (one.size, one.crc) != (model.size, model.crc)]

    def behind():
        return [one for one in comers if not one.seen or one.seen[-1] < last] or others()
    end = time.monotonic() + 20
    while behind() and time.monotonic() < end:
        turn(0.1)
    assert model.seen == list(range(model.seen[0], model.seen[-1] + 1)) and len(model.seen) >= RATE * SECONDS
    for one in comers:
        both = min(len(one.seen), len(model.seen))
        assert one.seen[:both] == model.seen[:both] and one.seen[-1] >= last, "a listener that came back missed a change, or had one twice"
    assert not others(), f"{len(others())} of {LISTENERS} streams differ from the model"
    print(f"\n{LISTENERS} listeners, {len(model.seen)} changes at {len(model.seen) / took:.0f}/s, {returns} returns, "
          f"{each_kb:.1f} KiB a listener, dispatch {memory_kb(pid) / 1024:.0f} MB")
    assert returns > 50 and each_kb < 24 and memory_kb(pid) < 96 * 1024
