"""What was sent, kept by the sender alone: every event, every poison, where Kafka acknowledged it, and what must become of it."""
import copy
import hashlib
import json
import random
import threading
import time
import uuid

from harness import now_us, protocol, rfc3339

pb = protocol()
JSON_FORM = [("content-type", b"application/json")]
DAY_US = 86400 * 10**6
AWKWARD = ["路灯不亮", "a\tb\nc\\N\\.", "quo'te \"double\" \\ back", "\u2028 ☃ 🚧", "{\"json\": [1]}", "NULL", "\\x00"]
MEMORY = 200_000  # events a resend is chosen from


def uid_of(ev):
    """contract: 48 bits of the time in ms, 80 bits of BLAKE2b-128 over source, event id and time."""
    text = ev.source_id.encode() + b"\0" + ev.event_id.encode() + b"\0" + ev.occurred_at_us.to_bytes(8, "big")
    return (ev.occurred_at_us // 1000).to_bytes(6, "big") + hashlib.blake2b(text, digest_size=16).digest()[:10]


def mask(contact):
    return "***" + (contact[-4:] if len(contact) > 4 else "")


def masked(ev):
    if ev.WhichOneof("payload") != "report" or not ev.report.HasField("contact"):
        return ev
    other = copy.deepcopy(ev)
    other.report.contact = mask(ev.report.contact)
    return other


def json_form(ev):
    """The event as a producer of JSON writes it."""
    doc = {"event_id": ev.event_id, "source_id": ev.source_id, "source_kind": pb.SourceKind.Name(ev.source_kind).lower(),
           "occurred_at": rfc3339(ev.occurred_at_us)}
    if ev.HasField("location"):
        doc["location"] = {"lon": ev.location.lon, "lat": ev.location.lat}
    if ev.HasField("type_code"):
        doc["type_code"] = ev.type_code
    if ev.attributes:
        doc["attributes"] = {a.key: a.value for a in ev.attributes}
    part = ev.WhichOneof("payload")
    doc[part] = {f.name: v for f, v in getattr(ev, part).ListFields() if f.name != "state"}
    if part == "status":
        doc[part] = {"state": pb.DeviceState.Name(ev.status.state).lower()}
    return json.dumps(doc, ensure_ascii=False).encode()


def aside(ev):
    """The members of the JSON form that have no column of their own."""
    doc = {}
    if ev.attributes:
        doc["attributes"] = {a.key: a.value for a in ev.attributes}
    part = ev.WhichOneof("payload")
    if part == "report":
        doc["report"] = {f.name: v for f, v in masked(ev).report.ListFields()}
    elif part == "reading" and ev.reading.HasField("quality"):
        doc["reading"] = {f.name: v for f, v in ev.reading.ListFields()}
    return doc or None


class Place:
    """A point of the city with the answers that PostGIS gives for it."""

    def __init__(self, lon, lat, cell, street, district):
        self.lon, self.lat, self.cell, self.street, self.district = lon, lat, cell, street, district


def places(conn, rng, n=200):
    """Points over the city and a little beyond; a point on an edge would belong to the lowest cell."""
    west, south, east, north = conn.execute(
        "SELECT ST_XMin(e), ST_YMin(e), ST_XMax(e), ST_YMax(e) FROM (SELECT ST_Extent(boundary) e FROM tongguan.city) b").fetchone()
    points = [(rng.uniform(west - 0.02, east + 0.02), rng.uniform(south - 0.02, north + 0.02)) for _ in range(n)]
    rows = conn.execute("""SELECT p.lon, p.lat, c.cell_id, c.street, s.district
        FROM unnest(%s::float8[], %s::float8[]) AS p(lon, lat)
        LEFT JOIN LATERAL (SELECT cell_id, street FROM tongguan.grid_cell g
            WHERE ST_Intersects(g.geom, ST_SetSRID(ST_MakePoint(p.lon, p.lat), 4326)) ORDER BY g.id LIMIT 1) c ON true
        LEFT JOIN tongguan.street s ON s.code = c.street""", ([p[0] for p in points], [p[1] for p in points])).fetchall()
    return [Place(*row) for row in rows]


class Sent:
    """One event: its bytes (protobuf), the place it lies in, and where it was acknowledged."""
    __slots__ = ("value", "place", "at")

    def __init__(self, value, place):
        self.value, self.place, self.at = value, place, []

    def event(self):
        return pb.Event.FromString(self.value)


class Ledger:
    def __init__(self, rng, where, types):
        self.rng, self.where, self.types = rng, where, types
        self.lock = threading.Lock()
        self.before = (0, 0, 0, 0)  # what was sent before the ledger began anew
        self.events, self.poison, self.sent, self.resent = {}, {}, 0, 0
        self.clear()

    def totals(self):
        """Records, events, resends and poison ever sent."""
        now = (self.sent, len(self.events), self.resent, len(self.poison))
        return tuple(a + b for a, b in zip(self.before, now))

    def clear(self):
        with self.lock:
            self.before = self.totals()
            self.events, self.poison, self.ends, self.order = {}, {}, {}, []
            self.buried = {}   # poison of topics that are gone, by where it stood
            self.gone = set()  # positions that Kafka lost before they were stored
            self.open = self.resent = self.sent = 0

    # ---- making

    def event(self, occurred_us=None):
        """A new event: (value, headers, uid). Out of order by up to 40 days: some lie in another partition."""
        rng = self.rng
        kind = rng.random()
        ev = pb.Event(event_id=f"{rng.getrandbits(64):016x}", source_id=f"src-{rng.randrange(400)}",
                      occurred_at_us=occurred_us or now_us() - int(rng.random() ** 4 * 40 * DAY_US) - rng.randrange(10**6))
        place = rng.choice(self.where)
        if kind < 0.55:
            ev.source_kind = pb.SENSOR
            ev.reading.metric, ev.reading.value, ev.reading.unit = "level", rng.choice([rng.uniform(-50, 50), 1e-7, 12345678.9]), "cm"
            if rng.random() < 0.2:
                ev.reading.quality = "good"
        elif kind < 0.7:
            ev.source_kind = pb.VEHICLE
            ev.position.speed_kmh, ev.position.heading_deg = round(rng.uniform(0, 90), 1), rng.randrange(360)
        elif kind < 0.8:
            ev.source_kind, ev.status.state = pb.SENSOR, rng.randrange(1, 5)
        else:
            ev.source_kind, ev.type_code = rng.choice([pb.CITIZEN, pb.INSPECTOR]), rng.choice(self.types)
            ev.report.title, ev.report.text = rng.choice(AWKWARD), rng.choice(AWKWARD) * rng.randrange(1, 9)
            ev.report.reporter_id = f"r{rng.randrange(1000)}"
            if rng.random() < 0.5:
                ev.report.contact = f"138{rng.randrange(10**8):08d}"
            place = None if rng.random() < 0.1 else place
        if rng.random() < 0.3:
            ev.attributes.add(key="model", value=rng.choice(AWKWARD))
        if place:
            ev.location.lon, ev.location.lat = place.lon, place.lat
        value, uid = ev.SerializeToString(), uid_of(ev)
        with self.lock:
            self.events[uid] = Sent(value, place)
            self.order.append(uid)
        if rng.random() < 0.15:
            return json_form(ev), JSON_FORM, uid
        return value, None, uid

    def again(self):
        """An event that was sent before, mostly long ago, as the same bytes: (value, headers, uid)."""
        rng = self.rng
        recent = rng.random() < 0.3
        with self.lock:
            at = rng.randrange(max(0, len(self.order) - (500 if recent else MEMORY)), len(self.order))
            uid = self.order[at]
            self.resent += 1
        return self.events[uid].value, None, uid

    def bad(self):
        """(value, headers, reason)"""
        rng = self.rng
        value, headers, reason = rng.choice(POISON)(rng)
        return value, headers, reason

    # ---- what Kafka acknowledged

    def begin(self):
        with self.lock:
            self.open += 1

    def at(self, place, uid=None, poison=None):
        """The record of an event (uid), or of a poison (value, headers, reason), stands at (topic, partition, offset)."""
        with self.lock:
            self.open -= 1
            self.sent += 1
            if uid is not None:
                self.events[uid].at.append(place)
            else:
                self.poison[place] = poison
            topic, partition, offset = place
            self.ends[topic, partition] = max(self.ends.get((topic, partition), 0), offset + 1)

    def lose(self, topic, partition, low, high):
        """Kafka itself lost [low, high) of a partition before anybody stored it."""
        with self.lock:
            self.gone |= {(topic, partition, offset) for offset in range(low, high)}

    def bury(self, topic, ids):
        """The topic is gone: what was stored of a partition stands from now on under topic@id."""
        with self.lock:
            for at in [at for at in self.poison if at[0] == topic]:
                self.buried.setdefault(at, []).append(self.poison[at])
                self.poison[f"{topic}@{ids[at[1]]}", at[1], at[2]] = self.poison.pop(at)
            for part in [part for part in self.ends if part[0] == topic]:
                del self.ends[part]

    def due(self):
        """uid → Sent of every event that must be stored: at least one of its records could be read."""
        if not self.gone:
            return {uid: sent for uid, sent in self.events.items() if sent.at}
        return {uid: sent for uid, sent in self.events.items() if any(at not in self.gone for at in sent.at)}

    def due_poison(self):
        return {at: poison for at, poison in self.poison.items() if at not in self.gone}


def _good():
    ev = pb.Event(event_id=uuid.uuid4().hex, source_id="poison", source_kind=pb.CITIZEN, occurred_at_us=now_us())
    ev.report.title = "abc"
    return ev


def _changed(change):
    ev = _good()
    change(ev)
    return ev.SerializeToString()


POISON = [
    lambda rng: (None, None, "tombstone"),
    lambda rng: (_good().SerializeToString()[:-3], None, "truncated"),
    lambda rng: (b"\xff" * rng.randrange(20, 60), None, "truncated"),
    lambda rng: (_changed(lambda ev: ev.ClearField("event_id")), None, "missing_field"),
    lambda rng: (_changed(lambda ev: setattr(ev, "event_id", "x" * 65)), None, "field_too_long"),
    lambda rng: (_changed(lambda ev: setattr(ev.location, "lon", float("nan")) or setattr(ev.location, "lat", 1.0)), None,
                 "not_finite"),
    lambda rng: (_good().SerializeToString().replace(b"abc", b"\xf0\x80a"), [("trace", b"\xff\x00"), ("note", b"x")], "bad_utf8"),
    lambda rng: (_good().SerializeToString().replace(b"abc", b"a\0c"), None, "nul_byte"),
    lambda rng: (_changed(lambda ev: setattr(ev, "occurred_at_us", now_us() + 3600 * 10**6)), None, "time_ahead"),
    lambda rng: (_changed(lambda ev: setattr(ev, "occurred_at_us", now_us() - 401 * DAY_US)), None, "time_too_old"),
    lambda rng: (_changed(lambda ev: ev.ClearField("report")), None, "no_payload"),
    lambda rng: (b'{"event_id": "', JSON_FORM, "malformed_json"),
    lambda rng: (_changed(lambda ev: setattr(ev, "type_code", "12a45")), None, "bad_type_code"),
]


class Stream(threading.Thread):
    """Sends without end: disorder, 5 % poison, 6 % resends into whatever partition."""

    def __init__(self, ledger, producer, topics, seed, rate):
        super().__init__(name="stream", daemon=True)
        self.ledger, self.producer, self.rate, self.factor = ledger, producer, rate, 1
        self.topics = [(topic, p) for topic, n in topics.items() for p in range(n)]
        self.rng = random.Random(f"stream-{seed}")
        self.going, self.paused, self.ending = threading.Event(), threading.Event(), False
        self.paused.set()
        self.refused = []

    def send(self, topic, partition, value, headers, uid=None, reason=None, producer=None):
        poison = None if reason is None else (value, headers, reason)

        def note(err, msg):
            if err:
                self.refused.append(str(err))
            else:
                self.ledger.at((topic, partition, msg.offset()), uid, poison)
        self.ledger.begin()
        producer = producer or self.producer
        while True:
            try:
                producer.produce(topic, value=value, key=b"k", headers=headers, partition=partition, on_delivery=note)
                return
            except BufferError:
                producer.poll(0.05)

    def one(self):
        topic, partition = self.rng.choice(self.topics)
        dice = self.rng.random()
        if dice < 0.05:
            value, headers, reason = self.ledger.bad()
            self.send(topic, partition, value, headers, reason=reason)
        elif dice < 0.11 and self.ledger.order:
            self.send(topic, partition, *self.ledger.again())
        else:
            self.send(topic, partition, *self.ledger.event())

    def run(self):
        due = time.monotonic()
        while not self.ending:
            if not self.going.is_set():
                self.paused.set()
                self.going.wait(0.05)
                self.producer.poll(0)
                due = time.monotonic()
                continue
            for _ in range(max(1, self.rate * self.factor // 50)):
                self.one()
            due += 0.02
            while (left := due - time.monotonic()) > 0:
                self.producer.poll(left)
            due = max(due, time.monotonic() - 1)  # what a slow second kept back is not made up for
            self.producer.poll(0)

    def go(self, factor=1):
        self.factor = factor
        self.paused.clear()
        self.going.set()

    def stop(self):
        """Returns when everything sent has been acknowledged."""
        self.going.clear()
        self.paused.wait()
        self.producer.flush(60)
        assert self.ledger.open == 0 and not self.refused, f"{self.ledger.open} records are not acknowledged: {self.refused[:3]}"
