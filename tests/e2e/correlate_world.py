"""What tests of correlate need around it: a Redis of their own, and the topics that it reads and writes."""
import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import uuid

import harness
import redis
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from harness import Role, now_us, wait_for

LOCATED, INCIDENTS = "tongguan.events.located", "tongguan.incidents"


class Redis:
    """One that may be killed; its data are what `dump.rdb` holds when it starts."""

    def __init__(self, folder):
        self.dir, self.password = str(folder), secrets.token_hex(8)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"redis://:{self.password}@127.0.0.1:{self.port}"
        self.client = redis.Redis(host="127.0.0.1", port=self.port, password=self.password)
        self.start()

    def start(self):
        self.proc = subprocess.Popen(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--requirepass", self.password, "--save", "",
                                      "--dir", self.dir, "--maxmemory-policy", "noeviction"], stdout=subprocess.DEVNULL)

        def answers():
            try:
                return self.client.ping()
            except redis.exceptions.RedisError:
                return False
        wait_for(answers, what="redis")

    def kill(self):
        self.proc.kill()
        self.proc.wait()

    def begin_anew(self, copy=None):
        """Killed; starts with nothing, or with an older copy of its data."""
        self.kill()
        dump = os.path.join(self.dir, "dump.rdb")
        if os.path.exists(dump):
            os.unlink(dump)
        if copy:
            shutil.copy(copy, dump)
        self.start()

    def copy(self):
        self.client.save()
        return shutil.copy(os.path.join(self.dir, "dump.rdb"), os.path.join(self.dir, "older.rdb"))


class Topics:
    def __init__(self, city):
        self.brokers = {"bootstrap.servers": city.env["TONGGUAN_KAFKA_BROKERS"]}

    def consumer(self):
        return contextlib.closing(harness.Consumer({**self.brokers, "group.id": "test-look", "enable.auto.commit": False}))

    def ends(self, topic):
        """{partition: the offset after its last record}"""
        with self.consumer() as consumer:
            return {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1]
                    for p in consumer.list_topics(topic, timeout=10).topics[topic].partitions}

    def empty(self, topic):
        ends = [TopicPartition(topic, p, end) for p, end in self.ends(topic).items()]
        admin = AdminClient(self.brokers)  # must live until it has answered
        for done in admin.delete_records(ends).values():
            done.result(30)

    def since(self, topic, start):
        """Every record (JSON) from the offsets of `start` to the present ends."""
        ends = {p: end for p, end in self.ends(topic).items() if end > start[p]}
        with self.consumer() as consumer:
            consumer.assign([TopicPartition(topic, p, start[p]) for p in ends])
            while ends:
                message = consumer.poll(30)
                assert message is not None and not message.error(), message and message.error()
                yield json.loads(message.value())
                if message.offset() + 1 == ends[message.partition()]:
                    del ends[message.partition()]


# ---- packs of a test's own -----------------------------------------------------------------------------------------------

HEAD = "pack: one\nversion: 1\nlateness_s: 60\nrules:\n"
SINGLE = '  - {{id: {}, version: 1, kind: single, domain: minsheng, severity: 3, auto_file: false, types: ["01001"]}}\n'
HOT = ("  - {{id: {}, version: 1, kind: threshold, domain: jianguan, severity: 2, auto_file: false, metric: rl_heat, above: {}, k: 1, n: 1,"
       " clear_below: 5}}\n")
SILENT = '  - {{id: {}, version: 1, kind: silence, domain: jianguan, severity: 3, auto_file: false, devices: "rl-dumb", after_s: 120}}\n'
SILENT_DEVICE = "rl-dumb"


class PacksWorld:
    """A correlator with packs of its own, over an empty topic and an empty Redis."""

    def __init__(self, city, folder):
        self.city, self.folder, self.redis, self.topics = city, folder, Redis(folder), Topics(city)
        self.packs = folder / "packs"
        self.packs.mkdir(mode=0o755)
        self.now = now_us() - 3600_000_000
        home = 2166136261  # where ingest sends what a device without a place says
        for byte in SILENT_DEVICE.encode():
            home = (home ^ byte) * 16777619 % (1 << 32)
        self.home = home % len(self.topics.ends(LOCATED))

    def begin(self, *rules):
        """Packs of these rules, each named anew; returns the names."""
        self.now = now_us() - 3600_000_000
        self.topics.empty(LOCATED)
        self.redis.client.flushall()
        for pack in self.packs.iterdir():
            pack.unlink()
        self.said = self.topics.ends(INCIDENTS)
        self.prefix = f"rl{uuid.uuid4().hex[:6]}"
        self.write(*rules)

    def write(self, *rules, name="a.yaml"):
        """(kind, name, limit …) each"""
        text = HEAD + "".join(kind.format(f"{self.prefix}.{rule}", *more) for kind, rule, *more in rules)
        (self.packs / f"{name}.new").write_text(text)
        os.rename(self.packs / f"{name}.new", self.packs / name)  # whole at once, as whoever changes packs should

    def correlate(self, fault=None):
        env = {"TONGGUAN_CORRELATE_PACKS": str(self.packs), "TONGGUAN_REDIS_URL": self.redis.url, "TONGGUAN_KAFKA_TOPICS": "reload.test",
               "TONGGUAN_CORRELATE_GROUP": f"reload-{uuid.uuid4().hex[:8]}"}
        return Role(self.city, "correlate", env=env, fault=fault)

    def rules(self):
        return {rule.removeprefix(f"{self.prefix}.") for (rule,) in self.city.rows("SELECT rule_id FROM tongguan.rule")}

    def say(self, source=None, value=None, seconds=1, stored=False):
        """A word of a device, or only that event time has come further, everywhere. stored: as ingest does, at that very time."""
        pb = harness.protocol()
        self.now += seconds * 1_000_000
        loc = pb.LocatedEvent(source_topic="reload.test", source_partition=0, uid=uuid.uuid4().bytes)
        if source:
            loc.event.event_id, loc.event.source_id, loc.event.source_kind = uuid.uuid4().hex, source, pb.SENSOR
            loc.event.occurred_at_us = self.now
            loc.event.reading.metric, loc.event.reading.value = "rl_heat", value
        else:
            loc.progress_us = self.now
        for partition in {None: {0, self.home}, SILENT_DEVICE: {self.home}}.get(source, {0}):
            self.city.produce(LOCATED, [loc.SerializeToString()], partition=partition)
        if stored:
            with self.city.pg() as conn:
                conn.execute("SELECT tongguan.event_partition_ensure(tongguan.us_to_time(%s)::date)", (self.now,))
                conn.execute("INSERT INTO tongguan.event (uid, occurred_at, ingested_at, source, source_pos, source_id, event_id, source_kind,"
                             " metric, value, region, flags) SELECT %s, t, t, 1, 1, %s, %s, 1, 'rl_heat', %s, 0, 0"
                             " FROM tongguan.us_to_time(%s) AS t", (uuid.UUID(bytes=loc.uid), source, loc.event.event_id, value, self.now))

    def incidents(self):
        """{rule: [(state, why it was ended)]}"""
        found = {}
        for rule, state, ended in self.city.rows("SELECT rule_id, state, explanation #>> '{ended,reason}' FROM tongguan.incident"
                                                 " WHERE rule_id LIKE %s ORDER BY first_event_at", self.prefix + ".%"):
            found.setdefault(rule.removeprefix(f"{self.prefix}."), []).append((state, ended))
        return found

    def become(self, wanted, what):
        """Event time goes on, as ingest says each second, until these are the incidents."""
        def are():
            self.say()
            return self.incidents() == wanted
        try:
            wait_for(are, 30, every=0.2, what=what)
        except AssertionError as late:
            raise AssertionError(f"{late}: {self.incidents()}") from late

    def messages(self, rule):
        return [(doc["state"], doc["explanation"].get("ended", {}).get("reason")) for doc in self.topics.since(INCIDENTS, self.said)
                if doc["rule_id"] == f"{self.prefix}.{rule}"]

    def end(self):
        """A correlator that outlives a failed test would answer for the next one's."""
        for role in self.city.roles:
            if role.proc.poll() is None:
                role.kill()


def packs_world(city, folder):
    os.chmod(folder, 0o755)
    world = PacksWorld(city, folder)
    with city.pg() as conn:
        conn.execute("INSERT INTO tongguan.device (device_id, source_kind) VALUES (%s, 1)", (SILENT_DEVICE,))
        conn.execute("UPDATE tongguan.city SET version = version + 1")
    yield world
    world.redis.kill()
    with city.pg() as conn:
        conn.execute("DELETE FROM tongguan.device WHERE device_id = %s", (SILENT_DEVICE,))
        conn.execute("DELETE FROM tongguan.event WHERE metric = 'rl_heat'")
        conn.execute("UPDATE tongguan.city SET version = version + 1")
