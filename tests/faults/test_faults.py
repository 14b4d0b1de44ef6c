"""Promises 1, 2 and 7 under fault, in short (`make faults` is the long form): the stream flows, faults strike, and in the end every
event is stored once and unchanged, every poison is in the dead letters once, every offset is last + 1, every event is located."""
import os

import pytest
from breaks import BROKEN, strike_broken

POINTS = ("ingest_after_copy", "ingest_after_commit", "ingest_after_publish")
# Two in the short form, another two each day of a month; the long form runs them all.
BUILDS = os.environ.get("TONGGUAN_FAULTS_BROKEN", "OFFSET_FIRST,NO_FENCE").split(",")


def test_faults__killed_at_random_and_at_named_points(battery):
    with battery.group(0) as (one,):
        for _ in range(6):
            battery.kill(one)
        for point in POINTS:
            battery.kill_at(one, point)
        battery.nap(one)


def test_faults__the_answer_to_a_commit_is_lost(battery):
    with battery.group(0) as (one,):
        for _ in range(6):
            battery.lose_answer(one)
        for _ in range(3):
            battery.lose_request(one)
        battery.hold_commit(one)


def test_faults__the_wire_breaks(battery):
    with battery.group(0) as (one,):
        battery.wire(one, stall_s=1, resets_behind=3, dead_peers=())


def test_faults__zombies_wake_after_a_takeover(battery):
    with battery.group(0, 1, 2) as (one, two, three):
        def meanwhile():
            battery.lose_answer(three)
            battery.kill(three)
        battery.zombies([one, two], [three], meanwhile)


def test_faults__two_ingests_share_come_and_go(battery):
    with battery.group(0, 1) as (one, two):
        battery.crosswise(one, two)
        battery.join_and_leave(2)
        battery.kill(one)
        battery.kill(two)
        battery.burst()


def test_faults__postgres_stops_stalls_and_is_full(battery):
    with battery.group(0) as (one,):
        battery.postgres_stop()
        battery.stall_statement()
        battery.disk_full()
        battery.dead_peer(one, "pg")


def test_faults__kafka_is_killed_and_loses_its_log(battery):
    with battery.group(0) as (one,):
        battery.kafka_kill()
        battery.log_truncated(one)
        battery.located_gone(one)
        battery.recreated(one)


@pytest.mark.parametrize("name", [name for name in BUILDS if name])
def test_faults__a_broken_build_fails_by_name(battery, name):
    wrong = strike_broken(battery, name)
    assert set(wrong) & BROKEN[name][1], f"{name}: {wrong.text()}"


def test_faults__at_least_forty_struck(battery):
    assert sum(battery.hit.values()) >= 40
    assert battery.lost == battery.doubled == 0
