"""`make faults`: the battery in its long form. One set of servers and one stream serve all of it; every group settles and is checked.

Counts by environment, each with its default: TONGGUAN_FAULTS_SEED=1, _KILLS=400, _ZOMBIES=80, _COMMITS=150, _ROUNDS=4 (the other faults,
each once a round), _BROKEN (names of broken builds, or none).
"""
import os
import sys
import time
import traceback

sys.path[:0] = [os.path.dirname(os.path.dirname(os.path.abspath(__file__))), os.path.dirname(os.path.abspath(__file__))]
from battery import Battery  # noqa: E402
from breaks import BROKEN, strike_broken  # noqa: E402
from line import Line  # noqa: E402

POINTS = ("ingest_after_copy", "ingest_after_commit", "ingest_after_publish")


def setting(name, default):
    return int(os.environ.get(f"TONGGUAN_FAULTS_{name}", default))


class Run:
    def __init__(self, battery):
        self.battery, self.failed, self.began = battery, [], time.monotonic()

    def group(self, title, act, *slots):
        """One group; a failure is noted, the ledger begins anew, and the run goes on."""
        began = time.monotonic()
        try:
            with self.battery.group(*slots, timeout=60) as ingests:
                act(self.battery, *ingests)
            how = "ok"
        except Exception as error:  # whatever went wrong is a finding
            how = f"FAILED: {str(error)[:1500] or traceback.format_exc()[-800:]}"
            said = [(ingest.slot, ingest.ask("/readyz"), len(ingest.pg.connections)) for ingest in self.battery.line.ingests]
            how += f"\n         (slot, /readyz, PostgreSQL connections): {said}"
            self.failed.append(title)
            for ingest in self.battery.line.ingests:
                ingest.pg.let_go()
                ingest.pg.go()
                ingest.kafka.go()
                if ingest.alive():
                    ingest.kill()
            self.battery.line.forget()
        print(f"{time.monotonic() - self.began:6.0f} s  {title}: {time.monotonic() - began:.1f} s, {how}", flush=True)

    def alone(self, title, act):
        try:
            act()
        except Exception as error:
            self.failed.append(f"{title}: {error}")

    def broken(self, name):
        try:
            wrong = strike_broken(self.battery, name)
            found = sorted(set(wrong) & BROKEN[name][1])
        except Exception as error:
            found, wrong = [], error
        if not found:
            self.failed.append(f"broken build {name} was not found out: {wrong}")
        print(f"{time.monotonic() - self.began:6.0f} s  broken build {name}: {', '.join(found) or 'NOT FOUND OUT'}", flush=True)


def kills(n):
    def act(b, *ingests):
        for _ in range(n):
            dice = b.rng.random()
            if dice < 0.6:
                b.kill(b.rng.choice(ingests))
            elif dice < 0.85:
                b.kill_at(b.rng.choice(ingests), b.rng.choice(POINTS))
            else:
                b.nap(b.rng.choice(ingests))
    return act


def commits(n):
    def act(b, *ingests):
        for _ in range(n):
            b.lose_answer(b.rng.choice(ingests))
            if b.rng.random() < 0.15:
                b.lose_request(b.rng.choice(ingests))
        b.hold_commit(ingests[0])
    return act


def zombies(b, one, two, three):
    def meanwhile():
        for _ in range(3):
            b.lose_answer(three)
            b.kill(three)
    b.zombies([one, two], [three], meanwhile)


def wire(b, one):
    b.wire(one, stall_s=2, resets_behind=5, dead_peers=("pg", "kafka"))


def two(b, one, other):
    b.crosswise(one, other)
    b.join_and_leave(2)
    b.burst(2)


def servers(b, one):
    b.postgres_stop()
    b.stall_statement(3)
    b.disk_full()
    b.kafka_kill()


def logs(b, one):
    b.log_truncated(one)
    b.located_gone(one)
    b.recreated(one, running=b.rng.random() < 0.5)


def main():
    line = Line(seed=setting("SEED", 1), rate=setting("RATE", 200))
    battery = Battery(line)
    run = Run(battery)
    try:
        rounds = setting("ROUNDS", 4)
        for i in range(rounds):
            run.group("wire", wire, 0)
            run.group("two ingests", two, 0, 1)
            run.group("servers", servers, 0)
            run.group("logs", logs, 0)
        done = battery.number["zombie woken after a takeover"]
        for i in range(done, setting("ZOMBIES", 80), 2):
            run.group("zombies", zombies, 0, 1, 2)
        while sum(n for kind, n in battery.number.items() if kind.startswith("kill")) < setting("KILLS", 400) and len(run.failed) < 20:
            run.group("kills", kills(20), *battery.rng.choice([(0,), (0, 1), (0, 1, 2)]))
        while battery.number["COMMIT answer lost"] < setting("COMMITS", 150) and len(run.failed) < 20:
            run.group("lost COMMITs", commits(20), *battery.rng.choice([(0,), (0, 1)]))
        run.group("a minute without the database", lambda b, one: b.stall_memory(one), 0)
        run.group("replay", lambda b, one: b.replay_all(one), 0)
        wrong = line.check(whole=True)
        print(f"everything once more: {wrong.text()}")
        if wrong:
            run.failed.append("the last look at everything")
        run.alone("replay below the floor", lambda: battery.replay_below_floor(line.ingests[0]))
        print(battery.table(), flush=True)
        for name in os.environ.get("TONGGUAN_FAULTS_BROKEN", ",".join(BROKEN)).split(","):
            if name and name != "none":
                run.broken(name)
    finally:
        line.close()
    for what in run.failed:
        print(f"FAILED {what}")
    print(f"{'FAILED' if run.failed else 'passed'} after {time.monotonic() - run.began:.0f} s, seed {line.seed}")
    return 1 if run.failed else 0


if __name__ == "__main__":
    sys.exit(main())
