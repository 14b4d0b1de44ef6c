"""`tongguan doctor`: a line for everything, what is wrong is found and said with what to mend, and the exit code tells."""
import contextlib
import os
import socket
import subprocess
import urllib.parse

from confluent_kafka.admin import AdminClient, NewTopic
from harness import BINARY, ROOT


def doctor(city, **env):
    """(exit code, lines) under these changes of the environment."""
    done = subprocess.run([BINARY, "doctor"], cwd=ROOT, env=dict(city.env, **env), capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout.splitlines()


def one(lines, mark, *words):
    """The line with that mark that holds all these words."""
    found = [line for line in lines if line.startswith(mark.ljust(5)) and all(w in line for w in words)]
    assert len(found) == 1, (mark, words, lines)
    return found[0]


def redis(city, *words):
    url = urllib.parse.urlparse(city.env["TONGGUAN_REDIS_URL"])
    with socket.create_connection((url.hostname, url.port)) as sock:
        for line in (["AUTH", url.password], list(words)):
            sock.sendall((" ".join(line) + "\r\n").encode())
            answer = sock.recv(4096)
            assert answer.startswith(b"+"), answer


def test_doctor__finds_nothing_bad_in_a_whole_city(city):
    code, lines = doctor(city)
    assert code == 0, lines
    assert not [line for line in lines if line.startswith("bad")], lines
    one(lines, "ok", "libraries", "librdkafka 2.", "libuv 1.")
    one(lines, "ok", "postgresql", "version 15")
    one(lines, "ok", "postgis", "version 3.")
    one(lines, "ok", "schema", "migrations, the last ")
    one(lines, "ok", "city", "波士顿")
    one(lines, "ok", "partitions", "made ahead")
    for role in ("ingest", "correlate", "dispatch"):
        one(lines, "ok", "account", f"{role} works as tongguan_{role}")
    one(lines, "ok", "redis", "maxmemory-policy noeviction")
    one(lines, "ok", "redis", "appendonly yes")
    for clock in ("PostgreSQL", "Redis", "Kafka"):
        one(lines, "ok", "clock", clock)
    assert len([line for line in lines if " topic " in line and "LogAppendTime" in line]) == 9
    assert len([line for line in lines if line.split()[1] == "disk" and "GB free" in line]) == 2
    assert lines[-1].endswith(" 0 bad")


def test_doctor__says_which_setting_of_which_server_is_to_be_mended(city):
    admin = AdminClient({"bootstrap.servers": city.env["TONGGUAN_KAFKA_BROKERS"]})
    future = admin.create_topics([NewTopic("doctor.old", 2, 1, config={"message.timestamp.type": "CreateTime"}),
                                  NewTopic("doctor.short", 2, 1, config={"retention.ms": "3600000"}),
                                  NewTopic("doctor.small", 2, 1, config={"max.message.bytes": "65536"})])
    for made in future.values():
        made.result(20)
    with city.pg() as conn:
        conn.execute("INSERT INTO tongguan.source_offset (topic, partition) VALUES ('doctor.shrunk', 5)")
    admin.create_topics([NewTopic("doctor.shrunk", 2, 1)])["doctor.shrunk"].result(20)
    redis(city, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        code, lines = doctor(city, TONGGUAN_KAFKA_TOPICS="doctor.old,doctor.short,doctor.small,doctor.shrunk,doctor.absent",
                             TONGGUAN_KAFKA_LOCATED_PARTITIONS="7", TONGGUAN_POSTGRES_INGEST_PASSWORD="wrong",
                             TONGGUAN_POSTGRES_CORRELATE_USER="", TONGGUAN_POSTGRES_DISPATCH_USER="tongguan_ingest",
                             TONGGUAN_POSTGRES_DISPATCH_PASSWORD=city.env["TONGGUAN_POSTGRES_INGEST_PASSWORD"])
    finally:
        redis(city, "CONFIG", "SET", "maxmemory-policy", "noeviction")
        with city.pg() as conn:
            conn.execute("DELETE FROM tongguan.source_offset WHERE topic = 'doctor.shrunk'")
    assert code == 1
    one(lines, "bad", "redis", "allkeys-lru", "set it to noeviction")
    one(lines, "bad", "doctor.old", "LogAppendTime")
    one(lines, "warn", "doctor.short", "retention.ms")
    one(lines, "bad", "doctor.small", "max.message.bytes")
    one(lines, "bad", "doctor.shrunk", "has 2 partitions, 6 were read before")
    one(lines, "bad", "doctor.absent", "tongguan migrate --topics")
    one(lines, "bad", "tongguan.events.located", "kafka.located_partitions says 7")
    one(lines, "bad", "account", "ingest", "password authentication failed")
    one(lines, "warn", "account", "correlate works as tongguan, who may do everything")
    one(lines, "bad", "account", "GRANT tongguan_dispatch TO tongguan_ingest")


def test_doctor__a_server_that_is_away_is_one_bad_line(city):
    with contextlib.ExitStack() as stack:
        away = []
        for _ in range(3):  # bound and not listening: refused at once
            sock = stack.enter_context(socket.socket())
            sock.bind(("127.0.0.1", 0))
            away.append(sock.getsockname()[1])
        code, lines = doctor(city, TONGGUAN_POSTGRES_URL=f"postgresql://x@127.0.0.1:{away[0]}/x",
                             TONGGUAN_REDIS_URL=f"redis://127.0.0.1:{away[1]}", TONGGUAN_KAFKA_BROKERS=f"127.0.0.1:{away[2]}")
    assert code == 1
    one(lines, "bad", "postgresql", "refused")
    one(lines, "bad", "redis", "refused")
    one(lines, "bad", "kafka", str(away[2]))
    assert lines[-1].endswith(" 3 bad"), lines


def test_doctor__clocks_that_are_apart_are_found(city, tmp_path):
    """The host's clock is moved for doctor alone, by a library that shifts it: the servers are then all ahead."""
    source = tmp_path / "shift.c"
    source.write_text("#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <time.h>\n"
                      "int clock_gettime(clockid_t id, struct timespec *ts)\n{\n"
                      "\tint (*real)(clockid_t, struct timespec *) = dlsym(RTLD_NEXT, \"clock_gettime\");\n"
                      "\tint rc = real(id, ts);\n\tif (id == CLOCK_REALTIME)\n\t\tts->tv_sec -= 90;\n\treturn rc;\n}\n")
    library = tmp_path / "shift.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    code, lines = doctor(city, LD_PRELOAD=os.fspath(library))
    assert code == 1
    for server in ("PostgreSQL", "Redis", "Kafka"):
        line = one(lines, "bad", "clock", server)
        assert "NTP" in line and 85 < float(line.split("+")[1].split()[0]) < 95, line
