"""What becomes of a case while its incident goes on: real reports and readings, judged by correlate, seen in the case that dispatch keeps."""
import os

import pytest

import harness
from harness import HERE, Role, now_us, wait_for

S = 1_000_000
TYPE, LEVEL_TYPE = "22002", "22001"
PACKS = {"near": f"""pack: near
version: 1
lateness_s: 12
rules:
  - {{id: life_near, version: 1, kind: cluster, domain: minsheng, severity: 3, auto_file: false, types: ["{TYPE}"], min_events: 2,
     min_reporters: 2, radius_m: 100, window_s: 8}}
""", "level": f"""pack: level
version: 1
lateness_s: 60
rules:
  - {{id: life_level, version: 1, kind: threshold, domain: minsheng, severity: 3, auto_file: false, case_type: "{LEVEL_TYPE}", metric: life_level,
     above: 10, clear_below: 8, k: 2, n: 2}}
"""}


@pytest.fixture(scope="module")
def city(servers, tmp_path_factory):
    packs = tmp_path_factory.mktemp("packs")
    os.chmod(packs.parent, 0o755)
    os.chmod(packs, 0o755)
    for name, text in PACKS.items():
        (packs / f"{name}.yaml").write_text(text)
    roles = [Role(servers, "ingest"), Role(servers, "correlate", env={"TONGGUAN_CORRELATE_PACKS": str(packs)}), Role(servers, "dispatch")]
    for role in roles:
        role.ready()
    yield servers
    for role in reversed(roles):
        role.stop()


def say(city, at_us, east_m, *reporters):
    """One report of each, so far east of the place of the test."""
    events = [harness.report(source="life", occurred_us=at_us + i, lon=HERE[0] + 0.02 + east_m / 82000, lat=HERE[1] - 0.01, type_code=TYPE,
                             reporter=reporter, title="路灯不亮") for i, reporter in enumerate(reporters)]
    city.produce("tongguan.citizen.reports", [event.SerializeToString() for event in events])
    return [event.event_id for event in events]


def measure(city, at_us, value):
    pb = harness.protocol()
    event = pb.Event(event_id=os.urandom(8).hex(), source_id="life-gauge", source_kind=pb.SENSOR, occurred_at_us=at_us)
    event.location.lon, event.location.lat = HERE[0] + 0.03, HERE[1] - 0.01
    event.reading.metric, event.reading.value, event.reading.unit = "life_level", value, "cm"
    city.produce("tongguan.sensor.readings", [event.SerializeToString()])
    return event.event_id


def case_of(city, event_id, known=()):
    return wait_for(lambda: [case for (case,) in city.rows(
        "SELECT c.case_id::text FROM tongguan.cases c JOIN tongguan.incident_events m USING (incident_id) JOIN tongguan.events e"
        " ON e.uid = m.event_uid WHERE e.event_id = %s", event_id) if case not in known], what="the case")[0]


def notes(city, case):
    """What the case's log says of its incident: [(state, members, detail)]."""
    return [(d["state"], d["event_count"], d) for (d,) in city.rows(
        "SELECT detail FROM tongguan.case_log WHERE case_id = %s AND action = 'incident' ORDER BY seq", case)]


def evidence(city, case):
    return {e["event_id"] for e in city.api().get(f"/api/v1/cases/{case}/evidence")["items"]}


def test_incident__grows_merges_and_clears_and_its_case_with_it(city):
    at = now_us()
    ours = say(city, at, 0, "p1", "p2")
    kept = case_of(city, ours[0])
    ours += say(city, at + S, 30, "p3")
    wait_for(lambda: [n for n in notes(city, kept) if n[:2] == ("open", 3)], what="the note that it has grown")
    shown = city.api().get(f"/api/v1/cases/{kept}")
    assert (shown["state"], shown["version"], shown["reporters"]) == ("new", 1, 3) and evidence(city, kept) == set(ours)
    # Another beside it, too far for one incident, until somebody reports from between.
    theirs = say(city, at + S, 200, "p4", "p5")
    other = case_of(city, theirs[0])
    assert other != kept
    between = say(city, at + 2 * S, 115, "p6")
    gone = wait_for(lambda: city.rows("SELECT case_id::text, merged_into::text FROM tongguan.cases WHERE case_id::text IN (%s, %s)"
                                      " AND state = 'merged'", kept, other), what="one of the two cases merged")
    (gone, into), = gone
    assert {gone, into} == {kept, other}
    wait_for(lambda: [n for n in notes(city, into) if n[:2] == ("open", 6)], what="six in one")
    assert notes(city, gone)[-1][0] == "merged" and "beside" not in notes(city, gone)[-1][2]
    shown = city.api().get(f"/api/v1/cases/{into}")
    assert [m["case_id"] for m in shown["merged"]] == [gone] and (shown["reporters"], shown["state"]) == (6, "new")
    assert evidence(city, into) | evidence(city, gone) == {*ours, *theirs, *between}
    # Quiet: the incident clears, which is for a person to judge; the case stays as it is.
    wait_for(lambda: notes(city, into)[-1][0] == "cleared", timeout=60, what="the incident cleared")
    assert city.api().get(f"/api/v1/cases/{into}")["state"] == "new"
    assert city.value("SELECT count(*) FROM tongguan.cases c JOIN tongguan.incidents i USING (incident_id) WHERE i.rule_id = 'life_near'"
                      " AND i.state <> 'merged' AND c.case_id::text IN (%s, %s)", kept, other) == 1


def test_incident__that_goes_on_after_its_case_was_closed_opens_one_that_repeats_it(city):
    said = say(city, now_us(), 800, "q1", "q2")
    first = case_of(city, said[0])
    department = city.value("SELECT department FROM tongguan.account WHERE name = 'department'")
    for who, on_task, action, fields in harness.walk(TYPE, department):
        api = city.api(who)
        if on_task:
            api.act_task(api.get(f"/api/v1/cases/{first}")["tasks"][0]["task_id"], action, **fields)
        else:
            doc = api.act(first, action, **fields)
    assert doc["state"] == "closed"
    again = case_of(city, say(city, now_us(), 810, "q3")[0], known=(first,))
    assert city.rows("SELECT action, to_state FROM tongguan.case_log WHERE case_id = %s ORDER BY seq LIMIT 2", again) == [
        ("report", "new"), ("recur", "new")]
    shown = city.api().get(f"/api/v1/cases/{again}")
    assert [(r["case_id"], r["kind"]) for r in shown["related"]] == [(first, "repeats")]
    assert city.api().get(f"/api/v1/cases/{first}")["state"] == "closed"


def test_incident__that_never_was_proposes_to_void_its_case(city):
    at = now_us() - 5 * S
    measure(city, at, 12)
    case = case_of(city, measure(city, at + 4 * S, 13))
    measure(city, at + 2 * S, 3)  # late, and between the two: never two of two beyond the limit
    note = wait_for(lambda: [n for n in notes(city, case) if n[0] == "withdrawn"], what="the note that it is withdrawn")[0][2]
    assert note["proposed"] == "void" and city.api().get(f"/api/v1/cases/{case}")["state"] == "new"
    doc = city.api("shift_lead").act(case, "void", reason="false alarm")
    assert doc["state"] == "void"
