"""Clusters found by correlate equal a brute-force oracle on real reports, shuffled, doubled, and through an empty memory."""
import csv
import os
import random
from datetime import datetime
from zoneinfo import ZoneInfo

import cluster_oracle
import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from harness import ROOT, Role, judged, now_us, report, wait_for

REPORTS = f"{ROOT}/schema/cities/boston/feeds/reports.csv"
SOURCE = "boston-311"
STORED = f"SELECT count(*) FROM tongguan.event WHERE source_id = '{SOURCE}'"
COUNT = 5000
RULE = {"min_events": 4, "min_reporters": 2, "radius_m": 200.0, "window_s": 86400}
PACK = """pack: oracle
version: 1
lateness_s: 40000000
rules:
  - id: oracle_cluster
    version: 1
    kind: cluster
    domain: minsheng
    severity: 3
    auto_file: false
    types: [%s]
    min_events: %d
    min_reporters: %d
    radius_m: %g
    window_s: %d
"""


def load():
    zone = ZoneInfo("America/New_York")
    events = []
    with open(REPORTS, encoding="utf-8", newline="") as rows:
        for i, row in enumerate(csv.DictReader(rows)):
            if len(events) == COUNT:
                break
            if not row["lat"]:
                continue
            at = datetime.fromisoformat(row["open_dt"]).replace(tzinfo=zone)
            # The file names no reporters: three channels of two callers each stand in for them, fixed by the row.
            events.append({"id": f"{row['case_id']}-{i}", "t": int(at.timestamp()) * 1_000_000, "lon": float(row["lon"]),
                           "lat": float(row["lat"]), "reporter": f"r{(i * 7919) % 6}"})
    # Moved as a whole to end an hour ago: distances in time stay, and ingest's idle progress ("nothing older than now") does not
    # put years between the reports and the watermark.
    shift = now_us() - 3_600_000_000 - max(e["t"] for e in events)
    for event in events:
        event["t"] += shift
    return events


def as_message(event, type_code):
    return report(event["id"], source=SOURCE, occurred_us=event["t"], lon=event["lon"], lat=event["lat"],
                  type_code=type_code, reporter=event["reporter"]).SerializeToString()


def found(city):
    rows = city.rows("""SELECT m.incident_id::text, array_agg(e.event_id) FROM tongguan.incident_events m
        JOIN tongguan.events e ON e.uid = m.event_uid JOIN tongguan.incidents i USING (incident_id)
        WHERE i.rule_id = 'oracle_cluster' AND i.state <> 'merged' GROUP BY 1""")
    return {frozenset(ids) for _, ids in rows}


def settled(city, sent):
    return city.value(STORED) >= sent and judged(city)


@pytest.fixture(scope="module")
def oracle():
    events = load()
    assert len(events) == COUNT
    wanted = cluster_oracle.clusters(events, RULE["min_events"], RULE["min_reporters"], RULE["radius_m"],
                                     RULE["window_s"] * 1_000_000)
    assert len(wanted) > 20 and max(map(len, wanted)) > 10
    return events, wanted


def run_line(city, tmp_path, oracle, seed):
    events, wanted = oracle
    rng = random.Random(seed)
    type_code = city.value("SELECT min(type_code) FROM tongguan.case_type")
    pack = tmp_path / "oracle.yaml"
    pack.write_text(PACK % (f'"{type_code}"', RULE["min_events"], RULE["min_reporters"], RULE["radius_m"], RULE["window_s"]))
    os.chmod(tmp_path, 0o755)
    env = {"TONGGUAN_CORRELATE_PACKS": str(tmp_path)}
    messages = [as_message(e, type_code) for e in events] * 2
    rng.shuffle(messages)
    half = len(messages) // 2
    ingest, correlate = Role(city, "ingest").ready(), Role(city, "correlate", env=env).ready()
    city.produce("tongguan.citizen.reports", messages[:half])
    stored = len({m for m in messages[:half]})
    wait_for(lambda: settled(city, stored), 90, every=0.3, what="the first half")
    correlate.kill()
    trim(city)
    correlate = Role(city, "correlate", env=env).ready()
    city.produce("tongguan.citizen.reports", messages[half:])
    wait_for(lambda: settled(city, COUNT), 120, every=0.3, what="all reports")
    wait_for(lambda: found(city) == wanted, 30, every=0.3, what="the oracle's clusters")
    assert city.value(STORED) == COUNT
    correlate.stop()
    ingest.stop()


def trim(city):
    """Deletes from Kafka every located record below the offset that Redis holds."""
    import redis
    client = redis.Redis.from_url(city.env["TONGGUAN_REDIS_URL"])
    admin = AdminClient({"bootstrap.servers": city.env["TONGGUAN_KAFKA_BROKERS"]})
    parts = admin.list_topics("tongguan.events.located").topics["tongguan.events.located"].partitions
    cut = [TopicPartition("tongguan.events.located", p, int(client.hget(f"tg:{{p{p}}}:meta", "offset"))) for p in parts]
    for partition, done in admin.delete_records(cut).items():
        assert done.result(30).low_watermark == partition.offset
    assert sum(p.offset for p in cut) > 1000


def test_clusters__equal_the_oracle_and_continue_from_redis_alone(servers, tmp_path, oracle):
    """Shuffled and doubled; half-way correlate is killed, and the topic is trimmed to the offset that Redis holds."""
    run_line(servers, tmp_path, oracle, seed=2)
