"""The dispatch room on its own: incidents go in by Kafka, cases are worked over HTTP, clocks run out, dispatchers die."""
import itertools
import json
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

import audit_oracle
import harness

TYPE_SQL = "SELECT type_code FROM tongguan.case_type WHERE lead IS NOT NULL ORDER BY 1 LIMIT 1"


@pytest.fixture(scope="module")
def city(servers):
    servers.role_under_test = harness.Role(servers, "dispatch").ready()
    servers.type = servers.value(TYPE_SQL)
    servers.department = servers.value("SELECT department FROM tongguan.account WHERE name = 'department'")
    yield servers
    servers.role_under_test.stop()


SPOTS = itertools.count()


def spot():
    """A cell of its own for each, so that nothing is taken for a repetition of what a test has closed."""
    n = next(SPOTS)
    return harness.HERE[0] + (n % 9 - 4) * 0.003, harness.HERE[1] + (n // 9 % 9 - 4) * 0.0022


def incident(type_code=None, **changes):
    """A message of tongguan.incidents."""
    at = harness.rfc3339(harness.now_us())
    doc = {"incident_id": str(uuid.uuid4()), "rule_id": "test", "rule_version": 1, "domain": "jianguan", "severity": 3,
           "state": "open", "merged_into": None, "revision": 1, "first_event_at": at, "last_event_at": at, "detected_at": at,
           "event_count": 1, "grid_cell": None, "geom": {"type": "Point", "coordinates": list(spot())}, "evidence": [],
           "explanation": {"case_type": type_code, "condition": 1, "auto_file": False, "title": "测试"}}
    explanation = changes.pop("explanation", {})
    doc |= changes
    doc["explanation"] |= explanation
    return doc


def send(city, *docs):
    city.produce("tongguan.incidents", [json.dumps(d).encode() if isinstance(d, dict) else d for d in docs])


def opened(city, doc):
    return str(harness.wait_for(lambda: city.rows("SELECT case_id FROM tongguan.cases WHERE incident_id = %s",
                                                  doc["incident_id"]), what="the case")[0][0])


def new_case(city, **changes):
    doc = incident(city.type, **changes)
    send(city, doc)
    return opened(city, doc)


def log(city, case):
    return city.rows("SELECT seq, action, from_state, to_state, note, detail FROM tongguan.case_log WHERE case_id = %s ORDER BY seq",
                     case)


def set_limit(city, limit):
    """The first condition of our type gets another handling limit; waits until the role works with it."""
    city.rows("UPDATE tongguan.filing_condition SET handle_limit = %s WHERE type_code = %s AND condition_no = 1 RETURNING 1",
              limit, city.type)
    version = city.value("UPDATE tongguan.city SET version = version + 1 RETURNING version")

    def taken():
        _, _, text = harness.Api(city.address)("GET", "/metrics", raw=True)
        return f"tongguan_dispatch_city_version {version}" in text.decode()
    harness.wait_for(taken, what="the new catalogue")


def dispatched(city, **changes):
    case = new_case(city, **changes)
    city.api().act(case, "accept")
    city.api().act(case, "file", condition=1)
    return case, city.api().act(case, "dispatch", tasks=[{"department": city.department, "role": "lead"}])


# ---- incidents --------------------------------------------------------------------------------------------------------------

def test_dispatch__an_incident_opens_one_case_however_often_it_is_said(city):
    doc = incident(city.type)
    send(city, doc, doc, doc)
    case = opened(city, doc)
    later = doc | {"revision": 3, "event_count": 9}
    send(city, later, doc, doc | {"revision": 2, "event_count": 5}, later)
    harness.wait_for(lambda: len(log(city, case)) == 2, what="the note of revision 3")
    marker = incident(city.type)
    send(city, marker)
    opened(city, marker)
    entries = log(city, case)
    assert [e[1] for e in entries] == ["report", "incident"]
    assert entries[1][5]["revision"] == 3 and entries[1][5]["event_count"] == 9
    assert city.value("SELECT version FROM tongguan.cases WHERE case_id = %s", case) == 1


def test_dispatch__auto_file_goes_on_to_dispatch_only_when_the_type_is_known(city):
    known = incident(city.type, explanation={"auto_file": True})
    unknown = incident("99999", explanation={"auto_file": True})
    nowhere = incident(city.type, explanation={"auto_file": True}, geom=None)
    send(city, known, unknown, nowhere)
    assert [e[1:4] for e in log(city, opened(city, known))] == [
        ("report", None, "new"), ("accept", "new", "to_file"), ("file", "to_file", "to_dispatch")]
    assert [e[1] for e in log(city, opened(city, unknown))] == ["report"]
    assert [e[1] for e in log(city, opened(city, nowhere))] == ["report"]


def test_dispatch__a_bad_message_costs_only_itself(city):
    good = [incident(city.type) for _ in range(3)]
    send(city, good[0], b"{", b"", b"[]", json.dumps(incident(city.type) | {"incident_id": "x"}).encode(),
         json.dumps(incident(city.type) | {"severity": "high"}).encode(), good[1], b"\xff\xfe", good[2])
    for doc in good:
        opened(city, doc)


def test_dispatch__a_merged_or_withdrawn_incident_opens_nothing_and_a_known_one_is_noted(city):
    gone = incident(city.type, state="withdrawn")
    doc = incident(city.type)
    send(city, gone, doc)
    case = opened(city, doc)
    send(city, doc | {"state": "cleared", "revision": 2})
    harness.wait_for(lambda: len(log(city, case)) == 2)
    assert log(city, case)[1][5]["state"] == "cleared"
    assert not city.rows("SELECT 1 FROM tongguan.cases WHERE incident_id = %s", gone["incident_id"])


def test_dispatch__the_case_of_a_merged_incident_joins_the_others_before_anything_is_dispatched(city):
    first = incident(city.type)
    second = incident(city.type, geom=first["geom"])
    send(city, first, second)
    kept, gone = opened(city, first), opened(city, second)
    send(city, second | {"state": "merged", "merged_into": first["incident_id"], "revision": 2})
    harness.wait_for(lambda: len(log(city, gone)) == 3, what="the merge and its note")
    assert [(e[1], e[3]) for e in log(city, gone)] == [("report", "new"), ("merge", "merged"), ("incident", "merged")]
    shown = city.api().get(f"/api/v1/cases/{kept}")
    assert [m["case_id"] for m in shown["merged"]] == [gone] and shown["reporters"] == 2 and shown["state"] == "new"
    assert log(city, kept)[-1][1] == "merge" and log(city, kept)[-1][5] == {"merged": gone}
    assert city.api().get(f"/api/v1/cases/{gone}")["merged_into"] == kept
    check_chains(city)


def test_dispatch__after_dispatch_the_two_cases_stay_beside_each_other(city):
    other, (case, doc) = incident(city.type), dispatched(city)
    mine = city.value("SELECT incident_id::text FROM tongguan.cases WHERE case_id = %s", case)
    send(city, other)
    beside = opened(city, other)
    send(city, incident(city.type) | {"incident_id": mine, "state": "merged", "merged_into": other["incident_id"], "revision": 2})
    harness.wait_for(lambda: log(city, case)[-1][1] == "incident", what="the note")
    assert log(city, case)[-1][5]["beside"] == beside
    shown = city.api().get(f"/api/v1/cases/{case}")
    assert shown["state"] == "assigned" and shown["version"] == doc["version"]
    assert [(r["case_id"], r["kind"]) for r in shown["related"]] == [(beside, "beside")]
    assert [r["case_id"] for r in city.api().get(f"/api/v1/cases/{beside}")["related"]] == [case]


def test_dispatch__what_a_rule_takes_back_is_proposed_to_be_voided_and_no_more(city):
    doc = incident(city.type, explanation={"auto_file": True})
    send(city, doc)
    case = opened(city, doc)
    send(city, doc | {"state": "withdrawn", "revision": 2})
    harness.wait_for(lambda: log(city, case)[-1][1] == "incident", what="the note")
    assert log(city, case)[-1][5]["proposed"] == "void"
    assert city.api().get(f"/api/v1/cases/{case}")["state"] == "to_dispatch"


def test_dispatch__what_comes_again_after_its_case_was_closed_gets_a_case_that_repeats_it(city):
    doc = incident(city.type)
    send(city, doc)
    case = opened(city, doc)
    for who, on_task, action, fields in harness.walk(city.type, city.department):
        api = city.api(who)
        if on_task:
            api.act_task(city.api().get(f"/api/v1/cases/{case}")["tasks"][0]["task_id"], action, **fields)
        else:
            api.act(case, action, **fields)

    def of(incident_id):
        return city.rows("SELECT case_id::text, recurs::text FROM tongguan.cases WHERE incident_id = %s ORDER BY case_id", incident_id)
    # A late word of what was before is a note; what happens after the closing is a case.
    send(city, doc | {"revision": 2, "event_count": 2})
    harness.wait_for(lambda: log(city, case)[-1][1] == "incident", what="the note")
    later = doc | {"revision": 3, "event_count": 3, "last_event_at": harness.rfc3339(harness.now_us())}
    send(city, later, later)
    again = harness.wait_for(lambda: len(of(doc["incident_id"])) == 2 and of(doc["incident_id"])[1], what="the second case")
    assert again[1] == case
    assert [e[1] for e in log(city, again[0])] == ["report", "recur"] and log(city, again[0])[1][5]["repeats"] == case
    assert [(r["case_id"], r["kind"]) for r in city.api().get(f"/api/v1/cases/{case}")["related"]] == [(again[0], "repeated_by")]
    # So does another incident of the same type in the same cell, and one of another cell does not.
    same, far = incident(city.type, geom=doc["geom"]), incident(city.type)
    send(city, same, far)
    for message, repeated in ((same, case), (far, None)):
        assert city.value("SELECT recurs::text FROM tongguan.cases WHERE case_id = %s", opened(city, message)) == repeated


# ---- transitions ------------------------------------------------------------------------------------------------------------

def test_dispatch__a_case_is_walked_to_its_close_and_its_chain_holds(city):
    case = new_case(city)
    for who, on_task, action, fields in harness.walk(city.type, city.department):
        api = city.api(who)
        if on_task:
            api.act_task(city.api().get(f"/api/v1/cases/{case}")["tasks"][0]["task_id"], action, **fields)
        else:
            api.act(case, action, **fields)
    assert [e[3] for e in log(city, case)] == ["new", "to_file", "to_dispatch", "assigned", "handling", "review", "checking",
                                               "to_close", "closed"]
    assert city.rows("SELECT 1 FROM tongguan.clock WHERE case_id = %s AND state <> 'stopped'", case) == []
    assert city.rows("SELECT 1 FROM tongguan.clock_due WHERE case_id = %s AND fired_at IS NULL", case) == []
    check_chains(city)


def check_chains(city):
    done = city.run("audit", "verify")
    assert done.returncode == 0, done.stdout
    with city.pg() as conn:
        assert audit_oracle.verify_dump(audit_oracle.dump(conn))[0] > 0


@pytest.mark.parametrize("column, value", [("note", "forged"), ("actor", "nobody"), ("detail", '{"a": 1}'), ("to_state", "closed"),
                                           ("at", "2020-01-01Z"), ("hash", "\\x00")])
def test_dispatch__the_audit_finds_an_entry_that_was_changed(city, column, value):
    case = new_case(city)
    city.api().act(case, "remind", note="truly")
    with city.pg() as conn:
        old = conn.execute(f"SELECT {column} FROM tongguan.case_log WHERE case_id = %s AND seq = 2", (case,)).fetchone()[0]
        conn.execute(f"UPDATE tongguan.case_log SET {column} = %s WHERE case_id = %s AND seq = 2", (value, case))
        done = city.run("audit", "verify")
        back = json.dumps(old) if column == "detail" and old is not None else old
        conn.execute(f"UPDATE tongguan.case_log SET {column} = %s WHERE case_id = %s AND seq = 2", (back, case))
    assert done.returncode == 1 and case in done.stdout and "entry 2" in done.stdout, done.stdout
    check_chains(city)


def test_dispatch__the_audit_finds_a_cut_tail_and_lets_a_note_be_erased(city):
    case = new_case(city)
    city.api().act(case, "remind", note="personal words")
    with city.pg() as conn:
        conn.execute("UPDATE tongguan.case_log SET note = NULL WHERE case_id = %s AND seq = 2", (case,))
        assert city.run("audit", "verify").returncode == 0
        conn.execute("UPDATE tongguan.case_log SET note = 'personal words' WHERE case_id = %s AND seq = 2", (case,))
        with conn.transaction(force_rollback=False):
            row = conn.execute("DELETE FROM tongguan.case_entry WHERE case_id = %s AND seq = 2 RETURNING *", (case,)).fetchone()
        done = city.run("audit", "verify")
        assert done.returncode == 1 and case in done.stdout, done.stdout
        marks = ", ".join(["%s"] * len(row))
        back = [json.dumps(v) if isinstance(v, dict) else v for v in row]
        conn.execute(f"INSERT INTO tongguan.case_entry VALUES ({marks})", back)
    check_chains(city)


def test_dispatch__of_many_racing_on_one_version_one_wins(city):
    case = new_case(city)
    version = city.api().get(f"/api/v1/cases/{case}")["version"]
    api = city.api()
    gate = threading.Barrier(12)

    def race(_):
        gate.wait()
        return api("POST", f"/api/v1/cases/{case}/actions", {"action": "edit", "version": version, "title": uuid.uuid4().hex})
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(race, range(12)))
    assert sorted(a[0] for a in answers) == [200] + [409] * 11
    assert {a[1]["version"] for a in answers if a[0] == 409} == {version + 1}
    assert [e[1] for e in log(city, case)] == ["report", "edit"]


def test_dispatch__one_key_is_one_transition(city):
    case = new_case(city)
    api = city.api()
    body = {"action": "remind", "version": api.get(f"/api/v1/cases/{case}")["version"], "note": "once"}
    path, key = f"/api/v1/cases/{case}/actions", {"Idempotency-Key": uuid.uuid4().hex}
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: api("POST", path, body, key), range(8)))
    assert {a[0] for a in answers} == {200}
    assert len({json.dumps(a[1], sort_keys=True) for a in answers}) == 1
    assert api("POST", path, body | {"note": "twice"}, key)[0] == 422
    refused = {"Idempotency-Key": uuid.uuid4().hex}
    stale = body | {"version": 99}
    first = api("POST", path, stale, refused)
    assert first[0] == 409 and api("POST", path, stale, refused) == first
    assert [e[1] for e in log(city, case)] == ["report", "remind"]


def test_dispatch__another_departments_case_is_not_there(city):
    case = new_case(city)
    other = city.value("SELECT code FROM tongguan.dept WHERE code <> %s ORDER BY 1 LIMIT 1", city.department)
    city.api().act(case, "accept")
    city.api().act(case, "file", condition=1)
    done = city.api().act(case, "dispatch", tasks=[{"department": other, "role": "lead"}])
    dept = city.api("department")
    assert dept("GET", f"/api/v1/cases/{case}")[0] == 404
    assert dept("POST", f"/api/v1/cases/{case}/actions", {"action": "comment", "version": 1, "note": "x"})[0] == 404
    task = done["tasks"][0]["task_id"]
    assert dept("POST", f"/api/v1/tasks/{task}/actions", {"action": "sign", "version": 1})[0] == 404


def test_dispatch__what_is_not_there_yet_is_neither_offered_nor_half_done(city):
    case = new_case(city)
    before = city.api().get(f"/api/v1/cases/{case}")
    assert "transfer" not in before["allowed_actions"]
    status, doc = city.api()("POST", f"/api/v1/cases/{case}/actions", {"action": "transfer", "version": before["version"]})
    assert status == 409 and sorted(doc["allowed_actions"]) == sorted(before["allowed_actions"])
    assert city.api().get(f"/api/v1/cases/{case}")["version"] == before["version"]


# ---- clocks that run out ----------------------------------------------------------------------------------------------------

def fired(city, case):
    return city.rows("SELECT d.level, extract(epoch FROM d.fired_at - d.fire_at) FROM tongguan.clock_due d "
                     "WHERE d.case_id = %s AND d.fired_at IS NOT NULL ORDER BY d.level", case)


def test_dispatch__levels_fire_in_time_and_say_their_deadline(city):
    set_limit(city, "0.002h")
    case, doc = dispatched(city)
    harness.wait_for(lambda: len(fired(city, case)) >= 3, timeout=30, what="E2")
    assert all(0 <= late < 1 for _, late in fired(city, case))
    levels = [(e[4], e[5]) for e in log(city, case) if e[1] == "escalate"]
    assert [n for n, _ in levels] == ["E0", "E1", "E2"]
    due = city.value("SELECT handle_due_at FROM tongguan.cases WHERE case_id = %s", case)
    assert city.value("SELECT %s::timestamptz = %s", levels[2][1]["fire_at"], due)
    now = city.api().get(f"/api/v1/cases/{case}")
    assert now["overdue"] and now["escalation_level"] == 2 and now["supervise_level"] == 1
    # done is done: what had not fired yet is gone
    task = doc["tasks"][0]["task_id"]
    city.api("department").act_task(task, "sign")
    city.api("department").act_task(task, "complete", result="late")
    assert city.rows("SELECT 1 FROM tongguan.clock_due WHERE case_id = %s AND fired_at IS NULL", case) == []


def test_dispatch__two_dispatchers_one_killed_fire_every_level_once(servers, city):
    set_limit(city, "0.0015h")
    second = harness.Role(servers, "dispatch", env={"TONGGUAN_HTTP_LISTEN": "127.0.0.1:0"})
    cases = [dispatched(city)[0] for _ in range(10)]
    harness.wait_for(lambda: city.value("SELECT count(*) FROM tongguan.clock_due WHERE case_id = ANY (%s) AND fired_at IS NOT NULL",
                                        cases) > 3, what="the first levels")
    second.kill()
    harness.wait_for(lambda: all(len(fired(city, c)) >= 3 for c in cases), timeout=30, what="all E2")
    for case in cases:
        notes = [e[4] for e in log(city, case) if e[1] == "escalate"]
        assert notes == ["E0", "E1", "E2"], notes
    check_chains(city)


def test_dispatch__a_dispatcher_that_was_dead_fires_what_it_missed_in_order(servers, city):
    """All dispatchers are killed before the first level; the next one fires everything due, once, with the true deadline."""
    set_limit(city, "0.002h")
    case, _ = dispatched(city)
    servers.role_under_test.kill()
    time_to_e2 = city.value("SELECT extract(epoch FROM handle_due_at - now()) FROM tongguan.cases WHERE case_id = %s", case)
    assert time_to_e2 > 0
    harness.wait_for(lambda: city.value("SELECT now() > handle_due_at FROM tongguan.cases WHERE case_id = %s", case), timeout=30)
    assert fired(city, case) == []
    began = time.monotonic()
    servers.role_under_test = harness.Role(servers, "dispatch").ready()
    harness.wait_for(lambda: len(fired(city, case)) >= 3, timeout=10)
    assert time.monotonic() - began < 5
    entries = [e for e in log(city, case) if e[1] == "escalate"]
    assert [e[4] for e in entries] == ["E0", "E1", "E2"]
    times = [e[5]["fire_at"] for e in entries]
    assert times == sorted(times)


# ---- committed order --------------------------------------------------------------------------------------------------------

def test_dispatch__case_events_are_the_log_in_order_through_a_takeover(servers, city):
    case = new_case(city)
    for n in range(5):
        city.api().act(case, "remind", note=str(n))
    servers.role_under_test.kill()
    servers.role_under_test = harness.Role(servers, "dispatch").ready()
    for n in range(5):
        city.api().act(case, "remind", note=str(n))
    wanted = city.rows("SELECT case_id::text, seq, action, to_state, encode(hash, 'hex') FROM tongguan.case_log ORDER BY 1, 2")

    def published():
        best = {}
        for m in city.consume("tongguan.case.events"):
            assert dict(m.headers())["content-type"] == b"application/json"
            doc = json.loads(m.value())
            assert m.key().decode() == doc["case_id"] or doc["case_id"] is None
            best[doc["pos"]] = doc
        return best
    def complete():
        docs = [d for _, d in sorted(published().items()) if d["case_id"]]
        got = sorted((d["case_id"], d["seq"], d["action"], d["to_state"], d["hash"]) for d in docs)
        if got != [tuple(w) for w in wanted]:
            return None
        return docs
    docs = harness.wait_for(complete, timeout=20, every=0.5, what="every entry as a message")
    last = {}
    for d in docs:
        assert d["seq"] == last.get(d["case_id"], 0) + 1, d
        last[d["case_id"]] = d["seq"]
