import os
import shutil
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness  # noqa: E402


@pytest.fixture(scope="session")
def city():
    """A whole running city: embedded servers and the three roles."""
    with harness.City() as running:
        yield running


@pytest.fixture(scope="module")
def servers():
    """The servers alone, with schema, city and topics; the test starts the roles."""
    with harness.City(roles=()) as running:
        yield running


@pytest.fixture(scope="session")
def grown_city(city, tmp_path_factory):
    """The city after `tongguan city load`: a type less than its rules name, a device, and the calendars of the deadline fixtures."""
    folder = tmp_path_factory.mktemp("grown") / "city"
    shutil.copytree(os.path.join(harness.ROOT, "schema/cities/boston"), folder, ignore=shutil.ignore_patterns("feeds", "tools"))
    city.struck_type, city.device = "20003", "lamp-1"

    def rewrite(name, change):
        path = folder / name
        path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    for name in ("catalog.csv", "conditions.csv"):
        rewrite(name, lambda old: "".join(line for line in old.splitlines(True) if f",{city.struck_type}," not in line))
    rewrite("devices.csv", lambda old: old.rstrip("\n") + f"\n{city.device},sensor,{harness.HERE[0]},{harness.HERE[1]},wgs84,,60\n")
    rewrite("city.yaml", lambda old: old.replace("calendars:\n", """calendars:
  halves: {weekdays: [1, 2, 3, 4, 5], periods: ["08:00-12:00", "14:00-18:00"], hours_per_day: 8}
  tens: {weekdays: [1, 2, 3, 4, 5], periods: ["08:00-18:00"], hours_per_day: 10}
  daily: {weekdays: [1, 2, 3, 4, 5, 6, 7], periods: ["09:00-21:00"], hours_per_day: 12}
"""))
    rewrite("calendar.csv", lambda old: old.rstrip("\n") + "\ndaily,2016-11-11,off,,a,a\ndaily,2016-11-13,off,,b,b\n")
    done = city.run("city", "load", str(folder))
    assert done.returncode == 0, done.stderr
    version = city.value("SELECT version FROM tongguan.city")

    def taken_up():
        metrics = harness.Api(city.address)("GET", "/metrics", raw=True)[2].decode()
        probe = harness.report(kind="SENSOR", source=city.device, lon=None)
        city.produce("tongguan.sensor.readings", [probe.SerializeToString()])

        def judged():  # stored with the device's place, or without one
            return city.rows("SELECT geom IS NOT NULL FROM tongguan.events WHERE event_id = %s", probe.event_id)
        return harness.wait_for(judged)[0][0] and f"tongguan_dispatch_city_version {version}\n" in metrics
    harness.wait_for(taken_up, timeout=60, what="the new city")
    return city
