import os
import sys

import pytest
from playwright.sync_api import expect, sync_playwright

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from desk import CHROMIUM, PLAIN  # noqa: E402

expect.set_options(timeout=20_000)  # what comes at once on a machine of its own may take its time on a busy one

SMALL = {"width": 1366, "height": 768}  # case and map share a place: nothing is drawn that nobody looks at
WIDE = {"width": 1920, "height": 1080}


@pytest.fixture(scope="session")
def playwright():
    with sync_playwright() as play:
        yield play


@pytest.fixture(scope="session")
def chromium(playwright):
    browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=PLAIN)
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def chromium_gl(playwright):
    browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
    yield browser
    browser.close()


def opener():
    """Opens pages of their own sessions and closes them; a page's errors and what its content policy refused are its faults."""
    contexts = []

    def new(browser, viewport=SMALL, **more):
        context = browser.new_context(viewport=viewport, locale="zh-CN", **more)
        contexts.append(context)
        page = context.new_page()
        page.faults = []
        page.on("pageerror", lambda error: page.faults.append(str(error)))
        page.on("console", lambda msg: page.faults.append(msg.text)
                if msg.type == "error" and "Content Security Policy" in msg.text else None)
        return page
    yield new
    for context in contexts:
        context.close()


opened = pytest.fixture(name="opened")(opener)
opened_once = pytest.fixture(scope="module", name="opened_once")(opener)


@pytest.fixture
def page(opened, chromium):
    return opened(chromium)


@pytest.fixture
def wide(opened, chromium_gl):
    """With the map beside the case, drawn in software."""
    return opened(chromium_gl, WIDE)
