"""A running city for tests: real servers started by `tongguan up`, and the few clients the tests speak through.

The servers are private and ephemeral. Roles run under `up`, or, when a test wants to kill them at a named point, as Role objects
of its own. Nothing here waits by sleeping a guessed time: it polls a condition with a deadline.
"""
import contextlib
import http.client
import json
import os
import random
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import uuid
from datetime import datetime, timezone

import psycopg
from confluent_kafka import Consumer, Producer, TopicPartition

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BINARY = os.environ.get("TONGGUAN_BINARY", os.path.join(ROOT, "build/tongguan"))
ROLES = ("ingest", "correlate", "dispatch")


def protocol():
    """The generated module of proto/event.proto."""
    out = os.path.join(ROOT, "build/gen/py")
    made = os.path.join(out, "event_pb2.py")
    source = os.path.join(ROOT, "proto/event.proto")
    if not os.path.exists(made) or os.path.getmtime(made) < os.path.getmtime(source):
        os.makedirs(out, exist_ok=True)
        subprocess.run(["protoc", "--proto_path", os.path.dirname(source), f"--python_out={out}", "event.proto"], check=True)
    if out not in sys.path:
        sys.path.insert(0, out)
    import event_pb2
    return event_pb2


def wait_for(condition, timeout=30.0, every=0.02, what="the condition"):
    """The first true value of condition(); AssertionError after timeout seconds."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come true within {timeout:g} s")
        time.sleep(every)


def now_us():
    return time.time_ns() // 1000


def rfc3339(us):
    return datetime.fromtimestamp(us / 1e6, timezone.utc).isoformat().replace("+00:00", "Z")


class Api:
    """One signed-in caller of the HTTP API."""

    def __init__(self, address, token=None):
        self.address, self.token = address, token

    def __call__(self, method, path, body=None, headers=None, raw=False):
        conn = http.client.HTTPConnection(self.address, timeout=30)
        send = dict(headers or {})
        if self.token:
            send["Authorization"] = f"Bearer {self.token}"
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            send.setdefault("Content-Type", "application/json")
        conn.request(method, urllib.parse.quote(path, safe="/?&=%,:{}-._~"), body=data, headers=send)
        answer = conn.getresponse()
        text = answer.read()
        conn.close()
        if raw:
            return answer.status, dict(answer.getheaders()), text
        kind = answer.getheader("Content-Type", "")
        return answer.status, json.loads(text) if text and "json" in kind else text

    def get(self, path):
        status, doc = self("GET", path)
        assert status == 200, (path, status, doc)
        return doc

    def act(self, case, action, expect=200, **fields):
        """One case action with the version the case has now."""
        body = {"action": action, "version": fields.pop("version", None) or self.get(f"/api/v1/cases/{case}")["version"], **fields}
        status, doc = self("POST", f"/api/v1/cases/{case}/actions", body)
        assert status == expect, (action, status, doc)
        return doc

    def act_task(self, task, action, expect=200, **fields):
        body = {"action": action, "version": fields.pop("version", None) or self.get(f"/api/v1/tasks/{task}")["version"], **fields}
        status, doc = self("POST", f"/api/v1/tasks/{task}/actions", body)
        assert status == expect, (action, status, doc)
        return doc


class Stream:
    """A listener on GET /api/v1/stream; events are (event, id, data) in order of arrival."""

    def __init__(self, api, last_id=None, since=None):
        host, port = api.address.split(":")
        self.conn = http.client.HTTPConnection(host, int(port), timeout=30)
        headers = {"Authorization": f"Bearer {api.token}", "Accept": "text/event-stream"}
        if last_id is not None:
            headers["Last-Event-ID"] = str(last_id)
        self.conn.request("GET", "/api/v1/stream" + (f"?since={since}" if since is not None else ""), headers=headers)
        self.answer = self.conn.getresponse()
        assert self.answer.status == 200, self.answer.status
        self.sock = self.answer.fp
        self.ready = select.poll()
        self.ready.register(self.sock.fileno(), select.POLLIN)
        self.buffer, self.events = b"", []

    def read(self, seconds):
        """Takes in what arrives within so many seconds (at least one turn)."""
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            if not self.ready.poll(max(left, 0) * 1000):
                return self.events
            data = self.answer.read1(65536)
            if not data:
                return self.events
            self.buffer += data
            self._parse()
            if left <= 0:
                return self.events

    def until(self, wanted, timeout=20):
        """The first event for which wanted(event, id, data) holds."""
        seen, end = 0, time.monotonic() + timeout
        while True:
            for event in self.events[seen:]:
                if wanted(*event):
                    return event
            seen = len(self.events)
            assert time.monotonic() < end, f"no such event; last: {self.events[-3:]}"
            self.read(0.2)

    def _parse(self):
        while b"\n\n" in self.buffer:
            block, self.buffer = self.buffer.split(b"\n\n", 1)
            fields = {}
            for line in block.decode().split("\n"):
                if line and not line.startswith(":"):
                    name, _, value = line.partition(":")
                    fields[name] = value.lstrip(" ")
            if "event" in fields or "data" in fields:
                data = json.loads(fields["data"]) if fields.get("data") else None
                self.events.append((fields.get("event", "message"), fields.get("id"), data))

    def close(self):
        self.conn.close()


class Role:
    """One role process of the test's own."""

    def __init__(self, city, name, fault=None, binary=BINARY, env=None):
        self.city, self.name = city, name
        self.fault_file = tempfile.NamedTemporaryFile(prefix="fault-", dir=city.dir, delete=False).name
        self.log = open(os.path.join(city.dir, f"{name}-test.log"), "ab")
        extra = dict(city.env, **(env or {}))
        if fault:
            extra |= {"TONGGUAN_FAULT_POINT": fault, "TONGGUAN_FAULT_FILE": self.fault_file}
        self.proc = subprocess.Popen([binary, name], cwd=ROOT, env=extra, stdout=self.log, stderr=self.log)
        city.roles.append(self)

    def ready(self, timeout=30):
        address = {"ingest": "TONGGUAN_INGEST_LISTEN", "correlate": "TONGGUAN_CORRELATE_LISTEN",
                   "dispatch": "TONGGUAN_HTTP_LISTEN"}[self.name]

        def answers():
            assert self.proc.poll() is None, f"{self.name} ended with {self.proc.returncode}: see {self.log.name}"
            with contextlib.suppress(OSError, http.client.HTTPException):
                conn = http.client.HTTPConnection(self.city.env[address], timeout=2)
                conn.request("GET", "/readyz")
                return conn.getresponse().status == 200
        wait_for(answers, timeout, what=f"{self.name} ready")
        return self

    def died_at_fault(self, timeout=60):
        """Waits until the process has killed itself at its fault point; False when it is still alive."""
        try:
            self.proc.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        with open(self.fault_file) as f:
            return self.proc.returncode == -signal.SIGKILL and f.read().startswith("fault ")

    def kill(self, sig=signal.SIGKILL):
        if self.proc.poll() is None:
            self.proc.send_signal(sig)
        self.proc.wait(15)
        self.log.close()
        return self.proc.returncode

    def stop(self):
        return self.kill(signal.SIGTERM)


class City:
    """`tongguan up --ephemeral`, its addresses and accounts."""

    def __init__(self, name="boston", roles=None, env=None, feed="none", extra=()):
        self.roles = []  # the test's own Role objects: none outlives the city
        self._dir = tempfile.TemporaryDirectory(prefix="tongguan-test-")
        self.dir = self._dir.name
        os.chmod(self.dir, 0o755)
        start = dict(os.environ, TONGGUAN_STATE_DIR=self.dir, TONGGUAN_HTTP_LISTEN="127.0.0.1:0",
                     TONGGUAN_HTTP_RATE_LIMIT="0", **(env or {}))
        for key in ("TONGGUAN_POSTGRES_URL", "TONGGUAN_REDIS_URL", "TONGGUAN_KAFKA_BROKERS"):
            start.pop(key, None)
        command = [BINARY, "up", "--ephemeral", "--city", name, "--feed", feed, *extra]
        if roles is not None:
            command += ["--roles", ",".join(roles) or "none"]
        self.up = subprocess.Popen(command, cwd=ROOT, env=start, stdout=subprocess.PIPE, text=True)
        self.passwords, self.lines = {}, []
        for line in self.up.stdout:
            self.lines.append(line)
            if match := re.match(r"\s*sign in as (\S+) / (\S+)", line):
                self.passwords[match[1]] = match[2]
            if line.startswith("Ctrl-C"):
                break
        else:
            raise AssertionError("up did not become ready:\n" + "".join(self.lines))
        self.env = dict(start)
        with open(os.path.join(self.dir, "up.env")) as lines:
            self.env |= dict(line.strip().split("=", 1) for line in lines)
        self.address = self.env["TONGGUAN_HTTP_LISTEN"]
        self._tokens, self._producer = {}, None

    def close(self):
        for role in self.roles:
            role.kill()
        if self.up.poll() is None:
            self.up.send_signal(signal.SIGTERM)
        out, _ = self.up.communicate(timeout=90)
        self.lines.append(out or "")
        self._dir.cleanup()
        return self.up.returncode

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def run(self, *args, **kwargs):
        """A subcommand against this city."""
        return subprocess.run([BINARY, *args], cwd=ROOT, env=self.env, capture_output=True, text=True, **kwargs)

    def pg(self):
        return psycopg.connect(self.env["TONGGUAN_POSTGRES_URL"], autocommit=True)

    def rows(self, sql, *params):
        with self.pg() as conn:
            return conn.execute(sql, params).fetchall()

    def value(self, sql, *params):
        return self.rows(sql, *params)[0][0]

    def api(self, who="operator"):
        if who not in self._tokens:
            status, doc = Api(self.address)("POST", "/api/v1/sessions", {"username": who, "password": self.passwords[who]})
            assert status in (200, 201), (status, doc)
            self._tokens[who] = doc["token"]
        return Api(self.address, self._tokens[who])

    def producer(self):
        if not self._producer:
            self._producer = Producer({"bootstrap.servers": self.env["TONGGUAN_KAFKA_BROKERS"], "linger.ms": 0,
                                       "message.max.bytes": 4 << 20})
        return self._producer

    def produce(self, topic, values, headers=None, partition=-1):
        """Sends values (bytes) and waits for every acknowledgement; returns [(partition, offset)]."""
        done = [None] * len(values)
        producer = self.producer()
        for i, value in enumerate(values):
            def note(err, msg, i=i):
                assert err is None, err
                done[i] = (msg.partition(), msg.offset())
            args = {"value": value, "on_delivery": note}
            if headers:
                args["headers"] = headers
            if partition >= 0:
                args["partition"] = partition
            while True:
                try:
                    producer.produce(topic, **args)
                    break
                except BufferError:
                    producer.poll(0.1)
        producer.flush(60)
        assert None not in done
        return done

    def consume(self, topic, timeout=10, enough=None):
        """All records of a topic from its beginning to its present end."""
        consumer = Consumer({"bootstrap.servers": self.env["TONGGUAN_KAFKA_BROKERS"], "group.id": str(uuid.uuid4()),
                             "enable.auto.commit": False, "fetch.message.max.bytes": 8 << 20})
        parts = list(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
        ends = {p: consumer.get_watermark_offsets(TopicPartition(topic, p), timeout=10) for p in parts}
        consumer.assign([TopicPartition(topic, p, low) for p, (low, _) in ends.items()])
        left = {p: high for p, (low, high) in ends.items() if high > low}
        records, end = [], time.monotonic() + timeout
        while left and time.monotonic() < end:
            msg = consumer.poll(0.2)
            if msg is None or msg.error():
                continue
            records.append(msg)
            if msg.offset() + 1 >= left.get(msg.partition(), 1 << 62):
                left.pop(msg.partition(), None)
        consumer.close()
        return records


def judged(city):
    """Everything stored is published, and correlate has consumed every located record."""
    import redis
    if city.value("SELECT count(*) FROM tongguan.source_offset WHERE forwarded < next"):
        return False
    client = redis.Redis.from_url(city.env["TONGGUAN_REDIS_URL"])
    consumer = Consumer({"bootstrap.servers": city.env["TONGGUAN_KAFKA_BROKERS"], "group.id": "test-look"})
    try:
        for p in consumer.list_topics("tongguan.events.located", timeout=10).topics["tongguan.events.located"].partitions:
            _, high = consumer.get_watermark_offsets(TopicPartition("tongguan.events.located", p), timeout=10)
            # Progress records go on arriving each second: a few may be under way.
            if int(client.hget(f"tg:{{p{p}}}:meta", "offset") or 0) + 60 < high:
                return False
    finally:
        consumer.close()
    return True


# ---- events -----------------------------------------------------------------------------------------------------------------

# A point in the middle of Boston's street grid.
HERE = (-71.0750, 42.3450)


def report(event_id=None, source="test-hotline", occurred_us=None, lon=HERE[0], lat=HERE[1], type_code=None, title="报告",
           reporter=None, text="", contact=None, attributes=None, kind="CITIZEN"):
    """A citizen's report as tongguan.v1.Event."""
    pb = protocol()
    ev = pb.Event(event_id=event_id or uuid.uuid4().hex, source_id=source, source_kind=pb.SourceKind.Value(kind),
                  occurred_at_us=occurred_us or now_us())
    if lon is not None:
        ev.location.lon, ev.location.lat = lon, lat
    if type_code:
        ev.type_code = type_code
    ev.report.title = title
    if text:
        ev.report.text = text
    if reporter:
        ev.report.reporter_id = reporter
    if contact:
        ev.report.contact = contact
    for key, value in (attributes or {}).items():
        ev.attributes.add(key=key, value=value)
    return ev


def scattered(rng: random.Random, metres=2000.0):
    """A point near HERE."""
    return HERE[0] + rng.uniform(-metres, metres) / 82000.0, HERE[1] + rng.uniform(-metres, metres) / 111000.0


# A walk from `new` to `closed` in the order the demo accounts take it: (account, on the task?, action, fields).
def walk(type_code, department):
    return [
        ("operator", False, "accept", {"type_code": type_code}),
        ("shift_lead", False, "file", {"condition": 1}),
        ("operator", False, "dispatch", {"tasks": [{"department": department, "role": "lead"}]}),
        ("department", True, "sign", {}),
        ("department", True, "complete", {"result": "已修复"}),
        ("operator", False, "send_check", {}),
        ("inspector", False, "check_pass", {}),
        ("shift_lead", False, "close", {}),
    ]
