"""Whom to ask first for a case, and what it may repeat, over the API."""
from datetime import datetime

import pytest

import harness
from api_calls import V1, ask, problem


@pytest.fixture(scope="module")
def city(servers):
    servers.role_under_test = harness.Role(servers, "dispatch").ready()
    yield servers
    servers.role_under_test.stop()


def report(city, east_m=0.0, north_m=0.0, **fields):
    body = {"type_code": "22002", "title": "路灯不亮", "location": {"lon": harness.HERE[0] + 0.0165 + east_m / 82000,
                                                              "lat": harness.HERE[1] - 0.003 + north_m / 111195}} | fields
    status, doc = city.api()("POST", V1 + "/cases", body)
    assert status == 201, doc
    return doc["case_id"]


def test_candidates__begin_with_the_catalogues_own_and_name_every_department(city):
    case = report(city)
    items = city.api().get(f"{V1}/cases/{case}/candidates")["items"]
    lead, co, limit = city.rows("SELECT lead, co, (SELECT handle_limit FROM tongguan.filing_condition f WHERE f.type_code = t.type_code"
                                " AND condition_no = 1) FROM tongguan.case_type t WHERE type_code = '22002'")[0]
    assert {i["department"] for i in items} == {code for (code,) in city.rows("SELECT code FROM tongguan.dept")}
    assert (items[0]["department"], items[0]["role"], [r["code"] for r in items[0]["reasons"]]) == (lead, "lead", ["catalogue"])
    assert [i["department"] for i in items[1:1 + len(co)]] == sorted(co) and all(i["role"] == "assist" for i in items[1:])
    rest = [i for i in items if not i["reasons"]]
    assert [i["pinyin"] for i in rest] == sorted(i["pinyin"] for i in rest) and len(rest) == len(items) - 1 - len(co)
    assert all(i["limit"] == limit and i["open_tasks"] >= 0 for i in items)
    roster = {code: names != [] for code, names in city.rows("SELECT code, tongguan.on_duty(code, now()) FROM tongguan.dept")}
    assert all(i["on_duty"] is roster[i["department"]] for i in items) and roster[lead]
    # The deadline shown is the one that dispatching gives.
    city.api().act(case, "accept")
    city.api().act(case, "file", condition=1)
    shown = city.api().get(f"{V1}/cases/{case}/candidates")["items"][0]
    given = city.api().act(case, "dispatch", tasks=[{"department": lead, "role": "lead"}])["handle_due_at"]
    assert abs((datetime.fromisoformat(given) - datetime.fromisoformat(shown["due_at"])).total_seconds()) < 60
    after = city.api().get(f"{V1}/cases/{case}/candidates")["items"]
    mine = next(i for i in after if i["department"] == lead)
    assert mine["open_tasks"] == shown["open_tasks"] + 1 and "working" in [r["code"] for r in mine["reasons"]]


def test_duplicates__the_near_one_of_the_same_kind_comes_first_and_a_merged_one_shows_its_master(city):
    old = report(city, north_m=300, title="路灯不亮 学校门口")
    far = report(city, north_m=300, east_m=120, title="噪声")
    away = report(city, north_m=600)
    new = report(city, north_m=305, title="学校门口路灯坏了")
    items = city.api().get(f"{V1}/cases/{new}/duplicates")["items"]
    assert items[0]["case_id"] == old and away not in [i["case_id"] for i in items] and len(items) <= 3
    assert abs(items[0]["distance_m"] - 5) < 0.6 and items[0]["merged_children"] == 0 and items[0]["state"] == "new"
    codes = {r["code"]: r for r in items[0]["reasons"]}
    assert {"distance", "age", "same_type", "words"} <= set(codes) and "5 m" in codes["distance"]["en"]
    assert [i["score"] for i in items] == sorted((i["score"] for i in items), reverse=True)
    # Of what came later nothing is repeated; a case merged into another stands for that one, once.
    assert new not in [i["case_id"] for i in city.api().get(f"{V1}/cases/{old}/duplicates")["items"]]
    city.api().act(old, "merge", into=far)
    items = city.api().get(f"{V1}/cases/{new}/duplicates")["items"]
    assert [i["case_id"] for i in items].count(far) == 1 and old not in [i["case_id"] for i in items]
    assert next(i for i in items if i["case_id"] == far)["merged_children"] == 1


def test_routing__another_departments_case_is_not_there(city):
    case = report(city)
    for path in ("candidates", "duplicates"):
        problem(ask(city.api("department"), "GET", f"{V1}/cases/{case}/{path}"), 404)
        assert ask(city.api("auditor"), "GET", f"{V1}/cases/{case}/{path}")[0] == 200


def test_routing__its_statements_go_by_index(city):
    """The plans over many cases: nothing reads the whole of a table that grows."""
    case = report(city)
    with city.pg() as conn:
        conn.execute("SET enable_seqscan = off")  # few rows here: the question is whether an index serves
        for name in ("case_duplicates", "case_candidates"):
            with open(f"{harness.ROOT}/schema/queries/{name}.sql", encoding="utf-8") as text:
                sql = text.read().replace("$1", f"'{case}'").replace("$2", "NULL")
            plan = "\n".join(r[0] for r in conn.execute("EXPLAIN " + sql))
            for table in ("case_file", "case_words", "case_task"):
                assert f"Seq Scan on {table}" not in plan, plan
            assert name != "case_duplicates" or "case_geom" in plan, plan
