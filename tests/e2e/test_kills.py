"""Kill -9 at named points with a thousand events in flight: nothing lost, nothing doubled, by the driver's own ledger.

One line runs through all of it. At each point a role is killed once a seed, one kill after the other, while the same backlog and ever
more events press on; then everything is let run dry and the ledger is checked. Every fault proves that it hit (the process writes the
point's name before it kills itself). One deliberately broken build a point must fail the same check by the fault it is built for, or
the check sees nothing.
"""
import json
import os
import random
import subprocess
import time
import uuid

import pytest
import redis
from confluent_kafka import Consumer, TopicPartition
from harness import BINARY, HERE, ROOT, Role, now_us, report, wait_for

IN_FLIGHT = 1000
BACKLOG = 1400  # before each kill; dispatch takes up to two batches of 200 until it dies, ingest two of 100
SEEDS = (1, 2, 3, 4)
# point → (role, highest passage, share of events that are an incident each; the others come in crowds)
POINTS = {
    "ingest_after_copy": ("ingest", 2, 0),
    "ingest_after_commit": ("ingest", 2, 0),
    "correlate_before_row": ("correlate", 3, 0.05),
    "correlate_before_redis": ("correlate", 3, 0.05),
    "dispatch_after_commit": ("dispatch", 150, 1),
}
# point → (build, what its ledger must find)
BROKEN = {
    "ingest_after_copy": ("OFFSET_FIRST", "event lost"),
    "ingest_after_commit": ("FORWARD_NEVER_AGAIN", "incident lost"),
    "correlate_before_row": ("REDIS_BEFORE_ROW", "incident lost"),
    "correlate_before_redis": ("MINT_AGAIN", "incident doubled"),
    "dispatch_after_commit": ("OUTBOX_AFTER_COMMIT", "case event lost"),
}
INPUT, LOCATED, INCIDENTS, CASES = ("tongguan.citizen.reports", "tongguan.events.located", "tongguan.incidents", "tongguan.case.events")
CROWD = 20        # events of one incident
SPOT_M = 60       # between two crowds
PACK = """pack: kills
version: 1
lateness_s: 3600
rules:
  - {id: each, version: 1, kind: single, domain: minsheng, severity: 3, auto_file: false, types: ["%s"]}
  - {id: crowd, version: 1, kind: cluster, domain: minsheng, severity: 3, auto_file: false, types: ["%s"],
     min_events: 2, min_reporters: 1, radius_m: 20, window_s: 3600}
"""


class Ledger:
    """What the driver has sent: ids, and how many incidents they must become."""

    def __init__(self, line):
        self.line, self.rng = line, None
        self.tag, self.ids, self.incidents = uuid.uuid4().hex[:12], [], 0

    def more(self, n, share=0.0):
        """Sends about n further events: a share of single ones, the others in crowds at spots of their own."""
        values = [self._event(self.line.each, HERE[0] + self.rng.uniform(-0.02, 0.02), HERE[1] + self.rng.uniform(-0.02, 0.02))
                  for _ in range(round(n * share))]
        self.incidents += len(values)
        while len(values) < n:
            lon, lat = self.line.spot()
            values += [self._event(self.line.crowd, lon + self.rng.uniform(-1e-5, 1e-5), lat + self.rng.uniform(-1e-5, 1e-5))
                       for _ in range(CROWD)]
            self.incidents += 1
        self.line.city.produce(INPUT, values)

    def _event(self, type_code, lon, lat):
        event = report(f"{self.tag}-{len(self.ids)}", source="driver", occurred_us=now_us(), lon=lon, lat=lat, type_code=type_code,
                       reporter=f"r{self.rng.randrange(50)}")
        self.ids.append(event.event_id)
        return event.SerializeToString()


class Line:
    """The three roles, each replaceable by one with a fault or from another build."""

    def __init__(self, city):
        self.city, self.spots, self.sent = city, 0, set()
        self.each, self.crowd = [c for (c,) in city.rows("SELECT type_code FROM tongguan.case_type ORDER BY 1 DESC LIMIT 2")]
        packs = os.path.join(city.dir, "packs")
        os.mkdir(packs)
        with open(os.path.join(packs, "kills.yaml"), "w", encoding="utf-8") as pack:
            pack.write(PACK % (self.each, self.crowd))
        self.env = {"TONGGUAN_INGEST_BATCH_ROWS": "100", "TONGGUAN_CORRELATE_PACKS": packs}
        self.redis = redis.Redis.from_url(city.env["TONGGUAN_REDIS_URL"])
        # Two of them: a question waits behind a fetch on its connection.
        self.asker, self.events = (Consumer({"bootstrap.servers": city.env["TONGGUAN_KAFKA_BROKERS"], "group.id": "ledger",
                                             "enable.auto.commit": False}) for _ in range(2))
        self.events.assign([TopicPartition(CASES, p, at) for p, at in self.ends(CASES).items()])
        self.roles = {}
        for name in ("ingest", "correlate", "dispatch"):
            self.start(name)

    def start(self, name, **kwargs):
        self.roles[name] = Role(self.city, name, env=self.env, **kwargs)
        return self.roles[name]

    def ends(self, topic):
        """partition → offset of the next record."""
        parts = self.asker.list_topics(topic, timeout=10).topics[topic].partitions
        return {p: self.asker.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1] for p in parts}

    def spot(self):
        """A place that no crowd has had."""
        self.spots += 1
        return HERE[0] + (self.spots % 64 - 32) * SPOT_M / 82000, HERE[1] + (self.spots // 64 - 16) * SPOT_M / 111000

    def close(self):
        self.events.close()
        self.asker.close()
        for name in ("dispatch", "correlate", "ingest"):
            self.roles[name].kill()

    def strikes(self, point, seeds, binary=BINARY):
        """Kills the role once a seed at a passage of the point, each time over a full backlog; gives the ledger of all that was sent."""
        role, highest, share = POINTS[point]
        ledger = Ledger(self)
        self.roles[role].stop()
        if role == "correlate":  # an incident that dispatch has taken is not in flight any more
            self.roles["dispatch"].stop()
        for seed in seeds:
            ledger.rng = random.Random(f"{point}-{seed}")
            passage = ledger.rng.randint(1, highest)
            ledger.more(BACKLOG - len(ledger.ids) + self.cases(ledger), share)
            dying, end = self.start(role, fault=f"{point}:{passage}", binary=binary), time.monotonic() + 60
            while not dying.died_at_fault(timeout=0.1):  # more comes in until it is dead: its batches are of all sizes
                assert time.monotonic() < end, f"{point}:{passage} was not hit"
                ledger.more(CROWD)
            in_flight = len(ledger.ids) - self.cases(ledger)
            assert in_flight >= IN_FLIGHT, f"only {in_flight} events were in flight"
        self.start(role, binary=binary)
        if role == "correlate":
            self.start("dispatch")
        return ledger

    def cases(self, ledger):
        """How many of the ledger's events are at the end of the line: in a case."""
        return self.city.value("""SELECT count(DISTINCT e.uid) FROM tongguan.event e JOIN tongguan.incident_events m
            ON m.event_uid = e.uid JOIN tongguan.cases c USING (incident_id) WHERE e.event_id = ANY(%s)""", ledger.ids)

    def run_dry(self):
        """Waits, stage by stage, until each role has worked off what lay before it."""
        def stored():
            rows = self.city.rows("SELECT partition, next, forwarded FROM tongguan.source_offset WHERE topic = %s", INPUT)
            return all(n == forwarded for _, n, forwarded in rows) and {p: n for p, n, _ in rows} == self.ends(INPUT)
        wait_for(stored, 60, what="everything stored and forwarded")
        goal = self.ends(LOCATED)
        wait_for(lambda: all(int(self.redis.hget(f"tg:{{p{p}}}:meta", "offset") or 0) >= end for p, end in goal.items()), 60,
                 what="everything judged")
        goal = self.ends(INCIDENTS)

        def taken():
            rows = dict(self.city.rows("SELECT partition, next FROM tongguan.consumer_offset WHERE topic = %s", INCIDENTS))
            return all(rows.get(p, 0) >= end for p, end in goal.items())
        wait_for(taken, 180, what="every incident taken")
        last = self.city.value("SELECT max(id) FROM tongguan.outbox")
        wait_for(lambda: self.city.value("""SELECT bool_and(o.pos IS NOT NULL AND o.pos <= l.published)
            FROM tongguan.outbox o, tongguan.outbox_lease l WHERE o.id <= %s""", last), 60, what="everything published")
        goal = self.ends(CASES)

        def read():
            for record in self.events.consume(5000, timeout=0.2):
                doc = json.loads(record.value()) if not record.error() else {}
                if doc.get("seq"):
                    self.sent.add((str(doc["case_id"]), doc["seq"]))
            return all(at.offset >= goal[at.partition] for at in self.events.position(self.events.assignment()))
        wait_for(read, 60, what="every case event read")

    def violations(self, ledger):
        """What the ledger finds lost or doubled once nothing is under way any more."""
        self.run_dry()
        ids, count, faults = ledger.ids, len(ledger.ids), []
        stored = dict(self.city.rows("SELECT event_id, count(*) FROM tongguan.events WHERE event_id = ANY(%s) GROUP BY 1", ids))
        faults += ["event lost"] if len(stored) < count else []
        faults += ["event doubled"] if any(n > 1 for n in stored.values()) else []
        mapped = dict(self.city.rows("""SELECT e.event_id, count(*) FROM tongguan.events e JOIN tongguan.incident_events m
            ON m.event_uid = e.uid WHERE e.event_id = ANY(%s) GROUP BY 1""", ids))
        faults += ["incident lost"] if len(mapped) < count else []
        faults += ["incident doubled"] if any(n > 1 for n in mapped.values()) else []
        uids = self.city.value("SELECT array_agg(uid) FROM tongguan.event WHERE event_id = ANY(%s)", ids)
        incidents, cases, log = self.city.rows("""WITH i AS (SELECT incident_id FROM tongguan.incident WHERE evidence && %s),
            c AS (SELECT case_id, incident_id FROM tongguan.cases JOIN i USING (incident_id))
            SELECT (SELECT count(*) FROM i), (SELECT count(*) FROM c),
                (SELECT coalesce(json_agg(json_build_array(case_id, seq)), '[]') FROM tongguan.case_log JOIN c USING (case_id))""", uids)[0]
        faults += ["incident lost"] if incidents < ledger.incidents else []
        faults += ["incident doubled"] if incidents > ledger.incidents else []
        faults += ["case lost"] if cases < incidents else []
        faults += ["case event lost"] if not {(case, seq) for case, seq in log} <= self.sent else []
        return faults


@pytest.fixture(scope="module")
def builds():
    """The broken builds, made while the sound one is tested; builds(name) waits for its program."""
    names = [name for name, _ in BROKEN.values()]
    making = subprocess.Popen(["sh", "-ec", "for name; do nice -n 10 make -s --no-print-directory BREAK=$name program; done", "-", *names],
                              cwd=ROOT)

    def program(name):
        assert making.wait() == 0
        return os.path.join(ROOT, f"build/break-{name}/tongguan")
    yield program
    making.wait()


@pytest.fixture(scope="module")
def line(servers, builds):
    running = Line(servers)
    yield running
    running.close()


@pytest.mark.parametrize("point", POINTS)
def test_kills__nothing_is_lost_and_nothing_doubled(line, point):
    assert line.violations(line.strikes(point, SEEDS)) == []


@pytest.mark.parametrize("point", POINTS)
def test_kills__a_broken_build_fails_the_same_checks(line, builds, point):
    """The sound one takes over before the ledger is looked at: what was lost or doubled stays so, it is not just late."""
    (name, fault), role = BROKEN[point], POINTS[point][0]
    ledger = line.strikes(point, SEEDS[:1], binary=builds(name))
    line.run_dry()
    line.roles[role].stop()
    line.start(role)
    assert fault in line.violations(ledger)
