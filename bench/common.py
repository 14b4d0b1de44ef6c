"""What the parts of the bench share: the table's lines, what a process has used, and a topic full of readings."""
import multiprocessing
import os
import random
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "tests"))
from harness import now_us, protocol, scattered  # noqa: E402

TOPIC = "tongguan.sensor.readings"
PARTITIONS = 8
# The embedded broker starts with Java's first compiler only, which is ready sooner; a broker that runs for days has all of them.
ENV = {"TONGGUAN_KAFKA_INPUT_PARTITIONS": str(PARTITIONS), "_JAVA_OPTIONS": "-XX:TieredStopAtLevel=4"}
CLOCK = os.sysconf("SC_CLK_TCK")
NEXT = "SELECT coalesce(sum(next), 0)::bigint FROM tongguan.source_offset WHERE topic = %s"


def line(*cells):
    print("| " + " | ".join(str(c) for c in cells) + " |", flush=True)


def head(*cells):
    line(*cells)
    line(*["---"] * len(cells))


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK


def resident_mb(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(row.split()[1]) for row in status if row.startswith("VmRSS")) / 1024


def reading(event, i, occurred_us, rng):
    """Fills a protobuf event: distinct devices, places all over the city."""
    event.event_id, event.source_id = f"b{i:08d}", f"device-{i % 20000:05d}"
    event.occurred_at_us = occurred_us
    event.location.lon, event.location.lat = scattered(rng, 4000)
    event.reading.metric, event.reading.value, event.reading.unit = "pm10", rng.random() * 200, "ug/m3"
    return event


def reading_json(i, occurred_us, rng):
    """The same as JSON text, as a device would write it."""
    lon, lat = scattered(rng, 4000)
    return (f'{{"event_id":"b{i:08d}","source_id":"device-{i % 20000:05d}","source_kind":"sensor","occurred_at":'
            f'"{rfc3339_us(occurred_us)}","location":{{"lon":{lon!r},"lat":{lat!r}}},'
            f'"reading":{{"metric":"pm10","value":{rng.random() * 200!r},"unit":"ug/m3"}}}}').encode()


def rfc3339_us(us):
    from datetime import datetime, timezone
    return datetime.fromtimestamp(us // 1_000_000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S") + f".{us % 1_000_000:06d}Z"


def produce_part(brokers, part, parts, rows, as_json):
    """One process's share of the readings; times of the last ten minutes."""
    from confluent_kafka import Producer
    pb = protocol()
    rng = random.Random(part)
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 20, "batch.num.messages": 10000,
                         "queue.buffering.max.messages": 500000})
    event = pb.Event(source_id="", source_kind=pb.SENSOR)
    start = now_us() - 600_000_000
    headers = [("content-type", b"application/json")] if as_json else None
    for i in range(part, rows, parts):
        at = start + i * 100
        value = reading_json(i, at, rng) if as_json else reading(event, i, at, rng).SerializeToString()
        while True:
            try:
                producer.produce(TOPIC, value, key=f"device-{i % 20000:05d}", headers=headers)
                break
            except BufferError:
                producer.poll(0.05)
    producer.flush()


def fill_topic(city, rows, as_json=False):
    workers = [multiprocessing.Process(target=produce_part, args=(city.env["TONGGUAN_KAFKA_BROKERS"], p, 2, rows, as_json))
               for p in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
