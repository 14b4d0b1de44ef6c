"""One event from Kafka to a closed case, and what it leaves behind."""
import json
import subprocess
import sys

import audit_oracle
import pytest
from harness import ROOT, Stream, report, wait_for, walk

# A type that has a `single` rule in the shipped pack, and its lead department: taken from the loaded city.
TYPE_SQL = """SELECT type_code, lead FROM tongguan.case_type
WHERE lead = (SELECT department FROM tongguan.account WHERE role = 'department' LIMIT 1) AND type_code = ANY(%s)
ORDER BY type_code LIMIT 1"""


def single_types():
    """The types of the shipped pack's single rules that leave filing to people."""
    import yaml
    with open(f"{ROOT}/correlate/packs/boston.yaml", encoding="utf-8") as text:
        pack = yaml.safe_load(text)
    return sorted({str(code) for rule in pack["rules"] if rule["kind"] == "single" and not rule.get("auto_file")
                   for code in rule["types"]})


@pytest.fixture(scope="module")
def kind(city):
    return city.rows(TYPE_SQL, single_types())[0]


@pytest.fixture(scope="module")
def closed_case(city, kind):
    """A case that came from a Kafka record and was walked to its close over HTTP."""
    type_code, lead = kind
    stream = Stream(city.api("operator"))
    event = report(type_code=type_code, title="人行道破损", text="整块翘起，有人绊倒", reporter="r-1", contact="13812345678",
                   attributes={"channel": "app"})
    city.produce("tongguan.citizen.reports", [event.SerializeToString()])
    found = wait_for(lambda: city.rows(
        "SELECT c.case_id::text FROM tongguan.cases c JOIN tongguan.incident_events m USING (incident_id)"
        " JOIN tongguan.events e ON e.uid = m.event_uid WHERE e.event_id = %s", event.event_id), what="the case")
    case = found[0][0]
    stream.until(lambda kind_, id_, data: kind_ == "case" and str(data["case_id"]) == case)
    for who, on_task, action, fields in walk(type_code, lead):
        api = city.api(who)
        if on_task:
            task = api.get(f"/api/v1/cases/{case}")["tasks"][0]["task_id"]
            api.act_task(task, action, **fields)
        else:
            api.act(case, action, **fields)
    stream.until(lambda kind_, id_, data: kind_ == "case" and str(data["case_id"]) == case and data["state"] == "closed")
    stream.close()
    return case, event


def test_whole_way__the_event_is_stored_once_with_its_place(city, closed_case):
    _, event = closed_case
    rows = city.rows("SELECT source_id, type_code, grid_cell, street, ST_X(geom), payload FROM tongguan.events"
                     " WHERE event_id = %s", event.event_id)
    assert len(rows) == 1
    source, type_code, cell, street, lon, payload = rows[0]
    assert (source, type_code) == (event.source_id, event.type_code)
    assert cell and street and abs(lon - event.location.lon) < 1e-9
    assert payload["report"]["title"] == event.report.title and payload["attributes"] == {"channel": "app"}
    assert "13812345678" not in json.dumps(payload)


def test_whole_way__the_case_is_closed_and_its_log_replays(city, closed_case):
    case, _ = closed_case
    doc = city.api("auditor").get(f"/api/v1/cases/{case}")
    assert doc["state"] == "closed" and doc["closed_at"]
    log = city.api("auditor").get(f"/api/v1/cases/{case}/log")["items"]
    assert [e["seq"] for e in log] == list(range(1, len(log) + 1))
    moves = [(e["from_state"], e["to_state"]) for e in log if e["to_state"] != e["from_state"]]
    for (_, before), (after, _) in zip(moves, moves[1:]):
        assert before == after
    assert moves[-1][1] == "closed"


def test_whole_way__the_chain_verifies_by_a_script_of_its_own(city, closed_case, tmp_path):
    dump = tmp_path / "audit.json"
    with city.pg() as conn:
        dump.write_text(json.dumps(audit_oracle.dump(conn), ensure_ascii=False), encoding="utf-8")
    done = subprocess.run([sys.executable, f"{ROOT}/tests/audit_oracle.py", str(dump)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert city.run("audit", "verify").returncode == 0


def test_whole_way__case_events_equal_the_log(city, closed_case):
    case, _ = closed_case

    def published():
        best = {}
        for record in city.consume("tongguan.case.events"):
            doc = json.loads(record.value())
            if str(doc.get("case_id")) == case and doc.get("seq"):
                best[doc["seq"]] = (doc["action"], doc["from_state"], doc["to_state"], doc["actor"])
        return best
    log = city.rows("SELECT seq, action, from_state, to_state, actor FROM tongguan.case_log WHERE case_id::text = %s", case)
    wanted = {row[0]: tuple(row[1:]) for row in log}
    assert wait_for(lambda: (p := published()) == wanted and p, what="case.events equal to the log")


def test_whole_way__contact_is_masked_but_for_the_role_that_needs_it(city, closed_case):
    case, event = closed_case
    located = b"".join(r.value() for r in city.consume("tongguan.events.located"))
    assert b"13812345678" not in located
    doc = city.api("operator").get(f"/api/v1/cases/{case}/contact")
    assert "13812345678" in json.dumps(doc)
    status, _ = city.api("auditor")("GET", f"/api/v1/cases/{case}/contact")
    assert status == 403


def test_database__a_count_needs_no_index_only_scan_of_boxes(city):
    """PostgreSQL dies of one over PostGIS's SP-GiST index; the plan is asked for as an empty partition would choose it."""
    with city.pg() as conn:
        conn.execute("SET enable_seqscan = off")
        conn.execute("SET enable_bitmapscan = off")
        plan = "\n".join(row[0] for row in conn.execute("EXPLAIN SELECT count(*) FROM tongguan.event"))
    assert "Index Only Scan" not in plan, plan
