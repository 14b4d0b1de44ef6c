"""What a user of the packages gets: an installation without the tree, and a compose file that engines accept."""
import contextlib
import json
import os
import re
import socket
import subprocess

import jsonschema
import pytest
import yaml

from harness import ROOT, Api, wait_for


# ---- make install -----------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed") / "usr"
    done = subprocess.run(["make", "--no-print-directory", "-C", ROOT, "install-built", f"PREFIX={folder}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def away_from_the_tree(city, prefix, *args, **env):
    """The installed program in a mount namespace in which the source tree, its build with it, is an empty folder."""
    program = [os.path.join(prefix, "bin/tongguan"), *args]
    hidden = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && cd / && exec "$@"', ROOT, *program]
    return subprocess.run(hidden, cwd="/", env=city.env | env, capture_output=True, text=True)


@pytest.fixture(scope="module")
def fresh(servers):
    """An empty database of the running servers."""
    with servers.pg() as conn:
        conn.execute("CREATE DATABASE installed")
    yield re.sub(r"/[^/?]+(\?|$)", r"/installed\1", servers.env["TONGGUAN_POSTGRES_URL"])
    with servers.pg() as conn:
        conn.execute("DROP DATABASE installed WITH (FORCE)")


def test_install__the_program_works_with_the_tree_out_of_reach(servers, prefix, fresh):
    assert away_from_the_tree(servers, prefix, "--version").stdout.startswith("tongguan ")
    where = {"TONGGUAN_POSTGRES_URL": fresh}
    done = away_from_the_tree(servers, prefix, "migrate", **where)
    assert done.returncode == 0 and "applied" in done.stdout, done.stdout + done.stderr
    done = away_from_the_tree(servers, prefix, "city", "load", f"{prefix}/share/tongguan/schema/cities/boston", **where)
    assert done.returncode == 0, done.stdout + done.stderr
    done = away_from_the_tree(servers, prefix, "rules", "check", f"{prefix}/share/tongguan/correlate/packs", **where)
    assert done.returncode == 0, done.stdout + done.stderr
    doctor = away_from_the_tree(servers, prefix, "doctor", **where)
    assert re.search(r"^ok\s+schema", doctor.stdout, re.M) and not re.search(r"^bad\s+(schema|city|topic|redis|programs)", doctor.stdout, re.M), \
        doctor.stdout + doctor.stderr


def test_install__dispatch_serves_the_installed_console(servers, prefix):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % free.getsockname()[1]
    hidden = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && cd / && exec "$@"', ROOT, f"{prefix}/bin/tongguan", "dispatch"]
    with open(os.path.join(servers.dir, "installed-dispatch.log"), "w", encoding="utf-8") as log:
        role = subprocess.Popen(hidden, cwd="/", env=servers.env | {"TONGGUAN_HTTP_LISTEN": address}, stdout=log, stderr=log)
    try:
        def page():
            assert role.poll() is None
            with contextlib.suppress(OSError):
                status, _, raw = Api(address)("GET", "/", raw=True)
                return status == 200 and raw
        assert b"<html" in wait_for(page, what="the console")
    finally:
        role.terminate()
        assert role.wait(15) == 0


def test_install__what_is_there(prefix):
    share = prefix / "share/tongguan"
    for name in ("bin/tongguan", "share/tongguan/schema/openapi.json", "share/tongguan/console/manifest.json",
                 "share/tongguan/schema/cities/boston/city.yaml", "share/tongguan/doc/README.zh-CN.md", "etc/tongguan/tongguan.conf.sample"):
        assert (prefix / name).is_file(), name
    assert list((share / "correlate/packs").glob("*.yaml"))
    for role in ("ingest", "correlate", "dispatch"):
        unit = (prefix / f"lib/systemd/system/tongguan-{role}.service").read_text()
        assert f"ExecStart={prefix}/bin/tongguan {role} --config" in unit and "@" not in unit
    for path in prefix.rglob("*"):
        if path.is_file() and path.suffix in (".conf", ".service", ".sample", ".json"):
            assert ROOT not in path.read_text(encoding="utf-8", errors="replace"), path
    assert (prefix / "etc/tongguan/tongguan.conf").stat().st_mode & 0o007 == 0  # it may hold passwords


# ---- docker-compose.yml -----------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def compose():
    with open(os.path.join(ROOT, "docker-compose.yml"), encoding="utf-8") as file:
        return yaml.safe_load(file)


@pytest.fixture(scope="module")
def checker():
    with open(os.path.join(ROOT, "build/deps/compose/schema.json"), encoding="utf-8") as file:
        schema = json.load(file)
    return jsonschema.Draft7Validator(schema)


def test_compose__fits_the_schema_of_compose_files(compose, checker):
    assert [f"{'/'.join(map(str, e.path))}: {e.message}" for e in checker.iter_errors(compose)] == []


@pytest.mark.parametrize("place, value", [(("services", "kafka", "imagee"), "x"), (("services", "dispatch", "ports"), 8080),
                                          (("services", "redis", "depends_on"), {"kafka": {"condition": "healthy"}}), (("volume",), {})])
def test_compose__the_schema_finds_a_mistake(compose, checker, place, value):
    broken = json.loads(json.dumps(compose))
    at = broken
    for name in place[:-1]:
        at = at[name]
    at[place[-1]] = value
    assert list(checker.iter_errors(broken))


def test_compose__holds_the_whole_system(compose):
    services = compose["services"]
    assert set(services) == {"kafka", "postgis", "redis", "migrate", "city", "ingest", "correlate", "dispatch"}
    for name, service in services.items():
        assert "healthcheck" in service, name
        for needed, how in service.get("depends_on", {}).items():
            ends = services[needed].get("restart") == "no"
            assert how["condition"] == ("service_completed_successfully" if ends else "service_healthy"), (name, needed)
    assert [v for s in ("kafka", "postgis", "redis") for v in services[s]["volumes"]] and set(compose["volumes"]) == {"kafka", "postgis", "redis"}
    assert services["dispatch"]["ports"] == ["127.0.0.1:8080:8080"]
    help_text = subprocess.run([os.path.join(ROOT, "build/tongguan"), "dispatch", "--help"], capture_output=True, text=True).stdout
    for name in services["dispatch"]["environment"]:
        assert name in help_text, f"{name} is no setting"
    dockerfile = services["dispatch"]["build"]["dockerfile"]
    with open(os.path.join(ROOT, dockerfile), encoding="utf-8") as file:
        assert "ENTRYPOINT" in file.read()


def test_readme__both_languages_say_the_same_commands_and_pictures():
    def parts(name):
        with open(os.path.join(ROOT, name), encoding="utf-8") as file:
            text = file.read()
        commands = [line.split("#")[0].strip() for line in re.findall(r"^    (\S.*)$", text, re.M)]
        links = sorted(set(re.findall(r"\]\(([^)#]+)\)", text)) - {"README.md", "README.zh-CN.md"})
        return commands, links, len(re.findall(r"^## ", text, re.M))
    english, chinese = parts("README.md"), parts("README.zh-CN.md")
    assert english[0] == chinese[0]
    assert english[2] == chinese[2]
    assert [link.replace("-en.png", "-zh.png") for link in english[1]] == chinese[1]
    for link in chinese[1]:
        assert os.path.exists(os.path.join(ROOT, link)), link
