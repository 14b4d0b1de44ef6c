"""Takes docs/console-*.png: a morning's reports of Boston, worked on by the demo accounts.

    build/deps/venv/bin/python tests/browser/screenshots.py [FOLDER]

Everything in the pictures came through the city: reports by the feed, steps by the API. Only the clocks are set back, so that some
cases are late or nearly so, as they would be after some hours.
"""
import os
import sys

FOLDER = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(FOLDER), FOLDER]
from desk import CHROMIUM, PLAIN, Desk  # noqa: E402
from harness import HERE, ROOT, City, wait_for  # noqa: E402
from playwright.sync_api import expect, sync_playwright  # noqa: E402

SIZE, SCALE = {"width": 1920, "height": 1080}, 0.75
UNTIL = "2015-03-16T10:00"  # rows of the feed before this
WORKED = 60
# Share of its limit each case has used, over and over.
USED = (1.08, 0.12, 0.83, 0.31, 0.55, 0.73, 0.2, 0.91, 0.44, 0.62, 0.05, 0.76)


def work(city, ids):
    """Takes each case as far as its turn says: accepted, filed, dispatched, signed or reported done."""
    desk, signer = city.api("shift_lead"), city.api("department")
    own = city.value("SELECT department FROM tongguan.account WHERE role = 'department' LIMIT 1")
    for i, case in enumerate(ids):
        doc = desk.get(f"/api/v1/cases/{case}")
        kind = desk.get(f"/api/v1/catalog/{doc['type_code']}")
        mine = kind["lead_department"] == own
        steps = 3 if mine else i % 4
        if doc["state"] == "new" and steps > 0:
            where = {} if doc["lon"] is not None else {"location": dict(zip(("lon", "lat"), HERE))}
            desk.act(case, "accept", type_code=doc["type_code"], **where)
        if doc["state"] == "new" and steps > 1:
            desk.act(case, "file", condition=kind["conditions"][0]["condition_no"])
        if steps > 2:
            desk.act(case, "dispatch", tasks=[{"department": kind["lead_department"], "role": "lead"}])
        if mine:
            task = desk.get(f"/api/v1/cases/{case}")["tasks"][0]["task_id"]
            signer.act_task(task, "sign")
            if i % 3 == 0:
                signer.act_task(task, "complete", result="已修复")
                if i % 2 == 0:
                    desk.act(case, "send_check")


def set_back(city, ids):
    """Moves the clock each case waits on, where it counts day and night, into the past by a share of its limit."""
    with city.pg() as conn:
        for i, case in enumerate(ids):
            conn.execute("""WITH k AS (UPDATE tongguan.clock SET started_at = started_at - %s * (due_at - started_at),
                    due_at = due_at - %s * (due_at - started_at)
                WHERE clock_id = (SELECT clock_id FROM tongguan.clock k JOIN tongguan.case_file c USING (case_id)
                    WHERE c.case_id::text = %s AND k.state = 'running' AND k.due_at = c.due_at AND k.unit = 'h'
                        AND k.kind <> 'total' LIMIT 1)
                RETURNING case_id, due_at)
                UPDATE tongguan.case_file c SET due_at = k.due_at FROM k WHERE c.case_id = k.case_id""",
                         (USED[i % len(USED)], USED[i % len(USED)], case))


def shoot(browser, city, case, lang, theme, explained, path):
    context = browser.new_context(viewport=SIZE, device_scale_factor=SCALE, locale="zh-CN")
    page = context.new_page()
    page.add_init_script(f"localStorage.setItem('lang', '{lang}'); localStorage.setItem('theme', '{theme}')")
    page.set_default_timeout(60_000)
    expect.set_options(timeout=60_000)
    desk = Desk(page, city).sign_in("shift_lead", case)
    page.get_by_test_id("view-open").click()
    page.evaluate("document.activeElement.blur()")
    for key in "kj":  # the cursor brings its row into sight
        page.keyboard.press(key)
    expect(page.get_by_test_id("case")).to_have_attribute("data-case-id", case)
    expect(desk.row(case)).to_be_visible()
    expect(page.get_by_test_id("deadline")).to_be_visible()
    expect(page.get_by_test_id("timeline").get_by_test_id("log").first).to_be_visible()
    expect(page.get_by_test_id("map")).to_have_attribute("data-ready", "true")
    expect(page.locator("[data-marks]")).to_be_visible()
    if explained:
        page.keyboard.press("w")
        expect(page.locator("table.why")).to_be_visible()
    page.screenshot(path=path)
    context.close()


def shoot_other(browser, city, name, who, lang, theme, folder, viewport, keys="", case=None, scale=0.75, **more):
    """A page of another role, or a panel that keys open."""
    context = browser.new_context(viewport=viewport, device_scale_factor=scale, locale="zh-CN", **more)
    page = context.new_page()
    page.add_init_script(f"localStorage.setItem('lang', '{lang}'); localStorage.setItem('theme', '{theme}')")
    desk = Desk(page, city)
    if who == "inspector":
        desk.enter(who)
        expect(page.get_by_test_id("phone-task").first).to_be_visible(timeout=30_000)
    else:
        desk.sign_in(who, case)
        expect(page.get_by_test_id("log").first).to_be_visible(timeout=30_000)
    page.evaluate("document.activeElement.blur()")
    for key in keys:
        page.keyboard.press(key)
    if "d" in keys:
        expect(page.get_by_test_id("dispatch-due")).to_be_visible(timeout=30_000)
    page.screenshot(path=os.path.join(folder, f"console-{name}.png"))
    context.close()


def main(folder):
    with City() as city:
        fed = city.run("feed", "reports", "--speed", "max", "--to", UNTIL)
        assert fed.returncode == 0, fed.stderr
        sent = int(fed.stdout.split(" events sent")[0].rsplit(" ", 1)[1])
        wait_for(lambda: city.value("SELECT count(*) FROM tongguan.events") == sent, 60, what="every report as a row")
        open_ = wait_for(lambda: settled(city), 60, every=0.5, what="a case for each incident")
        work(city, open_[:WORKED])
        set_back(city, open_)
        nearly = city.value("""SELECT c.case_id::text FROM tongguan.case_file c JOIN tongguan.clock k USING (case_id)
            WHERE c.state = 'to_dispatch' AND k.kind = 'dispatch' AND k.state = 'running' AND k.due_at > now()
            ORDER BY extract(epoch FROM k.due_at - now()) > 0.15 * extract(epoch FROM k.due_at - k.started_at) DESC, c.due_at LIMIT 1""")
        handled = city.value("""SELECT c.case_id::text FROM tongguan.case_file c JOIN tongguan.clock k USING (case_id)
            WHERE c.state = 'handling' AND k.kind = 'handle' AND k.state = 'running'
            ORDER BY k.unit = 'wd' DESC, c.case_no LIMIT 1""")
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
            for case, lang, theme, explained in ((nearly, "zh", "light", False), (handled, "en", "dark", True)):
                shoot(browser, city, case, lang, theme, explained, os.path.join(folder, f"console-{lang}.png"))
            browser.close()
            browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=PLAIN)
            desk = {"width": 1366, "height": 768}
            shoot_other(browser, city, "dispatch", "shift_lead", "zh", "dark", folder, desk, "d", nearly, scale=1)
            shoot_other(browser, city, "tasks", "department", "en", "light", folder, desk, scale=1)
            lon, lat = city.rows("SELECT ST_X(geom), ST_Y(geom) FROM tongguan.cases WHERE state = 'checking' AND geom IS NOT NULL"
                                 " ORDER BY due_at LIMIT 1")[0]
            shoot_other(browser, city, "phone", "inspector", "zh", "light", folder, {"width": 360, "height": 800}, scale=2,
                        geolocation={"longitude": lon + 0.004, "latitude": lat + 0.001, "accuracy": 6}, permissions=["geolocation"])
            browser.close()


LOOKS = []


def settled(city):
    """The open cases in order of arrival, once every incident has its case and no more have come for some looks."""
    if city.value("SELECT count(*) FROM tongguan.incidents WHERE state <> 'merged'") > city.value("SELECT count(*) FROM tongguan.cases"):
        return None
    LOOKS.append([row[0] for row in city.rows("SELECT case_id::text FROM tongguan.cases ORDER BY case_no")])
    return LOOKS[-1] if len(LOOKS) > 8 and LOOKS[-1] and LOOKS[-1] == LOOKS[-8] else None


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "docs"))
