"""What a page asks for while 100,000 cases are open: one caller, one request after the other."""
import os
import time

from clocks import copies
from common import head, line, resident_mb
from harness import City, Role

CASES = int(os.environ.get("BENCH_CLOCKS", "100000"))
EACH = 60
OPEN = "new,verifying,to_file,to_dispatch,assigned,handling,review,checking,to_close"

# Spread over the city, its streets and departments, due one after the other; every fifth waits for the desk.
SPREAD = ("""
CREATE TEMPORARY TABLE spread AS SELECT m.n, m.new_case,
	(SELECT array_agg(code ORDER BY code) FROM tongguan.street) AS streets, (SELECT array_agg(code ORDER BY code) FROM tongguan.dept) AS depts
	FROM made m""", """
UPDATE tongguan.case_file c SET street = streets[1 + n %% cardinality(streets)], lead_department = depts[1 + n %% cardinality(depts)],
		departments = depts[1 + n %% cardinality(depts):1 + n %% cardinality(depts)], state = CASE WHEN n %% 5 = 0 THEN 'to_dispatch' ELSE state END,
		due_at = now() + n * interval '10 s' - interval '1 day', handle_due_at = now() + n * interval '10 s' - interval '1 day',
		geom = ST_Translate(geom, (n %% 317) * 0.0002, (n / 317) * 0.0002), title = title || ' ' || n
	FROM spread WHERE c.case_id = new_case""", """
UPDATE tongguan.case_task t SET department = depts[1 + n %% cardinality(depts)], due_at = now() + n * interval '10 s'
	FROM spread WHERE t.case_id = new_case""", "ANALYZE")


def deep(api, path, pages):
    """The address of a page far down the list."""
    cursor = None
    for _ in range(pages):
        cursor = api.get(path + (f"&cursor={cursor}" if cursor else ""))["next_cursor"]
    return f"{path}&cursor={cursor}"


def timed(api, path):
    took = []
    for _ in range(EACH):
        began = time.perf_counter()
        answer = api.get(path)
        took.append(1000 * (time.perf_counter() - began))
    took.sort()
    return took[EACH // 2], took[int(EACH * 0.95)], len(answer.get("items", answer.get("features", [0])))


def bench():
    print(f"\n## lists: {CASES:,} open cases, each address {EACH} times by one caller")
    with City(roles=()) as city:
        role = Role(city, "dispatch").ready()
        case = copies(city, CASES, soon=0, rate=1, more=SPREAD)
        api, dept = city.api("operator"), city.api("department")
        due = f"/api/v1/cases?state={OPEN}&sort=due&limit=200"
        lon, lat = city.rows("SELECT ST_X(geom) + 0.03, ST_Y(geom) + 0.03 FROM tongguan.case_file WHERE case_id::text = %s", case)[0]
        street, department = city.rows("SELECT (SELECT min(code) FROM tongguan.street), (SELECT min(code) FROM tongguan.dept)")[0]
        asked = {
            "the queue, first 200 by deadline": due,
            "the same, 10,000 down": deep(api, due, 50),
            "the newest 50": "/api/v1/cases",
            "to dispatch, first 200": "/api/v1/cases?state=to_dispatch&sort=due&limit=200",
            "one street, first 200": f"{due}&street={street}",
            "one department's, first 200": f"{due}&department={department}",
            "overdue, first 200": f"{due}&overdue=true",
            "a square of 1 km, first 200": f"{due}&bbox={lon},{lat},{lon + 0.012},{lat + 0.009}",
            "a case": f"/api/v1/cases/{case}",
            "its candidates": f"/api/v1/cases/{case}/candidates",
            "its likely duplicates": f"/api/v1/cases/{case}/duplicates",
        }
        head("asked", "p50 ms", "p95 ms", "rows")
        for what, path in asked.items():
            p50, p95, rows = timed(api, path)
            line(what, f"{p50:.1f}", f"{p95:.1f}", rows)
        p50, p95, rows = timed(dept, "/api/v1/tasks?state=assigned,signed&limit=200")
        line("a department's own tasks, first 200", f"{p50:.1f}", f"{p95:.1f}", rows)
        print(f"\nresident {resident_mb(role.proc.pid):.0f} MB")
        role.stop()
