"""The live stream: what a listener that comes back may rely on."""
import copy
import json
import socket
import threading

import pytest

from api_calls import V1, ask, create, problem, sign_in
from harness import Api, Role, Stream


def positions(stream):
    return [int(id_) for kind, id_, _ in stream.events if id_ and kind in ("case", "task", "incident")]


def test_stream__a_listener_that_comes_back_has_missed_nothing_and_nothing_twice(city):
    """Changes go on all the time; one listener stays, one is cut off again and again."""
    stays, comes = Stream(city.api()), Stream(city.api())
    first = create(city)["case_id"]
    for s in (stays, comes):
        s.until(lambda kind, _, data: kind == "case" and data["case_id"] == first)
    cases, busy = [], threading.Event()

    def work(n):
        api = city.api(("operator", "shift_lead")[n % 2])
        for _ in range(25):
            case = create(city)["case_id"]
            api.act(case, "remind", note="a")
            api.act(case, "accept")
            cases.append(case)
    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for t in threads:
        t.start()
    seen = list(positions(comes))
    while any(t.is_alive() for t in threads):
        comes.close()
        comes = Stream(city.api(), last_id=seen[-1])
        comes.until(lambda kind, id_, _: id_ and kind == "case")
        assert not [e for e in comes.events if e[0] == "resync"]
        seen += positions(comes)
    for t in threads:
        t.join()
    assert len(cases) == 75
    last = create(city)["case_id"]
    stays.until(lambda kind, _, data: kind == "case" and data["case_id"] == last)
    end = positions(stays)[-1]
    comes.close()
    comes = Stream(city.api(), last_id=seen[-1])
    comes.until(lambda kind, id_, _: id_ and int(id_) >= end)
    seen += positions(comes)
    seen = [p for p in seen if p <= end]
    assert positions(stays) == list(range(positions(stays)[0], end + 1))
    assert seen == positions(stays)
    versions = {}
    for kind, _, data in stays.events:
        if kind == "case":
            versions.setdefault(data["case_id"], []).append(data["version"])
    assert all(versions[c] == [1, 2, 3] for c in cases)
    again = Stream(city.api(), since=positions(stays)[0] - 1)  # `since` says the same as Last-Event-ID
    again.until(lambda kind, id_, _: id_ and int(id_) >= end)
    mine = [e for e in again.events if e[1] and e[0] != "message" and int(e[1]) <= end]
    assert mine == [e for e in stays.events if e[1] and e[0] in ("case", "task", "incident") and int(e[1]) <= end]
    for s in (stays, comes, again):
        s.close()


def test_stream__without_a_position_it_starts_now(city):
    before = city.value("SELECT last_pos FROM tongguan.outbox_lease")
    old = create(city)["case_id"]
    tail = Stream(city.api(), since=before)
    tail.until(lambda kind, _, data: kind == "case" and data["case_id"] == old)
    tail.close()
    stream = Stream(city.api())
    new = create(city)["case_id"]
    stream.until(lambda kind, _, data: kind == "case" and data["case_id"] == new)
    assert [e for e in stream.events if e[2] and e[2].get("case_id") == old] == []
    stream.close()


@pytest.mark.parametrize("position", ["99999999999", "-1", "nonsense", "18446744073709551616"])
def test_stream__an_unknown_position_is_one_resync(city, position):
    stream = Stream(city.api(), last_id=position)
    _, id_, data = stream.until(lambda kind, *_: kind == "resync")
    case = create(city)["case_id"]
    told = stream.until(lambda kind, _, data: kind == "case" and data["case_id"] == case)
    assert int(told[1]) > int(id_) == data["last_pos"]
    assert [e[0] for e in stream.events].count("resync") == 1
    stream.close()


def test_stream__a_position_too_old_is_one_resync_and_a_second_dispatcher_tells_the_same(city):
    """A dispatcher of its own with room for few frames: what does not fit is not sent, the client is told to read again."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{s.getsockname()[1]}"
    other = copy.copy(city)
    other.env = city.env | {"TONGGUAN_HTTP_LISTEN": address, "TONGGUAN_DISPATCH_STREAM_QUEUE_MAX": "8192"}
    first = Stream(city.api())
    for _ in range(20):
        last = create(city)["case_id"]
    first.until(lambda kind, _, data: kind == "case" and data["case_id"] == last)
    end = positions(first)[-1]
    role = Role(other, "dispatch").ready()
    try:
        there = Api(address, city.api().token)
        near = Stream(there, last_id=end - 5)
        near.until(lambda kind, id_, _: id_ == str(end))
        assert positions(near) == list(range(end - 4, end + 1))
        far = Stream(there, last_id=end - 20)
        _, id_, _ = far.until(lambda kind, *_: kind == "resync")
        case = create(city)["case_id"]
        for stream in (near, far, first):
            stream.until(lambda kind, _, data: kind == "case" and data["case_id"] == case)
        assert positions(far) == list(range(int(id_) + 1, positions(far)[-1] + 1))
        assert [e[0] for e in far.events].count("resync") == 1
        for stream in (near, far, first):
            stream.close()
    finally:
        assert role.stop() == 0


def test_stream__a_session_that_ends_may_not_listen_any_more(city, account):
    token = json.loads(sign_in(city, account, "right-password-9")[2])["token"]
    api = Api(city.address, token)
    assert api("DELETE", V1 + "/sessions/current")[0] == 204
    problem(ask(api, "GET", V1 + "/stream"), 401)
