"""One set of servers, one stream without end, up to three ingests behind proxies, the ledger and its checker."""
import http.client
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time

import psycopg
from checker import Checker, Reader, Watch
from confluent_kafka import Producer
from confluent_kafka.admin import NewTopic
from harness import BINARY, ROOT, wait_for
from ledger import Ledger, Stream, places
from proxy import Loop, PgProxy, Proxy
from servers import Kafka, Postgres, SmallDisk, free_port, server_user, spawn

TOPICS = {"tongguan.sensor.readings": 3, "tongguan.vehicle.positions": 3, "tongguan.inspector.reports": 3, "tongguan.citizen.reports": 3}
ANEW = "tongguan.faults.anew"  # is deleted and made anew; the stream leaves it alone
SLOTS = 3


class Ingest:
    """One place for an ingest process: its addresses stay, its processes come and go."""

    def __init__(self, line, slot, pg_port, kafka_port):
        self.line, self.slot, self.address = line, slot, f"127.0.0.1:{free_port()}"
        self.pg = PgProxy(line.loop, pg_port, line.postgres.url())
        self.kafka = Proxy(line.loop, kafka_port)
        self.pg.upstream, self.proc, self.stopped = line.postgres.port, None, False
        self.log = os.path.join(line.dir, f"ingest-{slot}.log")

    def start(self, binary=None, fault=None, env=None):
        self.fault_file = os.path.join(self.line.dir, f"fault-{self.slot}-{time.monotonic_ns()}")
        more = dict(os.environ, TONGGUAN_STATE_DIR=self.line.dir, TONGGUAN_INGEST_LISTEN=self.address,
                    TONGGUAN_POSTGRES_URL=self.line.postgres.url(port=self.pg.port),
                    TONGGUAN_KAFKA_BROKERS=f"127.0.0.1:{self.kafka.port}", TONGGUAN_LOG_LEVEL="info",
                    TONGGUAN_KAFKA_TOPICS=",".join([*self.line.topics, ANEW]), **(env or {}))
        if fault:
            more |= {"TONGGUAN_FAULT_POINT": fault, "TONGGUAN_FAULT_FILE": self.fault_file}
        self.began = time.monotonic()
        self.proc = spawn([binary or self.line.binary, "ingest"], self.log, cwd=ROOT, env=more)
        return self

    def alive(self):
        return self.proc is not None and self.proc.poll() is None

    def ask(self, path):
        try:
            conn = http.client.HTTPConnection(self.address, timeout=2)
            conn.request("GET", path)
            answer = conn.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""

    def ready(self, timeout=40):
        """Waits for it; seconds since the process began."""
        def answers():
            assert self.alive(), f"ingest {self.slot} ended with {self.proc.returncode}: see {self.log}"
            return self.ask("/readyz")[0] == 200
        wait_for(answers, timeout, every=0.005, what=f"ingest {self.slot} ready ({self.ask('/readyz')})")
        return time.monotonic() - self.began

    def metric(self, name):
        for line in self.ask("/metrics")[1].splitlines():
            if line.startswith(f"tongguan_ingest_{name}") and not line.startswith("#"):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    def memory_kb(self):
        with open(f"/proc/{self.proc.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    def kill(self):
        """True when it was alive and SIGKILL is what ended it."""
        hit = self.alive()
        self.proc.kill()
        return self.proc.wait(10) == -signal.SIGKILL and hit

    def freeze(self):
        self.proc.send_signal(signal.SIGSTOP)

    def wake(self):
        self.proc.send_signal(signal.SIGCONT)

    def stop(self):
        """SIGTERM; (exit code, seconds)."""
        began = time.monotonic()
        self.proc.send_signal(signal.SIGCONT)
        self.proc.send_signal(signal.SIGTERM)
        return self.proc.wait(30), time.monotonic() - began


class Line:
    def __init__(self, seed=1, rate=250, binary=BINARY):
        self.seed, self.binary, self.rng = seed, binary, random.Random(f"line-{seed}")
        self.topics = dict(TOPICS)
        self.keep = bool(os.environ.get("TONGGUAN_TEST_KEEP"))
        self.dir = tempfile.mkdtemp(prefix="tongguan-faults-")
        os.chmod(self.dir, 0o755)
        self.loop, self.user = Loop(), server_user()
        self.ingests, self.disk, self.stream = [], None, None
        self.postgres = Postgres(self.dir, self.user)
        ports = [free_port() for _ in range(SLOTS)]
        self.kafka = Kafka(self.dir, self.user, ports)
        self.ingests = [Ingest(self, i, free_port(), ports[i]) for i in range(SLOTS)]
        for ingest, port in zip(self.ingests, self.kafka.ports):
            ingest.kafka.upstream = port
        self.env = dict(os.environ, TONGGUAN_STATE_DIR=self.dir, TONGGUAN_POSTGRES_URL=self.postgres.url(),
                        TONGGUAN_KAFKA_BROKERS=self.kafka.address, TONGGUAN_KAFKA_INPUT_PARTITIONS="3")
        self.tool("migrate", "--topics")
        self.make_topic(ANEW)
        self.tool("city", "load", "schema/cities/boston")
        with self.pg() as conn:
            types = [code for (code,) in conn.execute("SELECT type_code FROM tongguan.case_type ORDER BY 1 LIMIT 20")]
            where = places(conn, self.rng)
        self.ledger = Ledger(random.Random(f"ledger-{seed}"), where, types)
        self.producer = self.new_producer()
        self.reader = Reader(self.kafka.address, self.ledger)
        self.watch = Watch(self.postgres.url())
        self.checker = Checker(self.postgres.url(), self.ledger, self.reader, self.watch)
        self.stream = Stream(self.ledger, self.producer, self.topics, seed, rate)
        for thread in (self.reader, self.watch, self.stream):
            thread.start()

    def tool(self, *args):
        done = subprocess.run([BINARY, *args], cwd=ROOT, env=self.env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done

    def make_topic(self, name, partitions=2):
        admin = self.kafka.admin()
        admin.create_topics([NewTopic(name, partitions, 1)])[name].result(30)

    def new_producer(self):
        return Producer({"bootstrap.servers": self.kafka.address, "enable.idempotence": True, "linger.ms": 1,
                         "max.in.flight.requests.per.connection": 1, "message.timeout.ms": 0, "log_level": 2,
                         "retry.backoff.ms": 50, "reconnect.backoff.max.ms": 500, "message.max.bytes": 4 << 20})

    def pg(self):
        return psycopg.connect(self.postgres.url(), autocommit=True)

    def rows(self, sql, *params):
        with self.pg() as conn:
            return conn.execute(sql, params).fetchall()

    def value(self, sql, *params):
        return self.rows(sql, *params)[0][0]

    def offsets(self):
        return {(t, p): (n, f, e) for t, p, n, f, e in
                self.rows("SELECT topic, partition, next, forwarded, epoch FROM tongguan.source_offset WHERE topic NOT LIKE '%%@%%'")}

    def up(self, *slots, **how):
        """Exactly these ingests run, of the plain build, and are ready."""
        for i, ingest in enumerate(self.ingests):
            if i in slots and not ingest.alive():
                ingest.start(**how)
            elif i not in slots and ingest.alive():
                ingest.stop()
        for i in slots:
            self.ingests[i].ready()
        return [self.ingests[i] for i in slots]

    def flows(self, n=1, timeout=30):
        """Waits until n more records were dealt with, by the database's offsets."""
        def total():
            return sum(next for next, _, _ in self.offsets().values())
        goal = total() + n
        wait_for(lambda: total() >= goal, timeout, what=f"{n} more records stored")

    def flows_to(self, goal, timeout=30):
        """Waits until so many records were dealt with in all, by the database's offsets."""
        wait_for(lambda: sum(n for n, _, _ in self.offsets().values()) >= goal, timeout,
                 what=f"{goal} records stored")

    def check(self, timeout=30, whole=False):
        self.stream.stop()
        return self.checker.check(timeout, whole)

    def forget(self):
        """A new beginning after a broken build: tables empty, offsets at the logs' ends, an empty ledger."""
        self.stream.stop()
        for ingest in self.ingests:
            if ingest.alive():
                ingest.kill()
        self.watch.forgiving.set()
        with self.pg() as conn:
            conn.execute("TRUNCATE tongguan.event, tongguan.dead_letter")
            for (topic, part), n in self.ledger.ends.items():
                conn.execute("UPDATE tongguan.source_offset SET next = %s, forwarded = %s WHERE topic = %s AND partition = %s",
                             (n, n, topic, part))
        self.reader.catch_up()
        ends = dict(self.ledger.ends)
        self.ledger.clear()
        self.ledger.ends |= ends
        self.reader.located.clear()
        self.reader.dead.clear()
        self.checker.starts = {}
        time.sleep(0.3)  # one more look with the old state in hand
        self.reader.wrong.clear()
        self.watch.wrong.clear()
        self.watch.last = {}
        self.watch.forgiving.clear()

    def small_disk(self):
        if not self.disk:
            self.disk = SmallDisk(self.dir, self.user)
        return self.disk

    def close(self):
        if self.stream:
            self.stream.ending = self.watch.ending = self.reader.ending = True
            self.stream.going.clear()
            for thread in (self.stream, self.watch, self.reader):
                thread.join(10)
        for ingest in self.ingests:
            if ingest.alive():
                ingest.kill()
        self.kafka.kill()
        self.postgres.stop()
        self.loop.close()
        if self.disk:
            self.disk.close()
        if not self.keep:
            shutil.rmtree(self.dir, ignore_errors=True)
