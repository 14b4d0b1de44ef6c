"""The lists of cases among 15,000 open cases and 30,000 closed ones: a page is read in its order from an index, a filtered one at worst from
the open cases, and never from all that were ever closed."""
import json

import pytest

from harness import HERE, ROOT

OPEN = "{new,verifying,to_file,to_dispatch,assigned,handling,review,checking,to_close}"
LIMIT, MANY_OPEN, MANY_CLOSED = 200, 15000, 30000
# Two thirds are closed and have no deadline; one open case in a thousand has none either, and one in a hundred is being verified.
MANY = f"""INSERT INTO pg_temp.case_file (case_id, case_no, origin, state, version, domain, title, geom, grid_cell, street, urgency, reported_at,
        due_at, handle_due_at, overdue, lead_department, departments)
    SELECT md5(n::text)::uuid, n::text, 'manual', CASE WHEN n % 3 > 0 THEN 'closed' WHEN n % 300 = 0 THEN 'verifying'
            ELSE (ARRAY['new', 'to_dispatch', 'assigned', 'handling'])[1 + n / 3 % 4] END, 1,
        (ARRAY['pingan', 'jianguan', 'shichang', 'minsheng'])[1 + n % 4], 'many',
        ST_SetSRID(ST_MakePoint({HERE[0]} + (n % 301 - 150) / 3000.0, {HERE[1]} + (n % 299 - 150) / 3000.0), 4326), 'C' || n % 2000,
        'S' || n % 26, 'normal', now() - n * interval '1 min', CASE WHEN n % 3 = 0 AND n % 3000 > 0 THEN now() + (n % 7919 - 900) * interval '7 s' END,
        CASE WHEN n % 3 = 0 AND n % 9 = 0 THEN now() + (n % 7919 - 900) * interval '7 s' END, false, 'D' || n % 16, ARRAY['D' || n % 16]
    FROM generate_series(1, {MANY_OPEN + MANY_CLOSED}) n"""
DOC = "(SELECT v.doc FROM tongguan.case_docs v WHERE v.case_id = c.case_id)::text"
NONE = {f"${i}": "NULL" for i in range(1, 17)} | {"$16": f"'{LIMIT}'"}
BOX = {f"${6 + i}": f"'{HERE[i % 2] + (i // 2 * 2 - 1) * .004}'" for i in range(4)}
LATER = {"$14": "(extract(epoch FROM now() + interval '2 h') * 1e6)::bigint", "$15": "'00000000-0000-0000-0000-000000000000'"}
LAST = {"$14": "NULL", "$15": "'ffffffff-ffff-ffff-ffff-ffffffffffff'"}
ASKED = {
    "everything": {}, "open ones": {"$1": f"'{OPEN}'"}, "open ones of a domain": {"$1": f"'{OPEN}'", "$2": "'minsheng'"},
    "of a department": {"$1": f"'{OPEN}'", "$3": "'D3'"}, "seen by a department": {"$13": "'D3'", "$1": f"'{OPEN}'"},
    "of a street": {"$1": f"'{OPEN}'", "$4": "'S3'"}, "of a cell": {"$5": "'C77'"}, "in a box": {"$1": f"'{OPEN}'", **BOX},
    "of a rare state": {"$1": "'{verifying}'"}, "of a state that is not there": {"$1": "'{checking}'"}, "overdue": {"$1": f"'{OPEN}'", "$10": "true"},
}


@pytest.fixture(scope="module")
def many(city):
    with city.pg() as conn:
        conn.execute("CREATE TEMP TABLE case_file (LIKE tongguan.case_file INCLUDING ALL)")
        conn.execute(MANY)
        conn.execute("ANALYZE pg_temp.case_file")
        conn.execute("SET plan_cache_mode = force_custom_plan; SET jit = off")
        for name in ("due", "newest"):
            with open(f"{ROOT}/schema/queries/case_list_{name}.sql", encoding="utf-8") as text:
                sql = text.read().replace(DOC, "c.case_no").replace("tongguan.case_file", "pg_temp.case_file")
            conn.execute(f"PREPARE {name} AS {sql}")
        yield conn


def nodes(plan):
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)


def plan_of(conn, order, page, asked):
    later = LATER if order == "due" else LATER | {"$14": LATER["$14"].replace("+", "-")}
    values = NONE | ASKED[asked] | {"first": {}, "later": later, "last": LAST}[page]
    found = conn.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE {order} ({', '.join(values[f'${i}'] for i in range(1, 17))})").fetchone()[0]
    return list(nodes((json.loads(found) if isinstance(found, str) else found)[0]["Plan"]))


def read_by(node):
    dropped = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return node["Actual Loops"] * (node["Actual Rows"] + dropped)


@pytest.mark.parametrize("order, page", [("due", "first"), ("due", "later"), ("due", "last"), ("newest", "first"), ("newest", "later")])
@pytest.mark.parametrize("asked", ["everything", "open ones"])
def test_plan__a_page_is_read_in_its_order_and_no_more_than_it(many, order, page, asked):
    for node in plan_of(many, order, page, asked):
        assert node["Node Type"] in ("Limit", "Append", "Subquery Scan", "Result", "Index Scan") and read_by(node) <= 4 * LIMIT, node


@pytest.mark.parametrize("order, page", [("due", "first"), ("due", "later"), ("due", "last"), ("newest", "first"), ("newest", "later")])
@pytest.mark.parametrize("asked", sorted(set(ASKED) - {"everything", "open ones"}))
def test_plan__a_filtered_page_reads_nothing_that_was_closed_long_ago(many, order, page, asked):
    # What was overdue stays so when it is closed: by time, all of them may be looked at, and still in the order of an index.
    most = MANY_OPEN + MANY_CLOSED if (asked, order) == ("overdue", "newest") else MANY_OPEN
    for node in plan_of(many, order, page, asked):
        assert node["Node Type"] != "Seq Scan" and read_by(node) <= most, node
