"""From producing a reading to its row being committed and readable: at a steady rate, and across the edge of a new partition."""
import multiprocessing
import os
import random
import time

from common import ENV, PARTITIONS, TOPIC, head, line, reading
from harness import City, Role, now_us, protocol

RATE = int(os.environ.get("BENCH_VISIBLE_RATE", "5000"))
SECONDS = int(os.environ.get("BENCH_VISIBLE_SECONDS", "30"))
STEP_S = 0.001  # sent in steps of a millisecond, as the clock allows


def send(brokers, times, pipe):
    """RATE a second, in steps of a millisecond, each step to the next partition; reports (sent at, partition, offset) of each."""
    from confluent_kafka import Producer
    rng, pb, sent = random.Random(7), protocol(), []
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 0})
    event, names = pb.Event(source_id="", source_kind=pb.SENSOR), random.randrange(1 << 30)
    values = [reading(event, names + i, times(i), rng).SerializeToString() for i in range(RATE * SECONDS)]
    step, begin = max(1, int(RATE * STEP_S)), time.time() + 0.2  # now that all is ready: nothing is sent in a rush

    def note_at(at):
        return lambda err, msg: sent.append((at, msg.partition(), msg.offset()))

    for i in range(0, len(values), step):
        left = begin + i / RATE - time.time()
        if left > 0:
            time.sleep(left)
        note = note_at(time.time())
        for value in values[i:i + step]:
            producer.produce(TOPIC, value, partition=i // step % PARTITIONS, on_delivery=note)
        producer.poll(0)
    producer.flush()
    pipe.send(sent)


def watch(conn, total, deadline):
    """[(read at, {partition: next})] whenever it has changed, until everything is stored."""
    seen, last = [], None
    while time.monotonic() < deadline:
        row = conn.execute("SELECT partition, next FROM tongguan.source_offset WHERE topic = %s", (TOPIC,)).fetchall()
        if row != last:
            seen.append((time.time(), dict(row)))
            last = row
        if sum(following for _, following in row) >= total:
            return seen
        time.sleep(STEP_S)
    raise AssertionError(f"{last}: not all of {total} are stored")


def delays(sent, seen):
    """Milliseconds from produce() until the first look that found each stored, in the order they were sent."""
    by_part, out = {}, []
    for at, part, offset in sent:
        by_part.setdefault(part, []).append((offset, at))
    for part, records in by_part.items():
        look = 0
        for offset, at in sorted(records):
            while seen[look][1].get(part, 0) <= offset:
                look += 1
            out.append((at, 1000 * (seen[look][0] - at)))
    return [delay for _, delay in sorted(out)]


def measure(city, times, before):
    here, there = multiprocessing.Pipe()
    worker = multiprocessing.Process(target=send, args=(city.env["TONGGUAN_KAFKA_BROKERS"], times, there))
    with city.pg() as conn:
        worker.start()
        seen = watch(conn, before + RATE * SECONDS, time.monotonic() + SECONDS + 60)
    sent = here.recv()
    worker.join()
    return delays(sent, seen)


def quantiles(ms):
    ms = sorted(ms)
    return [f"{ms[min(len(ms) - 1, int(len(ms) * q))]:.1f}" for q in (0.5, 0.99, 1)]


def bench():
    print(f"\n## produced to visible: {RATE:,} readings/s for {SECONDS} s, ingest alone")
    with City(roles=(), env=ENV) as city:
        role = Role(city, "ingest").ready()
        start = now_us()
        measure(city, lambda i: start + i, 0)  # warms the broker up
        steady = measure(city, lambda i: start + i * 1_000_000 // RATE, RATE * SECONDS)
        month = 31 * 86_400_000_000
        half = RATE * SECONDS // 2
        switch = measure(city, lambda i: start - month * (3 if i < half else 4) + i * 1_000_000 // RATE, 2 * RATE * SECONDS)
        around = switch[half - RATE // 2:half + RATE]
        head("", "p50 ms", "p99 ms", "max ms")
        line("steady", *quantiles(steady))
        line("1.5 s around the first event of a new partition", *quantiles(around))
        role.stop()
