"""Who sees what: a department its own and nothing else, contacts where they are asked for, sessions and tokens."""
import json
import re
import uuid

import pytest

from api_calls import V1, ask, create, dispatched, every_page, field_of, problem, sign_in
from harness import HERE, Api, Stream, now_us, report, rfc3339, wait_for


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
