"""`tongguan dead-letter`: what was refused can be found, read and sent again, and every outcome is said."""
import json

import pytest
from harness import now_us, report, rfc3339, wait_for

TOPIC = "tongguan.citizen.reports"


@pytest.fixture(scope="module")
def refused(city):
    """Three messages that are refused: (place, reason, value) each; one is not text, one lies ahead of its time."""
    ahead = report(event_id="dl-ahead", source="dead-letter", occurred_us=now_us() + 3600_000_000, contact="13912345678")
    values = [b"\xff\xfe\x00not an event", b"{", ahead.SerializeToString()]
    headers = [("content-type", b"application/json"), ("batch", b"7"), ("batch", b"8"), ("blob", b"\xff\x00"), ("none", None)]
    places = [*city.produce(TOPIC, values[:1]), *city.produce(TOPIC, values[1:2], headers=headers),
              *city.produce(TOPIC, values[2:])]
    rows = [(f"{TOPIC}/{p}/{o}", p, o) for p, o in places]
    for _, p, o in rows:
        wait_for(lambda p=p, o=o: city.rows("SELECT 1 FROM tongguan.dead_letters WHERE topic = %s AND partition = %s"
                                            " AND \"offset\" = %s", TOPIC, p, o), what="the dead letter")
    return list(zip(rows, ("truncated", "malformed_json", "time_ahead"), values))


def test_dead_letter_list__filters_by_reason_topic_and_time(city, refused):
    (place, _, _), reason, _ = refused[1]
    out = city.run("dead-letter", "list", "--reason", reason, "--topic", TOPIC, "--waiting")
    assert out.returncode == 0 and place in out.stdout and reason in out.stdout
    assert refused[2][0][0] not in out.stdout, "another reason"
    assert place not in city.run("dead-letter", "list", "--to", "2020-01-01").stdout
    assert place in city.run("dead-letter", "list", "--from", rfc3339(now_us() - 3600_000_000)).stdout
    assert place not in city.run("dead-letter", "list", "--topic", "tongguan.sensor.readings").stdout
    assert "(there may be more: --limit)" in city.run("dead-letter", "list", "--limit", "1").stdout


@pytest.mark.parametrize("args", [("list", "--reason", "nonsense"), ("list", "--from", "yesteryear"), ("show",), ("show", "x/y"),
                                  ("retry",), ("retry", "--all", "--topic", TOPIC), ("bury",), ("list", "--limit", "0"), ()])
def test_dead_letter__wrong_usage_is_2(city, args):
    out = city.run("dead-letter", *args)
    assert out.returncode == 2 and out.stderr.startswith("tongguan dead-letter: "), (out.returncode, out.stderr)


def test_dead_letter_show__reads_value_and_headers_and_masks_the_contact(city, refused):
    out = city.run("dead-letter", "show", refused[2][0][0])
    assert out.returncode == 0 and "time_ahead: " in out.stdout and '"event_id": "dl-ahead"' in out.stdout
    assert "13912345678" not in out.stdout and "5678" in out.stdout
    shown = city.run("dead-letter", "show", refused[1][0][0]).stdout
    for line in ("header     batch = 7\n", "header     batch = 8\n", "header     blob = hex ff00\n", "header     none = (null)\n",
                 "value      1 bytes, JSON\n", "cannot be read as an event (malformed_json): {\n"):
        assert line in shown, shown
    assert "fffe006e6f7420616e206576656e74" in city.run("dead-letter", "show", refused[0][0][0]).stdout
    missing = city.run("dead-letter", "show", f"{TOPIC}/0/99999999")
    assert missing.returncode == 1 and "there is no dead letter" in missing.stderr


def test_dead_letter_retry__sends_the_original_and_a_new_refusal_has_its_own_row(city, refused):
    (place, part, offset), reason, value = refused[1]
    assert "would be sent" in city.run("dead-letter", "retry", place, "--dry-run").stdout
    out = city.run("dead-letter", "retry", place, "--by", "wang")
    assert out.returncode == 1, "it was refused again"
    by, again, at = city.rows("SELECT retried_by, retried_offset, retried_at IS NOT NULL FROM tongguan.dead_letters WHERE topic = %s"
                              " AND partition = %s AND \"offset\" = %s", TOPIC, part, offset)[0]
    assert (by, at) == ("wang", True) and again > offset
    assert f"refused again: {reason}, now {TOPIC}/{part}/{again}" in out.stdout
    assert city.rows("SELECT d.reason, d.value, d.headers, d.retried_at FROM tongguan.dead_letter d WHERE topic = %s AND partition = %s"
                     " AND \"offset\" = %s", TOPIC, part, again) == city.rows(
        "SELECT reason, %s::bytea, headers, NULL::timestamptz FROM tongguan.dead_letter WHERE topic = %s AND partition = %s"
        " AND \"offset\" = %s", value, TOPIC, part, offset)
    sent = [m for m in city.consume(TOPIC) if (m.partition(), m.offset()) == (part, again)][0]
    assert sent.value() == value and sent.key() is None
    assert sent.headers() == [("content-type", b"application/json"), ("batch", b"7"), ("batch", b"8"), ("blob", b"\xff\x00"),
                              ("none", None)]
    left_out = city.run("dead-letter", "retry", place)
    assert left_out.returncode == 0 and "was sent again before" in left_out.stdout and "0 sent again" in left_out.stdout


def test_dead_letter_retry__what_is_mended_is_stored(city):
    """A device that nobody knew is registered; its readings come in once, and nothing else is sent."""
    probe = report(event_id="dl-device", source="dl-lamp", kind="SENSOR", lon=None)
    probe.ClearField("report")
    probe.reading.metric, probe.reading.value = "lux", 3.5
    [(part, offset)] = city.produce("tongguan.sensor.readings", [probe.SerializeToString()], partition=2)
    wait_for(lambda: city.rows("SELECT 1 FROM tongguan.dead_letters WHERE topic = 'tongguan.sensor.readings' AND partition = %s"
                               " AND \"offset\" = %s AND reason = 'unknown_device'", part, offset), what="the dead letter")
    with city.pg() as conn:
        conn.execute("INSERT INTO tongguan.device (device_id, source_kind, geom) VALUES ('dl-lamp', 1,"
                     " ST_SetSRID(ST_MakePoint(-71.075, 42.345), 4326))")
        version = conn.execute("UPDATE tongguan.city SET version = version + 1 RETURNING version").fetchone()[0]
    try:
        def taken_up():
            fresh = report(source="dl-lamp", kind="SENSOR", lon=None)
            fresh.reading.metric, fresh.reading.value = "lux", 1.0
            city.produce("tongguan.sensor.readings", [fresh.SerializeToString()])
            return wait_for(lambda: city.rows("SELECT true FROM tongguan.event WHERE event_id = %s UNION ALL SELECT false FROM"
                                              " tongguan.dead_letter WHERE value = %s", fresh.event_id,
                                              fresh.SerializeToString()))[0][0]
        wait_for(taken_up, what=f"city {version}")
        out = city.run("dead-letter", "retry", "--reason", "unknown_device", "--topic", "tongguan.sensor.readings", "--wait", "30",
                       "--to", rfc3339(now_us() + 1_000_000))
        assert out.returncode == 0, out.stdout + out.stderr
        assert f"tongguan.sensor.readings/{part}/{offset}  accepted" in out.stdout and ", 0 refused again, 0 not read yet" in out.stdout
        assert city.value("SELECT count(*) FROM tongguan.event WHERE event_id = 'dl-device'") == 1
        assert "0 sent again" not in out.stdout
        out = city.run("dead-letter", "retry", "--reason", "unknown_device", "--topic", "tongguan.sensor.readings")
        assert out.returncode == 0 and out.stdout == "no dead letter matches\n"
    finally:
        with city.pg() as conn:
            conn.execute("DELETE FROM tongguan.device WHERE device_id = 'dl-lamp'")
            conn.execute("UPDATE tongguan.city SET version = version + 1")
    assert json.loads(json.dumps(city.rows("SELECT metric, value FROM tongguan.event WHERE event_id = 'dl-device'"))) == [["lux", 3.5]]
