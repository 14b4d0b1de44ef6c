"""What may be done to a case or a task, as a stranger would try it against what is published: states, versions, roles, forms; a new case
and a report, each once."""
import json
import uuid
from datetime import datetime

import pytest

from api_calls import V1, ask, create, dispatched, field_of, post_raw, problem, to_dispatch
from harness import HERE, wait_for


def test_actions__a_stale_version_is_409_with_the_present_one(city):
    case = create(city)
    city.api().act(case["case_id"], "remind", note="first")
    now = city.api().get(f"{V1}/cases/{case['case_id']}")["version"]
    assert now == case["version"] + 1
    for version in (case["version"], now + 5, 0, -1):
        doc = problem(ask(city.api(), "POST", f"{V1}/cases/{case['case_id']}/actions", {"action": "remind", "version": version}), 409)
        assert doc["version"] == now and "allowed_actions" not in doc
    assert len(city.api().get(f"{V1}/cases/{case['case_id']}/log")["items"]) == 2


def test_actions__what_the_state_forbids_is_409_with_what_it_allows(city):
    case = create(city)["case_id"]
    shown = city.api().get(f"{V1}/cases/{case}")
    assert {"accept", "refuse", "edit", "send_verify"} <= set(shown["allowed_actions"])
    for version in (shown["version"], 99):  # the state is looked at before the version
        doc = problem(ask(city.api(), "POST", f"{V1}/cases/{case}/actions", {"action": "close", "version": version}), 409)
        assert doc["allowed_actions"] == shown["allowed_actions"]
    assert city.api().get(f"{V1}/cases/{case}") | {"clock": 0} == shown | {"clock": 0}


def test_actions__every_action_offered_is_one_the_caller_may_take_and_no_other(city, desk):
    """allowed_actions is what the server does: an action outside it is refused by role or state, one inside never is."""
    case, doc = dispatched(city, desk.mine)
    task = doc["tasks"][0]["task_id"]
    for who in ("operator", "shift_lead", "leader", "inspector", "supervisor", "department", "auditor", "admin"):
        for kind, place, names in (("case", f"{V1}/cases/{case}", "accept refuse file not_file dispatch rework send_check check_pass"
                                    " close void remind supervise comment add_assist".split()),
                                   ("task", f"{V1}/tasks/{task}", "sign return complete comment".split())):
            shown = city.api(who).get(place)
            for action in names:
                status, said = city.api(who)("POST", place + "/actions", {"action": action, "version": shown["version"] + 7})
                if action in shown["allowed_actions"]:  # it fails on its form or on the version
                    assert status == 422 and "errors" in said or status == 409 and "version" in said, (who, kind, action, said)
                else:
                    assert status == 403 or status == 422 and "errors" in said or status == 409 and "allowed_actions" in said, \
                        (who, kind, action, said)
    assert city.api().get(f"{V1}/cases/{case}")["version"] == doc["version"]


@pytest.mark.parametrize("who, on_task, action, status", [
    ("auditor", False, "accept", 403), ("admin", False, "accept", 403), ("inspector", False, "accept", 403),
    ("operator", False, "not_file", 403), ("department", True, "sign", 404), ("operator", False, "nonsense", 422),
])
def test_actions__the_wrong_role_is_403_whatever_the_form(city, desk, who, on_task, action, status):
    case, doc = dispatched(city, desk.other)
    place = f"{V1}/tasks/{doc['tasks'][0]['task_id']}" if on_task else f"{V1}/cases/{case}"
    for body in ({"action": action, "version": doc["version"]}, {"action": action, "version": 99, "tasks": 5}):
        problem(ask(city.api(who), "POST", place + "/actions", body), status)
    assert city.api().get(f"{V1}/cases/{case}")["version"] == doc["version"]


@pytest.mark.parametrize("action, fields, wrong", [
    ("accept", {"type_code": "99999"}, "type_code"),
    ("accept", {"type_code": 5}, "type_code"),
    ("accept", {"location": {"lon": 181, "lat": 0}}, "location"),
    ("accept", {"location": {"lon": 2.35, "lat": 48.85}}, "location"),  # Paris lies outside the grid
    ("accept", {"location": "here"}, "location"),
    ("refuse", {}, "reason"),
    ("edit", {}, "action"),
    ("edit", {"title": ""}, "title"),
    ("edit", {"title": "x" * 301}, "title"),
    ("edit", {"urgency": "now"}, "urgency"),
    ("comment", {}, "note"),
    ("comment", {"note": " \t"}, "note"),
    ("comment", {"note": "x" * 4001}, "note"),
    ("remind", {"note": ["x"]}, "note"),
])
def test_actions__a_value_that_will_not_do_is_422_with_its_field(city, action, fields, wrong):
    case = create(city)
    doc = problem(ask(city.api(), "POST", f"{V1}/cases/{case['case_id']}/actions",
                      {"action": action, "version": case["version"], **fields}), 422)
    assert field_of(doc) == [wrong]
    assert city.api().get(f"{V1}/cases/{case['case_id']}")["version"] == case["version"]


@pytest.mark.parametrize("tasks", [None, [], "ISD", [{"department": "NOPE", "role": "lead"}], [{"department": "ISD"}],
                                   [{"department": "ISD", "role": "boss"}], [{"department": "ISD", "role": "assist"}],
                                   [{"department": "ISD", "role": "lead"}, {"department": "ISD", "role": "assist"}],
                                   [{"department": "ISD", "role": "lead"}, {"department": "PARK", "role": "lead"}]])
def test_actions__a_dispatch_that_will_not_do_is_422(city, tasks):
    case = to_dispatch(city)
    body = {"action": "dispatch", "version": city.api().get(f"{V1}/cases/{case}")["version"], "tasks": tasks}
    assert set(field_of(problem(ask(city.api(), "POST", f"{V1}/cases/{case}/actions", body), 422))) == {"tasks"}
    assert city.api().get(f"{V1}/cases/{case}")["tasks"] == []


@pytest.mark.parametrize("fields, wrong", [
    ({"type_code": "99999"}, "type_code"), ({"type_code": True}, "type_code"), ({"location": None}, "location"),
    ({"location": {"lon": "a", "lat": 1}}, "location"), ({"location": {"lon": HERE[0]}}, "location"),
    ({"title": "x" * 301}, "title"), ({"text": "x" * 16385}, "text"), ({"urgency": "later"}, "urgency"),
    ({"type_code": None, "title": None}, "title"), ({"contact": "x" * 201}, "contact"),
])
def test_intake__a_value_that_will_not_do_is_422_with_its_field(city, fields, wrong):
    before = city.value("SELECT count(*) FROM tongguan.cases")
    assert field_of(create(city, expect=422, **fields)) == [wrong]
    assert city.value("SELECT count(*) FROM tongguan.cases") == before


@pytest.mark.parametrize("body, kind, status", [
    (b"{", "application/json", 400), (b"", "application/json", 400), (b"[]", "application/json", 400),
    (b'{"a":1}{', "application/json", 400), (b'{"title":"\xff"}', "application/json", 400), (b'"x"', "application/json", 400),
    (b'{"title":"a","title":"b"}', "application/json", 400), (b"[" * 100000, "application/json", 400),
    (b"{}", "text/plain", 415), (b"{}", None, 415), (b"a=b", "application/x-www-form-urlencoded", 415),
])
@pytest.mark.parametrize("path", ["/cases", "/reports", "/deadline/explain", "/cases/ID/actions"])
def test_intake__a_body_that_is_no_json_object_is_400_or_415(city, path, body, kind, status):
    if "ID" in path:
        path = path.replace("ID", city.value("SELECT case_id::text FROM tongguan.cases LIMIT 1"))
    answer = post_raw(city, V1 + path, body, {"Content-Type": kind} if kind else {})
    problem(answer, status)


def test_idempotency__a_case_is_opened_once(city):
    key = {"Idempotency-Key": uuid.uuid4().hex}
    title = uuid.uuid4().hex
    first, second = (create(city, headers=key, title=title) for _ in range(2))
    assert first == second
    assert city.value("SELECT count(*) FROM tongguan.cases WHERE title = %s", title) == 1
    create(city, expect=422, headers=key, title=title + "!")
    assert create(city, headers={"Idempotency-Key": uuid.uuid4().hex}, title=title)["case_id"] != first["case_id"]


def test_idempotency__the_answer_is_kept_past_the_state_and_refusals_are_kept_too(city):
    case = create(city)
    path, key = f"{V1}/cases/{case['case_id']}/actions", {"Idempotency-Key": uuid.uuid4().hex}
    body = {"action": "accept", "version": case["version"]}
    first = ask(city.api(), "POST", path, body, key)
    assert first[0] == 200 and json.loads(first[2])["state"] == "to_file"
    city.api().act(case["case_id"], "remind", note="on")
    again = ask(city.api(), "POST", path, body, key)
    assert (again[0], again[2]) == (200, first[2])
    assert len(city.api().get(f"{V1}/cases/{case['case_id']}/log")["items"]) == 3
    refused = {"Idempotency-Key": uuid.uuid4().hex}
    late = ask(city.api(), "POST", path, body, refused)
    assert late[0] == 409 and ask(city.api(), "POST", path, body, refused)[2] == late[2]
    # The scope is the token and the path: for another caller the same key is new.
    assert ask(city.api("shift_lead"), "POST", path, {"action": "remind", "version": 3}, key)[0] == 200
    problem(ask(city.api(), "POST", path, {"action": "remind", "version": 3}, key), 422)
    problem(ask(city.api(), "POST", path, body, {"Idempotency-Key": "x" * 129}), 400)


def test_reports__a_report_becomes_an_event_once(city):
    key = {"Idempotency-Key": uuid.uuid4().hex}
    body = {"type_code": "22001", "title": "灯", "text": "整排不亮", "location": {"lon": HERE[0], "lat": HERE[1]},
            "contact": "13700000001"}
    status, first = city.api("inspector")("POST", V1 + "/reports", body, key)
    assert status == 202 and first["source_id"] == "inspector"
    again = city.api("inspector")("POST", V1 + "/reports", body, key)
    assert again == (202, first)
    problem(ask(city.api("inspector"), "POST", V1 + "/reports", body | {"text": "x"}, key), 422)
    status, other = city.api("operator")("POST", V1 + "/reports", body)
    assert status == 202
    wait_for(lambda: city.rows("SELECT 1 FROM tongguan.events WHERE event_id = %s", other["event_id"]), what="the event")
    rows = wait_for(lambda: city.rows("SELECT source_id, source_kind, type_code, occurred_at, payload -> 'report' FROM tongguan.events"
                                      " WHERE event_id = %s", first["event_id"]), what="the event")
    assert len(rows) == 1
    source, kind, code, at, said = rows[0]
    assert (source, kind, code) == ("inspector", "inspector", "22001")
    assert at == datetime.fromisoformat(first["occurred_at"])
    assert said["title"] == "灯" and said["text"] == "整排不亮" and said["contact"] != "13700000001"
    assert city.value("SELECT source_kind FROM tongguan.events WHERE event_id = %s", other["event_id"]) == "citizen"
    wait_for(lambda: city.rows("SELECT 1 FROM tongguan.cases c JOIN tongguan.incident_events m USING (incident_id) JOIN tongguan.events e"
                               " ON e.uid = m.event_uid WHERE e.event_id = %s", first["event_id"]), what="its case")


@pytest.mark.parametrize("fields, wrong", [
    ({"text": None}, "text"), ({"location": {"lon": 181, "lat": 0}}, "location.lon"),
    ({"location": {"lon": 0, "lat": -91}}, "location.lat"), ({"type_code": "12"}, "type_code"),
    ({"occurred_at": "yesterday"}, "occurred_at"), ({"occurred_at": "2099-01-01T00:00:00Z"}, "occurred_at"),
    ({"occurred_at": "2001-01-01T00:00:00Z"}, "occurred_at"), ({"attributes": {str(i): "x" for i in range(33)}}, "attributes"),
    ({"text": "x" * 16385}, "text"), ({"source_id": "me"}, "source_id"),
])
def test_reports__a_value_that_will_not_do_is_422_with_its_field(city, fields, wrong):
    body = {k: v for k, v in ({"text": "x", "location": {"lon": HERE[0], "lat": HERE[1]}} | fields).items() if v is not None}
    assert field_of(problem(ask(city.api(), "POST", V1 + "/reports", body), 422)) == [wrong]
