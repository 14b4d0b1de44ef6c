"""A simulated day of 徐汇: each plant is found with exactly its members, no near miss is taken for one, and the score can tell."""
import json

import harness
import pytest
from harness import Role, judged, wait_for

pytestmark = pytest.mark.apart


@pytest.fixture(scope="module")
def day(tmp_path_factory):
    """The city after the day, and its ledger. Ingest starts when all is sent: what it reads is not yet to come."""
    ledger = tmp_path_factory.mktemp("simulate") / "ledger.ndjson"
    with harness.City("xuhui", roles=()) as city:
        done = city.run("simulate", "--speed", "max", "--hours", "24", "--rounds", "2", "--seed", "5", "--ledger", str(ledger))
        assert done.returncode == 0, done.stderr
        sent = json.loads(ledger.read_text().splitlines()[0])
        Role(city, "ingest").ready()
        Role(city, "correlate").ready()
        wait_for(lambda: city.value("SELECT count(*) FROM tongguan.event") == sent["events"] < sent["sent"] and judged(city), 120,
                 every=0.3, what="the day")
        yield city, ledger


def score(day, lines=None):
    city, ledger = day
    if lines is not None:
        changed = ledger.with_name("changed.ndjson")
        changed.write_text("".join(json.dumps(line) + "\n" for line in lines))
        ledger = changed
    return city.run("simulate", "score", str(ledger))


def test_simulate__every_plant_is_found_and_no_near_miss(day):
    done = score(day)
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    planted = json.loads(day[1].read_text().splitlines()[0])
    twists = {twist for rule in planted["rules"] for twist in rule["planted"]}
    assert twists >= {"hit", "fewer", "same_people", "apart", "late", "other_type", "short_of", "just_heard"}
    assert all(rule["planted"].get("hit") for rule in planted["rules"]) and planted["no_room"] == 0


def test_simulate__the_score_tells_what_is_missing_wrong_or_not_wanted(day):
    lines = [json.loads(line) for line in day[1].read_text().splitlines()]
    big = next(i for i, line in enumerate(lines) if "expect" in line and len(line.get("uids", [])) > 2)
    without = score(day, lines[:big] + lines[big + 1:])
    assert without.returncode == 1 and "false alarm: " + lines[big]["expect"] in without.stdout
    fewer = dict(lines[big], uids=lines[big]["uids"][1:])
    assert "other members: " + fewer["expect"] in score(day, lines[:big] + [fewer] + lines[big + 1:]).stdout
    near = next(line for line in lines if line.get("twist") == "fewer")
    missed = score(day, [*lines, {"expect": near["rule_id"], "twist": "hit", "plant": near["plant"], "decided_us": 0, "uids": near["uids"]}])
    assert missed.returncode == 1 and "missed: " + near["rule_id"] in missed.stdout


def test_simulate__the_same_seed_is_the_same_city(day, tmp_path):
    city, _ = day

    def plants(seed):
        path = tmp_path / f"{seed}.ndjson"
        done = city.run("simulate", "--dry-run", "--seed", str(seed), "--ledger", str(path))
        assert done.returncode == 0, done.stderr
        return [(line["rule_id"], line["twist"], line["lon"], line["lat"])
                for line in map(json.loads, path.read_text().splitlines()) if "lon" in line]
    assert plants(7) == plants(7) != plants(8)


@pytest.mark.parametrize("args, says", [
    (["--hours", "0"], "--hours"), (["--speed", "3"], "--speed"), (["--city", "atlantis"], "there is no city atlantis"),
    (["--packs", "/nowhere.yaml"], "packs"), (["--rain"], "what is '--rain'?"), (["score", "/nowhere"], "cannot be read")])
def test_simulate__wrong_usage_is_told(servers, args, says):
    done = servers.run("simulate", *args)
    assert done.returncode in (1, 2) and says in done.stderr, (done.returncode, done.stderr)
