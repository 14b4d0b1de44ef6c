"""Transitions asked for over HTTP beside pgbench with the statements they end in, alternating on one server.

The statements are those that dispatch was seen to send (PostgreSQL's own log), one pgbench script a case, in pipeline mode as dispatch
uses it: BEGIN and the lock in one round trip, the write and COMMIT in another. pgbench asks for nothing else: no HTTP, no credential, no
decision, no publishing.
"""
import os
import re
import statistics
import subprocess
import tempfile

from common import cpu_seconds, head, line, resident_mb
from harness import HERE, ROOT, City, Role, wait_for

SECONDS = int(os.environ.get("BENCH_TRANSITION_SECONDS", "10"))
ROUNDS = int(os.environ.get("BENCH_SAMPLES", "3"))
CONNECTIONS, SESSIONS, CASES = 16, 4, 64
PGBENCH = "/usr/lib/postgresql/15/bin/pgbench"


def new_cases(city, many):
    return [city.api()("POST", "/api/v1/cases", {"type_code": "22002", "title": "bench", "location": {"lon": HERE[0], "lat": HERE[1]}})[1]["case_id"]
            for _ in range(many)]


def captured(city, case):
    """What dispatch sends for one `remind` of this case: [(statement, [parameter, …])] from the server's log."""
    with city.pg() as conn:
        before = conn.execute("SELECT pg_current_logfile()").fetchone()[0]
        conn.execute("ALTER ROLE tongguan_dispatch SET log_statement = 'all'")
    role = Role(city, "dispatch").ready()
    city.api().act(case, "remind", note="bench")
    role.stop()
    with city.pg() as conn:
        conn.execute("ALTER ROLE tongguan_dispatch RESET log_statement")
    assert before is None or before
    for name in os.listdir(os.path.join(city.dir, "log")):
        with open(os.path.join(city.dir, "log", name), encoding="utf-8", errors="replace") as log:
            text = log.read()
        found = re.findall(r"execute [^:]*: (SELECT tongguan\.case_(?:lock|act)\(.*?\))\n.*?DETAIL:  parameters: (.*)", text)
        if found:
            return found[-2:]
    raise AssertionError("the server's log does not show the statements")


def script_of(statements, case, other):
    """A pgbench script: the statements with their parameters written out, of another case."""
    lines = ["\\startpipeline", "BEGIN;"]
    for i, (sql, parameters) in enumerate(statements):
        values = dict(re.findall(r"\$(\d+) = ('(?:[^']|'')*'|NULL)", parameters))
        text = re.sub(r"\$(\d+)", lambda m: values[m[1]].replace(case, other), sql)
        lines.append(text + ";")
        lines += ["\\endpipeline", "\\startpipeline"] if i == 0 else ["COMMIT;", "\\endpipeline"]
    return "\n".join(lines) + "\n"


def pgbench(city, scripts):
    command = [PGBENCH, "-n", "-M", "prepared", "-c", str(SESSIONS), "-j", "1", "-T", str(SECONDS)]
    for script in scripts:
        command += ["-f", script]
    done = subprocess.run([*command, city.env["TONGGUAN_POSTGRES_URL"]], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return float(re.search(r"tps = ([\d.]+)", done.stdout)[1])


def requests(city, cases):
    host, port = city.env["TONGGUAN_HTTP_LISTEN"].split(":")
    done = subprocess.run([os.path.join(ROOT, "build/obj/bench/transitions"), host, port, city.api().token, str(SECONDS), str(CONNECTIONS)],
                          input="\n".join(cases), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {name: float(value) for name, value in (row.split() for row in done.stdout.splitlines())}


def bench():
    subprocess.run(["make", "-s", "--no-print-directory", "-C", ROOT, "build/obj/bench/transitions"], check=True)
    print(f"\n## transitions: {CONNECTIONS} connections for {SECONDS} s beside pgbench with {SESSIONS} sessions, {ROUNDS} times each in turn")
    with City(roles=(), env={"TONGGUAN_DISPATCH_PG_CONNECTIONS": str(SESSIONS), "TONGGUAN_LOG_LEVEL": "warn"}) as city, \
            tempfile.TemporaryDirectory() as folder:
        role = Role(city, "dispatch").ready()
        cases = new_cases(city, CASES * 2 + 1)
        role.stop()
        statements = captured(city, cases[-1])
        scripts = []
        for i, case in enumerate(cases[:CASES]):
            scripts.append(os.path.join(folder, f"{i}.sql"))
            with open(scripts[-1], "w", encoding="utf-8") as out:
                out.write(script_of(statements, cases[-1], case))
        head("", "pgbench/s", "requests/s", "ratio", "p50 ms", "p99 ms", "CPU µs/request", "resident MB")
        ratios, mine = [], cases[CASES:-1]
        for turn in range(ROUNDS):
            roof = pgbench(city, scripts)
            role = Role(city, "dispatch").ready()
            wait_for(lambda: not city.value("SELECT exists (SELECT FROM tongguan.outbox WHERE pos IS NULL)"), timeout=120, what="the outbox")
            before = cpu_seconds(role.proc.pid)
            got = requests(city, mine)
            cpu = (cpu_seconds(role.proc.pid) - before) / got["done"] * 1e6
            memory = resident_mb(role.proc.pid)
            role.stop()
            ratios.append(got["per_s"] / roof)
            line(turn + 1, f"{roof:.0f}", f"{got['per_s']:.0f}", f"{ratios[-1]:.2f}", f"{got['p50_ms']:.1f}", f"{got['p99_ms']:.1f}", f"{cpu:.0f}",
                 f"{memory:.0f}")
        print(f"\nmedian ratio {statistics.median(ratios):.2f} (goal 0.60); {got['refused']:.0f} of the last were refused and asked again")
