"""A bad record gets one clear answer on the dead letters' topic and costs its neighbours nothing; the same event twice is one."""
import copy
import json
import re
import socket
import uuid
from types import SimpleNamespace

import pytest

import harness
from harness import HERE, Role, now_us, report, rfc3339, wait_for

TOPIC = "tongguan.citizen.reports"
DEAD = "tongguan.dead_letter"
DAY_US = 86400 * 10**6
pb = harness.protocol()


def send(city, records, topic=TOPIC):
    """Records are (value, headers) or (value, headers, partition); gives [(partition, offset)], all acknowledged."""
    done = [None] * len(records)
    producer = city.producer()
    for i, (value, headers, *partition) in enumerate(records):
        def note(err, msg, i=i):
            assert err is None, err
            done[i] = (msg.partition(), msg.offset())
        producer.produce(topic, value=value, headers=headers, partition=partition[0] if partition else 0, on_delivery=note)
    assert producer.flush(60) == 0 and None not in done
    return done


def taken(city, places, topic=TOPIC):
    """Waits until ingest has stored everything up to these (partition, offset)."""
    last = {}
    for partition, offset in places:
        last[partition] = max(offset, last.get(partition, -1))
    for partition, offset in last.items():
        wait_for(lambda: (city.rows("SELECT next FROM tongguan.source_offset WHERE topic = %s AND partition = %s",
                                    topic, partition) or [(0,)])[0][0] > offset,
                 what=f"{topic}/{partition} past {offset}")


def stored(city, ids):
    return dict(city.rows("SELECT event_id, count(*) FROM tongguan.events WHERE event_id = ANY(%s) GROUP BY 1", list(ids)))


# ---- bad records ------------------------------------------------------------------------------------------------------------

JSON = [("content-type", b"application/json")]
CLOUD = [("content-type", b"application/cloudevents+json")]


def changed(**fields):
    """A good event's bytes after setting dotted fields; None clears one."""
    ev = report()
    for path, value in fields.items():
        at, *names = ev, *path.split("__")
        for name in names[:-1]:
            at = getattr(at, name)
        if value is None:
            at.ClearField(names[-1])
        else:
            setattr(at, names[-1], value)
    return ev.SerializeToString()


def reading(lon=None, value=1.0, source="nobody-knows-me"):
    ev = pb.Event(event_id=uuid.uuid4().hex, source_id=source, source_kind=pb.SENSOR, occurred_at_us=now_us())
    ev.reading.metric, ev.reading.value = "level", value
    if lon is not None:
        ev.location.lon, ev.location.lat = lon, HERE[1]
    return ev


def form(**fields):
    """A good event in its JSON form; None leaves a member out."""
    doc = {"event_id": uuid.uuid4().hex, "source_id": "test-json", "source_kind": "citizen", "occurred_at": rfc3339(now_us()),
           "location": {"lon": HERE[0], "lat": HERE[1]}, "report": {"title": "井盖"}}
    doc |= fields
    return {k: v for k, v in doc.items() if v is not None}


def text(**fields):
    return json.dumps(form(**fields)).encode()


def with_part(part, field, **fields):
    """JSON text with a part that no JSON writer would write."""
    return json.dumps(form(**{field: "PART"}, **fields)).encode().replace(b'"PART"', part)


def too_many_attributes():
    return report(attributes={f"k{i}": "v" for i in range(33)}).SerializeToString()


def lots_of_text(size):
    """A protobuf report of about so many bytes that is good but for its size."""
    ev = report(text="x" * 16384)
    one = len(ev.SerializeToString())
    # An unknown bytes field: too large is said before anything is looked at.
    return ev.SerializeToString() + b"\xa2\x06" + varint(size - one) + b"y" * (size - one)


def varint(n):
    out = b""
    while n > 127:
        out, n = out + bytes([n & 127 | 128]), n >> 7
    return out + bytes([n])


# name → (headers, value, reason). A value is made when the batch is sent, so that its time is fresh.
BAD = {
    "cut short": (None, lambda: changed()[:-3], "truncated"),
    "length past the end": (None, lambda: changed() + b"\x0a\x7fabc", "truncated"),
    "not protobuf": (None, lambda: b"\xff" * 40, "truncated"),
    "a text where a number belongs": (None, lambda: changed(occurred_at_us=None) + b"\x22\x03abc", "truncated"),
    "empty": (None, lambda: b"", "missing_field"),
    "no id": (None, lambda: changed(event_id=None), "missing_field"),
    "no time": (None, lambda: changed(occurred_at_us=None), "missing_field"),
    "no kind": (None, lambda: changed(source_kind=None), "missing_field"),
    "an id of 65 bytes": (None, lambda: changed(event_id="x" * 65), "field_too_long"),
    "a text of 16385 bytes": (None, lambda: changed(report__text="x" * 16385), "field_too_long"),
    "lon is no number": (None, lambda: changed(location__lon=float("nan")), "not_finite"),
    "lat is infinite": (None, lambda: changed(location__lat=float("-inf")), "not_finite"),
    "a reading that is no number": (None, lambda: reading(HERE[0], float("nan")).SerializeToString(), "not_finite"),
    "lon 180.001": (None, lambda: changed(location__lon=180.001), "lon_out_of_range"),
    "lat -90.5": (None, lambda: changed(location__lat=-90.5), "lat_out_of_range"),
    "kind 99": (None, lambda: changed() + b"\x18\x63", "bad_enum"),
    "datum 9": (None, lambda: changed(location=None) + b"\x2a\x14\x09" + b"\0" * 8 + b"\x11" + b"\0" * 8 + b"\x18\x09", "bad_enum"),
    "device state 9": (None, lambda: changed(report=None) + b"\x6a\x02\x08\x09", "bad_enum"),
    "NUL in a title": (None, lambda: changed(report__title="a\0b"), "nul_byte"),
    "a title that is not UTF-8": (None, lambda: changed(report__title="abc").replace(b"abc", b"\xf0\x80a"), "bad_utf8"),
    "a surrogate": (None, lambda: changed(report__title="abc").replace(b"abc", b"\xed\xa0\x80"), "bad_utf8"),
    "nothing said": (None, lambda: changed(report=None), "no_payload"),
    "a type of four digits": (None, lambda: changed(type_code="1234"), "bad_type_code"),
    "a type of letters": (None, lambda: changed(type_code="12a45"), "bad_type_code"),
    "33 attributes": (None, too_many_attributes, "too_many_attributes"),
    "a million bytes and one": (None, lambda: lots_of_text((1 << 20) + 1), "too_large"),
    "almost four million bytes": (None, lambda: lots_of_text((4 << 20) - 4096), "too_large"),
    "nested 40 deep": (None, lambda: changed() + b"\xa3\x06" * 40 + b"\xa4\x06" * 40, "too_deep"),
    "5000 fields": (None, lambda: changed() + b"\xa0\x06\x01" * 5000, "too_many_fields"),
    "11 minutes ahead": (None, lambda: changed(occurred_at_us=now_us() + 660 * 10**6), "time_ahead"),
    "401 days old": (None, lambda: changed(occurred_at_us=now_us() - 401 * DAY_US), "time_too_old"),
    "before 1970": (None, lambda: changed(occurred_at_us=-1), "time_too_old"),
    "a reading from nowhere": (None, lambda: reading().SerializeToString(), "unknown_device"),
    "tombstone": (None, lambda: None, "tombstone"),
    "tombstone with a form": (JSON, lambda: None, "tombstone"),
    "half a JSON object": (JSON, lambda: text()[:-1], "malformed_json"),
    "a JSON array": (JSON, lambda: b"[]", "malformed_json"),
    "JSON and more": (JSON, lambda: text() + b"x", "malformed_json"),
    "JSON that calls itself protobuf": (None, lambda: text(), "truncated"),
    "a time in words": (JSON, lambda: text(occurred_at="yesterday"), "malformed_json"),
    "a time without zone": (JSON, lambda: text(occurred_at="2026-11-22T10:00:00"), "malformed_json"),
    "JSON without an id": (JSON, lambda: text(event_id=None), "missing_field"),
    "JSON NaN": (JSON, lambda: with_part(b'{"lon": NaN, "lat": 42}', "location"), "not_finite"),
    "JSON 1e999": (JSON, lambda: with_part(b'{"lon": 1e999, "lat": 42}', "location"), "not_finite"),
    "JSON lon as text": (JSON, lambda: text(location={"lon": "-71", "lat": 42}), "malformed_json"),
    "JSON lat 91": (JSON, lambda: text(location={"lon": -71, "lat": 91}), "lat_out_of_range"),
    "JSON kind robot": (JSON, lambda: text(source_kind="robot"), "bad_enum"),
    "JSON kind in capitals": (JSON, lambda: text(source_kind="CITIZEN"), "bad_enum"),
    "JSON NUL": (JSON, lambda: text(report={"title": "a\0b"}), "nul_byte"),
    "JSON half a surrogate pair": (JSON, lambda: with_part(rb'{"title": "\ud800"}', "report"), "bad_utf8"),
    "JSON not UTF-8": (JSON, lambda: with_part(b'{"title": "\xff"}', "report"), "bad_utf8"),
    "JSON nested 40 deep": (JSON, lambda: with_part(b"[" * 40 + b"]" * 40, "more"), "too_deep"),
    "JSON 5000 members": (JSON, lambda: text(more={str(i): i for i in range(5000)}), "too_many_fields"),
    "JSON 33 attributes": (JSON, lambda: text(attributes={f"k{i}": "v" for i in range(33)}), "too_many_attributes"),
    "JSON without payload": (JSON, lambda: text(report=None), "no_payload"),
    "JSON bad type": (JSON, lambda: text(type_code="1"), "bad_type_code"),
    "JSON of tomorrow": (JSON, lambda: text(occurred_at=rfc3339(now_us() + DAY_US)), "time_ahead"),
    "a cloud event without data": (CLOUD, lambda: json.dumps({"specversion": "1.0", "id": "1", "source": "s"}).encode(),
                                   "malformed_json"),
    "a cloud event without any time": (CLOUD, lambda: json.dumps({"id": "1", "data": form(occurred_at=None)}).encode(),
                                       "missing_field"),
}
EXTRA = [("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), ("raw", b"\xff\x00\xfe"), ("raw", b"twice")]


@pytest.fixture(scope="module")
def refused(city):
    """All of BAD in one burst, each between two good ones of the same partition."""
    sent, records, good = [], [], []
    for name, (headers, make, reason) in BAD.items():
        before = report(title=f"before {name}")
        good.append(before.event_id)
        value, all_headers = make(), (headers or []) + EXTRA
        records += [(before.SerializeToString(), None), (value, all_headers)]
        sent.append(SimpleNamespace(name=name, value=value, headers=all_headers, reason=reason))
    last = report(title="after all")
    records.append((last.SerializeToString(), None))
    places = send(city, records)
    for bad, (partition, offset) in zip(sent, places[1::2]):
        bad.partition, bad.offset = partition, offset
    taken(city, places)
    first, end = places[0][1], places[-1][1]
    rows = city.rows('SELECT "offset", reason, detail, received_at FROM tongguan.dead_letters WHERE topic = %s AND partition = 0'
                     ' AND "offset" BETWEEN %s AND %s', TOPIC, first, end)
    letters = {}

    def published():
        letters.clear()
        for record in city.consume(DEAD):
            letters.setdefault(record.key().decode(), []).append(record)
        return all(f"{TOPIC}/0/{bad.offset}" in letters for bad in sent)
    wait_for(published, what="every dead letter as a message")
    return SimpleNamespace(sent={bad.name: bad for bad in sent}, rows=rows, letters=letters, good=good + [last.event_id])


@pytest.mark.parametrize("name", BAD)
def test_bad_record__is_one_row_and_one_message_with_its_reason(refused, name):
    bad = refused.sent[name]
    rows = [row for row in refused.rows if row[0] == bad.offset]
    assert [row[1] for row in rows] == [bad.reason]
    assert rows[0][2]
    for letter in refused.letters[f"{TOPIC}/0/{bad.offset}"]:
        assert letter.value() == bad.value
        assert letter.headers() == bad.headers + [("reason", bad.reason.encode()), ("source_topic", TOPIC.encode()),
                                                  ("source_partition", b"0"), ("source_offset", str(bad.offset).encode())]


def test_bad_record__keeps_headers_of_every_kind(city):
    """Many, empty, without a value, with the names that are added: what was sent comes first, in its order."""
    headers = [("none", None), ("empty", b""), ("reason", b"mine"), ("source_offset", b"7")] + [(f"h{i}", b"v") for i in range(200)]
    partition, offset = send(city, [(b"", headers)])[0]

    def letters():
        return [m for m in city.consume(DEAD) if m.key().decode() == f"{TOPIC}/{partition}/{offset}"]
    found = wait_for(letters, every=0.3, what="the dead letter")[0].headers()
    assert found == headers + [("reason", b"missing_field"), ("source_topic", TOPIC.encode()), ("source_partition", b"0"),
                               ("source_offset", str(offset).encode())]


def test_bad_record__costs_its_neighbours_nothing(city, refused):
    assert stored(city, refused.good) == {event_id: 1 for event_id in refused.good}
    assert len(refused.rows) == len(BAD)


def test_bad_record__every_reason_of_the_contract_was_seen(refused):
    assert {bad.reason for bad in refused.sent.values()} == set(
        "tombstone too_large truncated too_deep too_many_fields malformed_json bad_utf8 nul_byte missing_field field_too_long"
        " bad_enum not_finite lon_out_of_range lat_out_of_range time_ahead time_too_old bad_type_code too_many_attributes"
        " no_payload unknown_device".split())


def test_bad_record__nothing_of_it_is_stored_or_goes_on(city, refused):
    offsets = [bad.offset for bad in refused.sent.values()]
    assert city.rows("SELECT e.event_id FROM tongguan.event e JOIN tongguan.source_offset o ON o.id = e.source"
                     " WHERE o.topic = %s AND o.partition = 0 AND e.source_pos = ANY(%s)", TOPIC, offsets) == []


def test_bad_record__just_within_every_bound_is_stored(city):
    ids = [uuid.uuid4().hex[:8] + "y" * 56 for _ in range(6)]
    good = [changed(event_id=ids[0], report__text="x" * 16384),
            report(ids[1], attributes={f"k{i}": "v" for i in range(32)}).SerializeToString(),
            changed(event_id=ids[2], occurred_at_us=now_us() + 590 * 10**6),
            changed(event_id=ids[3], occurred_at_us=now_us() - 399 * DAY_US),
            changed(event_id=ids[4], location__lon=-180.0, location__lat=90.0),
            changed(event_id=ids[5], report__title="tab\t line\n \\N \\. 😀")]
    taken(city, send(city, [(value, None) for value in good]))
    assert stored(city, ids) == {event_id: 1 for event_id in ids}
    assert city.value("SELECT payload #>> '{report,title}' FROM tongguan.events WHERE event_id = %s", ids[5]) == \
        "tab\t line\n \\N \\. 😀"


# ---- forms ------------------------------------------------------------------------------------------------------------------

SAME = """SELECT source_id, occurred_at, source_kind, type_code, metric, value, unit, speed_kmh, heading_deg, state,
ST_AsText(geom), datum, accuracy_m, grid_cell, street, district, region, flags, contact, payload FROM tongguan.event WHERE event_id = %s"""


def one_of_each():
    """name → (protobuf event, its JSON form without the id)."""
    at = now_us() // 1000 * 1000
    base = dict(source_id="forms", occurred_at_us=at)
    said = {"source_id": "forms", "occurred_at": rfc3339(at)}
    where, there = pb.Location(lon=HERE[0], lat=HERE[1]), {"lon": HERE[0], "lat": HERE[1]}
    moved = pb.Location(lon=HERE[0], lat=HERE[1], datum=pb.GCJ02, accuracy_m=12.5)
    words = pb.Report(title="路灯", text="坏了 \"\\ \n", reporter_id="r", contact="13912345678", photo_urls=["a", "b"])
    return {
        "report": (pb.Event(source_kind=pb.CITIZEN, type_code="22002", location=where, report=words,
                            attributes=[pb.Attribute(key="k", value="v"), pb.Attribute(key="z", value="中")], **base),
                   said | {"source_kind": "citizen", "type_code": "22002", "location": there, "attributes": {"k": "v", "z": "中"},
                           "report": {"title": "路灯", "text": "坏了 \"\\ \n", "reporter_id": "r", "contact": "13912345678",
                                      "photo_urls": ["a", "b"]}}),
        "reading": (pb.Event(source_kind=pb.SENSOR, location=moved,
                             reading=pb.Reading(metric="pm25", value=-0.1, unit="ug/m3", quality="good"), **base),
                    said | {"source_kind": "sensor", "location": there | {"datum": "gcj02", "accuracy_m": 12.5},
                            "reading": {"metric": "pm25", "value": -0.1, "unit": "ug/m3", "quality": "good"}}),
        "position": (pb.Event(source_kind=pb.VEHICLE, location=where, position=pb.Position(speed_kmh=31.5, heading_deg=270), **base),
                     said | {"source_kind": "vehicle", "location": there, "position": {"speed_kmh": 31.5, "heading_deg": 270}}),
        "status": (pb.Event(source_kind=pb.VIDEO, location=where, status=pb.Status(state=pb.LOW_BATTERY), **base),
                   said | {"source_kind": "video", "location": there, "status": {"state": "low_battery"}}),
    }


@pytest.mark.parametrize("name", ["report", "reading", "position", "status"])
def test_forms__json_and_cloudevents_are_stored_as_protobuf_is(city, name):
    event, doc = one_of_each()[name]
    ids = [uuid.uuid4().hex for _ in range(3)]
    event.event_id = ids[0]
    inner = {k: v for k, v in doc.items() if k not in ("source_id", "occurred_at")}
    cloud = {"specversion": "1.0", "type": "tongguan.v1.Event", "id": ids[2], "source": doc["source_id"],
             "time": doc["occurred_at"], "data": inner}
    taken(city, send(city, [(event.SerializeToString(), None), (json.dumps(doc | {"event_id": ids[1]}).encode(), JSON),
                            (json.dumps(cloud, ensure_ascii=False).encode(), CLOUD)]))
    rows = [city.rows(SAME, event_id) for event_id in ids]
    assert [len(r) for r in rows] == [1, 1, 1]
    assert rows[0] == rows[1] == rows[2]
    assert rows[0][0][0] == "forms" and (name != "report" or rows[0][0][-2] == "13912345678")


def test_forms__the_data_of_a_cloud_event_go_before_its_envelope(city):
    doc = form()
    cloud = {"id": "another", "source": "another", "time": "2020-01-01T00:00:00Z", "data": doc}
    taken(city, send(city, [(json.dumps(cloud).encode(), CLOUD)]))
    assert city.rows("SELECT source_id FROM tongguan.events WHERE event_id = %s", doc["event_id"]) == [("test-json",)]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# ---- twice ------------------------------------------------------------------------------------------------------------------

def test_twice__the_same_event_is_stored_once_wherever_and_however_it_comes(city):
    at = now_us() // 10**6 * 10**6
    events = [report(source="twice", occurred_us=at) for _ in range(50)]
    doc = [form(event_id=e.event_id, source_id="twice", occurred_at=rfc3339(at), report={"title": "报告"}) for e in events]
    places = send(city, [(e.SerializeToString(), None, p) for p in (0, 0, 1, 2, 3) for e in events]
                  + [(json.dumps(d).encode(), JSON, 1) for d in doc])
    taken(city, places)
    taken(city, send(city, [(e.SerializeToString(), None, 3) for e in events]))
    assert stored(city, [e.event_id for e in events]) == {e.event_id: 1 for e in events}


def test_twice__two_ingests_at_once_store_it_once(city):
    """Neither knows what the other has seen: only the table does."""
    def epochs():
        return dict(city.rows("SELECT partition, epoch FROM tongguan.source_offset WHERE topic = %s", TOPIC))

    def records_of(address):
        status, _, body = harness.Api(address)("GET", "/metrics", raw=True)
        assert status == 200
        return int(float(re.search(r"^tongguan_ingest_records_total (\S+)", body.decode(), re.M)[1]))
    before = epochs()
    address = f"127.0.0.1:{free_port()}"
    elsewhere = copy.copy(city)
    elsewhere.env = city.env | {"TONGGUAN_INGEST_LISTEN": address}
    second = Role(elsewhere, "ingest").ready()
    try:
        wait_for(lambda: all(epoch > before.get(p, 0) for p, epoch in epochs().items()), what="both own partitions")
        counts = [records_of(a) for a in (city.env["TONGGUAN_INGEST_LISTEN"], address)]
        events = [report(source="twice") for _ in range(300)]
        taken(city, send(city, [(e.SerializeToString(), None, p) for e in events for p in range(4)]))
        assert stored(city, [e.event_id for e in events]) == {e.event_id: 1 for e in events}
        after = [records_of(a) for a in (city.env["TONGGUAN_INGEST_LISTEN"], address)]
        assert after[0] > counts[0] and after[1] > counts[1]
    finally:
        assert second.stop() == 0


def test_twice__one_id_with_another_time_is_another_event(city):
    event_id, at = uuid.uuid4().hex, now_us()
    taken(city, send(city, [(report(event_id, occurred_us=at + i).SerializeToString(), None) for i in range(2)]))
    assert stored(city, [event_id]) == {event_id: 2}


# ---- types and devices of the city ------------------------------------------------------------------------------------------

def test_city__an_unknown_type_is_stored_and_its_case_is_never_filed_by_itself(grown_city):
    """A rule files the struck type by itself, too."""
    city, lost, known = grown_city, grown_city.struck_type, "20002"
    events = {code: report(type_code=code) for code in (lost, known)}
    taken(city, send(city, [(e.SerializeToString(), None) for e in events.values()]))
    flags = dict(city.rows("SELECT type_code, flags & 1 FROM tongguan.events WHERE event_id = ANY(%s)",
                           [e.event_id for e in events.values()]))
    assert flags == {lost: 1, known: 0}
    cases = {code: wait_for(lambda e=e: case_of(city, e.event_id), what=f"the case of {code}") for code, e in events.items()}
    wait_for(lambda: state(city, cases[known]) == "to_dispatch", what="a known type files itself")
    assert state(city, cases[lost]) == "new"
    assert city.rows("SELECT action FROM tongguan.case_log WHERE case_id = %s ORDER BY seq", cases[lost]) == [("report",)]
    assert city.value("SELECT explanation ->> 'auto_file' FROM tongguan.incidents JOIN tongguan.cases USING (incident_id)"
                      " WHERE case_id = %s", cases[lost]) == "true"


def test_city__a_registered_device_needs_no_location_and_a_stranger_does(grown_city):
    lamp, stranger = reading(source=grown_city.device), reading(lon=HERE[0])
    taken(grown_city, send(grown_city, [(e.SerializeToString(), None) for e in (lamp, stranger)]))
    rows = {row[0]: row[1:] for row in grown_city.rows(
        "SELECT event_id, ST_X(geom), ST_Y(geom), grid_cell IS NOT NULL, flags & 2 FROM tongguan.events WHERE event_id = ANY(%s)",
        [lamp.event_id, stranger.event_id])}
    assert rows == {lamp.event_id: (*HERE, True, 0), stranger.event_id: (*HERE, True, 2)}


def case_of(city, event_id):
    found = city.rows("SELECT c.case_id::text FROM tongguan.cases c JOIN tongguan.incident_events m USING (incident_id)"
                      " JOIN tongguan.events e ON e.uid = m.event_uid WHERE e.event_id = %s", event_id)
    return found[0][0] if found else None


def state(city, case):
    return city.value("SELECT state FROM tongguan.cases WHERE case_id = %s", case)
