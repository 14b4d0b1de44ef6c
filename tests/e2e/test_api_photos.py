"""Photos: by content, told by their bytes, seen by who sees a case that names them; the same on every dispatcher."""
import hashlib
import http.client
import json
import os
import struct
import zlib

import pytest
from api_calls import V1, ask, create, dispatched, field_of, problem
from harness import report, wait_for


def png(width=2, height=2, extra=0):
    """A real PNG; `extra` random bytes make it another one, and larger."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + b"\x10\x80\xf0" * width for _ in range(height))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows))
            + chunk(b"teXt", os.urandom(extra)) + chunk(b"IEND", b""))


def put(api, body, media="image/png"):
    conn = http.client.HTTPConnection(api.address, timeout=60)
    conn.request("POST", V1 + "/photos", body=body, headers={"Authorization": f"Bearer {api.token}"} | ({"Content-Type": media} if media else {}))
    answer = conn.getresponse()
    raw = answer.read()
    conn.close()
    return answer.status, dict(answer.getheaders()), raw


def test_photos__come_back_byte_by_byte_under_the_name_of_their_content(city):
    for body in (png(extra=10), png(extra=3_000_000), png(extra=8_000_000)):
        status, headers, raw = put(city.api("inspector"), body)
        doc = json.loads(raw)
        name = hashlib.sha256(body).hexdigest()
        assert status == 201 and doc == {"hash": name, "type": "image/png", "size": len(body), "url": f"{V1}/photos/{name}"}
        status, headers, back = ask(city.api(), "GET", doc["url"])
        head = {k.lower(): v for k, v in headers.items()}
        assert status == 200 and back == body and head["content-type"] == "image/png" and head["x-content-type-options"] == "nosniff"
        assert head["cache-control"].startswith("private") and "default-src 'none'" in head["content-security-policy"]
        status, _, back = ask(city.api(), "GET", doc["url"], headers={"If-None-Match": head["etag"]})
        assert status == 304 and back == b""
        assert put(city.api(), body)[0] == 201  # again, by somebody else: the same
        assert city.value("SELECT count(*) FROM tongguan.photo WHERE hash = decode(%s, 'hex')", name) == 1


@pytest.mark.parametrize("body, media, status", [
    (b"", "image/png", 415), (b"<html>" * 10, "image/png", 415), (b"GIF89a" + b"\0" * 50, "image/gif", 415), (png()[:-1], "image/png", 415),
    (png() + b"<script>", "image/png", 415), (png(), "image/jpeg", 415), (png(), "text/html", 415), (png(), "application/octet-stream", 201),
    (png(), None, 201), (png(width=0), "image/png", 422), (png(extra=8_400_000), "image/png", 413),
])
def test_photos__what_is_none_is_refused(city, body, media, status):
    answer = put(city.api(), body, media)
    assert answer[0] == status, answer[2][:300]
    if status >= 400:
        problem(answer, status)


def test_photos__are_named_by_actions_and_reports_and_stand_in_the_log(city, desk):
    names = [json.loads(put(city.api(), png(extra=16))[2])["hash"] for _ in range(4)]
    case = create(city, photos=names[:2])["case_id"]
    city.api().act(case, "comment", note="another", photos=[names[2]])
    assert [e["detail"]["photos"] for e in city.api().get(f"{V1}/cases/{case}/log")["items"] if e["detail"] and "photos" in e["detail"]] == [
        names[:2], [names[2]]]
    own, doc = dispatched(city, desk.mine)
    mine = json.loads(put(city.api("department"), png(extra=16))[2])["hash"]
    task = doc["tasks"][0]["task_id"]
    city.api("department").act_task(task, "sign")
    city.api("department").act_task(task, "complete", result="已修复", photos=[mine])
    assert city.api().get(f"{V1}/cases/{own}/log")["items"][-1]["detail"]["photos"] == [mine]
    status, _, raw = ask(city.api("inspector"), "POST", V1 + "/reports", {"text": "with a photo", "photos": [names[3]]})
    event = json.loads(raw)
    assert status == 202
    stored = wait_for(lambda: city.rows("SELECT payload FROM tongguan.events WHERE event_id = %s", event["event_id"]), what="the report")
    assert stored[0][0]["report"]["photo_urls"] == [f"{V1}/photos/{names[3]}"]
    assert city.run("audit", "verify").returncode == 0


@pytest.mark.parametrize("photos", [["0" * 64], ["x"], [5], "0" * 64, ["0" * 64] * 10, [hashlib.sha256(b"nothing").hexdigest()]])
def test_photos__a_name_that_is_none_is_422(city, photos):
    case = create(city)["case_id"]
    for path, body in ((f"/cases/{case}/actions", {"action": "comment", "note": "x", "version": 1}), ("/cases", {"title": "x", "type_code": "22002"}),
                       ("/reports", {"text": "x"})):
        api = city.api("inspector") if path == "/reports" else city.api()
        assert "photos" in field_of(problem(ask(api, "POST", V1 + path, body | {"photos": photos}), 422)), path


def test_photos__of_others_are_not_there_for_a_department(city, desk):
    theirs = json.loads(put(city.api(), png(extra=16))[2])["hash"]
    api = city.api("department")
    own, _ = dispatched(city, desk.mine)
    problem(ask(api, "GET", f"{V1}/photos/{theirs}"), 404)
    version = api.get(f"{V1}/cases/{own}")["version"]
    refused = ask(api, "POST", f"{V1}/cases/{own}/actions", {"action": "comment", "note": "x", "version": version, "photos": [theirs]})
    assert field_of(problem(refused, 422)) == ["photos"]  # naming it would show it
    city.api().act(own, "comment", note="look", photos=[theirs])
    assert ask(api, "GET", f"{V1}/photos/{theirs}")[0] == 200
    problem(ask(desk.other_api, "GET", f"{V1}/photos/{theirs}"), 404)


def test_pages__stay_whole_while_their_rows_change(city, crowd):
    """Rows whose key does not move come exactly once, whatever happens to them between two pages."""
    for path, name, key in ((f"{V1}/cases?sort=newest", "case_id", None), (f"{V1}/tasks", "task_id", None)):
        before = {i[name] for i in pages(city, path, None, name)}
        seen = [i[name] for i in pages(city, path, lambda: city.api().act(crowd[20], "remind", note="meanwhile"), name)]
        assert len(seen) == len(set(seen)) and before <= set(seen), path
    seen, meanwhile = [], iter(crowd[13:20])
    for item in pages(city, f"{V1}/cases?sort=due", lambda: city.api().act(next(meanwhile, crowd[21]), "comment", note="x"), "case_id"):
        seen.append(item["case_id"])
    assert len(seen) == len(set(seen)) and set(crowd) <= set(seen)


def pages(city, path, between, name):
    cursor, sign = None, "&" if "?" in path else "?"
    while True:
        doc = city.api().get(f"{path}{sign}limit=40" + (f"&cursor={cursor}" if cursor else ""))
        yield from doc["items"]
        cursor = doc["next_cursor"]
        if not cursor:
            return
        if between:
            between()


def test_series__of_one_source_and_metric(city):
    from harness import now_us
    start = now_us() - 60_000_000
    values = []
    for i in range(5):
        for source, metric in (("meter-a", "pm10"), ("meter-a", "noise"), ("meter-b", "pm10")):
            event = report(kind="SENSOR", source=source, occurred_us=start + i * 1_000_000)
            event.ClearField("report")
            event.reading.metric, event.reading.value, event.reading.unit = metric, float(i), "x"
            values.append(event.SerializeToString())
    city.produce("tongguan.sensor.readings", values)
    path = f"{V1}/events?source_id=meter-a&metric=pm10&from={stamp(start)}&to={stamp(start + 10_000_000)}"
    got = wait_for(lambda: len(items := city.api().get(path)["items"]) == 5 and items, what="the series")
    assert [(i["source_id"], i["metric"], i["value"]) for i in got] == [("meter-a", "pm10", float(v)) for v in (4, 3, 2, 1, 0)]
    plan = "\n".join(row[0] for row in city.rows(
        "EXPLAIN " + open("schema/queries/event_list.sql", encoding="utf-8").read().replace("$10", "'pm10'").replace("$9", "'meter-a'").replace("$8", "100")
        .replace("$7", "NULL").replace("$6", "NULL").replace("$5", "NULL").replace("$4", "NULL").replace("$3", "NULL").replace("$2", str(start + 10**7))
        .replace("$1", str(start))))
    assert "Seq Scan" not in plan, plan


def stamp(us):
    from datetime import datetime, timezone
    return datetime.fromtimestamp(us / 1e6, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
