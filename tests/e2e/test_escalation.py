"""Ladders: a missed sign, a reminder without an answer, an empty level, and every level once through dying dispatchers and a database
that crashes."""
import itertools
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

import harness

TYPE_SQL = "SELECT type_code FROM tongguan.case_type WHERE lead IS NOT NULL ORDER BY 1 LIMIT 1"


@pytest.fixture(scope="module")
def city(servers):
    servers.role_under_test = harness.Role(servers, "dispatch").ready()
    servers.type = servers.value(TYPE_SQL)
    servers.department = servers.value("SELECT department FROM tongguan.account WHERE name = 'department'")
    kept = servers.value("SELECT handle_limit FROM tongguan.filing_condition WHERE type_code = %s AND condition_no = 1", servers.type)
    yield servers
    servers.role_under_test.stop()
    servers.rows("UPDATE tongguan.filing_condition SET handle_limit = %s WHERE type_code = %s AND condition_no = 1 RETURNING 1", kept, servers.type)


@pytest.fixture
def rules(city):
    """Changes rows of the rules and puts them back; call it with statements."""
    with city.pg() as conn:
        stages = conn.execute("SELECT clock, urgency, limit_text FROM tongguan.stage_limit").fetchall()
        rungs = conn.execute("SELECT clock, urgency, level, plus FROM tongguan.escalation_rung").fetchall()
        roster = conn.execute("SELECT department, weekday, from_min, to_min, name FROM tongguan.duty").fetchall()
        conn.execute("DELETE FROM tongguan.duty")  # the city's own, put back below: what is tested here depends on no hour

    def change(*statements):
        with city.pg() as conn:
            for sql, *params in statements:
                conn.execute(sql, params)
            version = conn.execute("UPDATE tongguan.city SET version = version + 1 RETURNING version").fetchone()[0]
        harness.wait_for(lambda: f"tongguan_dispatch_city_version {version}" in
                         harness.Api(city.address)("GET", "/metrics", raw=True)[2].decode(), what="the new rules")
    yield change
    change(("DELETE FROM tongguan.duty",), *(("INSERT INTO tongguan.duty VALUES (%s, %s, %s, %s, %s)", *row) for row in roster),
           *(("UPDATE tongguan.stage_limit SET limit_text = %s WHERE clock = %s AND urgency = %s", text, clock, urgency)
             for clock, urgency, text in stages),
           *(("UPDATE tongguan.escalation_rung SET plus = %s WHERE clock = %s AND urgency = %s AND level = %s", plus, *key)
             for *key, plus in rungs))


def handle(city, limit):
    return "UPDATE tongguan.filing_condition SET handle_limit = %s WHERE type_code = %s AND condition_no = 1", limit, city.type


def dispatched(city):
    status, doc = city.api()("POST", "/api/v1/cases", {"type_code": city.type, "title": "梯", "location":
                                                      {"lon": harness.HERE[0], "lat": harness.HERE[1]}})
    assert status == 201, doc
    case = doc["case_id"]
    city.api().act(case, "accept")
    city.api().act(case, "file", condition=1)
    return case, city.api().act(case, "dispatch", tasks=[{"department": city.department, "role": "lead"}])


def levels(city, case, clock):
    """[(level, seconds late, detail)] as the log tells it, in order."""
    return city.rows("SELECT (detail ->> 'level')::int, extract(epoch FROM at - (detail ->> 'fire_at')::timestamptz)::float, detail"
                     " FROM tongguan.case_log WHERE case_id = %s AND action = 'escalate' AND detail ->> 'clock' = %s ORDER BY seq", case, clock)


def test_escalation__a_missed_sign_climbs_on_its_own_clock_until_somebody_signs(city, rules):
    rules(handle(city, "30nd"), ("UPDATE tongguan.stage_limit SET limit_text = '0.0003h' WHERE clock = 'sign'",),
          ("UPDATE tongguan.escalation_rung SET plus = '0.0003h' WHERE clock = 'sign' AND plus IS NOT NULL",))
    case, doc = dispatched(city)
    got = harness.wait_for(lambda: len(found := levels(city, case, "sign")) == 2 and found, what="E2 of the sign clock")
    assert [n for n, _, _ in got] == [1, 2]
    assert [d["watchers"] for _, _, d in got] == [["department_duty"], ["department_head", "supervisor"]]
    shown = city.api().get(f"/api/v1/cases/{case}")
    assert (shown["escalation_level"], shown["supervise_level"], shown["overdue"]) == (2, 1, False)
    # Who signs in time hears nothing.
    case, doc = dispatched(city)
    city.api("department").act_task(doc["tasks"][0]["task_id"], "sign")
    assert city.rows("SELECT 1 FROM tongguan.clock_due d JOIN tongguan.clock k USING (clock_id) WHERE d.case_id = %s AND k.kind = 'sign'"
                     " AND d.fired_at IS NULL", case) == []


def test_escalation__a_reminder_without_an_answer_goes_up_and_an_answer_ends_it(city, rules):
    rules(handle(city, "30nd"), ("UPDATE tongguan.stage_limit SET limit_text = '0.0004h' WHERE clock = 'reply'",))
    case, doc = dispatched(city)
    task = doc["tasks"][0]["task_id"]
    city.api("department").act_task(task, "sign")
    due = city.api("supervisor").act(case, "remind")["reply_due_at"]
    assert due
    city.api("department").act_task(task, "comment", note="on our way")
    assert city.api().get(f"/api/v1/cases/{case}")["reply_due_at"] is None
    city.api("supervisor").act(case, "supervise")
    got = harness.wait_for(lambda: levels(city, case, "reply"), what="the level of the reply clock")
    assert [n for n, _, _ in got] == [2] and got[0][2]["watchers"] == ["department_head", "supervisor"]
    assert city.api().get(f"/api/v1/cases/{case}")["supervise_level"] == 1


def test_escalation__a_level_may_want_an_answer_and_gets_one_reminder_of_two_dispatchers(city, rules):
    rules(handle(city, "30nd"))
    cases = [dispatched(city) for _ in range(3)]
    second = harness.Role(city, "dispatch", env={"TONGGUAN_HTTP_LISTEN": "127.0.0.1:0"})
    city.api("shift_lead").act(cases[2][0], "void", reason="no case")
    ids = [case for case, _ in cases]
    city.rows("UPDATE tongguan.clock_due d SET fire_at = now() FROM tongguan.clock k WHERE k.clock_id = d.clock_id AND d.case_id = ANY (%s::uuid[])"
              " AND k.kind = 'handle' AND level <= 3 RETURNING 1", ids)
    for case in ids[:2]:
        due = harness.wait_for(lambda case=case: city.api().get(f"/api/v1/cases/{case}")["reply_due_at"], what="the reply clock")
        at, limit = city.rows("SELECT (SELECT at FROM tongguan.case_log WHERE case_id = %s AND action = 'remind' AND actor = 'system'),"
                              " limit_text FROM tongguan.clock WHERE case_id = %s AND kind = 'reply'", case, case)[0]
        fired = levels(city, case, "handle")
        assert at and due and limit and [n for n, _, _ in fired] == [0, 1, 2, 3]
    harness.wait_for(lambda: city.value("SELECT count(*) FROM tongguan.reply_owed WHERE case_id = ANY (%s::uuid[])", ids) == 0, what="nothing owed")
    assert city.rows("SELECT case_id::text, count(*) FROM tongguan.case_log WHERE action = 'remind' AND case_id = ANY (%s::uuid[]) GROUP BY 1",
                     ids) == [(case, 1) for case in sorted(ids[:2])]
    city.api("department").act_task(cases[0][1]["tasks"][0]["task_id"], "comment", note="on our way")
    assert city.api().get(f"/api/v1/cases/{ids[0]}")["reply_due_at"] is None
    second.stop()


@pytest.mark.parametrize("on_duty", [True, False])
def test_escalation__a_level_without_anybody_on_duty_is_skipped_at_once(city, rules, on_duty):
    rules(handle(city, "0.01h"), *(("INSERT INTO tongguan.duty SELECT %s, d, 0, 1440, 'Ann' FROM generate_series(1, 7) d",
                                    city.department if on_duty else city.value("SELECT min(code) FROM tongguan.dept WHERE code <> %s", city.department)),))
    case, _ = dispatched(city)
    begun = city.value("SELECT extract(epoch FROM dispatched_at)::float FROM tongguan.cases WHERE case_id = %s", case)
    # E1 at 80 % of 36 s would come late: look at what is planned, and bring its row forward.
    planned = dict(city.rows("SELECT level, extract(epoch FROM fire_at)::float FROM tongguan.clock_due d JOIN tongguan.clock k USING (clock_id)"
                             " WHERE d.case_id = %s AND k.kind = 'handle'", case))
    assert abs(planned[1] - begun - 28.8) < 0.1 and abs(planned[2] - begun - 36) < 0.1
    city.rows("UPDATE tongguan.clock_due d SET fire_at = now() FROM tongguan.clock k WHERE k.clock_id = d.clock_id AND d.case_id = %s"
              " AND k.kind = 'handle' AND level <= 1 RETURNING 1", case)
    got = harness.wait_for(lambda: len(found := levels(city, case, "handle")) == (2 if on_duty else 3) and found, what="the levels")
    first = got[1][2]
    if on_duty:
        assert first["on_duty"] == ["Ann"] and first["watchers"] == ["department_duty"] and "skipped" not in first
        return
    assert first["watchers"] == [] and first["skipped"] is True
    level, late, next_one = got[2]
    assert level == 2 and 0 <= late < 2 and next_one["skipped_from"] == 1
    shown = city.api().get(f"/api/v1/cases/{case}")
    assert shown["escalation_level"] == 2 and not shown["overdue"]  # told early; the limit still runs


def test_escalation__every_level_once_through_kills_and_a_crash_of_the_database(servers, city, rules):
    rules(handle(city, "0.0035h"),
          ("UPDATE tongguan.escalation_rung SET plus = '0.0003h' WHERE clock = 'handle' AND level = 3",),
          ("UPDATE tongguan.escalation_rung SET plus = '0.0006h' WHERE clock = 'handle' AND level = 4",))
    second = harness.Role(servers, "dispatch", env={"TONGGUAN_HTTP_LISTEN": "127.0.0.1:0"})
    cases = [dispatched(city)[0] for _ in range(12)]

    def count(level):
        with_level = "SELECT count(*) FROM tongguan.clock_due d JOIN tongguan.clock k USING (clock_id) WHERE d.case_id = ANY (%s)" \
            " AND k.kind = 'handle' AND d.fired_at IS NOT NULL AND d.level = %s"
        return city.value(with_level, cases, level)
    harness.wait_for(lambda: count(0) > 2, what="the first levels")
    servers.role_under_test.kill()
    harness.wait_for(lambda: count(1) > 2, what="E1 by the other one")
    conn = city.pg()  # a backend that dies takes the whole database through recovery
    os.kill(conn.execute("SELECT pg_backend_pid()").fetchone()[0], signal.SIGKILL)
    with pytest.raises(psycopg.OperationalError):
        conn.execute("SELECT 1")
    conn.close()

    def back():
        try:
            return city.value("SELECT pg_postmaster_start_time() IS NOT NULL AND clock_timestamp() IS NOT NULL") and time.time()
        except psycopg.OperationalError:
            return None
    returned = harness.wait_for(back, what="the database again")
    servers.role_under_test = harness.Role(servers, "dispatch").ready()
    harness.wait_for(lambda: count(4) == len(cases), timeout=40, what="every E4")
    second.stop()
    in_time = 2 * max(1.0, os.getloadavg()[0] / os.cpu_count() / 2)  # seconds, more on a machine that others keep busy
    for case in cases:
        got = levels(city, case, "handle")
        assert [n for n, _, _ in got] == [0, 1, 2, 3, 4], case
        fires = city.rows("SELECT extract(epoch FROM at)::float FROM tongguan.case_log WHERE case_id = %s AND action = 'escalate' AND"
                          " detail ->> 'clock' = 'handle' ORDER BY seq", case)
        for (at,), (level, late, _) in zip(fires, got):
            assert late >= 0, (case, level)
            assert late < in_time or at - returned < in_time, (case, level, late, at - returned)
    shown = city.api().get(f"/api/v1/cases/{cases[0]}")
    assert (shown["escalation_level"], shown["supervise_level"], shown["overdue"]) == (4, 3, True)
    assert city.run("audit", "verify").returncode == 0


def test_escalation__is_on_time_while_requests_have_taken_every_connection(servers, city, rules):
    """Requests queue for one case that somebody holds, until no connection for transitions is left; another case's levels fire all the same."""
    rules(handle(city, "30nd"))
    (held, doc), (due, _) = dispatched(city), dispatched(city)
    many = 3 * len(city.rows("SELECT 1 FROM pg_stat_activity WHERE application_name = 'tongguan dispatch'"))
    with city.pg() as conn, ThreadPoolExecutor(many) as pool:
        conn.execute("BEGIN")
        conn.execute("SELECT 1 FROM tongguan.case_file WHERE case_id = %s FOR UPDATE", (held,))
        asked = [pool.submit(city.api(), "POST", f"/api/v1/cases/{held}/actions", {"action": "comment", "version": doc["version"],
                                                                                       "note": str(i)})
                 for i in range(many)]
        harness.wait_for(lambda: city.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tongguan dispatch'"
                                            " AND wait_event_type = 'Lock'") == many // 3, what="every connection waiting")
        city.rows("UPDATE tongguan.clock_due d SET fire_at = clock_timestamp() FROM tongguan.clock k WHERE k.clock_id = d.clock_id AND d.case_id = %s"
                  " AND k.kind = 'handle' AND level = 0 RETURNING 1", due)
        got = harness.wait_for(lambda: levels(city, due, "handle"), what="the level")
        assert got[0][0] == 0 and 0 <= got[0][1] < 2
        assert not any(a.done() and a.result()[0] == 200 for a in asked)
        conn.execute("ROLLBACK")
        assert {a.result()[0] for a in asked} <= {200, 503}


def test_escalation__finds_what_is_due_by_index_in_its_order(city):
    """Among 50,000 clocks, all of one instant: what is due is read from one end of an index, and nothing is sorted."""
    with city.pg() as conn:
        conn.execute("BEGIN")
        conn.execute("SET LOCAL session_replication_role = replica")
        conn.execute("INSERT INTO tongguan.clock_due (clock_id, level, case_id, fire_at, supervise)"
                     " SELECT 1000000 + n, 0, gen_random_uuid(), now() - interval '1 s', 0 FROM generate_series(1, 50000) n")
        conn.execute("ANALYZE tongguan.clock_due")
        plans = []
        conn.add_notice_handler(lambda notice: plans.append(notice.message_primary))
        conn.execute("LOAD 'auto_explain'")
        for name, value in (("log_min_duration", "0"), ("log_nested_statements", "on"), ("log_level", "notice")):
            conn.execute(f"SET LOCAL auto_explain.{name} = '{value}'")
        conn.execute("SELECT * FROM tongguan.escalate(20)")
        conn.execute("ROLLBACK")
    read = [below(p, "LockRows") for p in plans if "LockRows" in p]
    assert read and all("clock_due_order" in p and "Seq Scan" not in p and "Sort" not in p for p in read), plans


def below(plan, node):
    """The part of a plan's text that is under the first such node."""
    lines = plan.splitlines()
    at = next(i for i, line in enumerate(lines) if node in line)
    depth = lines[at].index(node)
    return "\n".join(itertools.takewhile(lambda line: len(line) - len(line.lstrip(" ->")) > depth, lines[at + 1:]))
