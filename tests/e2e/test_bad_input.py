"""What is wrong gets one clear answer, and costs its neighbours nothing: on the topics, in files, on the wire."""
import contextlib
import copy
import json
import os
import re
import select
import shutil
import socket
import subprocess
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

import harness
from harness import BINARY, HERE, ROOT, Role, now_us, report, rfc3339, wait_for

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


# ---- a city's own data ------------------------------------------------------------------------------------------------------

def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def folder(tmp_path):
    """A copy of the shipped city to spoil."""
    copy = tmp_path / "city"
    shutil.copytree(os.path.join(ROOT, "schema/cities/boston"), copy, ignore=shutil.ignore_patterns("feeds", "tools"))
    return copy


REFERENCE = """SELECT (SELECT version FROM tongguan.city), (SELECT md5(string_agg(t::text, '' ORDER BY t.type_code))
FROM tongguan.case_type t), (SELECT md5(string_agg(d::text, '' ORDER BY d.code)) FROM tongguan.dept d),
(SELECT md5(string_agg(g::text, '' ORDER BY g.cell_id)) FROM tongguan.grid_cells g)"""


def edit(path, change):
    old = path.read_text(encoding="utf-8")
    new = change(old)
    assert new != old
    path.write_text(new, encoding="utf-8")


def open_ring(old):
    doc = json.loads(old)
    geometry = doc["features"][0]["geometry"]
    rings = geometry["coordinates"] if geometry["type"] == "Polygon" else geometry["coordinates"][0]
    rings[0].pop()
    return json.dumps(doc)


@pytest.mark.parametrize("file, change, said", [
    ("boundary.geojson", open_ring, r"boundary\.geojson:1: .*open"),
    ("catalog.csv", lambda old: re.sub(r",pingan,PARK,", ",pingan,NOSUCH,", old, count=1), r'catalog\.csv:2: .*"NOSUCH"'),
    ("catalog.csv", lambda old: old.replace(",1wd,normal,", ",1week,normal,", 1), r"catalog\.csv:2: dispose_limit"),
    ("departments.csv", lambda old: old.replace(",cityhall", ",nocalendar", 1), r'departments\.csv:2: .*"nocalendar"'),
    ("city.yaml", lambda old: old.replace("zone: America/New_York", "zone: Mars/Olympus"), r'city\.yaml:\d+: .*"Mars/Olympus"'),
    ("city.yaml", lambda old: old + "surprise: 1\n", r'city\.yaml:\d+: .*"surprise"'),
    ("city.yaml", lambda old: old.replace("cell_m: 200 ", "cell_m: many "), r"city\.yaml:\d+: cell_m"),
    ("city.yaml", lambda old: "a: [\n" + old, r"city\.yaml"),
])
def test_city__a_mistake_is_named_and_nothing_changes(city, folder, file, change, said):
    before = city.rows(REFERENCE)
    edit(folder / file, change)
    done = city.run("city", "load", str(folder))
    assert done.returncode == 1, done
    assert re.search(said, done.stderr), done.stderr
    assert "nothing was changed" in done.stderr
    assert city.rows(REFERENCE) == before


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


# ---- packs ------------------------------------------------------------------------------------------------------------------

PACK = """pack: p
version: 1
lateness_s: 60
rules:
  - id: one
    version: 1
    kind: cluster
    domain: minsheng
    severity: 2
    auto_file: false
    types: ["22002"]
    min_events: 3
    min_reporters: 2
    radius_m: 100
    window_s: 600
  - id: two
    version: 1
    kind: single
    domain: minsheng
    severity: 4
    auto_file: false
    types: ["22003"]
"""


@pytest.mark.parametrize("old, new, place", [
    ("    severity: 2\n", "    severity: 2\n    radius: 5\n", "10:5"),             # an unknown key
    ("lateness_s: 60\n", "lateness_s: 60\nauthor: me\n", "4:1"),                   # one above the rules
    ("    min_events: 3\n", "    min_events: many\n", "12:17"),                    # a wrong type
    ("    auto_file: false\n    types: [\"22002\"]", "    auto_file: \"no\"\n    types: [\"22002\"]", "10:16"),
    ("    severity: 2\n", "    severity: 5\n", "9:15"),                            # out of its range
    ("    types: [\"22002\"]\n", "    types: [\"220\"]\n", "11:13"),
    ("  - id: two\n", "  - id: one\n", "16:9"),                                    # at the second one
    ("    radius_m: 100\n", "", "5:9"),                                            # missing: at the rule's id
    ("    kind: single\n", "    kind: several\n", "18:11"),
    ("    domain: minsheng\n    severity: 4\n", "    domain: minsheng\n    domain: minsheng\n    severity: 4\n", "20:5"),
    ("    radius_m: 100\n", "    radius_m: 900\n", "14:15"),                       # past the city's halo
    ("    radius_m: 100\n", "    radius_m: .nan\n", "14:15"),
    ("    window_s: 600\n", "    window_s: [600\n", None),                         # no YAML
])
def test_pack__a_mistake_is_named_by_its_place(city, tmp_path, old, new, place):
    assert PACK.count(old) == 1
    pack = tmp_path / "p.yaml"
    pack.write_text(PACK.replace(old, new), encoding="utf-8")
    done = city.run("rules", "check", str(pack))
    assert done.returncode == 1, done
    lines = done.stdout.strip().splitlines()
    if place:
        assert len(lines) == 1 and re.match(re.escape(f"{pack}:{place}: ") + r"\S", lines[0]), done.stdout
    else:
        assert re.match(re.escape(str(pack)) + r":\d+:\d+: \S", lines[0]), done.stdout


def test_pack__a_good_one_passes_and_a_missing_one_does_not(city, tmp_path):
    pack = tmp_path / "p.yaml"
    pack.write_text(PACK, encoding="utf-8")
    assert city.run("rules", "check", str(pack)).returncode == 0
    gone = city.run("rules", "check", str(tmp_path / "gone.yaml"))
    assert gone.returncode == 1 and "gone.yaml" in gone.stdout + gone.stderr


# ---- configuration and starting ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("content, line", [
    ("[http]\nrate_limit = often\n", 2),
    ("; ours\n\n[ingest]\nretention_days = -1\n", 4),
    ("[http]\nrate_limits = 5\n", 2),
    ("[web]\nlisten = 127.0.0.1:0\n", 1),
    ("[http]\nlisten = nowhere\n", 2),
    ("[log]\nlevel = loud\n", 2),
    ("[http]\nbody_max = 2000\nbody_max = 3000\n", 3),
    ("[http]\nbody_max\n", 2),
    ("body_max = 2000\n", 1),
])
@pytest.mark.parametrize("command", [["dispatch"], ["ingest"], ["rules", "check", "x"]])
def test_configuration__a_mistake_ends_with_2_and_its_line(city, tmp_path, command, content, line):
    conf = tmp_path / "mine.conf"
    conf.write_text(content)
    done = city.run(*command, "--config", str(conf), timeout=10)
    assert done.returncode == 2, done
    assert re.fullmatch(re.escape(f"{conf}:{line}: ") + r"\S.*\n", done.stderr), done.stderr


def test_configuration__a_bad_variable_is_named(city):
    done = subprocess.run([BINARY, "dispatch"], cwd=ROOT, env=city.env | {"TONGGUAN_HTTP_BODY_MAX": "big"}, capture_output=True,
                          text=True, timeout=10)
    assert done.returncode == 2 and "TONGGUAN_HTTP_BODY_MAX" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("args", [["nothing"], ["up", "--speeed", "1"], ["city", "load"], ["rules", "mend"], ["dispatch", "now"],
                                  ["user", "add"], ["token", "create"]])
def test_configuration__wrong_usage_ends_with_2(city, args):
    done = city.run(*args, timeout=10)
    assert done.returncode == 2 and done.stderr, done


def test_start__a_taken_port_is_one_line(city):
    """The running dispatch has the port."""
    done = city.run("dispatch", timeout=20)
    assert done.returncode == 1
    said = [line for line in done.stderr.splitlines() if city.address in line]
    assert len(said) == 1, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert city.api().get("/api/v1/cases")


def test_start__another_up_in_the_same_folder_is_one_line(city):
    done = city.run("up", "--feed", "none", timeout=20)
    assert done.returncode == 1
    assert re.fullmatch(r"tongguan up: another .*TONGGUAN_STATE_DIR\n", done.stderr), done.stderr
    assert city.up.poll() is None and os.path.exists(os.path.join(city.dir, "up.env"))


def test_start__up_without_a_server_program_is_one_line(tmp_path):
    """A tree where Kafka was never put."""
    share = tmp_path / "share"
    share.mkdir()
    os.symlink(os.path.join(ROOT, "schema"), share / "schema")
    env = {k: v for k, v in os.environ.items() if not k.startswith("TONGGUAN_")}
    env |= {"TONGGUAN_SHARE_DIR": str(share), "TONGGUAN_STATE_DIR": str(tmp_path / "state"), "TONGGUAN_HTTP_LISTEN": "127.0.0.1:0"}
    done = subprocess.run([BINARY, "up", "--feed", "none", "--ephemeral"], cwd=ROOT, env=env, capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 1, done
    assert re.fullmatch(r"tongguan up: .*Kafka.* missing: .*make deps.*\n", done.stderr), done.stderr


def test_start__up_on_a_taken_port_is_one_line(city, tmp_path):
    done = subprocess.run([BINARY, "up", "--feed", "none", "--ephemeral"], cwd=ROOT, capture_output=True, text=True, timeout=60,
                          env=os.environ | {"TONGGUAN_STATE_DIR": str(tmp_path), "TONGGUAN_HTTP_LISTEN": city.address})
    assert done.returncode == 1
    assert re.fullmatch(r"tongguan up: http\.listen: " + re.escape(city.address) + r" is taken.*\n", done.stderr), done.stderr


# ---- on the wire ------------------------------------------------------------------------------------------------------------

def wire(city, *parts, timeout=10):
    """Sends bytes as they are and reads to the end: (status of each answer, all of it, whether the peer closed)."""
    host, port = city.address.split(":")
    answer, closed = b"", False
    with socket.create_connection((host, int(port)), timeout) as s:
        try:
            for part in parts:
                s.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            while True:
                data = s.recv(65536)
                if not data:
                    closed = True
                    break
                answer += data
        except ConnectionResetError:
            closed = True
        except TimeoutError:
            pass
    return [int(m) for m in re.findall(rb"^HTTP/1\.1 (\d{3}) ", answer, re.M)], answer, closed


GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /api/v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"
BEHIND = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"  # what must never be taken for a request of its own

FRAMING = {
    "length and chunks": CHUNKED + b"Content-Length: 4\r\n\r\n0\r\n\r\n",
    "chunks and length": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "two other lengths": POST + b"Content-Length: 2\r\nContent-Length: 9\r\n\r\n{}",
    "a list of lengths": POST + b"Content-Length: 2, 2\r\n\r\n{}",
    "a length with a sign": POST + b"Content-Length: +2\r\n\r\n{}",
    "a negative length": POST + b"Content-Length: -2\r\n\r\n{}",
    "a length in hex": POST + b"Content-Length: 0x2\r\n\r\n{}",
    "a length past 64 bits": POST + b"Content-Length: 18446744073709551618\r\n\r\n{}",
    "no length": POST + b"Content-Length:\r\n\r\n",
    "bare LF": b"GET /healthz HTTP/1.1\nHost: x\n\n",
    "a bare LF in the header": GET + b"X-A: 1\n\r\n",
    "a bare CR in a value": GET + b"X-A: 1\rX-B: 2\r\n\r\n",
    "a bare CR after an empty value": GET + b"X-A:\rContent-Length: 5\r\n\r\n",
    "a header ended by CR LF CR": GET + b"\rX",
    "a folded line": GET + b"X-A: 1\r\n 2\r\n\r\n",
    "NUL in a value": GET + b"X-A: a\0b\r\n\r\n",
    "NUL in a name": GET + b"X-\0A: b\r\n\r\n",
    "NUL in the target": b"GET /health\0z HTTP/1.1\r\nHost: x\r\n\r\n",
    "a blank before the colon": GET + b"X-A : 1\r\n\r\n",
    "a line without colon": GET + b"nonsense\r\n\r\n",
    "an empty name": GET + b": 1\r\n\r\n",
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two hosts": GET + b"Host: y\r\n\r\n",
    "another encoding": POST + b"Transfer-Encoding: gzip\r\n\r\n",
    "an encoding that looks like chunked": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked not last": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": b"POST /api/v1/sessions HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "hidden encoding": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a chunk size in words": CHUNKED + b"\r\ntwo\r\n{}\r\n0\r\n\r\n",
    "a chunk size with a sign": CHUNKED + b"\r\n+2\r\n{}\r\n0\r\n\r\n",
    "a chunk size with 0x": CHUNKED + b"\r\n0x2\r\n{}\r\n0\r\n\r\n",
    "a negative chunk": CHUNKED + b"\r\n-2\r\n{}\r\n0\r\n\r\n",
    "an endless chunk size": CHUNKED + b"\r\nfffffffffffffffff\r\n{}\r\n0\r\n\r\n",
    "a chunk longer than said": CHUNKED + b"\r\n2\r\n{}xx\r\n0\r\n\r\n",
    "a chunk ended by LF": CHUNKED + b"\r\n2\r\n{}\n0\r\n\r\n",
    "a bare LF after the size": CHUNKED + b"\r\n2\n{}\r\n0\r\n\r\n",
    "a blank before the chunk size": CHUNKED + b"\r\n 2\r\n{}\r\n0\r\n\r\n",
    "a version of nonsense": b"GET /healthz HTTP/1.x\r\nHost: x\r\n\r\n",
    "a method of nonsense": b"G=T /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "TLS on a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
}


@pytest.mark.parametrize("name", FRAMING)
def test_wire__what_can_be_read_in_two_ways_is_refused(city, name):
    statuses, answer, closed = wire(city, FRAMING[name] + BEHIND)
    assert statuses == [400] and closed, (statuses, answer[:300])
    assert b"application/problem+json" in answer and b"Connection: close" in answer
    assert b"tongguan_" not in answer


@pytest.mark.parametrize("path", ["/api/v1/../v1/cases", "/api/v1/%2e%2e/cases", "/..%2f..%2fetc/passwd", "/console/../../etc/passwd",
                                  "/a%00b", "/%", "/%zz", "//evil", "/api//v1/cases"])
def test_wire__paths_that_are_none_are_refused(city, path):
    statuses, answer, _ = wire(city, b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path.encode())
    assert statuses == [400], answer[:200]


@pytest.mark.parametrize("name, head", [
    ("one header", GET + b"X-A: " + b"a" * (1 << 20) + b"\r\n\r\n"),
    ("one name", GET + b"a" * (1 << 20) + b": b\r\n\r\n"),
    ("many headers", GET + b"".join(b"X-%d: %s\r\n" % (i, b"a" * 1000) for i in range(1000)) + b"\r\n"),
    ("many short ones", GET + b"".join(b"a: b\r\n" for _ in range(200)) + b"\r\n"),
    ("blanks before a value", GET + b"X-A:" + b" " * (1 << 20) + b"b\r\n\r\n"),
])
def test_wire__a_header_of_a_megabyte_is_431_and_the_server_goes_on(city, name, head):
    statuses, answer, closed = wire(city, head)
    assert statuses == [431] and closed, (statuses, answer[:200])
    assert wire(city, GET + b"Connection: close\r\n\r\n")[0] == [200]


@pytest.mark.parametrize("line", [b"GET /healthz", b"GET /healthz HTTP/0.9", b"GET /healthz HTTP/2.0", b"PRI * HTTP/2.0"])
def test_wire__another_version_is_refused(city, line):
    statuses, answer, closed = wire(city, line + b"\r\nHost: x\r\n\r\n" + BEHIND)
    assert statuses in ([400], [505]) and closed and b"tongguan_" not in answer


def test_wire__a_target_of_a_megabyte_is_414(city):
    statuses, _, closed = wire(city, b"GET /" + b"a" * (1 << 20) + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert statuses == [414] and closed


@pytest.mark.parametrize("name, parts", [
    ("by its length", [POST + b"Content-Length: 1048577\r\n\r\n"]),
    ("as it comes", [CHUNKED + b"\r\n", *[b"10000\r\n" + b"a" * 65536 + b"\r\n"] * 17, b"0\r\n\r\n"]),
])
def test_wire__a_body_too_large_is_413(city, name, parts):
    statuses, _, closed = wire(city, *parts)
    assert statuses == [413] and closed
    assert city.api().get("/api/v1/sessions/current")["name"] == "operator"


def refused_so_far(city, reason):
    metrics = city.api()("GET", "/metrics", raw=True)[2].decode()
    return float(re.search(r'^tongguan_http_refused_total{reason="%s"} (\S+)' % reason, metrics, re.M)[1])


def drip_until_closed(city, head, byte, every=0.1, limit=20):
    """Sends a byte now and then; (what was answered, seconds until the peer had closed)."""
    host, port = city.address.split(":")
    answer, began = b"", time.monotonic()
    with socket.create_connection((host, int(port))) as s:
        s.sendall(head)
        s.settimeout(every)
        while time.monotonic() - began < limit:
            with contextlib.suppress(TimeoutError):
                data = s.recv(65536)
                if not data:
                    break
                answer += data
            with contextlib.suppress(OSError):
                s.sendall(byte)
    return answer, time.monotonic() - began


def read_nothing(city, limit=20):
    """Asks for much and reads none of it; seconds until the peer has reset the connection."""
    host, port = city.address.split(":")
    began = time.monotonic()
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect((host, int(port)))
        s.setblocking(False)
        ask = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 100
        gone = select.poll()
        gone.register(s, select.POLLERR | select.POLLHUP)
        while time.monotonic() - began < limit and not gone.poll(100):
            with contextlib.suppress(BlockingIOError, OSError):
                s.send(ask)
    return b"", time.monotonic() - began


def test_wire__who_is_slow_is_cut_within_fifteen_seconds_and_counted(city):
    """A header, a body and a reader that are slow, at once; the limits are those of an installation without settings."""
    ways = {"header_slow": lambda: drip_until_closed(city, GET + b"X-A: ", b"a"),
            "body_slow": lambda: drip_until_closed(city, POST + b"Content-Length: 4096\r\n\r\n", b"x"),
            "reader_slow": lambda: read_nothing(city)}
    before = {reason: refused_so_far(city, reason) for reason in ways}
    with ThreadPoolExecutor(len(ways)) as pool:
        ended = dict(zip(ways, pool.map(lambda way: way(), ways.values())))
    for reason, (answer, took) in ended.items():
        assert 5 < took <= 15, (reason, took)
        assert reason == "reader_slow" or answer.startswith(b"HTTP/1.1 408 "), (reason, answer[:100])
        assert refused_so_far(city, reason) == before[reason] + 1, reason


def test_wire__good_requests_in_odd_shapes_are_served(city):
    """What the refusals above must not cost: pipelining, chunks, single bytes, HTTP/1.0."""
    statuses, _, _ = wire(city, GET + b"\r\n" + GET + b"\r\n" + GET + b"Connection: close\r\n\r\n")
    assert statuses == [200, 200, 200]
    body = json.dumps({"username": "operator", "password": city.passwords["operator"]}).encode()
    statuses, _, _ = wire(city, CHUNKED + b"Connection: close\r\n\r\n", b"%x;ext=1\r\n" % len(body), body, b"\r\n0\r\n\r\n")
    assert statuses == [201]
    statuses, _, _ = wire(city, *[bytes([b]) for b in GET + b"Connection: close\r\n\r\n"])
    assert statuses == [200]
    statuses, _, closed = wire(city, b"GET /healthz HTTP/1.0\r\n\r\n")
    assert statuses == [200] and closed


def test_wire__a_peer_that_goes_away_in_the_middle_costs_nothing(city):
    host, port = city.address.split(":")
    for cut in (10, len(POST), len(POST) + 25):
        for _ in range(20):
            with socket.create_connection((host, int(port))) as s:
                s.sendall((POST + b"Content-Length: 100\r\n\r\n{}")[:cut])
    began = time.monotonic()
    assert wire(city, GET + b"Connection: close\r\n\r\n")[0] == [200]
    assert time.monotonic() - began < 2
