"""The world moves while somebody looks: a cut network, two operators with one case, a phone without a signal, a queue of 10,000."""
import base64
import os
import socket
import sys

import pytest
from desk import Desk, Keys
from harness import HERE, wait_for
from playwright.sync_api import expect
from test_keys import kind, made  # noqa: F401

sys.path.append(os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "faults"))
import proxy  # noqa: E402

# A picture of one grey point.
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==")


@pytest.fixture
def wire(city):
    """Between the page and the server: a wire that can be cut."""
    loop = proxy.Loop()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    between = proxy.Proxy(loop, port)
    between.upstream = int(city.address.rsplit(":", 1)[1])
    between.address = f"127.0.0.1:{port}"
    yield between
    loop.close()


def test_live__the_network_is_cut_and_comes_back(page, city, kind, wire):  # noqa: F811
    """Ten silent seconds are a banner; what was missed is filled in; what was decided meanwhile is done once."""
    seen, acted = made(city, kind), made(city, kind)
    Desk(page, city, wire.address).sign_in("shift_lead")
    desk = Keys(page, acted)
    desk.find()
    wire.stall()
    expect(page.get_by_test_id("banner-stale")).to_be_visible(timeout=20_000)
    expect(page.get_by_test_id("stream-state")).to_have_attribute("data-state", "stale")
    desk.press("a")
    expect(desk.row()).to_contain_text("受理中")
    city.api("operator").act(seen, "accept")
    retry = page.locator('[data-testid="toast"][data-kind="warn"] button:not(.x)')
    # A browser tries a connection that broke once more by itself: cut that one too.
    wait_for(lambda: wire.reset() + 1 and retry.is_visible(), 15, every=0.2, what="a word about the step that did not arrive")
    wire.go()
    page.evaluate("document.querySelector('[data-testid=banner-stale] button')?.click()")  # it may have come back by itself
    expect(page.get_by_test_id("stream-state")).to_have_attribute("data-state", "live", timeout=20_000)
    expect(page.get_by_test_id("banner-gap")).to_be_visible(timeout=10_000)
    expect(Keys(page, seen).row()).to_have_attribute("data-state", "to_file")
    retry.click()
    desk.wait(city, "to_file")
    assert city.value("SELECT count(*) FROM tongguan.case_log WHERE case_id::text = %s AND action = 'accept'", acted) == 1
    assert not page.faults


def test_live__times_that_nobody_confirmed_for_a_minute_are_grey(page, city, kind, wire):  # noqa: F811
    case = made(city, kind)
    desk = Desk(page, city, wire.address).sign_in("shift_lead", case)
    number = desk.row(case).locator(".num")

    def grey():
        return page.evaluate("element => getComputedStyle(element).color === getComputedStyle(document.querySelector('.hd')).color",
                             number.element_handle())
    assert not grey()
    wire.stall()
    page.evaluate("() => { const real = Date.now; Date.now = () => real() + 70_000; }")
    expect(page.locator("html[data-aged]")).to_be_attached()
    expect(page.get_by_test_id("banner-stale")).to_be_visible()
    assert grey()
    wire.go()
    expect(page.locator("html:not([data-aged])")).to_be_attached()
    assert not page.faults


def test_live__of_two_operators_the_loser_learns_who_won_and_what_is_next(page, city, kind):  # noqa: F811
    case = made(city, kind, "to_file")
    Desk(page, city).sign_in("shift_lead")
    desk = Keys(page, case)
    desk.find()
    won = []

    def first(route):
        """The other one's request overtakes ours on the wire."""
        won.append(city.api("operator").act(case, "file", condition=1))
        route.continue_()
    page.route(f"**/api/v1/cases/{case}/actions", first, times=1)
    desk.press("f", "Enter")
    toast = page.locator('[data-testid="toast"][data-kind="warn"]')
    expect(toast).to_contain_text("operator")
    expect(toast).to_contain_text("待派遣")
    next_step = toast.get_by_role("button", name="派遣")
    expect(next_step).to_be_visible()
    assert len(won) == 1
    next_step.click()
    expect(page.get_by_test_id("panel-dispatch")).to_be_visible()
    expect(page.get_by_test_id("case")).to_have_attribute("data-version", str(won[0]["version"]))
    assert city.value("SELECT count(*) FROM tongguan.case_log WHERE case_id::text = %s AND action = 'file'", case) == 1
    assert not page.faults


def test_live__a_department_signs_and_reports_done_with_a_picture(page, city, kind):  # noqa: F811
    case = made(city, kind, "assigned")
    desk = Desk(page, city).sign_in("department", case)
    expect(page.get_by_test_id("view-sign")).to_be_visible()
    expect(desk.row(case)).to_be_visible()
    desk.act("sign", state="handling")
    desk.open("complete")
    panel = desk.panel("complete")
    panel.get_by_test_id("field-result").fill("已更换灯头")
    panel.get_by_test_id("photo-input").set_input_files({"name": "done.png", "mimeType": "image/png", "buffer": PNG})
    expect(panel.locator(".thumb")).to_have_count(1)
    desk.submit("complete", state="review")
    picture = page.get_by_test_id("evidence").get_by_test_id("photo")
    expect(picture).to_be_visible()
    assert wait_for(lambda: picture.locator("img").evaluate("image => image.complete && image.naturalWidth"), what="the picture")
    picture.click()
    expect(page.get_by_test_id("lightbox")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_test_id("view-sent").click()
    expect(desk.row(case)).to_be_visible()
    assert not page.faults


def test_live__a_phone_without_a_signal_keeps_what_was_said_and_sends_it_once(opened, chromium, city, kind):  # noqa: F811
    lon, lat = HERE
    page = opened(chromium, {"width": 360, "height": 800}, has_touch=True, is_mobile=True,
                  geolocation={"longitude": lon + 0.004, "latitude": lat, "accuracy": 6}, permissions=["geolocation"])
    case = made(city, kind, "checking")
    Desk(page, city).enter("inspector")
    card = page.locator(f'[data-testid="phone-task"][data-case-id="{case}"]')
    row = page.locator(f'[data-testid="phone-row"][data-case-id="{case}"]')
    expect(card.or_(row)).to_be_visible()
    if row.count():
        row.click()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.context.set_offline(True)
    expect(page.get_by_test_id("offline")).to_be_visible(timeout=15_000)

    card.get_by_test_id("phone-check_pass").click()
    page.get_by_test_id("photo-input").set_input_files({"name": "after.png", "mimeType": "image/png", "buffer": PNG})
    expect(page.locator(".sheet .thumb")).to_have_count(1)
    page.get_by_test_id("sheet-send").click()
    expect(card).to_have_count(0)  # answered: no longer to do
    words = f"路面积水 {case}"
    page.get_by_test_id("tab-report").click()
    page.get_by_test_id("report-text").fill(words)
    page.get_by_test_id("sheet-close").click()
    page.get_by_test_id("tab-report").click()
    expect(page.get_by_test_id("report-text")).to_have_value(words)  # the draft
    page.get_by_test_id("sheet-send").click()
    page.get_by_test_id("tab-waiting").click()
    queued = page.get_by_test_id("outbox-item")
    expect(queued).to_have_count(2)
    assert city.api().get(f"/api/v1/cases/{case}")["state"] == "checking"

    page.context.set_offline(False)
    wait_for(lambda: city.api().get(f"/api/v1/cases/{case}")["state"] == "to_close", 30, what="the check passed")
    wait_for(lambda: city.value("SELECT count(*) FROM tongguan.events WHERE payload::text LIKE %s", f"%{words}%"), 30, what="the report")
    page.get_by_test_id("tab-done").click()
    expect(page.locator('[data-testid="outbox-item"][data-state="received"]')).to_have_count(2)
    assert city.value("SELECT count(*) FROM tongguan.events WHERE payload::text LIKE %s", f"%{words}%") == 1
    detail = city.value("SELECT detail FROM tongguan.case_log WHERE case_id::text = %s AND action = 'check_pass'", case)
    assert len(detail["photos"]) == 1
    place = city.rows("SELECT ST_X(geom), ST_Y(geom) FROM tongguan.events WHERE payload::text LIKE %s", f"%{words}%")[0]
    assert place == pytest.approx((lon + 0.004, lat), abs=1e-6)
    assert not page.faults


MANY = 10_000

# From the key to the first frame that shows the new cursor, measured in the page; then how many row nodes scrolling ever made.
WALK = """async ([keys]) => {
    const list = document.querySelector("[data-testid=queue]");
    const took = [], idle = [];
    const painted = () => new Promise((done) => { const {port1, port2} = new MessageChannel(); port1.onmessage = done; port2.postMessage(0); });
    for (let i = 0; i < 20; i++) {
        const at = performance.now();
        await new Promise(requestAnimationFrame);
        await painted();
        idle.push(performance.now() - at);
    }
    for (let i = 0; i < keys; i++) {
        const before = document.querySelector(".row.cur")?.dataset.caseId;
        const at = performance.now();
        document.body.dispatchEvent(new KeyboardEvent("keydown", {key: "j", bubbles: true}));
        await new Promise((done) => {
            const look = () => document.querySelector(".row.cur")?.dataset.caseId !== before ? done() : requestAnimationFrame(look);
            requestAnimationFrame(look);
        });
        await painted();
        took.push(performance.now() - at);
    }
    let most = 0;
    for (let y = 0; y < list.scrollHeight; y += list.scrollHeight / 60) {
        list.scrollTop = y;
        await new Promise(requestAnimationFrame);
        await new Promise(requestAnimationFrame);
        most = Math.max(most, list.querySelectorAll("[role=row]").length);
    }
    took.sort((a, b) => a - b);
    idle.sort((a, b) => a - b);
    return {median: took[took.length >> 1], idle: idle[idle.length >> 1], p95: took[Math.floor(took.length * 0.95)], most};
}"""


@pytest.fixture
def crowd(city, kind):  # noqa: F811
    """10,000 more open cases, rows like those of one real case, gone afterwards."""
    model = made(city, kind)
    with city.pg() as conn, conn.transaction():
        columns = {table: [name for name, in conn.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = 'tongguan' AND table_name = %s"
            " AND is_generated = 'NEVER' AND is_identity = 'NO'", (table,))] for table in ("case_file", "clock")}
        conn.execute("CREATE TEMP TABLE crowd ON COMMIT DROP AS SELECT gen_random_uuid() AS id, n FROM generate_series(1, %s) n", (MANY,))
        own = {"case_id": "w.id", "case_no": "'99' || lpad(w.n::text, 18, '0')", "incident_id": "NULL", "clock_id": "gen_random_uuid()",
               "due_at": "m.due_at + w.n * interval '1 second'", "title": "m.title || ' ' || w.n",
               "geom": "ST_Translate(m.geom, (w.n %% 100) * 0.0003, (w.n / 100) * 0.0002)"}
        for table, names in columns.items():
            chosen = ", ".join(own.get(name, f"m.{name}") for name in names)
            conn.execute(f"INSERT INTO tongguan.{table} ({', '.join(names)}) SELECT {chosen} FROM tongguan.{table} m, crowd w"
                         " WHERE m.case_id::text = %s", (model,))
    yield MANY
    with city.pg() as conn, conn.transaction():
        ids = "SELECT case_id FROM tongguan.case_file WHERE case_no LIKE '99%'"
        for table in ("clock_due", "clock", "case_words"):
            if conn.execute("SELECT to_regclass(%s)", (f"tongguan.{table}",)).fetchone()[0]:
                conn.execute(f"DELETE FROM tongguan.{table} WHERE case_id IN ({ids})")
        conn.execute("DELETE FROM tongguan.case_file WHERE case_no LIKE '99%'")


def test_live__ten_thousand_open_cases_without_a_stutter(page, city, crowd):
    Desk(page, city).sign_in("shift_lead")
    count = page.get_by_test_id("view-open").locator("em")
    wait_for(lambda: "+" not in count.inner_text() and int(count.inner_text().replace(",", "")) >= crowd, 300, every=0.3, what="all cases")
    page.get_by_test_id("view-open").click()
    page.evaluate("document.activeElement.blur()")
    figures = page.evaluate(WALK, [40])
    print(f"\n{crowd} open cases: key to paint median {figures['median']:.0f} ms, p95 {figures['p95']:.0f} ms,"
          f" a frame without a key {figures['idle']:.0f} ms; at most {figures['most']} row nodes")
    assert figures["most"] <= 60
    assert figures["median"] <= 100 + 5 * figures["idle"]  # a machine that is busy elsewhere draws late whatever is pressed
    assert not page.faults
