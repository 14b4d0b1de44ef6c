import os
import shutil
import sys
import uuid
from types import SimpleNamespace

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import harness  # noqa: E402
from api_calls import create  # noqa: E402
from harness import Api, report, wait_for  # noqa: E402


@pytest.fixture(scope="session")
def servers():
    """The servers alone, with schema, city and topics; each module starts the roles it tests and ends them."""
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


# ---- what the tests of the API begin with -------------------------------------------------------------------------------------

@pytest.fixture(scope="session")
def desk(city):
    """What the tests begin with: a type, its department, another department with a token of its own."""
    mine = city.value("SELECT department FROM tongguan.account WHERE name = 'department'")
    other = city.value("SELECT code FROM tongguan.departments WHERE code <> %s ORDER BY 1 LIMIT 1", mine)
    made = city.run("token", "create", "--role", "department", "--department", other, "--name", f"other-{uuid.uuid4().hex[:8]}")
    assert made.returncode == 0, made.stderr
    return SimpleNamespace(mine=mine, other=other, other_api=Api(city.address, made.stdout.strip()))


@pytest.fixture(scope="session")
def foreign(city, desk):
    """A case of the other department alone, with its task and an incident behind it."""
    event = report(type_code="22001", source="foreign", contact="13800138000")
    city.produce("tongguan.citizen.reports", [event.SerializeToString()])
    case = wait_for(lambda: city.rows("SELECT c.case_id::text, c.incident_id::text FROM tongguan.cases c JOIN tongguan.incident_events m"
                                      " USING (incident_id) JOIN tongguan.events e ON e.uid = m.event_uid WHERE e.event_id = %s",
                                      event.event_id), what="the case")[0]
    city.api().act(case[0], "accept")
    city.api("shift_lead").act(case[0], "file", condition=1)
    doc = city.api().act(case[0], "dispatch", tasks=[{"department": desk.other, "role": "lead"}])
    return SimpleNamespace(case=case[0], incident=case[1], task=doc["tasks"][0]["task_id"], case_no=doc["case_no"])


@pytest.fixture(scope="session")
def crowd(city, desk):
    """Thirty cases in several states, some at the same place and without a deadline."""
    made = [create(city, title=f"crowd {i}")["case_id"] for i in range(30)]
    for case in made[:10]:
        city.api().act(case, "accept")
    for case in made[:4]:
        city.api("shift_lead").act(case, "file", condition=1)
        city.api().act(case, "dispatch", tasks=[{"department": desk.mine, "role": "lead"}, {"department": desk.other, "role": "assist"}])
    for case in made[10:13]:
        city.api().act(case, "refuse", reason="test")
    return made


@pytest.fixture
def account(city):
    name = "u" + uuid.uuid4().hex[:10]
    done = city.run("user", "add", name, "--role", "inspector", input="right-password-9\n")
    assert done.returncode == 0, done.stderr
    return name
