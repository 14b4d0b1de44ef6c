"""One person at a browser: a record produced to Kafka becomes a row, is dispatched by a click, runs over its limit and says so."""
from datetime import datetime, timezone

import pytest
from harness import ROOT, report, wait_for
from playwright.sync_api import expect


def sign_in(page, city, who):
    page.goto(f"http://{city.address}/")
    page.get_by_test_id("signin-name").fill(who)
    page.get_by_test_id("signin-password").fill(city.passwords[who])
    page.get_by_test_id("signin-submit").click()
    expect(page.get_by_test_id("queue")).to_be_visible()
    expect(page.get_by_test_id("stream-state")).to_have_attribute("data-state", "live")


def case_of(city, event):
    return wait_for(lambda: city.rows(
        "SELECT c.case_id::text FROM tongguan.cases c JOIN tongguan.incident_events m USING (incident_id)"
        " JOIN tongguan.events e ON e.uid = m.event_uid WHERE e.event_id = %s", event.event_id), what="the case")[0][0]


@pytest.fixture(scope="module")
def urgent(city):
    """A type whose lead is the demo department and that some rule raises for each report."""
    import yaml
    with open(f"{ROOT}/correlate/packs/boston.yaml", encoding="utf-8") as text:
        rules = yaml.safe_load(text)["rules"]
    types = [str(code) for rule in rules if rule["kind"] == "single" and not rule.get("auto_file") for code in rule["types"]]
    return city.rows("""SELECT t.type_code, t.lead, c.condition_no FROM tongguan.case_type t
        JOIN tongguan.filing_condition c USING (type_code) WHERE t.type_code = ANY(%s)
        AND t.lead = (SELECT department FROM tongguan.account WHERE role = 'department' LIMIT 1)
        ORDER BY right(c.handle_limit, 2) <> 'wh', t.type_code LIMIT 1""", types)[0]


def test_console__a_kafka_record_is_dispatched_by_a_click_and_escalates_when_due(page, city, urgent):
    type_code, lead, condition = urgent
    sign_in(page, city, "shift_lead")
    blocked = []

    def block(route):
        blocked.append(route.request.url)
        route.abort()
    # After the first load the list cannot be had: what appears now came by the stream.
    page.route(lambda url: "/api/v1/cases?" in url or url.endswith("/api/v1/cases"), block)
    event = report(type_code=type_code, title="井盖缺失", text="路口", reporter="r-2")
    city.produce("tongguan.citizen.reports", [event.SerializeToString()])
    case = case_of(city, event)
    row = page.locator(f'[data-testid="row"][data-case-id="{case}"]')
    expect(row).to_be_visible(timeout=10_000)
    row.click()
    expect(page.get_by_test_id("case")).to_have_attribute("data-case-id", case)

    page.get_by_test_id("action-accept").click()
    page.get_by_test_id("panel-accept").get_by_test_id("panel-submit").click()
    expect(row).to_have_attribute("data-state", "to_file")
    page.get_by_test_id("action-file").click()
    page.locator(f'[data-testid="condition-option"][data-no="{condition}"]').click()
    page.get_by_test_id("panel-file").get_by_test_id("panel-submit").click()
    expect(row).to_have_attribute("data-state", "to_dispatch")
    page.get_by_test_id("action-dispatch").click()
    page.locator(f'[data-testid="dept-option"][data-code="{lead}"]').first.click()
    page.get_by_test_id("panel-dispatch").get_by_test_id("panel-submit").click()
    expect(row).to_have_attribute("data-state", "assigned")

    # The handling limit is hours long: move the clock's start back so that it is due in three seconds.
    due = hasten(city, case, seconds=3)
    level2 = wait_for(lambda: city.rows(
        "SELECT at FROM tongguan.case_log WHERE case_id::text = %s AND action = 'escalate' AND note LIKE '%%E2%%'", case),
        timeout=20, what="E2 in the log")[0][0]
    assert 0 <= (level2 - due).total_seconds() <= 2.0
    expect(row).to_have_attribute("data-level", "over", timeout=2_000)
    on_screen = page.get_by_test_id("timeline").locator('[data-action="escalate"]', has_text="E2")
    expect(on_screen).to_be_visible(timeout=2_000)
    assert (datetime.now(timezone.utc) - due).total_seconds() <= 4.0
    assert not page.faults
    page.unroute_all()


def hasten(city, case, seconds):
    """Moves the running handling clock and its ladder so that it is due in a few seconds: what waiting would do. Returns due_at."""
    with city.pg() as conn, conn.transaction():
        clock, due = conn.execute("""UPDATE tongguan.clock SET started_at = now() - interval '1 hour',
            due_at = now() + make_interval(secs => %s) WHERE case_id::text = %s AND kind = 'handle' AND state = 'running'
            RETURNING clock_id, due_at""", (seconds, case)).fetchone()
        conn.execute("UPDATE tongguan.clock_due SET fire_at = %s WHERE clock_id = %s AND level = 2", (due, clock))
        conn.execute("UPDATE tongguan.clock_due SET fire_at = %s - interval '1 second' WHERE clock_id = %s AND level < 2",
                     (due, clock))
    return due


def test_console__both_languages_and_both_themes_have_no_missing_text(page, city):
    sign_in(page, city, "operator")
    assert page.locator("html").get_attribute("lang").startswith("zh")
    page.get_by_test_id("lang-switch").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    assert not any("\u4e00" <= c <= "\u9fff" for c in page.get_by_test_id("signout").inner_text())
    before = page.locator("html").get_attribute("data-theme")
    page.get_by_test_id("theme-switch").click()
    assert page.locator("html").get_attribute("data-theme") != before
    assert not page.faults
