"""The console as a person uses it: sign in, find a row, open a panel, submit."""
import contextlib

from harness import wait_for
from playwright.sync_api import expect

QUIET = ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync"]
CHROMIUM = QUIET + ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]  # draws maps, at a price
PLAIN = QUIET + ["--disable-gpu"]

# Tells when the open case's row turned overdue and when E2 stood in the timeline, in the page's own clock.
WATCH = """([id]) => {
    const seen = window.seen = {};
    const look = () => {
        const row = document.querySelector(`[data-testid=row][data-case-id="${id}"]`);
        if (row?.dataset.level === "over") seen.overdue ??= Date.now() / 1000;
        for (const entry of document.querySelectorAll("[data-testid=timeline] [data-action=escalate]"))
            if (entry.textContent.includes("E2")) seen.logged ??= Date.now() / 1000;
    };
    new MutationObserver(look).observe(document.body, {subtree: true, childList: true, attributes: true, characterData: true});
    look();
}"""


def case_of(city, event):
    """The id of the case that a report became."""
    return wait_for(lambda: city.rows(
        "SELECT c.case_id::text FROM tongguan.cases c JOIN tongguan.incident_events m USING (incident_id)"
        " JOIN tongguan.events e ON e.uid = m.event_uid WHERE e.event_id = %s", event.event_id), what="the case")[0][0]


class Desk:
    def __init__(self, page, city, address=None):
        self.page, self.city, self.address = page, city, address or city.address

    def enter(self, who, case=None):
        self.page.goto(f"http://{self.address}/" + (f"#case={case}" if case else ""))
        self.page.get_by_test_id("signin-name").fill(who)
        self.page.get_by_test_id("signin-password").fill(self.city.passwords[who])
        self.page.get_by_test_id("signin-submit").click()
        expect(self.page.get_by_test_id("queue")).to_be_visible()

    def sign_in(self, who, case=None):
        self.enter(who, case)
        expect(self.page.get_by_test_id("stream-state")).to_have_attribute("data-state", "live")
        if case:
            expect(self.page.get_by_test_id("case")).to_have_attribute("data-case-id", case)
            expect(self.page.get_by_test_id("case-state")).to_be_visible()
        return self

    def sign_out(self):
        self.page.get_by_test_id("signout").click()
        expect(self.page.get_by_test_id("signin-name")).to_be_visible()

    @contextlib.contextmanager
    def at(self, who, case):
        """A turn of one person, in front of one case."""
        self.sign_in(who, case)
        yield self
        self.sign_out()

    @contextlib.contextmanager
    def on_the_street(self, who, case):
        """An inspector's turn: the phone page, with this case before them."""
        self.enter(who)
        expect(self.page.get_by_test_id("phone")).to_be_visible()
        card = self.page.locator(f'[data-testid="phone-task"][data-case-id="{case}"]')
        row = self.page.locator(f'[data-testid="phone-row"][data-case-id="{case}"]')
        expect(card.or_(row)).to_be_visible()
        if row.count():
            row.click()
        expect(card).to_be_visible()
        yield self
        self.sign_out()

    def row(self, case):
        return self.page.locator(f'[data-testid="row"][data-case-id="{case}"]')

    def panel(self, action):
        return self.page.get_by_test_id(f"panel-{action}")

    def logged(self, action):
        return self.page.get_by_test_id("timeline").locator(f'[data-action="{action}"]').first

    def open(self, action):
        button = self.page.get_by_test_id(f"action-{action}")
        expect(button).to_be_attached()
        if not button.is_visible():
            self.page.get_by_test_id("action-more").click()
        button.click()
        expect(self.panel(action)).to_be_visible()

    def submit(self, action, state=None, note=None):
        if note:
            self.panel(action).get_by_test_id("field-note").fill(note)
        self.panel(action).get_by_test_id("panel-submit").click()
        expect(self.panel(action)).to_have_count(0)
        if state:
            expect(self.page.get_by_test_id("case-state")).to_have_attribute("data-state", state)

    def act(self, action, state=None, note=None):
        self.open(action)
        self.submit(action, state, note)

    def block_list(self):
        """From now on the list of cases cannot be had; returns the addresses that were asked for."""
        blocked = []

        def block(route):
            blocked.append(route.request.url)
            route.abort()
        self.page.route(lambda url: "/api/v1/cases?" in url or url.endswith("/api/v1/cases"), block)
        return blocked

    def watch(self, case):
        """Returns a function: the instant at which the screen first showed `overdue` or `logged`."""
        self.page.evaluate(WATCH, [case])
        return lambda what: wait_for(lambda: self.page.evaluate("what => window.seen[what]", what), 20, what=f"{what} on the screen")


class Keys:
    """A pair of hands on the keyboard before one case: every key is counted, text apart."""

    def __init__(self, page, case):
        self.page, self.case, self.count, self.typed = page, case, 0, 0

    def row(self, case=None):
        return self.page.locator(f'[data-testid="row"][data-case-id="{case or self.case}"]')

    def find(self, case=None):
        """The cursor on the case: moving there is not part of an act, so it is not counted."""
        case = case or self.case
        self.page.evaluate("id => { location.hash = `case=${id}`; document.activeElement.blur(); }", case)
        expect(self.page.get_by_test_id("case")).to_have_attribute("data-case-id", case)
        expect(self.page.get_by_test_id("actions").locator("button").first).to_be_visible()

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)
            self.count += 1

    def type(self, text):
        expect(self.page.locator(".disp textarea").first).to_be_focused()
        self.page.keyboard.insert_text(text)
        self.count += len(text)
        self.typed += len(text)

    def state(self, state):
        expect(self.page.get_by_test_id("case")).to_have_attribute("data-state", state)

    def wait(self, city, state):
        def said():
            return city.value("SELECT state FROM tongguan.cases WHERE case_id::text = %s", self.case), self.page.url, \
                self.page.locator("[data-testid=toast], .foot .note, .disp").all_inner_texts()
        try:
            wait_for(lambda: city.value("SELECT state FROM tongguan.cases WHERE case_id::text = %s", self.case) == state, what=f"{self.case} {state}")
        except AssertionError as failed:
            raise AssertionError(f"{failed}; the page says {said()}") from None
