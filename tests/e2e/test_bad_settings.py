"""What is wrong in a city folder, a pack, the configuration or a command line is named by its place, and nothing changes."""
import json
import os
import re
import shutil
import subprocess

import pytest

from harness import BINARY, ROOT


@pytest.fixture
def folder(tmp_path):
    """A copy of the shipped city to spoil."""
    copy = tmp_path / "city"
    shutil.copytree(os.path.join(ROOT, "schema/cities/boston"), copy, ignore=shutil.ignore_patterns("feeds", "tools"))
    return copy


REFERENCE = """SELECT (SELECT version FROM tongguan.city), (SELECT md5(string_agg(t::text, '' ORDER BY t.type_code))
FROM tongguan.case_type t), (SELECT md5(string_agg(d::text, '' ORDER BY d.code)) FROM tongguan.dept d),
(SELECT md5(string_agg(g::text, '' ORDER BY g.cell_id)) FROM tongguan.grid_cells g)"""


def edit(path, change):
    old = path.read_text(encoding="utf-8")
    new = change(old)
    assert new != old
    path.write_text(new, encoding="utf-8")


def open_ring(old):
    doc = json.loads(old)
    geometry = doc["features"][0]["geometry"]
    rings = geometry["coordinates"] if geometry["type"] == "Polygon" else geometry["coordinates"][0]
    rings[0].pop()
    return json.dumps(doc)


@pytest.mark.parametrize("file, change, said", [
    ("boundary.geojson", open_ring, r"boundary\.geojson:1: .*open"),
    ("catalog.csv", lambda old: re.sub(r",pingan,PARK,", ",pingan,NOSUCH,", old, count=1), r'catalog\.csv:2: .*"NOSUCH"'),
    ("catalog.csv", lambda old: old.replace(",1wd,normal,", ",1week,normal,", 1), r"catalog\.csv:2: dispose_limit"),
    ("departments.csv", lambda old: old.replace(",cityhall", ",nocalendar", 1), r'departments\.csv:2: .*"nocalendar"'),
    ("city.yaml", lambda old: old.replace("zone: America/New_York", "zone: Mars/Olympus"), r'city\.yaml:\d+: .*"Mars/Olympus"'),
    ("city.yaml", lambda old: old + "surprise: 1\n", r'city\.yaml:\d+: .*"surprise"'),
    ("city.yaml", lambda old: old.replace("cell_m: 200 ", "cell_m: many "), r"city\.yaml:\d+: cell_m"),
    ("city.yaml", lambda old: "a: [\n" + old, r"city\.yaml"),
])
def test_city__a_mistake_is_named_and_nothing_changes(city, folder, file, change, said):
    before = city.rows(REFERENCE)
    edit(folder / file, change)
    done = city.run("city", "load", str(folder))
    assert done.returncode == 1, done
    assert re.search(said, done.stderr), done.stderr
    assert "nothing was changed" in done.stderr
    assert city.rows(REFERENCE) == before


# ---- packs ------------------------------------------------------------------------------------------------------------------

PACK = """pack: p
version: 1
lateness_s: 60
rules:
  - id: one
    version: 1
    kind: cluster
    domain: minsheng
    severity: 2
    auto_file: false
    types: ["22002"]
    min_events: 3
    min_reporters: 2
    radius_m: 100
    window_s: 600
  - id: two
    version: 1
    kind: single
    domain: minsheng
    severity: 4
    auto_file: false
    types: ["22003"]
"""


@pytest.mark.parametrize("old, new, place", [
    ("    severity: 2\n", "    severity: 2\n    radius: 5\n", "10:5"),             # an unknown key
    ("lateness_s: 60\n", "lateness_s: 60\nauthor: me\n", "4:1"),                   # one above the rules
    ("    min_events: 3\n", "    min_events: many\n", "12:17"),                    # a wrong type
    ("    auto_file: false\n    types: [\"22002\"]", "    auto_file: \"no\"\n    types: [\"22002\"]", "10:16"),
    ("    severity: 2\n", "    severity: 5\n", "9:15"),                            # out of its range
    ("    types: [\"22002\"]\n", "    types: [\"220\"]\n", "11:13"),
    ("  - id: two\n", "  - id: one\n", "16:9"),                                    # at the second one
    ("    radius_m: 100\n", "", "5:9"),                                            # missing: at the rule's id
    ("    kind: single\n", "    kind: several\n", "18:11"),
    ("    domain: minsheng\n    severity: 4\n", "    domain: minsheng\n    domain: minsheng\n    severity: 4\n", "20:5"),
    ("    radius_m: 100\n", "    radius_m: 900\n", "14:15"),                       # past the city's halo
    ("    radius_m: 100\n", "    radius_m: .nan\n", "14:15"),
    ("    window_s: 600\n", "    window_s: [600\n", None),                         # no YAML
])
def test_pack__a_mistake_is_named_by_its_place(city, tmp_path, old, new, place):
    assert PACK.count(old) == 1
    pack = tmp_path / "p.yaml"
    pack.write_text(PACK.replace(old, new), encoding="utf-8")
    done = city.run("rules", "check", str(pack))
    assert done.returncode == 1, done
    lines = done.stdout.strip().splitlines()
    if place:
        assert len(lines) == 1 and re.match(re.escape(f"{pack}:{place}: ") + r"\S", lines[0]), done.stdout
    else:
        assert re.match(re.escape(str(pack)) + r":\d+:\d+: \S", lines[0]), done.stdout


def test_pack__a_good_one_passes_and_a_missing_one_does_not(city, tmp_path):
    pack = tmp_path / "p.yaml"
    pack.write_text(PACK, encoding="utf-8")
    assert city.run("rules", "check", str(pack)).returncode == 0
    gone = city.run("rules", "check", str(tmp_path / "gone.yaml"))
    assert gone.returncode == 1 and "gone.yaml" in gone.stdout + gone.stderr


# ---- configuration and starting ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("content, line", [
    ("[http]\nrate_limit = often\n", 2),
    ("; ours\n\n[ingest]\nretention_days = -1\n", 4),
    ("[http]\nrate_limits = 5\n", 2),
    ("[web]\nlisten = 127.0.0.1:0\n", 1),
    ("[http]\nlisten = nowhere\n", 2),
    ("[log]\nlevel = loud\n", 2),
    ("[http]\nbody_max = 2000\nbody_max = 3000\n", 3),
    ("[http]\nbody_max\n", 2),
    ("body_max = 2000\n", 1),
])
@pytest.mark.parametrize("command", [["dispatch"], ["ingest"], ["rules", "check", "x"]])
def test_configuration__a_mistake_ends_with_2_and_its_line(city, tmp_path, command, content, line):
    conf = tmp_path / "mine.conf"
    conf.write_text(content)
    done = city.run(*command, "--config", str(conf), timeout=10)
    assert done.returncode == 2, done
    assert re.fullmatch(re.escape(f"{conf}:{line}: ") + r"\S.*\n", done.stderr), done.stderr


def test_configuration__a_bad_variable_is_named(city):
    done = subprocess.run([BINARY, "dispatch"], cwd=ROOT, env=city.env | {"TONGGUAN_HTTP_BODY_MAX": "big"}, capture_output=True,
                          text=True, timeout=10)
    assert done.returncode == 2 and "TONGGUAN_HTTP_BODY_MAX" in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("args", [["nothing"], ["up", "--speeed", "1"], ["city", "load"], ["rules", "mend"], ["dispatch", "now"],
                                  ["user", "add"], ["token", "create"]])
def test_configuration__wrong_usage_ends_with_2(city, args):
    done = city.run(*args, timeout=10)
    assert done.returncode == 2 and done.stderr, done


def test_start__a_taken_port_is_one_line(city):
    """The running dispatch has the port."""
    done = city.run("dispatch", timeout=20)
    assert done.returncode == 1
    said = [line for line in done.stderr.splitlines() if city.address in line]
    assert len(said) == 1, done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert city.api().get("/api/v1/cases")


def test_start__another_up_in_the_same_folder_is_one_line(city):
    done = city.run("up", "--feed", "none", timeout=20)
    assert done.returncode == 1
    assert re.fullmatch(r"tongguan up: another .*TONGGUAN_STATE_DIR\n", done.stderr), done.stderr
    assert city.up.poll() is None and os.path.exists(os.path.join(city.dir, "up.env"))


def test_start__up_without_a_server_program_is_one_line(tmp_path):
    """A tree where Kafka was never put."""
    share = tmp_path / "share"
    share.mkdir()
    os.symlink(os.path.join(ROOT, "schema"), share / "schema")
    env = {k: v for k, v in os.environ.items() if not k.startswith("TONGGUAN_")}
    env |= {"TONGGUAN_SHARE_DIR": str(share), "TONGGUAN_STATE_DIR": str(tmp_path / "state"), "TONGGUAN_HTTP_LISTEN": "127.0.0.1:0"}
    done = subprocess.run([BINARY, "up", "--feed", "none", "--ephemeral"], cwd=ROOT, env=env, capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 1, done
    assert re.fullmatch(r"tongguan up: .*Kafka.* missing: .*make deps.*\n", done.stderr), done.stderr


def test_start__up_on_a_taken_port_is_one_line(city, tmp_path):
    done = subprocess.run([BINARY, "up", "--feed", "none", "--ephemeral"], cwd=ROOT, capture_output=True, text=True, timeout=60,
                          env=os.environ | {"TONGGUAN_STATE_DIR": str(tmp_path), "TONGGUAN_HTTP_LISTEN": city.address})
    assert done.returncode == 1
    assert re.fullmatch(r"tongguan up: http\.listen: " + re.escape(city.address) + r" is taken.*\n", done.stderr), done.stderr
