"""Deliberately broken builds: each is run against the fault that its broken promise is there for, and must be found out by name."""
import contextlib

from battery import broken_build


def kill_after_copy(battery, one, binary):
    battery.kill_at(one, "ingest_after_copy", binary)


def kill_after_commit(battery, one, binary):
    battery.kill_at(one, "ingest_after_commit", binary)


def usurp(battery, one, binary):
    with contextlib.suppress(AssertionError):
        battery.usurp(one, timeout=4)


def hold(battery, one, binary):
    battery.hold_commit(one)


def flow(battery, one, binary):
    battery.line.flows(300)


def gone(battery, one, binary):
    battery.located_gone(one, binary)


# name → (the fault, the violations of which one must be among those found)
BROKEN = {
    "OFFSET_FIRST": (kill_after_copy, {"event lost"}),
    "DATA_FIRST": (flow, {"stored ahead of its offset"}),
    "NO_FENCE": (usurp, {"offset is not last + 1"}),
    "NO_DEDUPE": (flow, {"event doubled", "row that nobody sent"}),
    "POISON_SKIPPED": (flow, {"poison lost"}),
    "FORWARD_BEFORE_COMMIT": (hold, {"forwarded before it was committed"}),
    "FORWARD_NEVER_AGAIN": (kill_after_commit, {"event stored and not located"}),
    "GAP_SKIPPED": (gone, {"event stored and not located"}),
}


def strike_broken(battery, name):
    """The violations that the checker finds on this build; afterwards all is as new. Its strikes count for nothing else."""
    line, strike = battery.line, BROKEN[name][0]
    binary = broken_build(name)
    kept = battery.number.copy(), battery.hit.copy(), list(battery.ready_s)
    line.forget()
    try:
        one = line.up(0, binary=binary)[0]
        line.stream.go()
        line.flows(50)
        strike(battery, one, binary)
        with contextlib.suppress(AssertionError):
            line.flows(20, timeout=2)
        return line.check(timeout=4)
    finally:
        line.forget()
        battery.number, battery.hit, battery.ready_s = kept
        battery.compared = set()
