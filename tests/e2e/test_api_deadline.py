"""Deadlines explained: the published fixtures, and the instants that a case has stored."""
import re
from datetime import datetime, timedelta

import pytest

from api_calls import V1, ask, dispatched, field_of, problem


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
