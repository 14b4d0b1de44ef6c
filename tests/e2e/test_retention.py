"""Partitions of events go when they are old enough, never what a case rests on, and never at the price of a pause."""
import calendar
import http.client
import re
import threading
import time

import harness
import pytest
from harness import now_us, report, wait_for

pytestmark = pytest.mark.apart

TOPIC = "tongguan.citizen.reports"
DAY_US = 86_400_000_000


@pytest.fixture(scope="module")
def desk():
    """Servers and dispatch; the test starts ingest as it needs it and plays correlate."""
    with harness.City(roles=("dispatch",)) as running:
        running.api("auditor")
        yield running


class Ingest(harness.Role):
    def __init__(self, city, days, **more):
        super().__init__(city, "ingest", env={"TONGGUAN_INGEST_RETENTION_DAYS": str(days), "TONGGUAN_INGEST_RETENTION_EVERY_S": "1",
                                              "TONGGUAN_INGEST_PARTITIONS_AHEAD": "5", **more})
        self.ready()

    def metric(self, name):
        conn = http.client.HTTPConnection(self.city.env["TONGGUAN_INGEST_LISTEN"], timeout=5)
        conn.request("GET", "/metrics")
        return float(re.search(rf"^tongguan_ingest_{name} (\S+)$", conn.getresponse().read().decode(), re.M)[1])


def old_week(city):
    """Begins on a Monday."""
    return city.value("SELECT to_char(date_trunc('week', now() AT TIME ZONE 'UTC' - interval '500 days'), '\"event_\"YYYY_MM_DD')")


def middle_of(week):
    """µs of its Thursday, noon."""
    return int((calendar.timegm(time.strptime(week, "event_%Y_%m_%d")) + 3.5 * 86400) * 1e6)


def store(city, events):
    city.produce(TOPIC, [e.SerializeToString() for e in events], partition=0)
    ids = [e.event_id for e in events]
    wait_for(lambda: city.value("SELECT count(*) FROM tongguan.event WHERE event_id = ANY (%s)", ids) == len(ids), what="stored")


def raise_incident(city, event, rule):
    """What correlate does, by its own function; gives the message that dispatch has not got yet."""
    return city.rows("""SELECT incident_id::text, doc FROM tongguan.incident_apply(jsonb_build_object('part', 0, 'from', 0, 'next', 1,
        'rules', jsonb_build_object(%(rule)s::text, '{"version": 1, "domain": "minsheng", "severity": 2, "explanation": {}}'::jsonb),
        'singles', (SELECT jsonb_agg(jsonb_build_object('r', %(rule)s::text, 'u', uid, 't', tongguan.time_to_us(occurred_at), 'y', type_code,
        'x', ST_X(geom), 'l', ST_Y(geom), 'c', grid_cell, 'p', 1)) FROM tongguan.event WHERE event_id = %(event)s),
        'groups', '[]'::jsonb, 'clear', '[]'::jsonb))""".replace("%(rule)s", f"'{rule}'").replace("%(event)s", f"'{event}'"))[0]


def partitions(city):
    return {row[0] for row in city.rows("SELECT name FROM tongguan.event_partitions()")}


def test_retention__drops_old_partitions_and_nothing_that_a_case_rests_on(desk):
    week = old_week(desk)
    at = middle_of(week)
    olds = [report(event_id=f"old-{i}", source="retention", occurred_us=at + i * 1000000, text=f"第{i}条", title="旧报告",
                   contact="13900001234" if i == 0 else None) for i in range(20)]
    youngs = [report(event_id=f"young-{i}", source="retention") for i in range(5)]
    keeper = Ingest(desk, days=0)
    store(desk, olds + youngs)
    assert week in partitions(desk)
    assert keeper.metric("partitions_ahead") == 5 and keeper.metric("partitions_dropped_total") == 0
    assert desk.value("SELECT count(*) FROM tongguan.event_partitions() WHERE from_at > now()") == 5
    assert keeper.stop() == 0

    # An incident that dispatch has not seen keeps its partition.
    incident, message = raise_incident(desk, "old-0", "retention_rule")
    dropper = Ingest(desk, days=400)
    wait_for(lambda: dropper.metric("retention_needed_events") == 1, what="the partition kept for an incident without a case")
    assert week in partitions(desk)

    # Somebody reads old events for long: no drop, and no writer waits for it.
    with desk.pg() as reader, desk.pg() as writer:
        reader.execute("BEGIN")
        reader.execute(f"SELECT count(*) FROM tongguan.{week}")
        desk.produce("tongguan.incidents", [message.encode()])
        case = wait_for(lambda: desk.rows("SELECT case_id::text FROM tongguan.cases WHERE incident_id = %s", incident),
                        what="the case")[0][0]
        assert desk.value("SELECT count(*) FROM tongguan.case_evidence WHERE case_id = %s", case) == 1
        # The incident grows after the case was opened.
        desk.rows("INSERT INTO tongguan.incident_event SELECT 'retention_rule', uid, %s::uuid, occurred_at, false, 2"
                  " FROM tongguan.event WHERE event_id = 'old-7' RETURNING 1", incident)
        slowest, stop = 0.0, threading.Event()

        def write():
            nonlocal slowest
            while not stop.is_set():
                began = time.monotonic()
                writer.execute("INSERT INTO tongguan.event (uid, occurred_at, ingested_at, source, source_pos, source_id, event_id,"
                               " source_kind) VALUES (gen_random_uuid(), now(), now(), 0, 0, 'writer', 'w', 1)")
                slowest = max(slowest, time.monotonic() - began)
        thread = threading.Thread(target=write)
        thread.start()
        try:
            wait_for(lambda: dropper.metric("retention_busy_total") >= 3, what="three tries against the reader")
            assert week in partitions(desk)
        finally:
            stop.set()
            thread.join()
            reader.execute("ROLLBACK")
    assert slowest < 1.0, f"a writer waited {slowest:.3f} s"

    wait_for(lambda: week not in partitions(desk), what="the partition dropped")
    assert wait_for(lambda: dropper.metric("partitions_dropped_total")) == 1
    assert dropper.metric("retention_evidence_total") == 1, "the member that came later"
    floor = desk.value("SELECT extract(epoch FROM floor_at) FROM tongguan.retention")
    wait_for(lambda: dropper.metric("retention_floor_seconds") == float(floor), what="the floor known")
    assert desk.value("SELECT count(*) FROM tongguan.event WHERE source_id = 'retention'") == 5

    # The case shows its evidence as before, whole.
    items = desk.api("auditor").get(f"/api/v1/cases/{case}/evidence")["items"]
    assert [(i["event_id"], i["text"], i["title"], i["payload"]["report"]["text"]) for i in items] == [
        ("old-0", "第0条", "旧报告", "第0条"), ("old-7", "第7条", "旧报告", "第7条")], items
    assert all(i["ingested_at"] and i["lon"] and i["grid_cell"] for i in items), items
    assert "13900001234" not in str(items) and desk.run("audit", "verify").returncode == 0

    # Too old at arrival: refused. Below the floor on a replay: counted, and nothing changes.
    [(_, offset)] = desk.produce(TOPIC, [report(event_id="too-late", occurred_us=at).SerializeToString()], partition=0)
    wait_for(lambda: desk.rows("SELECT 1 FROM tongguan.dead_letters WHERE reason = 'time_too_old' AND \"offset\" = %s", offset),
             what="the refusal")
    assert dropper.stop() == 0
    count = "SELECT (SELECT count(*) FROM tongguan.event), (SELECT count(*) FROM tongguan.dead_letter)"
    before = desk.rows(count)
    desk.rows("UPDATE tongguan.source_offset SET next = 0, forwarded = 0 WHERE topic = %s RETURNING 1", TOPIC)
    replayer = Ingest(desk, days=0)
    wait_for(lambda: desk.value("SELECT next FROM tongguan.source_offset WHERE topic = %s AND partition = 0", TOPIC) == offset + 1,
             what="the replay")
    # The refused one is in time for this ingest, which keeps all: but it lies below the floor too.
    assert replayer.metric("below_floor_total") == 21
    assert desk.rows(count) == before and week not in partitions(desk)
    assert replayer.stop() == 0


def test_partitions__of_any_span_give_way_to_what_is_there(desk):
    """A table: what is asked for in turn, day and days; the partition that holds the day then."""
    rows = [("2003-01-01", 7, "2002-12-30", "2003-01-06"),   # a Wednesday: its week
            ("2003-01-05", 1, "2002-12-30", "2003-01-06"),   # is there already
            ("2003-01-20", 1, "2003-01-20", "2003-01-21"),
            ("2003-01-22", 7, "2003-01-21", "2003-01-27"),   # its Monday is somebody else's
            ("2003-01-10", 366, "2003-01-06", "2003-01-20"),  # between two neighbours
            ("2003-02-27", 366, "2003-01-30", "2004-01-31"),
            ("1969-12-31", 7, "1969-12-29", "1970-01-05")]   # before 1970
    with desk.pg() as conn:
        try:
            for day, days, first, past in rows:
                got = conn.execute("SELECT from_day::text, to_day::text FROM tongguan.event_partition_ensure(%s::date, %s)", (day, days)).fetchone()
                assert got == (first, past), (day, days)
                bounds = conn.execute("SELECT from_at, to_at FROM tongguan.event_partitions() WHERE name = 'event_' ||"
                                      " to_char(%s::date, 'YYYY_MM_DD')", (first,)).fetchone()
                assert [b.timestamp() for b in bounds] == [calendar.timegm(time.strptime(d, "%Y-%m-%d")) for d in (first, past)]
        finally:
            for (name,) in conn.execute("SELECT name FROM tongguan.event_partitions() WHERE from_at < '2005-01-01'").fetchall():
                conn.execute(f"DROP TABLE tongguan.{name}")


def test_retention__one_process_drops_at_a_time(desk):
    with desk.pg() as first, desk.pg() as second:
        first.execute("BEGIN")
        first.execute("SELECT tongguan.event_partition_ensure('2001-05-05')")
        first.execute("COMMIT")
        first.execute("BEGIN")
        assert first.execute("SELECT outcome, oldest FROM tongguan.retention_drop(400, 50)").fetchone() == ("dropped", "event_2001_04_30")
        assert second.execute("SELECT outcome FROM tongguan.retention_drop(400, 50)").fetchone()[0] == "elsewhere"
        first.execute("COMMIT")
        assert second.execute("SELECT outcome FROM tongguan.retention_drop(400, 50)").fetchone()[0] == "nothing"
        assert second.execute("SELECT outcome FROM tongguan.retention_drop(0, 50)").fetchone()[0] == "nothing"


def test_retention__dead_letters_below_the_floor_go_too(desk):
    add = ("INSERT INTO tongguan.dead_letter (topic, partition, \"offset\", reason, received_at)"
           " SELECT 'swept', 0, n, 'truncated', floor_at + n * interval '1 s' FROM tongguan.retention, generate_series(-5, 5) n RETURNING 1")
    assert len(desk.rows(add)) == 11
    assert desk.value("SELECT tongguan.retention_sweep(3)") == 3 and desk.value("SELECT tongguan.retention_sweep(100)") == 2
    assert desk.value("SELECT min(\"offset\") FROM tongguan.dead_letter WHERE topic = 'swept'") == 0


# Here since it, too, needs an ingest of the test's own.
def test_frame__a_topic_whose_values_are_framed_gives_the_same_events(desk):
    topic = "tongguan.inspector.reports"
    role = Ingest(desk, days=400, TONGGUAN_KAFKA_FRAMED_TOPICS=f"some.other,{topic}")
    plain = [report(event_id=f"framed-{i}", source="frame", contact=c) for i, c in enumerate([None, "13712345678", None])]
    head = b"\0\0\0\0\x2a"
    packed = [e.SerializeToString() for e in plain]
    as_json = ('{"event_id": "framed-json", "source_id": "frame", "source_kind": "citizen", "occurred_at": "%s",'
               ' "report": {"title": "t"}}' % harness.rfc3339(now_us())).encode()
    desk.produce(topic, [head + b"\0" + packed[0], head + b"\2\0" + packed[1], head + b"\4\2\4" + packed[2]], partition=1)
    desk.produce(topic, [head + as_json], headers=[("content-type", b"application/json")], partition=1)
    broken = desk.produce(topic, [packed[0], head, head + b"\1" + packed[0], b""], partition=1)
    broken += desk.produce(topic, [as_json], headers=[("content-type", b"application/json")], partition=1)
    wait_for(lambda: desk.value("SELECT next FROM tongguan.source_offset WHERE topic = %s AND partition = 1", topic) == 9, what="all read")
    stored = desk.rows("SELECT event_id, contact, payload->'report'->>'title' FROM tongguan.event WHERE source_id = 'frame' ORDER BY 1")
    assert stored == [("framed-0", None, "报告"), ("framed-1", "13712345678", "报告"), ("framed-2", None, "报告"), ("framed-json", None, "t")]
    assert desk.rows("SELECT \"offset\", reason FROM tongguan.dead_letter WHERE topic = %s ORDER BY 1", topic) == [
        (o, "bad_frame") for _, o in broken]
    # The frame does not travel on, and neither does a contact.
    pb = harness.protocol()

    def located():
        found = {}
        for m in desk.consume("tongguan.events.located"):
            doc = pb.LocatedEvent.FromString(m.value())
            if doc.HasField("event") and doc.event.source_id == "frame":
                found[doc.event.event_id] = doc.event
        return len(found) == 4 and found
    found = wait_for(located, what="all published")
    assert found["framed-0"] == plain[0] and found["framed-2"] == plain[2] and found["framed-1"].report.contact == "***5678"
    shown = harness.subprocess.run([harness.BINARY, "dead-letter", "show", f"{topic}/1/4"], cwd=harness.ROOT, text=True,
                                   capture_output=True, env=dict(desk.env, TONGGUAN_KAFKA_FRAMED_TOPICS=topic)).stdout
    assert "cannot be read as an event (bad_frame)" in shown

    # What it tells of itself: lag by partition, batches, stages, refusals by reason.
    conn = http.client.HTTPConnection(desk.env["TONGGUAN_INGEST_LISTEN"], timeout=5)

    def told():
        conn.request("GET", "/metrics")
        text = conn.getresponse().read().decode()
        return f'tongguan_ingest_lag_partition_records{{partition="{topic}/1"}} 0\n' in text and text
    text = wait_for(told, what="the lag of the partition")
    for line in ('tongguan_ingest_refused_total{reason="bad_frame"} 5\n', 'tongguan_ingest_stage_seconds_total{stage="copy"} ',
                 "tongguan_ingest_batch_rows_count ", "tongguan_ingest_partitions_ahead 5\n", "tongguan_ingest_lag_records 0\n"):
        assert line in text, line
    assert role.stop() == 0


def test_pace__transactions_begin_apart_and_after_a_rest_at_once(desk):
    ingest, pace_s = Ingest(desk, 400, TONGGUAN_INGEST_PACE_MS="500"), 0.5
    took = []
    for i in range(3):
        time.sleep(pace_s + 0.1)  # the rest
        began = time.monotonic()
        store(desk, [report(event_id=f"rested-{i}", source="pace")])
        took.append(time.monotonic() - began)
    assert min(took) < pace_s, took
    before, began = ingest.metric("batches_total"), time.monotonic()
    events = [report(event_id=f"busy-{i}", source="pace") for i in range(60)]
    for event in events:  # each would be a transaction of its own
        desk.produce(TOPIC, [event.SerializeToString()], partition=0)
    store(desk, [report(event_id="busy-last", source="pace")])
    batches = ingest.metric("batches_total") - before
    assert 0 < batches <= (time.monotonic() - began) / pace_s + 2 < len(events)
    assert desk.value("SELECT count(*) FROM tongguan.event WHERE event_id LIKE 'busy-%%'") == len(events) + 1
    assert ingest.stop() == 0


def test_summaries__a_look_at_the_last_hour_skips_what_was_stored_before(desk):
    ingest = Ingest(desk, 400, TONGGUAN_INGEST_SUMMARIZE_EVERY_S="1", TONGGUAN_INGEST_RETENTION_EVERY_S="3600")
    with desk.pg() as conn:
        before = ingest.metric("summarized_ranges_total")
        conn.execute("SELECT tongguan.event_partition_ensure((now() - interval '6 days')::date)")
        conn.execute("""INSERT INTO tongguan.event (uid, occurred_at, ingested_at, source, source_pos, source_id, event_id, source_kind, flags)
            SELECT md5('summary' || i)::uuid, now() - interval '6 days' + interval '6 days' * i / 60000, now(), 1, 10000000 + i,
                'summary-' || i % 100, 'summary-' || i, 1, 0 FROM generate_series(1, 60000) i""")
        pages = conn.execute("SELECT sum(pg_relation_size(('tongguan.' || name)::regclass))::bigint / 8192 FROM tongguan.event_partitions()").fetchone()[0]
        wait_for(lambda: ingest.metric("summarized_ranges_total") - before >= 2 * (pages // 32 - 2), what="summaries")  # of two partitions
        conn.execute("SET enable_seqscan = off; SET enable_indexscan = off")
        plan = conn.execute("EXPLAIN (ANALYZE, FORMAT JSON) SELECT count(*) FROM tongguan.event WHERE occurred_at > now() - interval '1 hour'"
                            " AND source_id LIKE 'summary-%'").fetchone()[0]
        looked = [n for n in nodes(plan[0]["Plan"]) if n["Node Type"] == "Bitmap Heap Scan"]
        assert 0 < sum(n.get("Lossy Heap Blocks", 0) + n.get("Exact Heap Blocks", 0) for n in looked) <= pages // 8, plan
        conn.execute("DELETE FROM tongguan.event WHERE event_id LIKE 'summary-%'")
    ingest.stop()


def nodes(plan):
    yield plan
    for below in plan.get("Plans", []):
        yield from nodes(below)
