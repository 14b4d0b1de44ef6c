"""Compares what stands in the database and in the topics with the ledger. Every violation has a name."""
import json
import struct
import threading
import time

import psycopg
from confluent_kafka import Consumer, TopicPartition
from ledger import aside, masked, pb, uid_of

LOCATED, DEAD = "tongguan.events.located", "tongguan.dead_letter"
COLUMNS = """e.uid, (extract(epoch FROM e.occurred_at) * 1000000)::bigint, o.topic, o.partition, e.source_pos, e.source_id,
    e.event_id, e.source_kind, e.type_code, e.metric, e.value, e.unit, e.speed_kmh, e.heading_deg, e.state,
    ST_X(e.geom), ST_Y(e.geom), ST_SRID(e.geom), e.datum, e.accuracy_m, e.grid_cell, e.street, e.district, e.region, e.flags,
    e.contact, e.payload::text, e.ingested_at <= clock_timestamp()"""
UNKNOWN_TYPE, UNREGISTERED, OUTSIDE = 1, 2, 4


class Violations(dict):
    """Name → how often, with one example each."""

    def __init__(self):
        super().__init__()
        self.examples = {}

    def note(self, name, example="", n=1):
        if n:
            self[name] = self.get(name, 0) + n
            self.examples.setdefault(name, str(example)[:600])

    def text(self):
        return "; ".join(f"{name} × {n} ({self.examples[name]})" for name, n in self.items()) or "none"


class Reader(threading.Thread):
    """Reads both output topics from their beginning, for ever."""

    def __init__(self, brokers, ledger):
        super().__init__(name="reader", daemon=True)
        self.consumer = Consumer({"bootstrap.servers": brokers, "group.id": "ledger", "enable.auto.commit": False, "log_level": 2,
                                  "auto.offset.reset": "earliest", "fetch.message.max.bytes": 8 << 20, "fetch.wait.max.ms": 20})
        meta = self.consumer.list_topics(timeout=20).topics
        parts = [TopicPartition(topic, p, 0) for topic in (LOCATED, DEAD) for p in meta[topic].partitions]
        self.consumer.assign(parts)
        self.parts = [(part.topic, part.partition) for part in parts]
        # A client of its own: one that is reading does not answer questions.
        self.asker = Consumer({"bootstrap.servers": brokers, "group.id": "ledger-asks", "log_level": 2})
        self.ledger, self.located, self.dead = ledger, {}, {}
        self.position = {}
        self.wrong = Violations()
        self.ending = False

    def run(self):
        while not self.ending:
            for record in self.consumer.consume(2000, timeout=0.05):
                if not record.error():
                    (self._located if record.topic() == LOCATED else self._dead)(record)
                    self.position[record.topic(), record.partition()] = record.offset() + 1
        self.consumer.close()

    def _located(self, record):
        loc = pb.LocatedEvent.FromString(record.value())
        if not loc.HasField("event"):
            return
        seen = self.located.get(loc.uid, 0)
        self.located[loc.uid] = seen + 1
        if seen:
            return
        sent = self.ledger.events.get(loc.uid)
        if sent is None:
            self.wrong.note("located event that nobody sent", loc)
            return
        want = masked(sent.event())
        if loc.event != want or uid_of(loc.event) != loc.uid:
            self.wrong.note("located event changed", f"{loc.event} instead of {want}")
        place = sent.place
        where = (place.lon, place.lat, place.cell or "", place.street or "", place.district or "") if place else (0.0, 0.0, "", "", "")
        if (loc.lon, loc.lat, loc.grid_cell, loc.street, loc.district) != where:
            self.wrong.note("located event misplaced", f"{loc} instead of {where}")

    def _dead(self, record):
        headers = dict(record.headers() or [])
        at = (headers["source_topic"].decode(), int(headers["source_partition"]), int(headers["source_offset"]))
        self.dead[at] = self.dead.get(at, 0) + 1
        # Of a topic that was made anew two may have stood at one place.
        known = self.ledger.buried.get(at, []) + ([self.ledger.poison[at]] if at in self.ledger.poison else [])
        if self.dead[at] > len(known):
            return  # a repeat, or good: the check counts those

        def same(value, own, reason):
            return (record.value() == value and headers["reason"].decode() == reason and
                    record.key().decode() == "%s/%d/%d" % at and all(headers.get(name) == text for name, text in own or []))
        if not any(same(*poison) for poison in known):
            self.wrong.note("dead letter of the topic changed", (at, headers))

    def catch_up(self, timeout=20):
        """Until everything that stands in the topics now has been read."""
        ends, end = {}, time.monotonic() + timeout
        for topic, p in self.parts:
            ends[topic, p] = self.asker.get_watermark_offsets(TopicPartition(topic, p), timeout=10)[1]
        while any(self.position.get(part, 0) < high for part, high in ends.items()) and time.monotonic() < end:
            time.sleep(0.01)


class Watch(threading.Thread):
    """Looks at the database all the time: offsets never go back, and nothing is stored that its offset does not yet cover."""

    def __init__(self, url):
        super().__init__(name="watch", daemon=True)
        self.url, self.conn = url, None
        self.wrong, self.looks = Violations(), 0
        self.ending, self.forgiving = False, threading.Event()
        self.last = {}

    def run(self):
        while not self.ending:
            try:
                if not self.conn or self.conn.closed:
                    self.conn = psycopg.connect(self.url, autocommit=True, connect_timeout=2)
                self.look()
            except psycopg.Error:
                if self.conn:
                    self.conn.close()
            time.sleep(0.1)

    def look(self):
        for row, topic, part, *now in self.conn.execute(
                "SELECT id, topic, partition, next, forwarded, epoch FROM tongguan.source_offset"):
            before = self.last.get(row, now)
            if any(a < b for a, b in zip(now, before)) and not self.forgiving.is_set():
                self.wrong.note("offset went back", f"{topic}/{part}: {before} → {now}")
            self.last[row] = now
        ahead = AHEAD(self.conn)
        if not self.forgiving.is_set():
            self.wrong.note("stored ahead of its offset", "", ahead)
        self.looks += 1


def AHEAD(conn):
    """Rows beyond the stored offset of their partition, in one snapshot: offsets and rows move together, or this is not 0."""
    return conn.execute("""SELECT count(*) FROM tongguan.event e JOIN tongguan.source_offset o ON o.id = e.source
        WHERE e.source_pos >= o.next AND e.ingested_at > now() - interval '30 s'""").fetchone()[0]


def expected(sent, regions):
    """The columns of an event as sent, but for where it was read."""
    ev, place = sent.event(), sent.place
    part = ev.WhichOneof("payload")
    reading, position = part == "reading", part == "position"
    flags = 0
    if part != "report":
        flags |= UNREGISTERED  # the demo city has no devices
    if place and not place.cell:
        flags |= OUTSIDE
    return (ev.source_id, ev.event_id, ev.source_kind, ev.type_code if ev.HasField("type_code") else None,
            ev.reading.metric if reading else None, ev.reading.value if reading else None, ev.reading.unit if reading else None,
            ev.position.speed_kmh if position else None, ev.position.heading_deg if position else None,
            ev.status.state if part == "status" else None,
            place.lon if place else None, place.lat if place else None, 4326 if place else None, None, None,
            place.cell if place else None, place.street if place else None, place.district if place else None,
            regions.get(place) if place else None, flags,
            ev.report.contact if part == "report" and ev.report.HasField("contact") else None, aside(ev))


def float4(value):
    """A real as the driver reads it: the shortest text of a float4 made a double."""
    return None if value is None else struct.unpack("f", struct.pack("f", value))[0]


class Checker:
    def __init__(self, pg_url, ledger, reader, watch):
        self.url, self.ledger, self.reader, self.watch = pg_url, ledger, reader, watch
        self.regions = {}  # place → the region its first event was given: the same for all of them
        self.starts = {}   # id of a partition → everything below was compared before
        self.checked = 0

    def settle(self, conn, timeout):
        """Waits until the offsets stand at the logs' ends; whether they did."""
        end = time.monotonic() + timeout
        moved, last = time.monotonic(), None
        while True:
            rows = {(t, p): (n, f) for t, p, n, f in conn.execute("SELECT topic, partition, next, forwarded FROM tongguan.source_offset")}
            short = {part: (rows.get(part), n) for part, n in self.ledger.ends.items() if rows.get(part) != (n, n)}
            if not short:
                return {}
            if rows != last:
                last, moved = rows, time.monotonic()
            if time.monotonic() > end and time.monotonic() - moved > min(timeout, 10):
                return short
            time.sleep(0.02)

    def check(self, timeout=30, whole=False):
        """Everything the ledger knows against everything there is. The stream must be at rest."""
        wrong = Violations()
        with psycopg.connect(self.url, autocommit=True) as conn:
            for part, (got, want) in self.settle(conn, timeout).items():
                wrong.note("offset is not last + 1", f"{part}: (next, forwarded) {got}, want {want}")
            wrong.note("stored ahead of its offset", "", AHEAD(conn))
            due = self.ledger.due()
            self._rows(conn, wrong, due, whole)
            self._dead(conn, wrong)
        self.reader.catch_up()
        missing = [uid for uid in due if uid not in self.reader.located]
        wrong.note("event stored and not located", missing[:1], len(missing))
        # The dead letter topic names the topic as it was called then.
        silent = [at for at in self.ledger.due_poison() if (at[0].split("@")[0], *at[1:]) not in self.reader.dead]
        wrong.note("poison missing from the topic", silent[:1], len(silent))
        known = {(topic.split("@")[0], p, offset) for topic, p, offset in self.ledger.poison}
        wrong.note("good record in the dead letter topic", "", len(set(self.reader.dead) - known))
        for other in (self.reader.wrong, self.watch.wrong):
            for name, n in other.items():
                wrong.note(name, other.examples[name], n)
            other.clear()
        return wrong

    def _rows(self, conn, wrong, due, whole):
        stored = conn.execute("SELECT count(*) FROM tongguan.event").fetchone()[0]
        since = {} if whole or stored != len(due) else self.starts
        seen = set()
        with conn.transaction(), conn.cursor("rows") as rows:
            rows.itersize = 5000
            rows.execute(f"""WITH o AS MATERIALIZED (SELECT id, topic, partition, coalesce((%s::jsonb ->> id::text)::bigint, 0) AS since
                FROM tongguan.source_offset) SELECT {COLUMNS} FROM tongguan.event e JOIN o ON o.id = e.source
                WHERE e.source_pos >= o.since""", (json.dumps(since),))
            for row in rows:
                self._row(wrong, row, due, seen)
        if stored != len(due):
            lost = [uid for uid in due if uid not in seen]
            wrong.note("event lost", [due[uid].at for uid in lost[:2]], len(lost))
            wrong.note("event doubled", f"{stored} rows of {len(due)} events", max(0, stored - len(seen)))
        self.starts = {str(i): n for i, n in conn.execute("SELECT id, next FROM tongguan.source_offset")}

    def _row(self, wrong, row, due, seen):
        uid, occurred, topic, partition, pos, *rest, payload, past = row
        uid = uid.bytes
        self.checked += 1
        if uid in seen:
            wrong.note("event doubled", uid.hex())
        seen.add(uid)
        sent = due.get(uid)
        if sent is None:
            wrong.note("row that nobody sent", row[:8])
            return
        if (topic.split("@")[0], partition, pos) not in sent.at:
            wrong.note("row from a place where it never stood", f"{(topic, partition, pos)} not in {sent.at}")
        if sent.place and sent.place not in self.regions:
            self.regions[sent.place] = row[23]
        want = list(expected(sent, self.regions))
        got = [*rest, json.loads(payload) if payload else None]
        for i in (7, 8):
            want[i], got[i] = float4(want[i]), float4(got[i])
        if got != want or occurred != sent.event().occurred_at_us or not past:
            wrong.note("event changed", f"{got} instead of {want}")

    def _dead(self, conn, wrong):
        due = self.ledger.due_poison()
        rows = conn.execute('SELECT topic, partition, "offset", reason, value, key, headers FROM tongguan.dead_letter').fetchall()
        got = {}
        for topic, partition, offset, *rest in rows:
            got[topic, partition, offset] = rest
        lost = [at for at in due if at not in got]
        wrong.note("poison lost", lost[:2], len(lost))
        wrong.note("good record in the dead letters", [at for at in got if at not in due][:2], len([at for at in got if at not in due]))
        for at, (reason, value, key, headers) in got.items():
            if at in due:
                sent, own, want = due[at]
                names = [h["name"] for h in headers]
                if (reason, value, key) != (want, sent, b"k") or names != [name for name, _ in own or []]:
                    wrong.note("dead letter changed", f"{at}: {reason} instead of {want}, {len(value or b'')} bytes, {headers}")
