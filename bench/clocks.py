"""Levels of the ladder fired in time among many open clocks, by two dispatchers."""
import os

from common import cpu_seconds, head, line, resident_mb
from harness import HERE, City, Role, wait_for

CLOCKS = int(os.environ.get("BENCH_CLOCKS", "100000"))
RATE = int(os.environ.get("BENCH_CLOCKS_RATE", "100"))
SECONDS = 30
STORM = int(os.environ.get("BENCH_STORM", "10000"))     # levels of one and the same instant

# Copies of one dispatched case, each with its task, its handling clock and all five levels, due in a month; then the first of them one
# after the other from soon on.
COPIES = ("""
CREATE TEMPORARY TABLE made AS SELECT n, gen_random_uuid() AS new_case, gen_random_uuid() AS new_task FROM generate_series(1, %(many)s) n""", """
INSERT INTO tongguan.case_file SELECT (jsonb_populate_record(c, jsonb_build_object('case_id', m.new_case,
		'case_no', '99999920000101' || lpad(m.n::text, 6, '0'), 'log_seq', 0, 'log_hash', NULL))).*
	FROM made m, tongguan.case_file c WHERE c.case_id = %(case)s""", """
INSERT INTO tongguan.case_task SELECT (jsonb_populate_record(t, jsonb_build_object('case_id', m.new_case, 'task_id', m.new_task))).*
	FROM made m, tongguan.case_task t WHERE t.case_id = %(case)s""", """
INSERT INTO tongguan.clock (case_id, task_id, kind, state, limit_text, unit, amount_us, calendar, started_at, due_at)
	SELECT m.new_case, m.new_task, k.kind, k.state, k.limit_text, k.unit, k.amount_us, k.calendar, k.started_at, now() + interval '31 days'
	FROM made m, tongguan.clock k WHERE k.case_id = %(case)s AND k.kind = 'handle'""", """
INSERT INTO tongguan.clock_due (clock_id, level, case_id, fire_at, supervise)
	SELECT k.clock_id, l, k.case_id, now() + interval '30 days' + l * interval '1 hour', 0
	FROM tongguan.clock k JOIN made m ON m.new_case = k.case_id, generate_series(0, 4) l""", "ANALYZE", """
UPDATE tongguan.clock_due d SET fire_at = clock_timestamp() + interval '10 s' + m.n * interval '1 s' / %(rate)s
	FROM made m WHERE d.case_id = m.new_case AND d.level = 0 AND m.n <= %(soon)s""")
LATE = """SELECT extract(epoch FROM d.fired_at - d.fire_at)::float, (SELECT count(*) FROM tongguan.case_entry e WHERE e.case_id = d.case_id)
	FROM tongguan.clock_due d JOIN tongguan.case_file c USING (case_id)
	WHERE c.case_no LIKE '99999920000101%%' AND d.fired_at IS NOT NULL"""

# Cases of which no level has come yet, so that each fires one and no more.
GATHER = """UPDATE tongguan.clock_due d SET fire_at = s.at
	FROM (SELECT date_trunc('second', clock_timestamp()) + interval '5 s' AS at) s,
		(SELECT case_id FROM tongguan.case_file WHERE case_no BETWEEN %s AND %s) c
	WHERE d.case_id = c.case_id AND d.level = 0 AND d.fired_at IS NULL RETURNING d.fire_at"""
STORMED = """SELECT count(*), extract(epoch FROM max(d.fired_at) - min(d.fire_at))::float,
		percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM d.fired_at - d.fire_at))::float, min(d.fired_at - d.fire_at) >= '0'
	FROM tongguan.clock_due d JOIN tongguan.case_file c USING (case_id) WHERE c.case_no BETWEEN %s AND %s AND d.level = 0
		AND d.fired_at IS NOT NULL"""


def copies(city, many, soon, rate, more=()):
    """So many more cases like one that was dispatched; gives its id. more: statements that change the copies."""
    kind, department = city.rows("SELECT type_code, lead FROM tongguan.case_type WHERE lead IS NOT NULL ORDER BY 1 LIMIT 1")[0]
    status, doc = city.api()("POST", "/api/v1/cases", {"type_code": kind, "title": "clock", "location": {"lon": HERE[0], "lat": HERE[1]}})
    assert status == 201, doc
    for action, fields in (("accept", {}), ("file", {"condition": 1}),
                           ("dispatch", {"tasks": [{"department": department, "role": "lead"}]})):
        city.api().act(doc["case_id"], action, **fields)
    with city.pg() as conn:
        conn.execute("SET session_replication_role = replica")  # copies of what was checked: no keys, no words
        for sql in (*COPIES, *more):
            conn.execute(sql, {"case": doc["case_id"], "many": many, "soon": soon, "rate": float(rate)})
    return doc["case_id"]


def storm(city, roles, first):
    """As at the end of a working day: all at once."""
    between = [f"99999920000101{n:06d}" for n in (first, first + STORM - 1)]
    before = [cpu_seconds(role.proc.pid) for role in roles]
    assert len(city.rows(GATHER, *between)) == STORM
    wait_for(lambda: city.rows(STORMED, *between)[0][0] >= STORM, timeout=120, every=1, what="every level of the storm")
    count, took, half, never_early = city.rows(STORMED, *between)[0]
    assert count == STORM and never_early
    spent = sum(cpu_seconds(role.proc.pid) for role in roles) - sum(before)
    print()
    head("levels of one instant", "the last after s", "levels/s", "p50 ms", "CPU µs a level", "resident MB")
    line(f"{STORM:,}", f"{took:.2f}", f"{STORM / took:.0f}", f"{1000 * half:.0f}", f"{spent / STORM * 1e6:.0f}",
         f"{max(resident_mb(role.proc.pid) for role in roles):.0f}")


def bench():
    print(f"\n## the ladder: {CLOCKS:,} open clocks, {RATE} levels a second for {SECONDS} s, two dispatchers")
    with City(roles=()) as city:
        roles = [Role(city, "dispatch"), Role(city, "dispatch", env={"TONGGUAN_HTTP_LISTEN": "127.0.0.1:0"})]
        roles[0].ready()
        soon = RATE * SECONDS
        copies(city, CLOCKS, soon, RATE)
        before = [cpu_seconds(role.proc.pid) for role in roles]
        wait_for(lambda: len(city.rows(LATE)) >= soon, timeout=SECONDS + 120, every=2, what="every level")
        rows = city.rows(LATE)
        assert len(rows) == soon and all(entries == 1 for _, entries in rows), "a level fired twice"
        late = sorted(1000 * s for s, _ in rows)
        assert late[0] >= 0, "a level fired early"
        head("p50 ms", "p99 ms", "max ms", "earliest ms", "CPU µs a level", "resident MB")
        spent = sum(cpu_seconds(role.proc.pid) for role in roles) - sum(before)
        line(*(f"{late[min(len(late) - 1, int(len(late) * q))]:.1f}" for q in (0.5, 0.99, 1)), f"{late[0]:.1f}", f"{spent / soon * 1e6:.0f}",
             f"{max(resident_mb(role.proc.pid) for role in roles):.0f}")
        storm(city, roles, soon + 1)
        for role in roles:
            role.stop()
