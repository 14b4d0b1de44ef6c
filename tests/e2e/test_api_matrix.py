"""Every operation of the published document × every role × whose object it is, and × every scope of a token.

ROWS says for each operation who may. An operation that the document has and ROWS has not fails, and so does one the other way round.
"""
import copy
import json
import re
import socket
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import psycopg
import pytest
from api_calls import V1, create, dispatched, sign_in
from harness import Api, Role, report, wait_for

ALL = {"operator", "shift_lead", "department", "inspector", "supervisor", "leader", "auditor", "admin"}
PEOPLE = ALL - {"auditor", "admin"}
INTAKE = {"operator", "shift_lead", "inspector"}
CONTACT = {"operator", "shift_lead", "supervisor", "leader"}
NONE = set()
PNG = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63606060000000040001f61738"
                    "550000000049454e44ae426082")
COMMENT = {"action": "comment", "note": "matrix", "version": 1}

# operation: (who may, what a department gets of another's object: 404, 200 (not one's own to have) or None (no object), body)
ROWS = {
    "POST /sessions": (ALL, None, {"username": "nobody", "password": "x"}),
    "GET /sessions": (ALL, None, None),
    "GET /sessions/current": (ALL, None, None),
    "DELETE /sessions/current": None,       # would sign the caller out: tested by name
    "DELETE /sessions/{id}": (ALL, None, None),
    "GET /cases": (ALL, None, None),
    "POST /cases": (INTAKE, None, {"title": "matrix", "type_code": "22002"}),
    "GET /cases/{id}": (ALL, 404, None),
    "GET /cases/{id}/log": (ALL, 404, None),
    "GET /cases/{id}/evidence": (ALL, 404, None),
    "GET /cases/{id}/deadline": (ALL, 404, None),
    "GET /cases/{id}/contact": (CONTACT, 404, None),
    "GET /cases/{id}/candidates": (ALL, 404, None),
    "GET /cases/{id}/duplicates": (ALL, 404, None),
    "POST /cases/{id}/actions": (PEOPLE, 404, COMMENT),
    "GET /tasks": (ALL, None, None),
    "GET /tasks/{id}": (ALL, 404, None),
    "POST /tasks/{id}/actions": (PEOPLE, 404, COMMENT),
    "GET /incidents": (ALL, None, None),
    "GET /incidents/{id}": (ALL, 404, None),
    "GET /events": (ALL - {"department"}, None, None),
    "GET /catalog": (ALL, None, None),
    "GET /catalog/{type_code}": (ALL, None, None),
    "GET /departments": (ALL, None, None),
    "GET /city": (ALL, None, None),
    "GET /rules": (ALL, None, None),
    "POST /deadline/explain": (ALL, None, {"start": "2026-01-05T09:00:00Z", "limit": "2h"}),
    "POST /reports": (INTAKE, None, {"text": "matrix"}),
    "POST /photos": (PEOPLE, None, PNG),
    "GET /photos/{hash}": (ALL, 404, None),
    "GET /vitals": (ALL, None, None),
    "GET /stream": None,                    # never ends: tests of its own
    "GET /openapi.json": None, "GET /healthz": None, "GET /readyz": None, "GET /metrics": None,   # nobody signs in for these
}
CHANGES_NOTHING = {"POST /deadline/explain", "POST /sessions"}
NUMBER, MAIL = "13712340000", "matrix.person@example.org"


@pytest.fixture(scope="module")
def operations(city):
    doc = Api(city.address)("GET", "/openapi.json")[1]
    return {f"{method.upper()} {path.removeprefix(V1)}" for path, item in doc["paths"].items() for method in item
            if method in ("get", "post", "put", "patch", "delete")}


@pytest.fixture(scope="module")
def objects(city, desk):
    """A case of the desk's department and one of another: with task, incident, contact and a photo that only the log names."""
    def made(department):
        event = report(type_code="22001", source=f"matrix-{department}", contact=MAIL)
        city.produce("tongguan.citizen.reports", [event.SerializeToString()])
        case, incident = wait_for(lambda: city.rows(
            "SELECT c.case_id::text, c.incident_id::text FROM tongguan.cases c JOIN tongguan.incident_events m USING (incident_id)"
            " JOIN tongguan.events e ON e.uid = m.event_uid WHERE e.event_id = %s", event.event_id), what="the case")[0]
        photo = call(city.api(), "POST", "/photos", PNG[:-12] + b"\0\0\0\4tEXt" + uuid.uuid4().bytes[:4] + b"\0\0\0\0" + PNG[-12:])[1]["hash"]
        city.api().act(case, "accept")
        city.api("shift_lead").act(case, "file", condition=1)
        doc = city.api().act(case, "dispatch", tasks=[{"department": department, "role": "lead"}])
        city.api().act(case, "comment", note="a photo", photos=[photo])
        return {"cases": case, "tasks": doc["tasks"][0]["task_id"], "incidents": incident, "photos": photo, "catalog": "22001",
                "sessions": str(uuid.uuid4())}
    create(city, contact=NUMBER)
    return made(desk.mine), made(desk.other)


def call(api, method, path, body=None):
    """(status, document or text)."""
    if isinstance(body, bytes):
        import http.client
        conn = http.client.HTTPConnection(api.address, timeout=30)
        conn.request(method, V1 + path, body=body, headers={"Authorization": f"Bearer {api.token}", "Content-Type": "image/png"})
        answer = conn.getresponse()
        text = answer.read()
        conn.close()
        return answer.status, json.loads(text)
    status, headers, raw = api(method, V1 + path, body, raw=True)
    return status, raw


def placed(operation, ids):
    method, path = operation.split(" ")
    kind = path.split("/")[1]
    return method, re.sub(r"\{[^}]+\}", ids.get(kind, ""), path)


def ask(api, operation, ids):
    body = ROWS[operation][2]
    return call(api, *placed(operation, ids), body)


def test_matrix__has_a_row_for_every_operation_and_no_other(operations):
    rows = set(ROWS) - {"GET /rules", "GET /cases/{id}/candidates", "GET /cases/{id}/duplicates"} | operations & set(ROWS)
    assert rows == operations


@pytest.mark.parametrize("who", sorted(ALL))
def test_matrix__each_role_may_what_its_row_says(city, desk, objects, operations, who):
    api, (own, other), said = city.api(who), objects, []
    for operation in sorted(operations):
        if not ROWS[operation]:
            continue
        may, foreign, _ = ROWS[operation]
        status, text = ask(api, operation, own)
        said.append(str(text))
        if operation == "POST /sessions":
            wanted = {401, 429}
        elif operation == "DELETE /sessions/{id}":
            wanted = {404}          # nobody's
        elif who in may:
            wanted = {200, 201, 202, 409, 422}  # 409, 422: the version, the form; nobody was refused
        else:
            wanted = {403}
        assert status in wanted, (operation, status, text)
        if foreign and who == "department":
            status, text = ask(api, operation, other)
            assert status == foreign, (operation, "foreign", status, text)
        if "contact" not in operation:
            assert NUMBER not in said[-1] and MAIL not in said[-1], operation


def test_matrix__each_full_view_of_a_contact_is_logged_and_nothing_else_is(city, objects, operations):
    case = objects[0]["cases"]
    count = "SELECT count(*) FROM tongguan.case_log WHERE case_id = %s AND action = 'contact'"
    before = city.value(count, case)
    seen = 0
    for who in sorted(ALL):
        status, text = call(city.api(who), "GET", f"/cases/{case}/contact")
        assert (status == 200) == (who in CONTACT) and (MAIL in str(text)) == (who in CONTACT), (who, status)
        seen += status == 200
    assert seen == len(CONTACT) and city.value(count, case) == before + seen


def token(city, *more):
    name = f"matrix-{uuid.uuid4().hex[:8]}"
    done = city.run("token", "create", "--name", name, *more)
    assert done.returncode == 0, done.stderr
    return Api(city.address, done.stdout.strip())


def test_scope__a_token_that_reads_changes_nothing(city, objects, operations):
    api = token(city, "--role", "shift_lead", "--read-only")
    before = city.value("SELECT (SELECT count(*) FROM tongguan.case_entry), (SELECT count(*) FROM tongguan.photo)")
    for operation in sorted(operations):
        if not ROWS[operation] or operation in ("POST /sessions", "GET /sessions"):
            continue
        status, text = ask(api, operation, objects[0])
        reads = operation in CHANGES_NOTHING or operation.startswith("GET") and "contact" not in operation
        assert status == 200 if reads and operation not in CHANGES_NOTHING else status in ((200, 422) if reads else (403,)), (operation, status)
    assert city.value("SELECT (SELECT count(*) FROM tongguan.case_entry), (SELECT count(*) FROM tongguan.photo)") == before
    doc = json.loads(call(api, "GET", f"/cases/{objects[0]['cases']}")[1])
    assert doc["allowed_actions"] == [] and all(t["allowed_actions"] == [] for t in doc["tasks"])


def test_scope__a_token_of_one_department_sees_what_that_department_sees(city, desk, objects, operations):
    api = token(city, "--role", "auditor", "--read-only", "--department", desk.mine)
    own, other = objects
    for operation in sorted(operations):
        if not ROWS[operation] or not operation.startswith("GET") or "sessions" in operation or "contact" in operation:
            continue
        status, text = ask(api, operation, own)
        assert status == (403 if operation == "GET /events" else 200), (operation, status, text)
        if ROWS[operation][1]:
            assert ask(api, operation, other)[0] == 404, operation
    cases = json.loads(call(api, "GET", "/cases?limit=200")[1])["items"]
    assert cases and all(desk.mine in c["departments"] for c in cases)
    assert all(t["department"] == desk.mine for t in json.loads(call(api, "GET", "/tasks?limit=200")[1])["items"])
    assert json.loads(call(api, "GET", "/vitals")[1]) | {"at": 0, "last_pos": 0} == \
        json.loads(call(city.api("department"), "GET", "/vitals")[1]) | {"at": 0, "last_pos": 0}


def test_scope__a_token_runs_out(city):
    api = token(city, "--role", "auditor", "--days", "1")
    status, text = call(api, "GET", "/sessions/current")
    left = datetime.fromisoformat(json.loads(text)["expires_at"]).timestamp() - time.time()
    assert status == 200 and 86000 < left <= 86400
    with city.pg() as conn:
        conn.execute("UPDATE tongguan.token SET expires_at = now() WHERE expires_at IS NOT NULL")
    assert call(api, "GET", "/sessions/current")[0] == 401


@pytest.mark.parametrize("args", [["--role", "operator", "--department", "DEPARTMENT"], ["--role", "department"], ["--role", "auditor", "--days", "0"],
                                  ["--role", "auditor", "--days", "x"]])
def test_scope__what_makes_no_sense_is_wrong_usage(city, desk, args):
    done = city.run("token", "create", "--name", "senseless", *[desk.mine if a == "DEPARTMENT" else a for a in args])
    assert done.returncode == 2 and done.stderr.strip(), done.stderr
    with city.pg() as conn, pytest.raises(psycopg.errors.CheckViolation):
        conn.execute("INSERT INTO tongguan.token (name, token_hash, role, department) VALUES ('x', sha256('x'), 'operator', 'd')")


# ---- sessions ---------------------------------------------------------------------------------------------------------------

def test_sessions__are_listed_and_ended_one_by_one(city, account):
    tokens = [json.loads(sign_in(city, account, "right-password-9")[2])["token"] for _ in range(3)]
    first, second, third = (Api(city.address, t) for t in tokens)
    items = first.get(V1 + "/sessions")["items"]
    assert [i["current"] for i in items] == [False, False, True] and {i["name"] for i in items} == {account}
    assert all(i["peer"] == "127.0.0.1" for i in items)
    assert not any(t in json.dumps(items) for t in tokens)
    assert first("DELETE", f"{V1}/sessions/{items[1]['session_id']}")[0] == 204
    assert second("GET", V1 + "/sessions/current")[0] == 401 and third("GET", V1 + "/sessions/current")[0] == 200
    assert first("DELETE", f"{V1}/sessions/{items[1]['session_id']}")[0] == 404
    # Another account's: not to be seen or ended, but by an administrator.
    for api in (city.api(), city.api("auditor")):
        assert api("GET", f"{V1}/sessions?account={account}")[0] == 403
        assert api("DELETE", f"{V1}/sessions/{items[0]['session_id']}")[0] == 404
    assert third("GET", V1 + "/sessions/current")[0] == 200
    listed = city.api("admin").get(f"{V1}/sessions?account={account}")["items"]
    assert [i["session_id"] for i in listed] == [items[0]["session_id"], items[2]["session_id"]]
    assert city.api("admin")("DELETE", f"{V1}/sessions/{items[0]['session_id']}")[0] == 204
    assert third("GET", V1 + "/sessions/current")[0] == 401 and first("GET", V1 + "/sessions/current")[0] == 200


# ---- passwords --------------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def guarded(city):
    """A dispatcher of its own with limiting on, as an installation has it."""
    other = copy.copy(city)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % free.getsockname()[1]
    other.env = city.env | {"TONGGUAN_HTTP_LISTEN": address, "TONGGUAN_HTTP_RATE_LIMIT": "100"}
    other.address = address
    role = Role(other, "dispatch").ready()
    yield other, role.proc.pid
    assert role.stop() == 0


def test_passwords__are_argon2id_of_the_written_cost(city, account):
    stored = city.value("SELECT password_hash FROM tongguan.account WHERE name = %s", account)
    assert stored.startswith("$argon2id$v=19$m=19456,t=3,p=1$")


def test_passwords__one_is_hashed_at_a_time_so_that_memory_stays_small(guarded, account):
    other, pid = guarded

    def peak_mb():
        with open(f"/proc/{pid}/status", encoding="utf-8") as status:
            return int(re.search(r"^VmHWM:\s+(\d+)", status.read(), re.M)[1]) / 1024
    before = peak_mb()
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: sign_in(other, account, "right-password-9")[0], range(24)))
    assert set(answers) <= {201, 503} and answers.count(201) >= 12
    assert peak_mb() - before < 2 * 19 and peak_mb() < 96, (before, peak_mb())


def test_passwords__one_address_may_not_guess_for_long(guarded):
    other, _ = guarded
    answers = [sign_in(other, "x" * 2000, "guess") for _ in range(70)]  # no account has such a name: answered without a hash
    statuses = [a[0] for a in answers]
    assert 401 in statuses and statuses[-1] == 429 and int(answers[-1][1]["retry-after"]) >= 1
    assert statuses.count(401) <= 65
