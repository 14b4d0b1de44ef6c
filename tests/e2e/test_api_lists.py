"""Lists: parameters, pages in which nothing comes twice or is left out, filters, GeoJSON."""
import base64
import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest

from api_calls import V1, ask, create, every_page, problem
from harness import HERE


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


def test_queries__one_that_takes_too_long_ends_and_holds_nobody_up(city):
    """The table of events is locked away from readers: what asks for it gives up after its time, everything else is answered."""
    with city.pg() as conn, ThreadPoolExecutor(1) as pool:
        conn.execute("BEGIN")
        conn.execute("LOCK TABLE tongguan.event IN ACCESS EXCLUSIVE MODE")
        waiting = pool.submit(ask, city.api(), "GET", V1 + "/events?source_id=nobody")
        began = time.monotonic()
        while not waiting.done():
            assert city.api().get(V1 + "/cases?limit=1")["items"]
            assert time.monotonic() - began < 20
        conn.execute("ROLLBACK")
    assert "less time" in problem(waiting.result(), 503)["detail"] and 3 < time.monotonic() - began
    assert city.api().get(V1 + "/events?limit=1")["items"]
