"""Packs are read anew while correlate runs: a changed folder, SIGHUP, and nothing of it unless every pack is right; and what becomes
of incidents whose rule is no longer there."""
import signal
import urllib.request

import pytest
from correlate_world import HOT, SILENT, SILENT_DEVICE, SINGLE, packs_world
from harness import wait_for


@pytest.fixture(scope="module")
def world(servers, tmp_path_factory):
    yield from packs_world(servers, tmp_path_factory.mktemp("reload"))


@pytest.fixture(autouse=True)
def nobody_stays(world):
    yield
    world.end()

def metrics(city):
    with urllib.request.urlopen(f"http://{city.env['TONGGUAN_CORRELATE_LISTEN']}/metrics", timeout=5) as answer:
        return answer.read().decode()


def test_reload__by_a_changed_folder_and_by_a_signal(world):
    world.begin((SINGLE, "one"))
    role = world.correlate().ready()
    wait_for(lambda: world.rules() == {"one"}, 20, what="the table of rules")
    world.write((SINGLE, "one"), (SINGLE, "two"))
    wait_for(lambda: world.rules() == {"one", "two"}, 20, what="the changed folder")
    (world.packs / "b.yaml").write_text("pack: [")
    role.proc.send_signal(signal.SIGHUP)
    wait_for(lambda: 'tongguan_correlate_reloads_total{result="refused"} 0' not in metrics(world.city), 20, what="the refusal")
    assert world.rules() == {"one", "two"}
    role.stop()


def test_reload__ends_what_stands_by_a_rule_that_was_taken_out_and_nothing_else(world):
    world.begin((HOT, "gone", 10), (HOT, "kept", 10), (SILENT, "dumb"))
    role = world.correlate().ready()
    world.say("rl-a", 20)
    world.say(SILENT_DEVICE, 1)
    world.say(seconds=200)
    world.become({"gone": [("open", None)], "kept": [("open", None)], "dumb": [("open", None)]}, "all to be raised")
    world.write((HOT, "kept", 10))
    ended = {"gone": [("cleared", "rule_removed")], "dumb": [("cleared", "rule_removed")]}
    world.become({**ended, "kept": [("open", None)]}, "those whose rule is gone to be ended")
    for rule in ended:
        assert world.messages(rule) == [("open", None), ("cleared", "rule_removed")]
        assert world.city.rows("SELECT 1 FROM tongguan.incident_span WHERE rule_id LIKE %s AND cleared_at IS NULL", f"{world.prefix}.{rule}%") == []
    world.say("rl-a", 1)
    world.become({**ended, "kept": [("cleared", None)]}, "the other to clear by its own reading")
    role.stop()


def test_reload__a_changed_definition_ends_what_the_former_raised_and_begins_anew(world):
    world.begin((HOT, "hot", 10))
    role = world.correlate().ready()
    world.say("rl-a", 20)
    world.become({"hot": [("open", None)]}, "the incident")
    world.write((HOT, "hot", 15))
    world.become({"hot": [("cleared", "rule_changed")]}, "the former definition's to be ended")
    world.say("rl-a", 21)
    world.become({"hot": [("cleared", "rule_changed"), ("open", None)]}, "the new definition's own")
    role.stop()


def test_reload__a_new_owner_ends_what_lost_its_rule_and_tells_it_after_a_crash(world):
    world.begin((HOT, "gone", 10), (HOT, "kept", 10))
    role = world.correlate().ready()
    world.say("rl-a", 20)
    world.become({"gone": [("open", None)], "kept": [("open", None)]}, "both to be raised")
    role.stop()
    world.write((HOT, "kept", 10))
    role = world.correlate("correlate_after_row:1").ready()
    world.say()
    assert role.died_at_fault()
    assert world.incidents()["gone"] == [("cleared", "rule_removed")] and world.messages("gone") == [("open", None)]
    role = world.correlate().ready()
    wait_for(lambda: world.say() or world.messages("gone") == [("open", None), ("cleared", "rule_removed")], 30, every=0.2, what="the message")
    assert world.incidents()["kept"] == [("open", None)]
    role.stop()


def test_reload__a_pack_that_is_refused_at_the_start_takes_no_rule_away(world):
    world.begin((HOT, "hot", 10))
    world.write((HOT, "other", 1000), name="b.yaml")
    role = world.correlate().ready()
    world.say("rl-a", 20)
    world.become({"hot": [("open", None)]}, "the incident")
    role.stop()
    good = (world.packs / "a.yaml").read_text()
    (world.packs / "a.yaml").write_text("pack: [")
    role = world.correlate().ready()
    world.say("rl-b", 2000)
    world.become({"hot": [("open", None)], "other": [("open", None)]}, "the other rule to run on")
    (world.packs / "a.yaml").write_text(good)
    wait_for(lambda: world.rules() == {"hot", "other"}, 20, what="the mended pack")
    world.say("rl-a", 1)
    world.become({"hot": [("cleared", None)], "other": [("open", None)]}, "it to clear by its own reading")
    role.stop()
