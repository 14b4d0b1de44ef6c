"""What every page owes every eye: no serious finding of axe in both themes and languages, and room for longer words."""
import os

import pytest
from desk import Desk, Keys
from harness import ROOT
from playwright.sync_api import expect
from test_keys import kind, made  # noqa: F401

AXE = os.path.join(ROOT, "console/node_modules/axe-core/axe.min.js")
SCAN = """async () => (await axe.run(document, {resultTypes: ["violations"], runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}))
    .violations.filter(({impact}) => impact === "serious" || impact === "critical")
    .map(({id, nodes}) => `${id}: ` + nodes.slice(0, 3).map((node) => node.html.slice(0, 160) + " " + node.any.concat(node.all, node.none)
        .map((check) => check.message).join(" ").slice(0, 200)).join(" | "))"""

SETTLED = """() => Promise.allSettled(document.getAnimations().filter((one) => one.effect.getComputedTiming().iterations < Infinity)
    .map((one) => one.finished))"""

# Whatever must be read whole and is cut, and whatever leaves the window.
CUT = """() => [...document.querySelectorAll(".btn, .views button, .nav button, .sw, .chip, .k, .fl, .urg, .steps li, .pbtn, .ptabs button, .lbl, .k")]
    .filter((element) => element.offsetParent && (element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).overflowX !== "visible"
        || element.getBoundingClientRect().right > innerWidth + 1))
    .map((element) => `${element.className || element.tagName}: ${element.textContent}`)"""


@pytest.fixture(scope="module")
def scene(city, kind):  # noqa: F811
    """A case to look at in each of the states that a page shows."""
    return {state: made(city, kind, state) for state in ("to_dispatch", "handling", "checking")}


def axe(page):
    if not page.evaluate("'axe' in window"):
        with open(AXE, encoding="utf-8") as source:
            page.evaluate(source.read())
    page.evaluate(SETTLED)  # a colour half faded in is nobody's to judge
    return page.evaluate(SCAN)


def dress(page, lang, theme, pseudo="off"):
    page.add_init_script(f"localStorage.lang = '{lang}'; localStorage.theme = '{theme}'; localStorage.pseudo = '{pseudo}'")


def switch(page, lang, theme):
    """The same page in other clothes, without loading it again."""
    for testid, attribute, wanted in (("lang-switch", "lang", "zh-Hans" if lang == "zh" else "en"), ("theme-switch", "data-theme", theme)):
        if page.locator("html").get_attribute(attribute) != wanted:
            page.get_by_test_id(testid).click()
        expect(page.locator("html")).to_have_attribute(attribute, wanted)


CLOTHES = (("zh", "light"), ("zh", "dark"), ("en", "dark"), ("en", "light"))


def test_looks__no_serious_finding_at_the_desk(page, city, scene):
    dress(page, *CLOTHES[0])
    desk = Desk(page, city).sign_in("shift_lead", scene["to_dispatch"])
    found = {}
    for lang, theme in CLOTHES:
        switch(page, lang, theme)
        expect(page.get_by_test_id("log").first).to_be_visible()
        found[f"case {lang} {theme}"] = axe(page)
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("d")
    expect(desk.panel("dispatch").get_by_test_id("planned")).to_be_visible()
    found["dispatch panel"] = axe(page)
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("w")
    page.keyboard.press("x")
    page.keyboard.press("?")
    expect(page.get_by_test_id("help-panel")).to_be_visible()
    found["help, why, ticked"] = axe(page)
    assert not any(found.values()), found
    assert not page.faults


def test_looks__no_serious_finding_on_the_other_pages(opened, chromium, city, scene):
    found = {}
    for who, viewport in (("department", {"width": 1366, "height": 768}), ("inspector", {"width": 360, "height": 800})):
        page = opened(chromium, viewport)
        dress(page, "zh", "light")
        if who == "department":
            Desk(page, city).sign_in(who, scene["handling"])
        else:
            Desk(page, city).enter(who)
            expect(page.get_by_test_id("phone-task").first).to_be_visible()
        for lang, theme in (("zh", "light"), ("en", "dark")):
            if who == "inspector":
                page.get_by_test_id("tab-me").click()
                switch(page, lang, theme)
                page.get_by_test_id("tab-tasks").click()
            else:
                switch(page, lang, theme)
            found[f"{who} {lang} {theme}"] = axe(page)
        if who == "inspector":
            page.get_by_test_id("tab-report").click()
            found["report"] = axe(page)
        assert not page.faults
    assert not any(found.values()), found


def test_looks__words_forty_percent_longer_still_fit(opened, chromium, city, scene):
    cut = {}
    for lang in ("en", "zh"):
        page = opened(chromium)
        dress(page, lang, "light", pseudo="on")
        Desk(page, city).sign_in("shift_lead", scene["to_dispatch"])
        expect(page.get_by_test_id("log").first).to_be_visible()
        cut[f"desk {lang}"] = page.evaluate(CUT)
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("d")
        expect(page.get_by_test_id("panel-dispatch").get_by_test_id("planned")).to_be_visible()
        cut[f"panel {lang}"] = page.evaluate(CUT)
    phone = opened(chromium, {"width": 360, "height": 800})
    dress(phone, "en", "light", pseudo="on")
    Desk(phone, city).enter("inspector")
    expect(phone.get_by_test_id("phone-task").first).to_be_visible()
    cut["phone"] = phone.evaluate(CUT)
    assert phone.evaluate("document.documentElement.scrollWidth") == 360
    assert not any(cut.values()), cut


def test_looks__the_map_is_never_black_and_tells_cases_by_shape(wide, city, scene):
    """From its first frame on the land has its colour; grids stand for their cases until the map is near; layers come and go."""
    page = wide
    Desk(page, city).sign_in("shift_lead", scene["to_dispatch"])
    expect(page.get_by_test_id("map")).to_have_attribute("data-ready", "true", timeout=60_000)
    expect(page.locator("[data-marks]")).to_be_visible(timeout=30_000)
    marks = int(page.locator("[data-marks]").get_attribute("data-marks"))
    assert marks >= 3 and int(page.locator("[data-grids]").get_attribute("data-grids")) <= marks
    colours = page.evaluate("""async () => {
        const canvas = document.querySelector(".map canvas"), shot = document.createElement("canvas");
        shot.width = shot.height = 8;
        await new Promise(requestAnimationFrame);
        return getComputedStyle(canvas.closest(".canvas")).backgroundColor;
    }""")
    assert colours == "rgb(226, 229, 231)"
    picture = page.get_by_test_id("map").screenshot()
    dark = sum(1 for pixel in pixels(picture) if max(pixel) < 24)
    assert dark == 0, f"{dark} black points"
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("l")
    page.get_by_test_id("layer-heat").check()
    page.get_by_test_id("layer-cases").uncheck()
    page.get_by_test_id("layer-cases").check()
    page.get_by_test_id("layer-heat").uncheck()
    assert not page.faults


def pixels(png):
    """Every 97th point of a picture in the middle of the pane, by the browser's own PNG: (red, green, blue)."""
    import struct
    import zlib
    width, height = struct.unpack(">II", png[16:24])
    data, at = b"", 8
    while at < len(png):
        size, name = struct.unpack(">I4s", png[at:at + 8])
        if name == b"IDAT":
            data += png[at + 8:at + 8 + size]
        at += size + 12
    channels = 4 if png[25] == 6 else 3
    raw, stride = zlib.decompress(data), 1 + width * channels
    rows, before = [], bytearray(stride - 1)
    for y in range(height):
        kind_, line = raw[y * stride], bytearray(raw[y * stride + 1:(y + 1) * stride])
        for i in range(len(line)):
            left = line[i - channels] if i >= channels else 0
            up, corner = before[i], before[i - channels] if i >= channels else 0
            if kind_ == 1:
                line[i] = (line[i] + left) & 255
            elif kind_ == 2:
                line[i] = (line[i] + up) & 255
            elif kind_ == 3:
                line[i] = (line[i] + (left + up) // 2) & 255
            elif kind_ == 4:
                p = left + up - corner
                near = min((abs(p - left), 0, left), (abs(p - up), 1, up), (abs(p - corner), 2, corner))[2]
                line[i] = (line[i] + near) & 255
        before = line
        if y % 7 == 0 and height // 4 < y < height // 2:
            rows.append(line)
    return [tuple(line[x * channels:x * channels + 3]) for line in rows for x in range(width // 4, 3 * width // 4, 7)]
