"""Kill -9 at named points with a thousand events in flight: nothing lost, nothing doubled, by the driver's own ledger.

Every fault proves that it hit (the process writes the point's name before it kills itself). One deliberately broken build a point
must fail the same checks, or the checks see nothing.
"""
import json
import os
import random
import subprocess
import time
import uuid

import pytest
from confluent_kafka import Consumer, TopicPartition
from harness import BINARY, ROOT, Role, now_us, report, scattered

EVENTS = 1400  # intake has at most two batches of 200 under way
SEEDS = (1, 2, 3, 4)
# point → (role, highest passage that leaves a thousand events in flight)
POINTS = {
    "ingest_after_copy": ("ingest", 2),
    "ingest_after_commit": ("ingest", 2),
    "correlate_before_row": ("correlate", 1),
    "correlate_before_redis": ("correlate", 1),
    "dispatch_after_commit": ("dispatch", 150),
}
BROKEN = {
    "ingest_after_copy": "OFFSET_FIRST",
    "ingest_after_commit": "FORWARD_NEVER_AGAIN",
    "correlate_before_row": "REDIS_BEFORE_ROW",
    "correlate_before_redis": "MINT_AGAIN",
    "dispatch_after_commit": "OUTBOX_AFTER_COMMIT",
}
PACK = """pack: kills
version: 1
lateness_s: 3600
rules:
  - {id: each, version: 1, kind: single, domain: minsheng, severity: 3, auto_file: false, types: [%s]}
"""


class Line:
    """The three roles, each replaceable by one with a fault or from another build."""

    def __init__(self, city):
        self.city = city
        self.types = [code for (code,) in city.rows("SELECT type_code FROM tongguan.case_type ORDER BY 1 LIMIT 5")]
        packs = os.path.join(city.dir, "packs")
        os.mkdir(packs)
        with open(os.path.join(packs, "kills.yaml"), "w", encoding="utf-8") as pack:
            pack.write(PACK % ", ".join(f'"{code}"' for code in self.types))
        self.env = {"TONGGUAN_INGEST_BATCH_ROWS": "100", "TONGGUAN_CORRELATE_PACKS": packs}
        self.sent, self.events = set(), self.open_events()
        self.roles = {name: self.start(name) for name in ("ingest", "correlate", "dispatch")}
        for role in self.roles.values():
            role.ready()

    def start(self, name, **kwargs):
        return Role(self.city, name, env=self.env, **kwargs)

    def open_events(self):
        consumer = Consumer({"bootstrap.servers": self.city.env["TONGGUAN_KAFKA_BROKERS"], "group.id": "ledger",
                             "enable.auto.commit": False})
        parts = consumer.list_topics("tongguan.case.events", timeout=10).topics["tongguan.case.events"].partitions
        consumer.assign([TopicPartition("tongguan.case.events", p, 0) for p in parts])
        return consumer

    def drain(self):
        """Takes in what tongguan.case.events has, until a moment without more."""
        while batch := self.events.consume(5000, timeout=0.3):
            for record in batch:
                doc = json.loads(record.value()) if not record.error() else {}
                if doc.get("seq"):
                    self.sent.add((str(doc["case_id"]), doc["seq"]))

    def close(self):
        self.events.close()
        for name in ("dispatch", "correlate", "ingest"):
            self.roles[name].kill()

    def strike(self, point, seed, binary=BINARY):
        """The backlog is produced while the role is down; it comes up with the fault set, dies, and comes up again."""
        role, highest = POINTS[point]
        rng = random.Random(f"{point}-{seed}")
        ledger = self.ledger(rng)
        self.roles[role].stop()
        if role == "ingest":
            self.city.produce("tongguan.citizen.reports", list(ledger.values()))
        passage = rng.randint(1, highest)
        self.roles[role] = self.start(role, fault=f"{point}:{passage}", binary=binary)
        if role != "ingest":
            self.city.produce("tongguan.citizen.reports", list(ledger.values()))
        assert self.roles[role].died_at_fault(), f"{point}:{passage} was not hit"
        done = self.cases(ledger)
        assert EVENTS - done >= 1000, f"only {EVENTS - done} events were in flight"
        self.roles[role] = self.start(role, binary=binary).ready()
        return ledger

    def ledger(self, rng):
        tag = uuid.uuid4().hex[:12]
        made = {}
        for i in range(EVENTS):
            lon, lat = scattered(rng)
            event = report(f"{tag}-{i}", source="driver", occurred_us=now_us(), lon=lon, lat=lat, type_code=rng.choice(self.types),
                           reporter=f"r{rng.randrange(50)}")
            made[event.event_id] = event.SerializeToString()
        return made

    def cases(self, ledger):
        return self.city.value("""SELECT count(DISTINCT c.case_id) FROM tongguan.events e JOIN tongguan.incident_events m
            ON m.event_uid = e.uid JOIN tongguan.cases c USING (incident_id) WHERE e.event_id = ANY(%s)""", list(ledger))

    def violations(self, ledger, quiet=25):
        """What the ledger finds lost or doubled, once all is there or nothing has moved for `quiet` seconds."""
        seen, moved = None, time.monotonic()
        while time.monotonic() - moved < quiet:
            cases, published = self.cases(ledger), self.published(ledger)
            if cases >= EVENTS and published:
                break
            if (cases, len(self.sent)) != seen:
                seen, moved = (cases, len(self.sent)), time.monotonic()
            time.sleep(0.2)
        ids, faults = list(ledger), []
        stored = dict(self.city.rows("SELECT event_id, count(*) FROM tongguan.events WHERE event_id = ANY(%s) GROUP BY 1", ids))
        faults += ["event lost"] if len(stored) < EVENTS else []
        faults += ["event doubled"] if any(n > 1 for n in stored.values()) else []
        mapped = dict(self.city.rows("""SELECT e.event_id, count(*) FROM tongguan.events e JOIN tongguan.incident_events m
            ON m.event_uid = e.uid WHERE e.event_id = ANY(%s) GROUP BY 1""", ids))
        faults += ["incident lost"] if len(mapped) < EVENTS else []
        faults += ["incident doubled"] if any(n > 1 for n in mapped.values()) else []
        incidents = self.city.value("""SELECT count(DISTINCT i.incident_id) FROM tongguan.incidents i
            WHERE i.evidence && (SELECT array_agg(e.uid::text) FROM tongguan.events e WHERE e.event_id = ANY(%s))""", ids)
        faults += ["incident doubled"] if incidents > EVENTS else []
        faults += ["case lost"] if self.cases(ledger) < EVENTS else []
        faults += ["case event lost"] if not self.published(ledger) else []
        return faults

    def published(self, ledger):
        """Every log entry of the ledger's cases is in tongguan.case.events."""
        wanted = {(str(case), seq) for case, seq in self.city.rows("""SELECT DISTINCT l.case_id, l.seq FROM tongguan.events e
            JOIN tongguan.incident_events m ON m.event_uid = e.uid JOIN tongguan.cases c USING (incident_id)
            JOIN tongguan.case_log l USING (case_id) WHERE e.event_id = ANY(%s)""", list(ledger))}
        self.drain()
        return wanted <= self.sent


@pytest.fixture(scope="module")
def line(servers):
    running = Line(servers)
    yield running
    running.close()


def broken_build(name):
    subprocess.run(["make", "-s", "--no-print-directory", f"-j{os.cpu_count()}", f"BREAK={name}", "program"], cwd=ROOT, check=True)
    return os.path.join(ROOT, f"build/break-{name}/tongguan")


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("point", POINTS)
def test_kills__nothing_is_lost_and_nothing_doubled(line, point, seed):
    assert line.violations(line.strike(point, seed)) == []


@pytest.mark.parametrize("point", POINTS)
def test_kills__a_broken_build_fails_the_same_checks(line, point):
    ledger = line.strike(point, 99, binary=broken_build(BROKEN[point]))
    assert line.violations(ledger, quiet=6) != []
    role, _ = POINTS[point]
    line.roles[role].stop()
    line.roles[role] = line.start(role).ready()
