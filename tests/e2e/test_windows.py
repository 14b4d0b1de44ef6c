"""All four kinds equal exact oracles, whatever happens to correlate and to its Redis.

The test writes located records itself, as ingest would: shuffled within the tolerance, every one doubled, and one of three source
partitions an hour behind the others. Correlate works on a Redis of the test's own, which it may kill and replace.
"""
import json
import os
import random
import uuid
from datetime import datetime
from zoneinfo import ZoneInfo

import cluster_oracle
import harness
import pytest
import redis
import series_oracle
from confluent_kafka import Producer
from correlate_world import INCIDENTS, LOCATED, Redis, Topics
from harness import Role, now_us, wait_for

SOURCES, SOURCE_TOPIC = 3, "windows.test"
S = 1_000_000
LATENESS, SPAN = 600 * S, 6 * 3600 * S
SINGLE, NEAR = "01001", "01002"
CLUSTER = {"min_events": 3, "min_reporters": 2, "radius_m": 150.0, "window_us": 900 * S}
DEVICES = 16
PACK = """pack: windows
version: 1
lateness_s: 600
rules:
  - {{id: {p}single, version: 1, kind: single, domain: minsheng, severity: 3, auto_file: false, types: ["01001"]}}
  - {{id: {p}cluster, version: 1, kind: cluster, domain: minsheng, severity: 3, auto_file: false, types: ["01002"], min_events: 3,
     min_reporters: 2, radius_m: 150, window_s: 900}}
  - {{id: {p}kn, version: 1, kind: threshold, domain: jianguan, severity: 2, auto_file: false, metric: level, above: 10, k: 3, n: 5,
     clear_below: 8, cooldown_s: 1200}}
  - {{id: {p}for, version: 1, kind: threshold, domain: jianguan, severity: 2, auto_file: false, metric: level, below: -6, for_s: 240,
     clear_above: -5}}
  - {{id: {p}limits, version: 1, kind: threshold, domain: jianguan, severity: 2, auto_file: false, metric: level, limits: device, k: 2,
     n: 2}}
  - {{id: {p}silent, version: 1, kind: silence, domain: jianguan, severity: 3, auto_file: false, devices: "win-*", after_s: 500}}
  - {{id: {p}fold, version: 1, kind: silence, domain: jianguan, severity: 3, auto_file: false, devices: "win-*", after_s: 700,
     fold_by: street, cooldown_s: 300}}
  - {{id: {p}hours, version: 1, kind: silence, domain: jianguan, severity: 3, auto_file: false, devices: "win-*", after_s: 600,
     schedule: "07:00-12:00,13:30-22:00"}}
"""


# ---- the world --------------------------------------------------------------------------------------------------------------

def partition_of(city, device, lon, lat, partitions):
    """As ingest sends what a device says: by its region, or where it has no place by its name."""
    if lon is None:
        h = 2166136261
        for byte in device.encode():
            h = (h ^ byte) * 16777619 % (1 << 32)
        return h % partitions
    import math
    degree = 6371008.8 * math.pi / 180
    metres_lon = degree * math.cos((city["lat0"] + city["lat1"]) / 2 * math.pi / 180)
    columns = max(1, math.ceil((city["lon1"] - city["lon0"]) * metres_lon / city["region_m"]))
    rows = max(1, math.ceil((city["lat1"] - city["lat0"]) * degree / city["region_m"]))
    column = int((lon - city["lon0"]) / (city["region_m"] / metres_lon))
    row = int((lat - city["lat0"]) / (city["region_m"] / degree))
    return (min(max(row, 0), rows - 1) * columns + min(max(column, 0), columns - 1)) % partitions


def make_devices(city, partitions):
    streets = [row[0] for row in city.rows("SELECT code FROM tongguan.street ORDER BY code LIMIT 2")]
    frame = dict(zip(("lon0", "lat0", "lon1", "lat1", "region_m"), city.rows(
        "SELECT ST_XMin(boundary), ST_YMin(boundary), ST_XMax(boundary), ST_YMax(boundary), region_m FROM tongguan.city")[0]))
    rng, devices = random.Random(5), []
    for i in range(DEVICES):
        name = f"win-{i:02}"
        place = harness.scattered(rng, 6000) if i % 2 else (None, None)
        devices.append({"id": name, "street": streets[i % 2], "limits": {"level": {"above": 7 + i % 4, "below": -9}},
                        "lon": place[0], "lat": place[1], "partition": partition_of(frame, name, *place, partitions)})
    return devices


def make_events(devices, start, partitions):
    rng, events = random.Random(7), []

    def add(kind, t, partition, **more):
        events.append({"id": uuid.UUID(int=rng.getrandbits(128)).hex, "kind": kind, "t": t, "partition": partition, **more})
    for i in range(60):
        add("single", start + rng.randrange(SPAN), i % partitions, lon=harness.HERE[0], lat=harness.HERE[1], source="hotline", reporter="r")
    for site in range(6):
        for _ in range(60):
            lon, lat = harness.scattered(rng, 150)
            add("near", start + rng.randrange(SPAN), site % partitions, lon=lon + site * 0.02, lat=lat, source="hotline",
                reporter=f"r{rng.randrange(4)}")
    for i, device in enumerate(devices):
        t, level, mute = start + rng.randrange(60 * S), 0.0, 0
        while t < start + SPAN:
            level = level * 0.92 + rng.uniform(-4, 4)
            if rng.random() < 0.01:
                mute = t + rng.randrange(2400 * S)
            # An outage of the whole of one street, and one device that never comes back.
            if t >= mute and not (i % 2 and start + SPAN // 2 <= t < start + SPAN // 2 + 1500 * S) and not (i == 3 and t > start + 4 * SPAN // 5):
                add("word", t, device["partition"], source=device["id"], value=round(level * 2) / 2, lon=harness.HERE[0], lat=harness.HERE[1])
            t += rng.randrange(30, 150) * S
    for event in events:
        event["from"] = rng.randrange(SOURCES)
    return events


def arrivals(events):
    """Every event twice, shuffled within the tolerance; what comes from source partition 2 is an hour late."""
    rng, order = random.Random(11), []
    for event in events:
        at = event["t"] + rng.randrange(LATENESS - S) + (3600 * S if event["from"] == 2 else 0)
        order += [(at, event), (at + rng.randrange(LATENESS), event)]
    order.sort(key=lambda o: o[0])
    return [event for _, event in order]


def wanted_of(events, devices, horizon, zone):
    words = [e for e in events if e["kind"] == "word"]
    own = series_oracle.by_source(words)
    device = {d["id"]: d for d in devices}
    near = [dict(e) for e in events if e["kind"] == "near"]
    found = {"single": {(frozenset([e["id"]]), "open") for e in events if e["kind"] == "single"},
             "cluster": {(m, "cleared") for m in cluster_oracle.clusters(
                 near, CLUSTER["min_events"], CLUSTER["min_reporters"], CLUSTER["radius_m"], CLUSTER["window_us"])}}

    def threshold(name, cooldown, beyond, past, **how):
        spans = [(source, *span) for source, mine in own.items() for span in series_oracle.threshold_spans(
            mine, lambda w, s=source: beyond(w["value"], s), lambda w, s=source: past(w["value"], s), **how)]
        found[name] = series_oracle.incidents(spans, cooldown)

    def limit(v, s):
        limits = device[s]["limits"]["level"]
        return v > limits["above"] or v < limits["below"]
    threshold("kn", 1200 * S, lambda v, s: v > 10, lambda v, s: v < 8, k=3, n=5)
    threshold("for", 0, lambda v, s: v < -6, lambda v, s: v > -5, for_us=240 * S)
    threshold("limits", 0, limit, lambda v, s: not limit(v, s), k=2, n=2)

    def silence(name, after, cooldown=0, area=lambda s: s, expected=None):
        found[name] = series_oracle.incidents([(area(source), *span) for source, mine in own.items() for span in
                                               series_oracle.silence_spans(mine, after * S, horizon, expected, zone)], cooldown)
    silence("silent", 500)
    silence("fold", 700, 300 * S, lambda s: device[s]["street"])
    silence("hours", 600, expected=lambda d: 7 <= d.hour < 12 or (d.hour, d.minute) >= (13, 30) and d.hour < 22)
    return found


# ---- the servers ------------------------------------------------------------------------------------------------------------

class World:
    def __init__(self, city, folder):
        self.city, self.folder = city, folder
        self.redis = Redis(folder)
        self.topics = Topics(city)
        self.partitions = len(self.topics.ends(LOCATED))
        self.zone = ZoneInfo(city.value("SELECT zone FROM tongguan.city"))
        self.devices = make_devices(city, self.partitions)
        noon = datetime.fromtimestamp(now_us() // S, self.zone).replace(hour=9, minute=20, second=0)
        self.start = int(noon.timestamp()) * S - 86400 * S
        self.events = make_events(self.devices, self.start, self.partitions)
        self.order = arrivals(self.events)
        self.end = self.start + SPAN + 3 * 3600 * S
        self.wanted = wanted_of(self.events, self.devices, self.end - LATENESS, self.zone)
        for name, least in {"single": 60, "cluster": 5, "kn": 5, "for": 5, "limits": 5, "silent": 20, "fold": 3, "hours": 10}.items():
            assert len(self.wanted[name]) >= least, f"{name}: the world holds too little to prove anything: {len(self.wanted[name])}"
        assert any(state == "open" for _, state in self.wanted["silent"])
        with city.pg() as conn:
            for d in self.devices:
                conn.execute("INSERT INTO tongguan.device (device_id, source_kind, geom, street, limits) VALUES (%s, 1,"
                             " ST_SetSRID(ST_MakePoint(%s, %s), 4326), %s, %s)", (d["id"], d["lon"], d["lat"], d["street"], json.dumps(d["limits"])))
            for p in range(SOURCES):
                conn.execute("INSERT INTO tongguan.source_offset (topic, partition) VALUES (%s, %s)", (SOURCE_TOPIC, p))
            conn.execute("UPDATE tongguan.city SET version = version + 1")
        self.runs = 0

    def close(self):
        self.redis.kill()
        with self.city.pg() as conn:
            conn.execute("DELETE FROM tongguan.device WHERE device_id LIKE 'win-%'")
            conn.execute("DELETE FROM tongguan.source_offset WHERE topic = %s", (SOURCE_TOPIC,))
            conn.execute("UPDATE tongguan.city SET version = version + 1")

    def begin(self):
        """An empty topic, an empty Redis, rules of this run's own."""
        self.runs += 1
        self.prefix = f"win{self.runs}."
        self.topics.empty(LOCATED)
        self.redis.client.flushall()
        self.said = self.topics.ends(INCIDENTS)
        folder = self.folder / f"packs{self.runs}"
        folder.mkdir(mode=0o755)
        (folder / "windows.yaml").write_text(PACK.format(p=self.prefix))
        self.env = {"TONGGUAN_CORRELATE_PACKS": str(folder), "TONGGUAN_REDIS_URL": self.redis.url, "TONGGUAN_KAFKA_TOPICS": SOURCE_TOPIC}
        self.owners = 0
        self.newest = [self.start] * SOURCES

    def correlate(self, fault=None):
        """In a consumer group of its own: the offsets are in Redis, and nobody waits until Kafka has missed the one that was killed."""
        self.owners += 1
        self.env["TONGGUAN_CORRELATE_GROUP"] = f"windows-{self.runs}-{self.owners}"
        return Role(self.city, "correlate", env=self.env, fault=fault)

    def second(self):
        """Beside the first, at an address of its own."""
        role = Role(self.city, "correlate", env={**self.env, "TONGGUAN_CORRELATE_LISTEN": "127.0.0.1:0"})
        wait_for(lambda: role.proc.poll() is None and self.city.value(
            "SELECT count(DISTINCT pid) FROM pg_stat_activity WHERE application_name = 'tongguan correlate'") >= 2, what="the second correlator")
        return role

    def send(self, share_from, share_to):
        pb = harness.protocol()
        producer = Producer({"bootstrap.servers": self.city.env["TONGGUAN_KAFKA_BROKERS"], "linger.ms": 2})
        n = len(self.order)
        for i, event in enumerate(self.order[int(n * share_from):int(n * share_to)]):
            loc = pb.LocatedEvent(uid=bytes.fromhex(event["id"]), lon=event["lon"], lat=event["lat"], grid_cell="c",
                                  source_topic=SOURCE_TOPIC, source_partition=event["from"])
            ev = loc.event
            ev.event_id, ev.source_id, ev.occurred_at_us = event["id"], event["source"], event["t"]
            if event["kind"] == "word":
                ev.source_kind = pb.SENSOR
                ev.reading.metric, ev.reading.value = "level", event["value"]
            else:
                ev.source_kind, ev.type_code = pb.CITIZEN, SINGLE if event["kind"] == "single" else NEAR
                ev.report.title, ev.report.reporter_id = "x", event["reporter"]
            producer.produce(LOCATED, value=loc.SerializeToString(), partition=event["partition"])
            self.newest[event["from"]] = max(self.newest[event["from"]], event["t"])
            if i % 150 == 149:
                self.progress(producer, self.newest)
                producer.poll(0)
        self.progress(producer, [self.end] * SOURCES if share_to == 1 else self.newest)
        assert producer.flush(60) == 0

    def progress(self, producer, marks):
        pb = harness.protocol()
        for p in range(self.partitions):
            for source in range(SOURCES):
                loc = pb.LocatedEvent(source_topic=SOURCE_TOPIC, source_partition=source, progress_us=marks[source])
                producer.produce(LOCATED, value=loc.SerializeToString(), partition=p)

    def caught_up(self):
        ends = self.topics.ends(LOCATED)

        def done():
            try:
                return all(int(self.redis.client.hget(f"tg:{{p{p}}}:meta", "offset") or -1) == end for p, end in ends.items())
            except redis.exceptions.RedisError:
                return False
        wait_for(done, 120, every=0.05, what="correlate to read all")

    def found(self):
        rows = self.city.rows("""SELECT i.rule_id, i.state, array_agg(replace(m.event_uid::text, '-', '')) FROM tongguan.incident i
            JOIN tongguan.incident_event m USING (incident_id) WHERE i.rule_id LIKE %s AND i.state IN ('open', 'cleared') GROUP BY i.incident_id""",
                              self.prefix + "%")
        found = {name: set() for name in self.wanted}
        for rule, state, ids in rows:
            found[rule.removeprefix(self.prefix)].add((frozenset(ids), state))
        return found

    def check(self):
        """The same incidents, and of each the last message tells its row."""
        self.caught_up()
        self.send(1, 1)  # ingest says every second how far it is: what the last batch raised is cleared by the next
        self.caught_up()
        found = self.found()
        for name, wanted in self.wanted.items():
            assert found[name] == wanted, (f"{name}: {len(wanted - found[name])} of {len(wanted)} are missing, {len(found[name] - wanted)} are wrong: "
                                           f"{[(sorted(m)[:3], s) for m, s in list(wanted ^ found[name])[:4]]}")
        last = {}
        for doc in self.topics.since(INCIDENTS, self.said):
            if doc["rule_id"].startswith(self.prefix) and doc["revision"] >= last.get(doc["incident_id"], {"revision": 0})["revision"]:
                last[doc["incident_id"]] = doc
        rows = {i: (state, revision, merged, kind) for i, state, revision, merged, kind in self.city.rows(
            "SELECT incident_id::text, state, revision, merged_into::text, rule_id FROM tongguan.incident WHERE rule_id LIKE %s", self.prefix + "%")}
        told = {i: (d["state"], d["revision"], d["merged_into"], d["rule_id"]) for i, d in last.items()}
        assert told == rows, [(i, told.get(i), rows.get(i)) for i in {*told, *rows} if told.get(i) != rows.get(i)][:5]
        print(f"\n{len(self.events)} events, each twice; equal to the oracle:", ", ".join(f"{len(w)} {name}" for name, w in self.wanted.items()))


@pytest.fixture(scope="module")
def world(servers, tmp_path_factory):
    folder = tmp_path_factory.mktemp("windows")
    os.chmod(folder, 0o755)
    world = World(servers, folder)
    yield world
    world.close()


@pytest.fixture(autouse=True)
def nobody_stays(world):
    """A correlator that outlives a failed test would answer for the next one's."""
    yield
    for role in world.city.roles:
        if role.proc.poll() is None:
            role.kill()


EXPLAINED = {
    "kn": ["level above 10, in 3 of the last 5 readings since the last clearing", "limits from  of the rule", "the first reading below 8",
           " at 20", "watermark   20"],
    "for": ["level below -6, without a pause for 240 s", "the first reading above -5"],
    "limits": ["beyond the limits of the device, in 2 of the last 2", "from the registry of the city", "its limits  above", "or below -9"],
    "silent": ["nothing was heard of the device for 500 s", 'devices "win-*" of the registry', "when the watermark less the tolerance had passed",
               "heard at 20"],
    "fold": ["all silent devices of street", " devices, "],
    "hours": ["of the hours in which it is expected to speak", "07:00-12:00,13:30-22:00, by the clock of America/New_York"],
}


# ---- what may happen --------------------------------------------------------------------------------------------------------

def test_windows__replayed_from_the_start_at_full_speed(world):
    world.begin()
    world.send(0, 1)
    role = world.correlate().ready()
    world.check()
    role.stop()
    for name, says in EXPLAINED.items():
        incident = world.city.value("SELECT incident_id::text FROM tongguan.incident WHERE rule_id = %s AND state IN ('open', 'cleared')"
                                    " ORDER BY first_event_at LIMIT 1", world.prefix + name)
        done = world.city.run("rules", "explain", incident)
        assert done.returncode == 0 and all(words in done.stdout for words in says), done.stdout + done.stderr


def test_windows__killed_between_row_message_and_redis(world):
    world.begin()
    for n, fault in enumerate(("correlate_before_row:2", "correlate_after_row:2", "correlate_before_redis:3")):
        role = world.correlate(fault)
        world.send(n / 5, (n + 1) / 5)
        assert role.died_at_fault()
    role = world.correlate().ready()
    world.send(3 / 5, 4 / 5)
    role.kill()
    role = world.correlate()
    world.send(4 / 5, 1)
    world.check()
    role.stop()


def reading(world, share):
    """A correlator that has read so much of a fresh world."""
    world.begin()
    role = world.correlate().ready()
    world.send(0, share)
    world.caught_up()
    return role


def under_a_living_owner_and_under_a_dead_one(world, role, begun, happens):
    """The same befalls Redis twice, in the middle of what is left to send; the second time its owner is killed before."""
    left = 1 - begun
    happens()
    world.send(begun, begun + left / 2)
    world.caught_up()
    role.kill()
    happens()
    role = world.correlate()
    world.send(begun + left / 2, 1)
    world.check()
    role.stop()


def test_windows__flushall(world):
    role = reading(world, 1 / 3)
    under_a_living_owner_and_under_a_dead_one(world, role, 1 / 3, world.redis.client.flushall)


def test_windows__redis_replaced_by_an_older_copy_of_its_data(world):
    role = reading(world, 1 / 4)
    older = world.redis.copy()
    world.send(1 / 4, 2 / 4)
    world.caught_up()
    under_a_living_owner_and_under_a_dead_one(world, role, 2 / 4, lambda: world.redis.begin_anew(older))


def test_windows__redis_restarted_without_persistence(world):
    role = reading(world, 1 / 2)
    world.redis.begin_anew()
    world.send(1 / 2, 1)
    world.check()
    role.stop()


def test_windows__two_share_the_work_and_one_dies(world):
    world.begin()
    first = world.correlate().ready()
    second = world.second()
    world.send(0, 1 / 2)
    world.caught_up()
    second.kill()
    world.send(1 / 2, 1)
    world.check()
    first.stop()
