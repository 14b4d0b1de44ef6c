"""What began longer ago than the topic of located events is kept still stands, and ends, after Redis has lost everything."""
import pytest
from correlate_world import HOT, LOCATED, SILENT, SILENT_DEVICE, packs_world
from harness import now_us

HOUR = 3600_000_000


@pytest.fixture(scope="module")
def world(servers, tmp_path_factory):
    yield from packs_world(servers, tmp_path_factory.mktemp("recall"))


@pytest.fixture(autouse=True)
def nobody_stays(world):
    yield
    world.end()


def test_recall__a_limit_and_a_silence_end_after_flushall_and_a_trimmed_topic(world):
    world.begin((HOT, "hot", 10), (SILENT, "dumb"))
    world.now = now_us() - 40 * HOUR
    role = world.correlate().ready()
    world.say("rl-a", 20, stored=True)
    world.say(SILENT_DEVICE, 1, stored=True)
    world.say(seconds=200)
    standing = {"hot": [("open", None)], "dumb": [("open", None)]}
    world.become(standing, "both to be raised")
    role.stop()
    world.redis.client.flushall()
    world.topics.empty(LOCATED)
    role = world.correlate().ready()
    world.now = now_us() - HOUR
    world.say("rl-b", 20)  # something is judged, so the new owner has begun
    world.become({**standing, "hot": [("open", None)] * 2}, "both to stand, and a new one")
    world.say("rl-a", 1)
    world.say(SILENT_DEVICE, 1)
    world.say(seconds=70)
    world.become({"hot": [("cleared", None), ("open", None)], "dumb": [("cleared", None)]}, "the word that ends each to end it")
    assert [state for state, _ in dict.fromkeys(world.messages("dumb"))] == ["open", "cleared"]  # what stands may be told twice
    role.stop()
