"""What devices said, judged by correlate, as a chart beside the case that came of it."""
import os

import harness
import pytest
from desk import Desk
from harness import City, Role, now_us, wait_for
from playwright.sync_api import expect

S = 1_000_000
FLOODED, SILENT, DUSTY = "xh-water-003-1", "xh-water-011-1", "xh-dust-003-1"


def reading(device, at_us, value, metric="level_cm", unit="cm"):
    pb = harness.protocol()
    event = pb.Event(event_id=os.urandom(8).hex(), source_id=device, source_kind=pb.SENSOR, occurred_at_us=at_us)
    event.reading.metric, event.reading.value, event.reading.unit = metric, value, unit
    return event.SerializeToString()


@pytest.fixture(scope="module")
def gauges():
    """Two water gauges of a city: one saw eleven minutes above its limit, the other has said nothing for fifty. And dust at a site,
    beyond the limit of that very device."""
    with City("xuhui", roles=()) as city:
        now = now_us()
        said = []
        for minute in range(120, 0, -5):
            at = now - minute * 60 * S
            said.append((at, FLOODED, 18.5 if 25 <= minute <= 40 else 4.0 + minute % 3))
            if minute >= 50:
                said.append((at, SILENT, 5.0))
        city.produce("tongguan.sensor.readings", [reading(device, at, value) for at, device, value in sorted(said)])
        city.produce("tongguan.sensor.readings", [reading(DUSTY, now - minute * 60 * S, 180 if minute in (2, 4, 5) else 90, "pm10_ug_m3", "ug/m3")
                                                  for minute in range(10, 0, -1)])
        for role in ("ingest", "correlate", "dispatch"):  # started now, for what ingest finds in the log is not late
            Role(city, role).ready()
        yield city


def case_of(city, rule):
    return wait_for(lambda: city.rows("SELECT c.case_id::text FROM tongguan.cases c JOIN tongguan.incidents i USING (incident_id)"
                                      " WHERE i.rule_id = %s", rule), 60, what=f"the case of {rule}")[0][0]


def test_readings__a_limit_crossed_is_a_chart_with_its_moment(page, gauges):
    case = case_of(gauges, "xh.water-level")
    Desk(page, gauges).sign_in("shift_lead", case)
    chart = page.get_by_test_id("chart")
    expect(chart).to_have_attribute("data-points", "24")  # all that the gauge said, not only what raised the case
    for part in (".limit", ".clear", ".trigger", ".line"):
        expect(chart.locator(part)).to_be_attached()
    assert page.evaluate("() => getComputedStyle(document.querySelector('.chart .limit')).strokeDasharray") != "none"
    expect(chart.get_by_text("限值 15")).to_be_visible()
    sentence = chart.get_by_role("img").get_attribute("aria-label")
    assert "水位" in sentence and "24 个读数" in sentence and "18.5 cm" in sentence and "限值 15" in sentence and "触发时为 18.5" in sentence
    # The moment is when the rule's five minutes were full, in the city's time.
    since = gauges.value("SELECT to_char((explanation #>> '{spans,0,since}')::timestamptz AT TIME ZONE 'Asia/Shanghai', 'HH24:MI:SS')"
                         " FROM tongguan.incident WHERE rule_id = 'xh.water-level'")
    expect(chart.get_by_text(f"触发 {since}")).to_be_visible()
    page.get_by_test_id("lang-switch").click()
    assert "Water level: 24 readings" in chart.get_by_role("img").get_attribute("aria-label")
    assert not page.faults


def test_readings__a_devices_own_limit_is_drawn_too(page, gauges):
    case = case_of(gauges, "xh.dust")
    Desk(page, gauges).sign_in("shift_lead", case)
    chart = page.get_by_test_id("chart")
    expect(chart.locator(".limit")).to_be_attached()
    expect(chart.get_by_text("限值 150")).to_be_visible()
    assert "限值 150" in chart.get_by_role("img").get_attribute("aria-label")
    assert not page.faults


def test_readings__a_silent_source_is_no_line(page, gauges):
    case = case_of(gauges, "xh.water-silent")
    Desk(page, gauges).sign_in("shift_lead", case)
    chart = page.get_by_test_id("chart")
    expect(chart).to_have_attribute("data-silent", "true")
    expect(chart).to_have_attribute("data-points", "15")
    expect(chart.get_by_text("中断")).to_be_visible()
    assert "起再没有读数" in chart.get_by_role("img").get_attribute("aria-label")
    silent, line = (chart.locator(part).bounding_box() for part in (".silent", ".line"))
    assert line["x"] + line["width"] <= silent["x"] + 2 and silent["width"] > 20
    assert not page.faults


def test_readings__that_cannot_be_had_say_so_and_are_asked_for_again(page, gauges):
    case = case_of(gauges, "xh.water-level")
    page.route("**/api/v1/events?*", lambda route: route.abort(), times=1)
    Desk(page, gauges).sign_in("shift_lead", case)
    failed = page.get_by_test_id("evidence").locator(".partfail")
    expect(failed).to_contain_text("前后的读数没取到")
    expect(page.get_by_test_id("chart")).not_to_have_attribute("data-points", "24")  # what raised the case is there all the same
    failed.get_by_role("button").click()
    expect(page.get_by_test_id("chart")).to_have_attribute("data-points", "24")
    expect(failed).to_have_count(0)
    assert not page.faults
