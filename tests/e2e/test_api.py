"""The HTTP API as a stranger would use it, against what is published: who may see and do what, what a refusal says, and what a
listener or a reader of pages may rely on."""
import base64
import copy
import json
import re
import socket
import threading
import uuid
from datetime import datetime, timedelta
from types import SimpleNamespace

import pytest

import harness
from harness import HERE, Api, Role, Stream, now_us, report, rfc3339, wait_for

V1 = "/api/v1"


@pytest.fixture(scope="module")
def desk(city):
    """What the tests begin with: a type, its department, another department with a token of its own."""
    mine = city.value("SELECT department FROM tongguan.account WHERE name = 'department'")
    other = city.value("SELECT code FROM tongguan.departments WHERE code <> %s ORDER BY 1 LIMIT 1", mine)
    made = city.run("token", "create", "--role", "department", "--department", other, "--name", f"other-{uuid.uuid4().hex[:8]}")
    assert made.returncode == 0, made.stderr
    return SimpleNamespace(mine=mine, other=other, other_api=Api(city.address, made.stdout.strip()))


def create(city, expect=201, headers=None, **fields):
    body = {"type_code": "22002", "title": "路灯不亮", "location": {"lon": HERE[0], "lat": HERE[1]}} | fields
    status, answered, raw = city.api()("POST", V1 + "/cases", {k: v for k, v in body.items() if v is not None}, headers, raw=True)
    doc = json.loads(raw)
    assert status == expect, doc
    if status == 201:
        assert answered["location"] == f"{V1}/cases/{doc['case_id']}"
    return doc


def to_dispatch(city):
    case = create(city)["case_id"]
    city.api().act(case, "accept")
    city.api("shift_lead").act(case, "file", condition=1)
    return case


def dispatched(city, *departments):
    """A case with a lead and perhaps assistants; (case, its document)."""
    case = to_dispatch(city)
    tasks = [{"department": d, "role": "assist" if i else "lead"} for i, d in enumerate(departments)]
    return case, city.api().act(case, "dispatch", tasks=tasks)


def problem(answer, status):
    """Asserts an RFC 9457 document and gives it."""
    code, headers, raw = answer
    assert code == status, (code, raw[:300])
    head = {k.lower(): v for k, v in headers.items()}
    assert head["content-type"] == "application/problem+json"
    doc = json.loads(raw)
    assert doc["status"] == status and doc["type"] and doc["title"] and (doc.get("detail") or status == 405), doc
    return doc


def ask(api, method, path, body=None, headers=None):
    return api(method, path, body, headers, raw=True)


def field_of(doc):
    assert all(e["detail"] for e in doc["errors"])
    return [e["field"] for e in doc["errors"]]


# ---- states and versions ----------------------------------------------------------------------------------------------------

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


def post_raw(city, path, body, headers):
    import http.client
    conn = http.client.HTTPConnection(city.address, timeout=30)
    conn.request("POST", path, body=body, headers={"Authorization": f"Bearer {city.api().token}", **headers})
    answer = conn.getresponse()
    text = answer.read()
    conn.close()
    return answer.status, dict(answer.getheaders()), text


# ---- whose it is ------------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def foreign(city, desk):
    """A case of the other department alone, with its task and an incident behind it."""
    event = report(type_code="22001", source="foreign", contact="13800138000")
    city.produce("tongguan.citizen.reports", [event.SerializeToString()])
    case = wait_for(lambda: city.rows("SELECT c.case_id::text, c.incident_id::text FROM tongguan.cases c JOIN tongguan.incident_events m"
                                      " USING (incident_id) JOIN tongguan.events e ON e.uid = m.event_uid WHERE e.event_id = %s",
                                      event.event_id), what="the case")[0]
    city.api().act(case[0], "accept")
    city.api("shift_lead").act(case[0], "file", condition=1)
    doc = city.api().act(case[0], "dispatch", tasks=[{"department": desk.other, "role": "lead"}])
    return SimpleNamespace(case=case[0], incident=case[1], task=doc["tasks"][0]["task_id"], case_no=doc["case_no"])


@pytest.mark.parametrize("method, path", [
    ("GET", "/cases/CASE"), ("GET", "/cases/CASE/log"), ("GET", "/cases/CASE/evidence"), ("GET", "/cases/CASE/deadline"),
    ("GET", "/cases/CASE/contact"), ("GET", "/tasks/TASK"), ("GET", "/incidents/INCIDENT"),
    ("POST", "/cases/CASE/actions"), ("POST", "/tasks/TASK/actions"),
])
def test_department__a_foreign_object_answers_as_one_that_does_not_exist(city, desk, foreign, method, path):
    mine = path.replace("CASE", foreign.case).replace("TASK", foreign.task).replace("INCIDENT", foreign.incident)
    none = re.sub("CASE|TASK|INCIDENT", str(uuid.uuid4()), path)
    junk = re.sub("CASE|TASK|INCIDENT", "1", path)
    for body in ({"action": "comment", "version": 1, "note": "x"}, {"action": 5}, {}) if method == "POST" else (None,):
        answers = [ask(city.api("department"), method, V1 + p, body) for p in (mine, none, junk)]
        assert [a[0] for a in answers] == [404, 404, 404]
        assert answers[0][2] == answers[1][2] == answers[2][2]
    assert ask(desk.other_api, "GET", V1 + "/cases/" + foreign.case)[0] == 200
    assert city.api().get(V1 + "/cases/" + foreign.case)["state"] == "assigned"


def every_page(api, path, limit=7, headers=None, name="items"):
    """All items, page by page."""
    items, cursor = [], None
    while True:
        sign = "&" if "?" in path else "?"
        status, _, raw = ask(api, "GET", f"{path}{sign}limit={limit}" + (f"&cursor={cursor}" if cursor else ""), headers=headers)
        doc = json.loads(raw)
        assert status == 200, doc
        assert len(doc[name]) <= limit
        items += doc[name]
        cursor = doc["next_cursor"]
        if not cursor:
            return items
        assert len(doc[name]) == limit


def test_department__its_lists_hold_its_own_and_nothing_else(city, desk, foreign):
    own, _ = dispatched(city, desk.mine, desk.other)
    alone, doc = dispatched(city, desk.mine)
    api = city.api("department")
    wanted = {str(c) for (c,) in city.rows("SELECT DISTINCT case_id FROM tongguan.tasks WHERE department = %s", desk.mine)}
    assert {c["case_id"] for c in every_page(api, V1 + "/cases", 200)} == wanted
    assert {own, alone} <= wanted and foreign.case not in wanted
    assert {c["case_id"] for c in every_page(desk.other_api, V1 + "/cases", 200)} >= {foreign.case, own}
    tasks = every_page(api, V1 + "/tasks", 200)
    assert {t["department"] for t in tasks} == {desk.mine}
    assert {t["task_id"] for t in tasks} == {str(t) for (t,) in city.rows("SELECT task_id FROM tongguan.tasks WHERE department = %s",
                                                                         desk.mine)}
    assert every_page(api, f"{V1}/tasks?department={desk.other}") == []
    assert foreign.case not in [c["case_id"] for c in api.get(f"{V1}/cases?department={desk.other}")["items"]]
    assert foreign.incident not in {i["incident_id"] for i in every_page(api, V1 + "/incidents", 200)}
    assert foreign.incident in {i["incident_id"] for i in every_page(city.api(), V1 + "/incidents", 200)}
    assert foreign.case_no not in json.dumps(api.get(f"{V1}/cases?q={foreign.case_no[-6:]}"))
    problem(ask(api, "GET", V1 + "/events"), 403)
    problem(ask(api, "POST", V1 + "/cases", {"title": "x"}), 403)
    problem(ask(api, "POST", V1 + "/reports", {"text": "x"}), 403)


def test_department__its_stream_tells_its_own_and_nothing_else(city, desk):
    mine = Stream(city.api("department"))
    all_of_it = Stream(city.api())
    theirs, _ = dispatched(city, desk.other)
    own, doc = dispatched(city, desk.mine)
    city.api().act(theirs, "remind", note="x")
    city.api().act(own, "remind", note="x")
    last = all_of_it.until(lambda kind, _, data: kind == "case" and data["case_id"] == own and data["action"] == "remind")
    mine.until(lambda kind, id_, _: id_ == last[1])
    told = {data["case_id"] for kind, _, data in mine.events if kind in ("case", "task")}
    assert told == {own}
    assert {theirs, own} <= {data["case_id"] for kind, _, data in all_of_it.events if kind in ("case", "task")}
    mine.close()
    all_of_it.close()


def test_contact__is_nowhere_but_where_it_is_asked_for(city, desk):
    number, mail = "13987654321", "wang.xiaoming@example.org"
    case = create(city, contact=number)["case_id"]
    event = report(type_code="22001", contact=mail, source="contacts")
    city.produce("tongguan.citizen.reports", [event.SerializeToString()])
    second, incident = wait_for(lambda: city.rows(
        "SELECT c.case_id::text, c.incident_id::text FROM tongguan.cases c JOIN tongguan.incident_events m USING (incident_id)"
        " JOIN tongguan.events e ON e.uid = m.event_uid WHERE e.event_id = %s", event.event_id), what="the case")[0]
    stream = Stream(city.api(), since=0)
    for c in (case, second):
        city.api().act(c, "accept")
        city.api("shift_lead").act(c, "file", condition=1)
        city.api().act(c, "dispatch", tasks=[{"department": desk.mine, "role": "lead"}])
        city.api().act(c, "remind", note="last")
    stream.until(lambda kind, _, data: kind == "case" and data["case_id"] == second and data["action"] == "remind")
    stream.close()
    said = {"stream": json.dumps(stream.events, ensure_ascii=False)}
    for who in ("operator", "department", "auditor", "leader", "inspector"):
        for path in ("/cases?limit=200", f"/cases/{case}", f"/cases/{second}", f"/cases/{case}/log", f"/cases/{second}/log",
                     f"/cases/{case}/evidence", f"/cases/{second}/evidence", f"/cases/{second}/deadline", "/tasks?limit=200",
                     "/incidents?limit=200", f"/incidents/{incident}", "/events?limit=1000"):
            status, _, raw = ask(city.api(who), "GET", V1 + path)
            assert status in (200, 403), (who, path, status)
            said[f"{who} {path}"] = raw.decode()
    assert event.event_id in said["operator /events?limit=1000"] and "***.org" in said["operator /events?limit=1000"]
    for view in ("events", "incidents", "cases", "tasks", "case_log"):
        said[view] = json.dumps(city.rows(f"SELECT row_to_json(v)::text FROM tongguan.{view} v"))
    for topic in ("tongguan.events.located", "tongguan.incidents", "tongguan.case.events"):
        said[topic] = repr([m.value() for m in city.consume(topic)])
    said["metrics"] = ask(Api(city.address), "GET", "/metrics")[2].decode()
    for where, words in said.items():
        assert number not in words and mail not in words and "wang.xiaoming" not in words, where
    for words in (number, number[:8]):  # nor does the search find it
        assert city.api().get(f"{V1}/cases?q={words}")["items"] == []
    assert number in json.dumps(city.api().get(f"{V1}/cases/{case}/contact"))
    assert mail in json.dumps(city.api("shift_lead").get(f"{V1}/cases/{second}/contact"))
    for who in ("department", "auditor", "inspector", "admin"):
        problem(ask(city.api(who), "GET", f"{V1}/cases/{case}/contact"), 403)
    looks = city.rows("SELECT actor, actor_role FROM tongguan.case_log WHERE case_id = %s AND action = 'contact'", case)
    assert looks == [("operator", "operator")]
    assert city.run("audit", "verify").returncode == 0


# ---- who it is --------------------------------------------------------------------------------------------------------------

def sign_in(city, name, password):
    status, headers, raw = ask(Api(city.address), "POST", V1 + "/sessions", {"username": name, "password": password})
    return status, {k.lower(): v for k, v in headers.items() if k.lower() != "date"}, raw


@pytest.fixture
def account(city):
    name = "u" + uuid.uuid4().hex[:10]
    done = city.run("user", "add", name, "--role", "inspector", input="right-password-9\n")
    assert done.returncode == 0, done.stderr
    return name


def test_session__a_wrong_password_and_an_unknown_name_answer_alike_and_lock_alike(city, account):
    unknown = "n" + uuid.uuid4().hex[:10]
    tries = [[sign_in(city, name, "wrong") for name in (account, unknown)] for _ in range(5)]
    for known, stranger in tries:
        assert known == stranger and known[0] == 401, (known, stranger)
        assert json.loads(known[2])["status"] == 401 and "www-authenticate" in known[1]
    locked = [sign_in(city, name, "right-password-9") for name in (account, unknown)]
    assert [a[0] for a in locked] == [429, 429]
    assert all(1 <= int(a[1]["retry-after"]) <= 60 for a in locked)
    assert locked[0][2] == locked[1][2]
    with city.pg() as conn:  # the lock runs out
        conn.execute("UPDATE tongguan.login_failure SET locked_until = now() WHERE name = %s", (account,))
    assert sign_in(city, account, "right-password-9")[0] == 201
    assert sign_in(city, account, "wrong")[0] == 401  # and is forgotten after a good one


@pytest.mark.parametrize("body, status, fields", [
    ({"username": "operator"}, 422, ["password"]), ({"password": "x"}, 422, ["username"]),
    ({"username": 5, "password": "x"}, 422, ["username"]), ({"username": "", "password": ""}, 401, None),
    ({"username": "x" * 5000, "password": "x"}, 401, None), ({"username": "operator", "password": "x" * 100000}, 401, None),
    ({"username": "a\0b", "password": "x"}, None, None), ({"username": "' OR 1=1 --", "password": "x"}, 401, None),
])
def test_session__odd_credentials_are_an_answer(city, body, status, fields):
    code, _, raw = sign_in(city, None, None) if body is None else ask(Api(city.address), "POST", V1 + "/sessions", body)
    assert code == status if status else code in (400, 401), raw
    if fields:
        assert field_of(json.loads(raw)) == fields


@pytest.mark.parametrize("token", ["", "x", "tgs_" + "a" * 43, "tgt_" + "a" * 43, "tgs_" + "a" * 5000, "é" * 20, "a b"])
def test_session__a_token_that_is_none_is_401(city, token):
    answer = ask(Api(city.address), "GET", V1 + "/cases", headers={"Authorization": f"Bearer {token}".encode().decode("latin-1")})
    problem(answer, 401)
    assert {k.lower() for k in answer[1]} >= {"www-authenticate"}


@pytest.mark.parametrize("scheme", ["Basic b3A6b3A=", "bearer", "Token abc", "Bearer"])
def test_session__another_scheme_is_401(city, scheme):
    problem(ask(Api(city.address), "GET", V1 + "/cases", headers={"Authorization": scheme}), 401)


def test_session__nothing_is_served_without_signing_in(city):
    api, any_id = Api(city.address), uuid.uuid4()
    for method, path in [("GET", p) for p in ("/cases", f"/cases/{any_id}", f"/cases/{any_id}/log", f"/cases/{any_id}/evidence",
                                              f"/cases/{any_id}/contact", f"/cases/{any_id}/deadline", "/tasks", f"/tasks/{any_id}",
                                              "/incidents", f"/incidents/{any_id}", "/events", "/catalog", "/catalog/22002",
                                              "/departments", "/city", "/stream", "/sessions/current")] + [
            ("POST", p) for p in ("/cases", f"/cases/{any_id}/actions", f"/tasks/{any_id}/actions", "/reports", "/deadline/explain")] + [
            ("DELETE", "/sessions/current")]:
        problem(ask(api, method, V1 + path, {} if method == "POST" else None), 401)


def test_session__signing_out_ends_the_token_and_disabling_ends_the_account(city, account):
    status, _, raw = sign_in(city, account, "right-password-9")
    assert status == 201
    doc = json.loads(raw)
    assert doc["role"] == "inspector" and doc["expires_at"] > rfc3339(now_us())
    api = Api(city.address, doc["token"])
    assert api.get(V1 + "/sessions/current")["name"] == account
    assert api("DELETE", V1 + "/sessions/current")[0] == 204
    assert api("GET", V1 + "/sessions/current")[0] == 401
    again = Api(city.address, json.loads(sign_in(city, account, "right-password-9")[2])["token"])
    assert again("GET", V1 + "/cases")[0] == 200
    assert city.run("user", "disable", account).returncode == 0
    assert again("GET", V1 + "/cases")[0] == 401
    assert sign_in(city, account, "right-password-9")[0] == 401


def test_session__a_cookie_changes_nothing_without_its_csrf_value(city):
    status, headers, raw = sign_in(city, "operator", city.passwords["operator"])
    assert status == 201
    cookie = headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and "Path=/" in cookie
    cookie, csrf, anyone = cookie.split(";")[0], json.loads(raw)["csrf"], Api(city.address)
    shown = ask(anyone, "GET", V1 + "/sessions/current", headers={"Cookie": cookie})
    assert shown[0] == 200 and json.loads(shown[2])["csrf"] == csrf
    body = {"type_code": "22002", "title": "x", "location": {"lon": HERE[0], "lat": HERE[1]}}
    before = city.value("SELECT count(*) FROM tongguan.cases")
    for value in (None, "", csrf[:-1], csrf + "x", csrf.swapcase(), "undefined"):
        wrong = {"Cookie": cookie} | ({"X-CSRF-Token": value} if value is not None else {})
        problem(ask(anyone, "POST", V1 + "/cases", body, wrong), 403)
        problem(ask(anyone, "DELETE", V1 + "/sessions/current", headers=wrong), 403)
    other = json.loads(sign_in(city, "operator", city.passwords["operator"])[2])["csrf"]
    problem(ask(anyone, "POST", V1 + "/cases", body, {"Cookie": cookie, "X-CSRF-Token": other}), 403)
    assert city.value("SELECT count(*) FROM tongguan.cases") == before
    assert ask(anyone, "POST", V1 + "/cases", body, {"Cookie": cookie, "X-CSRF-Token": csrf})[0] == 201
    assert ask(anyone, "DELETE", V1 + "/sessions/current", headers={"Cookie": cookie, "X-CSRF-Token": csrf})[0] == 204
    assert ask(anyone, "GET", V1 + "/sessions/current", headers={"Cookie": cookie})[0] == 401


def test_session__a_revoked_token_is_401(city):
    name = f"t-{uuid.uuid4().hex[:8]}"
    token = city.run("token", "create", "--role", "auditor", "--name", name).stdout.strip()
    assert Api(city.address, token)("GET", V1 + "/cases")[0] == 200
    assert city.run("token", "revoke", name).returncode == 0
    assert Api(city.address, token)("GET", V1 + "/cases")[0] == 401


# ---- once -------------------------------------------------------------------------------------------------------------------

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


# ---- queries and lists ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", ["/cases", "/cases/ID", "/cases/ID/log", "/cases/ID/evidence", "/cases/ID/deadline", "/tasks",
                                  "/incidents", "/events", "/catalog", "/catalog/22002", "/departments", "/city", "/stream"])
def test_queries__an_unknown_parameter_is_400(city, path):
    if "ID" in path:
        path = path.replace("ID", create(city)["case_id"])
    assert "color" in problem(ask(city.api(), "GET", f"{V1}{path}?color=red"), 400)["detail"]


@pytest.mark.parametrize("query", [
    "/cases?limit=0", "/cases?limit=201", "/cases?limit=-1", "/cases?limit=1e2", "/cases?limit=x", "/cases?state=nope",
    "/cases?state=new,nope", "/cases?domain=x", "/cases?overdue=maybe", "/cases?sort=oldest", "/cases?cursor=x", "/cases?q=a",
    "/cases?bbox=1,2,3", "/cases?bbox=1,2,3,x", "/cases?bbox=5,0,1,1", "/cases?bbox=0,0,181,1", "/cases?bbox=nan,0,1,1",
    "/cases?street=" + "x" * 65, "/cases?state=new&state=closed", "/tasks?state=new", "/tasks?due_before=tomorrow",
    "/events?from=1", "/events?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "/events?limit=1001", "/incidents?state=closed",
])
def test_queries__a_value_that_will_not_do_is_400(city, query):
    problem(ask(city.api(), "GET", V1 + query), 400)


def test_queries__a_cursor_of_another_list_or_made_up_is_400(city):
    for _ in range(3):
        create(city)
    cursor = city.api().get(V1 + "/cases?limit=2")["next_cursor"]
    assert cursor
    problem(ask(city.api(), "GET", f"{V1}/cases?sort=due&cursor={cursor}"), 400)
    problem(ask(city.api(), "GET", f"{V1}/incidents?cursor={cursor}"), 400)
    for made in (cursor[:-3], "an1:1", base64.urlsafe_b64encode(b"an1:' OR 1=1").decode().rstrip("=")):
        problem(ask(city.api(), "GET", f"{V1}/cases?cursor={made}"), 400)


@pytest.fixture(scope="module")
def crowd(city, desk):
    """Thirty cases in several states, some at the same place and without a deadline."""
    made = [create(city, title=f"crowd {i}")["case_id"] for i in range(30)]
    for case in made[:10]:
        city.api().act(case, "accept")
    for case in made[:4]:
        city.api("shift_lead").act(case, "file", condition=1)
        city.api().act(case, "dispatch", tasks=[{"department": desk.mine, "role": "lead"}, {"department": desk.other, "role": "assist"}])
    for case in made[10:13]:
        city.api().act(case, "refuse", reason="test")
    return made


@pytest.mark.parametrize("sort", ["newest", "due"])
@pytest.mark.parametrize("limit", [1, 7, 200])
def test_pages__every_case_comes_exactly_once_and_in_order(city, crowd, sort, limit):
    if limit == 1:  # as many requests as cases: of one state only
        path, where = f"{V1}/cases?sort={sort}&state=refused,assigned", "state IN ('refused', 'assigned')"
    else:
        path, where = f"{V1}/cases?sort={sort}", "true"
    items = every_page(city.api(), path, limit)
    ids = [c["case_id"] for c in items]
    assert len(ids) == len(set(ids))
    assert set(ids) == {str(c) for (c,) in city.rows(f"SELECT case_id FROM tongguan.cases WHERE {where}")}
    assert set(crowd) & set(ids)
    if sort == "newest":
        keys = [datetime.fromisoformat(c["reported_at"]) for c in items]
        assert keys == sorted(keys, reverse=True)
    else:
        keys = [c["due_at"] for c in items]
        known = [datetime.fromisoformat(k) for k in keys if k]
        assert known == sorted(known) and keys[len(known):] == [None] * (len(keys) - len(known)) and known


def test_pages__cases_that_come_meanwhile_push_nothing_out(city, crowd):
    seen, cursor = [], None
    while True:
        doc = city.api().get(f"{V1}/cases?limit=9" + (f"&cursor={cursor}" if cursor else ""))
        seen += [c["case_id"] for c in doc["items"]]
        cursor = doc["next_cursor"]
        if not cursor:
            break
        create(city, title="meanwhile")
    assert len(seen) == len(set(seen)) and set(crowd) <= set(seen)


@pytest.mark.parametrize("path, sql, key", [
    ("/tasks", "SELECT task_id FROM tongguan.tasks", "task_id"),
    ("/tasks?state=assigned", "SELECT task_id FROM tongguan.tasks WHERE state = 'assigned'", "task_id"),
    ("/incidents", "SELECT incident_id FROM tongguan.incidents", "incident_id"),
    ("/events?from=2020-01-01T00:00:00Z", "SELECT uid FROM tongguan.events", "event_uid"),
])
def test_pages__other_lists_are_whole_too(city, crowd, foreign, path, sql, key):
    ids = [i[key] for i in every_page(city.api(), V1 + path, 11)]
    assert len(ids) == len(set(ids)) and ids
    assert set(ids) == {str(c) for (c,) in city.rows(sql)}


def test_pages__a_trace_is_read_in_pages(city):
    case = create(city)["case_id"]
    for i in range(12):
        city.api().act(case, "comment", note=str(i))
    entries = every_page(city.api(), f"{V1}/cases/{case}/log", 5)
    assert [e["seq"] for e in entries] == list(range(1, 14))
    assert [e["note"] for e in entries[1:]] == [str(i) for i in range(12)]


def test_pages__filters_select_what_they_say(city, crowd, desk):
    def ids(query):
        return {c["case_id"] for c in every_page(city.api(), f"{V1}/cases?{query}", 200)}

    def sql(where):
        return {str(c) for (c,) in city.rows(f"SELECT case_id FROM tongguan.cases WHERE {where}")}
    assert ids("state=refused") == sql("state = 'refused'") >= set(crowd[10:13])
    assert ids("state=new,to_file") == sql("state IN ('new', 'to_file')")
    assert ids("domain=jianguan") == sql("domain = 'jianguan'")
    cell = city.value("SELECT grid_cell FROM tongguan.cases WHERE case_id = %s", crowd[0])
    assert ids(f"grid_cell={cell}") == sql(f"grid_cell = '{cell}'")
    assert ids(f"department={desk.other}") == sql(f"case_id IN (SELECT case_id FROM tongguan.tasks WHERE department = '{desk.other}')")
    box = f"{HERE[0] - .001},{HERE[1] - .001},{HERE[0] + .001},{HERE[1] + .001}"
    assert set(crowd) <= ids(f"bbox={box}") == sql(f"geom && ST_MakeEnvelope({box}, 4326)")
    assert ids("bbox=0,0,1,1") == set()
    assert ids("q=crowd 17") >= {crowd[17]} and crowd[18] not in ids("q=crowd 17")
    assert ids("q=%25%25") == set() and ids("q=' OR ") == set()
    assert ids("overdue=true") == sql("overdue")


@pytest.mark.parametrize("path, id_of", [("/cases", "case_id"), ("/incidents", "incident_id"), ("/events", "event_uid")])
def test_geojson__lists_with_places_are_feature_collections_when_asked(city, crowd, foreign, path, id_of):
    status, headers, raw = ask(city.api(), "GET", f"{V1}{path}?limit=50", headers={"Accept": "application/geo+json"})
    doc = json.loads(raw)
    assert status == 200 and {k.lower(): v for k, v in headers.items()}["content-type"] == "application/geo+json"
    assert doc["type"] == "FeatureCollection" and doc["features"]
    plain = city.api().get(f"{V1}{path}?limit=50")
    assert [f["id"] for f in doc["features"]] == [i[id_of] for i in plain["items"]]
    placed = [f for f in doc["features"] if f["geometry"]]
    assert placed
    for f in placed:
        assert f["type"] == "Feature" and f["geometry"]["type"] == "Point" and f["properties"][id_of] == f["id"]
        lon, lat = f["geometry"]["coordinates"]
        assert -180 <= lon <= 180 and -90 <= lat <= 90
    for accept in ("application/json", "*/*", "application/geo+json;q=0, */*"):
        status, headers, raw = ask(city.api(), "GET", f"{V1}{path}?limit=1", headers={"Accept": accept})
        assert "items" in json.loads(raw), accept


@pytest.mark.parametrize("method, path, allow", [("DELETE", "/cases", {"GET", "POST"}), ("PUT", "/sessions", {"POST"}),
                                                 ("POST", "/tasks", {"GET"}), ("PATCH", "/sessions/current", {"GET", "DELETE"})])
def test_queries__another_method_is_405_with_those_there_are(city, method, path, allow):
    answer = ask(city.api(), method, V1 + path)
    assert answer[0] == 405
    assert allow <= {m.strip() for m in {k.lower(): v for k, v in answer[1].items()}["allow"].split(",")}


def test_queries__what_does_not_exist_is_404(city):
    for path in ("/nothing", "/cases/", f"/cases/{uuid.uuid4()}/nothing", "/catalog/99999", "/catalog/x"):
        problem(ask(city.api(), "GET", V1 + path), 404)


# ---- deadlines --------------------------------------------------------------------------------------------------------------

FIXTURES = {
    "1wd from Friday 16:00, suspended Friday 17:00, resumed Monday 09:00": (
        {"calendar": "halves", "start": "2026-11-20T16:00:00-05:00", "limit": "1wd",
         "pauses": [{"from": "2026-11-20T17:00:00-05:00", "to": "2026-11-23T09:00:00-05:00"}]}, "2026-11-23T18:00:00-05:00", 8),
    "4wh from Monday 17:00": (
        {"calendar": "tens", "start": "2026-11-23T17:00:00-05:00", "limit": "4wh"}, "2026-11-24T11:00:00-05:00", 4),
    "48wh from 9 November 2016 23:00, the 11th and 13th off": (
        {"calendar": "daily", "start": "2016-11-09T23:00:00-05:00", "limit": "48wh"}, "2016-11-15T21:00:00-05:00", 48),
}


def hours(periods):
    return sum((datetime.fromisoformat(p["to"]) - datetime.fromisoformat(p["from"])).total_seconds() for p in periods) / 3600


@pytest.mark.parametrize("name", FIXTURES)
def test_deadline__the_published_fixtures_hold(grown_city, name):
    body, due, counted = FIXTURES[name]
    before = grown_city.value("SELECT count(*) FROM tongguan.clock")
    status, doc = grown_city.api()("POST", V1 + "/deadline/explain", body)
    assert status == 200, doc
    assert datetime.fromisoformat(doc["due_at"]) == datetime.fromisoformat(due)
    assert (doc["limit"], doc["calendar"]) == (body["limit"], body["calendar"])
    assert hours(doc["periods"]) == counted
    assert datetime.fromisoformat(doc["periods"][-1]["to"]) == datetime.fromisoformat(due)
    assert [{k: datetime.fromisoformat(v) for k, v in p.items()} for p in doc["pauses"]] == [
        {k: datetime.fromisoformat(v) for k, v in p.items()} for p in body.get("pauses", [])]
    if body["calendar"] == "daily":
        assert [s["date"] for s in doc["skipped"]] == ["2016-11-11", "2016-11-13"]
    assert grown_city.value("SELECT count(*) FROM tongguan.clock") == before


def test_deadline__continuous_limits_extensions_and_an_open_pause(grown_city):
    def explain(**fields):
        status, doc = grown_city.api()("POST", V1 + "/deadline/explain", {"start": "2026-11-20T16:00:00-05:00", **fields})
        assert status == 200, doc
        return doc["due_at"] and datetime.fromisoformat(doc["due_at"])
    start = datetime.fromisoformat("2026-11-20T16:00:00-05:00")
    assert explain(limit="2h") == start + timedelta(hours=2)
    assert explain(limit="0.25h") == start + timedelta(minutes=15)
    assert explain(limit="7nd") == start + timedelta(days=7)
    assert explain(limit="2h", extensions=[{"at": "2026-11-20T17:00:00-05:00", "limit": "3h"}]) == start + timedelta(hours=5)
    assert explain(limit="2h", pauses=[{"from": "2026-11-20T17:00:00-05:00"}]) is None
    assert explain(calendar="tens", limit="2wh", extensions=[{"at": "2026-11-20T17:00:00-05:00", "limit": "4wh"}]) == \
        datetime.fromisoformat("2026-11-23T12:00:00-05:00")


@pytest.mark.parametrize("fields, wrong", [
    ({"limit": "1week"}, "limit"), ({"limit": None}, "limit"), ({"limit": 5}, "limit"), ({"start": "Friday"}, "start"),
    ({"start": None}, "start"), ({"calendar": "nobody"}, "calendar"), ({"calendar": None}, "calendar"),
    ({"pauses": "x"}, "pauses"), ({"pauses": [{"from": "x"}]}, "pauses"), ({"extensions": [{"at": "x"}]}, "extensions"),
    ({"extensions": [{"at": "2026-11-20T17:00:00Z", "limit": "1h"}]}, "extensions"), ({"mode": "moonlight"}, "mode"),
    ({"pauses": [{"from": "2026-11-20T10:00:00Z", "to": "2026-11-20T09:00:00Z"}]}, "pauses"),
    ({"limit": "99999999999999999999h"}, "limit"), ({"limit": "-1h"}, "limit"),
])
def test_deadline__a_value_that_will_not_do_is_422_with_its_field(city, fields, wrong):
    body = {"calendar": "cityhall", "start": "2026-11-20T09:00:00Z", "limit": "4wh"} | fields
    doc = problem(ask(city.api(), "POST", V1 + "/deadline/explain", {k: v for k, v in body.items() if v is not None}), 422)
    assert wrong in field_of(doc) and len(set(field_of(doc))) == 1


def test_deadline__of_a_case_explains_the_instants_that_are_stored(city, desk):
    case, shown = dispatched(city, desk.mine)
    doc = city.api().get(f"{V1}/cases/{case}/deadline")
    clocks = {c["clock"]: c for c in doc["clocks"]}
    assert doc["case_id"] == case and set(clocks) == {"accept", "file", "dispatch", "sign", "handle"}
    assert {c["state"] for c in doc["clocks"] if c["clock"] in ("accept", "file", "dispatch")} == {"stopped"}
    assert {clocks["sign"]["state"], clocks["handle"]["state"]} == {"running"}
    assert datetime.fromisoformat(clocks["handle"]["due_at"]) == datetime.fromisoformat(shown["handle_due_at"])
    assert clocks["handle"]["task_id"] == shown["tasks"][0]["task_id"]
    assert clocks["handle"]["limit"] == shown["handle_limit"]
    per_day = float(city.value("SELECT hours_per_day FROM tongguan.work_calendar WHERE name = %s", clocks["handle"]["calendar"]))
    for clock in doc["clocks"]:
        amount, unit = float(re.match(r"[\d.]+", clock["limit"])[0]), re.search(r"[a-z]+", clock["limit"])[0]
        assert datetime.fromisoformat(clock["periods"][-1]["to"]) == datetime.fromisoformat(clock["due_at"])
        assert abs(hours(clock["periods"]) - amount * {"min": 1 / 60, "h": 1, "wh": 1, "wd": per_day, "nd": 24}[unit]) < 1e-6
        body = {"calendar": clock["calendar"], "start": clock["started_at"], "limit": clock["limit"]}
        status, asked = city.api()("POST", V1 + "/deadline/explain", {k: v for k, v in body.items() if v})
        assert status == 200 and asked["due_at"] == clock["due_at"]
    problem(ask(desk.other_api, "GET", f"{V1}/cases/{case}/deadline"), 404)


# ---- the stream -------------------------------------------------------------------------------------------------------------

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
    old = create(city)["case_id"]
    tail = Stream(city.api(), since=0)
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


# ---- the published document -------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def published(city):
    status, headers, raw = ask(Api(city.address), "GET", "/openapi.json")
    assert status == 200 and {k.lower(): v for k, v in headers.items()}["content-type"] == "application/json"
    doc = json.loads(raw)
    assert doc["openapi"].startswith("3.1.")
    return doc


def resolved(doc, node):
    while "$ref" in node:
        target = doc
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target
    return node


def operations(doc):
    for path, item in doc["paths"].items():
        for method, op in item.items():
            if method in ("get", "post", "put", "patch", "delete"):
                yield method.upper(), path, op, [resolved(doc, p) for p in item.get("parameters", []) + op.get("parameters", [])]


KINDS = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict, "null": type(None)}


def named(doc, schema):
    """The properties a schema knows, those of its parts included."""
    schema = resolved(doc, schema)
    return set(schema.get("properties", {})).union(*(named(doc, part) for part in schema.get("allOf", [])))


def faults(doc, schema, value, where="$", whole=True):
    """What the value has against the schema, by the words of JSON Schema that the document uses. A member it does not name is one,
    too: what is answered is to be published."""
    schema = resolved(doc, schema)
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(isinstance(value, KINDS[k]) and not (isinstance(value, bool) and k != "boolean") for k in kinds):
        return [f"{where} is no {kinds}: {value!r}"]
    found = []
    if "enum" in schema and value not in schema["enum"]:
        found.append(f"{where}: {value!r} is none of {schema['enum']}")
    if "const" in schema and value != schema["const"]:
        found.append(f"{where}: {value!r} is not {schema['const']!r}")
    if "pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"], value):
        found.append(f"{where}: {value!r} does not match {schema['pattern']}")
    for word, enough in (("oneOf", lambda n: n == 1), ("anyOf", lambda n: n >= 1)):
        if word in schema:
            fits = [faults(doc, s, value, where) for s in schema[word]]
            if not enough(fits.count([])):
                found.append(f"{where}: {fits.count([])} of {word} fit: {fits}")
    for part in schema.get("allOf", []):
        found += faults(doc, part, value, where, whole=False)
    if isinstance(value, dict):
        known = named(doc, schema)
        found += [f"{where}.{name} is missing" for name in schema.get("required", []) if name not in value]
        found += [f"{where}.{name} is not in the document" for name in value if whole and known and name not in known]
        for name in set(value) & set(schema.get("properties", {})):
            found += faults(doc, schema["properties"][name], value[name], f"{where}.{name}")
    for i, inner in enumerate(value if isinstance(value, list) and "items" in schema else []):
        found += faults(doc, schema["items"], inner, f"{where}[{i}]")
    return found


def test_document__every_operation_is_served_and_asks_who_it_is(city, published):
    api, count = Api(city.address), 0
    base = published["servers"][0]["url"].rstrip("/")
    for method, path, op, _ in operations(published):
        status, _, _ = ask(api, method, base + re.sub(r"\{[^}]+\}", str(uuid.uuid4()), path), {} if method == "POST" else None)
        wanted = (200, 422) if op.get("security") == [] else (401,)
        assert status in wanted, (method, path, status)
        assert str(status) in op["responses"], (method, path)
        count += 1
    assert count >= 25


def test_document__the_parameters_it_names_are_the_ones_that_are_taken(city, desk, crowd, foreign, published):
    """Every value in an enumeration and every default is accepted; what is not named is refused (see above)."""
    values = {"cursor": "", "bbox": "-72,42,-70,43", "department": desk.mine, "street": "x", "grid_cell": "x", "q": "ab", "overdue": "true",
              "due_before": "2030-01-01T00:00:00Z", "from": "2026-01-01T00:00:00Z", "to": "2030-01-01T00:00:00Z", "rule_id": "x",
              "state": None, "domain": "jianguan", "sort": "due", "limit": "3"}
    ids = {"cases": foreign.case, "tasks": foreign.task, "incidents": foreign.incident, "catalog": "22002"}
    base = published["servers"][0]["url"].rstrip("/")
    for method, path, op, parameters in operations(published):
        if method != "GET" or path.endswith("/stream"):
            continue
        kind = next((k for k in ids if f"/{k}/" in path), None)
        place = base + re.sub(r"\{[^}]+\}", ids.get(kind, ""), path)
        if op.get("security") == []:
            continue
        for p in parameters:
            if p["in"] != "query":
                continue
            schema = resolved(published, p["schema"])
            named = resolved(published, schema.get("items", schema)).get("enum")
            for value in named or [values[p["name"]]]:
                status, _, raw = ask(city.api(), "GET", f"{place}?{p['name']}={value or ''}")
                assert status == 200, (place, p["name"], value, raw[:200])


@pytest.mark.parametrize("path, actual", [
    ("/cases", "/cases?limit=200"), ("/cases/{id}", "/cases/CASE"), ("/cases/{id}/log", "/cases/CASE/log"),
    ("/cases/{id}/evidence", "/cases/CASE/evidence"), ("/cases/{id}/deadline", "/cases/CASE/deadline"),
    ("/cases/{id}/contact", "/cases/CASE/contact"), ("/tasks", "/tasks?limit=200"), ("/tasks/{id}", "/tasks/TASK"),
    ("/incidents", "/incidents?limit=200"), ("/incidents/{id}", "/incidents/INCIDENT"), ("/events", "/events?limit=1000"),
    ("/catalog", "/catalog"), ("/catalog/{type_code}", "/catalog/22002"), ("/departments", "/departments"), ("/city", "/city"),
    ("/sessions/current", "/sessions/current"),
])
def test_document__what_is_answered_is_what_it_says(city, crowd, foreign, published, path, actual):
    actual = actual.replace("CASE", foreign.case).replace("TASK", foreign.task).replace("INCIDENT", foreign.incident)
    base = published["servers"][0]["url"].rstrip("/")
    op = published["paths"][V1.removeprefix(base) + path]["get"]
    content = resolved(published, op["responses"]["200"])["content"]
    doc = city.api().get(V1 + actual)
    assert doc.get("items", True)
    assert faults(published, content["application/json"]["schema"], doc)[:5] == []
    if "application/geo+json" in content:
        status, _, raw = ask(city.api(), "GET", V1 + actual, headers={"Accept": "application/geo+json"})
        assert status == 200 and faults(published, content["application/geo+json"]["schema"], json.loads(raw))[:5] == []


def test_document__refusals_are_what_it_says(city, foreign, published):
    problems = [problem(ask(city.api(), "POST", f"{V1}/cases/{foreign.case}/actions", body), status) for body, status in (
        ({"action": "close", "version": 1}, 409), ({"action": "remind", "version": 99}, 409), ({"action": "remind"}, 422))]
    schema = published["components"]["schemas"]["Problem"]
    for doc in problems:
        assert faults(published, schema, doc) == []
