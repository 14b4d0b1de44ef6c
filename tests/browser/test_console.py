"""One person at a browser: a record produced to Kafka becomes a row, is dispatched by a click, runs over its limit and says so;
and one case on its whole way, from desk to desk."""
import pytest
from desk import Desk, case_of
from harness import ROOT, report, wait_for
from playwright.sync_api import expect


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
        ORDER BY right(c.handle_limit, 2) <> 'wh', t.type_code, c.condition_no LIMIT 1""", types)[0]


def test_console__a_kafka_record_is_dispatched_by_a_click_and_escalates_when_due(page, city, urgent):
    type_code, lead, condition = urgent
    desk = Desk(page, city).sign_in("shift_lead")
    blocked = desk.block_list()
    # After the first load the list cannot be had: what appears now came by the stream.
    assert page.evaluate("fetch('/api/v1/cases?limit=1').then(() => 'answered', () => 'blocked')") == "blocked"
    event = report(type_code=type_code, title="井盖缺失", text="路口", reporter="r-2")
    city.produce("tongguan.citizen.reports", [event.SerializeToString()])
    case = case_of(city, event)
    row = desk.row(case)
    expect(row).to_be_visible(timeout=10_000)
    row.click()
    expect(page.get_by_test_id("case")).to_have_attribute("data-case-id", case)

    desk.act("accept")
    expect(row).to_have_attribute("data-state", "to_file")
    desk.open("file")
    desk.panel("file").locator(f'[data-testid="condition-option"][data-condition="{condition}"]').click()
    desk.submit("file")
    expect(row).to_have_attribute("data-state", "to_dispatch")
    desk.open("dispatch")
    desk.panel("dispatch").locator(f'[data-testid="dept-option"][data-code="{lead}"]').click()
    desk.submit("dispatch")
    expect(row).to_have_attribute("data-state", "assigned")
    assert city.value("SELECT department FROM tongguan.tasks WHERE case_id::text = %s AND role = 'lead'", case) == lead
    assert len(blocked) == 1, blocked  # ours; the console had no need of the list

    # The handling limit is hours long: move the clock's start back so that it is due in three seconds.
    seen = desk.watch(case)
    due = hasten(city, case, seconds=3)
    written = wait_for(lambda: city.rows(
        "SELECT at FROM tongguan.case_log WHERE case_id::text = %s AND action = 'escalate' AND note LIKE '%%E2%%'", case),
        timeout=20, what="E2 in the log")[0][0]
    assert 0 <= (written - due).total_seconds() <= 2.0
    for what in ("overdue", "logged"):
        late = seen(what) - due.timestamp()
        assert 0 <= late <= 2.0, f"{what} on the screen {late:.2f} s after due_at"
    expect(page.get_by_test_id("timeline").locator('[data-action="escalate"]', has_text="E2")).to_be_visible()
    assert not page.faults


def hasten(city, case, seconds):
    """Moves the running handling clock and its ladder so that it is due in a few seconds: what waiting would do. Returns due_at."""
    with city.pg() as conn, conn.transaction():
        clock, due = conn.execute("""UPDATE tongguan.clock SET started_at = now() - interval '1 hour',
            due_at = now() + make_interval(secs => %s) WHERE case_id::text = %s AND kind = 'handle' AND state = 'running'
            RETURNING clock_id, due_at""", (seconds, case)).fetchone()
        conn.execute("UPDATE tongguan.case_file SET handle_due_at = %s WHERE case_id::text = %s", (due, case))
        conn.execute("UPDATE tongguan.clock_due SET fire_at = %s WHERE clock_id = %s AND level = 2", (due, clock))
        conn.execute("UPDATE tongguan.clock_due SET fire_at = %s - interval '1 second' WHERE clock_id = %s AND level < 2",
                     (due, clock))
    return due


def test_console__a_case_walks_through_every_account_to_its_close(page, city, urgent):
    type_code, lead, condition = urgent
    event = report(type_code=type_code, title="路面塌陷", text="两车道", reporter="r-3", lon=-71.09, lat=42.34)
    city.produce("tongguan.citizen.reports", [event.SerializeToString()])
    case = case_of(city, event)
    desk = Desk(page, city)

    with desk.at("operator", case):
        desk.act("accept", state="to_file")
    with desk.at("shift_lead", case):
        desk.open("file")
        desk.panel("file").locator(f'[data-testid="condition-option"][data-condition="{condition}"]').click()
        desk.submit("file", state="to_dispatch")
    with desk.at("operator", case):
        desk.open("dispatch")
        desk.panel("dispatch").get_by_test_id("field-department").fill(lead)
        desk.submit("dispatch", state="assigned")
    with desk.at("supervisor", case):
        desk.act("remind", note="请尽快签收")
        expect(desk.logged("remind")).to_be_visible()
    with desk.at("leader", case):
        expect(desk.logged("dispatch")).to_be_visible()
    with desk.at("department", case):
        desk.act("sign", state="handling")
        desk.open("complete")
        desk.panel("complete").get_by_test_id("field-result").fill("已修复")
        desk.submit("complete", state="review")
    with desk.at("operator", case):
        desk.act("send_check", state="checking")
    with desk.on_the_street("inspector", case):
        page.get_by_test_id("phone-check_pass").click()
        page.get_by_test_id("field-note").fill("已恢复")
        page.get_by_test_id("sheet-send").click()
        expect(page.locator(f'[data-testid="phone-task"][data-case-id="{case}"]')).to_have_count(0)
        page.get_by_test_id("tab-done").click()
        expect(page.locator('[data-testid="outbox-item"][data-state="received"]')).to_be_visible()
        page.get_by_test_id("tab-me").click()
    with desk.at("shift_lead", case):
        desk.act("close", state="closed")
    for reader in ("auditor", "admin"):
        with desk.at(reader, case):
            expect(page.get_by_test_id("case-state")).to_have_attribute("data-state", "closed")
            expect(desk.logged("close")).to_be_visible()
            expect(page.get_by_test_id("action-close")).to_have_count(0)
    assert city.run("audit", "verify").returncode == 0
    assert not page.faults


def test_console__a_case_without_a_place_gets_one_when_it_is_accepted(wide, city, urgent):
    page = wide
    event = report(type_code=urgent[0], title="电话反映", text="说不清地点", reporter="r-5", lon=None)
    city.produce("tongguan.citizen.reports", [event.SerializeToString()])
    case = case_of(city, event)
    desk = Desk(page, city).sign_in("operator", case)
    desk.open("accept")
    desk.panel("accept").get_by_test_id("panel-submit").click()
    expect(desk.panel("accept").get_by_role("alert")).to_be_visible()
    expect(page.get_by_test_id("map")).to_have_attribute("data-ready", "true")
    box = page.locator(".map canvas").bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(desk.panel("accept").get_by_test_id("field-location")).not_to_have_value("")
    desk.panel("accept").get_by_test_id("field-location").fill("-71.0750, 42.3450")
    desk.submit("accept", state="to_file")
    assert city.rows("SELECT ST_X(geom), ST_Y(geom), grid_cell IS NOT NULL FROM tongguan.cases WHERE case_id::text = %s",
                     case) == [(-71.075, 42.345, True)]
    assert not page.faults


HAN = ("\u3400", "\u9fff")


def han_in(text):
    return [c for c in text if HAN[0] <= c <= HAN[1]]


def test_console__both_languages_and_both_themes_have_no_missing_text(wide, city, urgent):
    page = wide
    event = report(type_code=urgent[0], title="Pothole", text="two lanes", reporter="r-4", lon=-71.08, lat=42.35)
    city.produce("tongguan.citizen.reports", [event.SerializeToString()])
    case = case_of(city, event)
    desk = Desk(page, city).sign_in("operator", case)
    assert page.locator("html").get_attribute("lang").startswith("zh")
    labels = page.locator("[data-testid^=view-], [data-testid^=action-], .hd, .sec-h b, .steps, .legend, .nav, .foot")
    chinese = labels.all_inner_texts()
    assert all(han_in(text) for text in chinese if text.strip() and not text.isascii())
    page.get_by_test_id("lang-switch").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    for text in labels.all_inner_texts():
        assert not han_in(text), text
    expect(page.get_by_test_id("row").first).to_be_visible()
    # All but `.d`, the reporters' own words.
    for part in (".row > span:not(.ttl)", ".row .t", ".row .fl", ".chead", ".clk", ".top .tr", ".views"):
        for text in page.locator(part).all_inner_texts():
            assert not han_in((text or "").replace("中", "")), (part, text)  # the switch names the other language
    grounds = set()
    for _ in range(2):
        grounds.add((page.locator("html").get_attribute("data-theme"),
                     page.evaluate("getComputedStyle(document.body).backgroundColor")))
        page.get_by_test_id("theme-switch").click()
    assert {theme for theme, _ in grounds} == {"light", "dark"} and len({ground for _, ground in grounds}) == 2
    assert not page.faults
