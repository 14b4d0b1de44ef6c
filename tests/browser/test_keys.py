"""The keyboard alone: a routine case from arrival to close, and what the commonest acts cost in keys."""
import pytest
from desk import Desk, Keys, case_of
from harness import HERE, report, wait_for
from playwright.sync_api import expect


@pytest.fixture(scope="module")
def kind(city):
    """A type that the demo department leads, raised by a rule for each report."""
    import yaml
    from harness import ROOT
    with open(f"{ROOT}/correlate/packs/boston.yaml", encoding="utf-8") as text:
        rules = yaml.safe_load(text)["rules"]
    types = [str(code) for rule in rules if rule["kind"] == "single" and not rule.get("auto_file") for code in rule["types"]]
    return city.rows("""SELECT type_code, lead FROM tongguan.case_type WHERE type_code = ANY(%s)
        AND lead = (SELECT department FROM tongguan.account WHERE role = 'department' LIMIT 1) ORDER BY 1 LIMIT 1""", types)[0]


def made(city, kind, state="new"):
    """A case of the demo department's, taken to a state by the accounts of the API."""
    lead, dept = city.api("shift_lead"), city.api("department")
    status, doc = lead("POST", "/api/v1/cases", {"type_code": kind[0], "title": "路灯不亮", "location": {"lon": HERE[0], "lat": HERE[1]}})
    assert status == 201, doc
    case = doc["case_id"]
    steps = {"accept": lambda: lead.act(case, "accept"), "file": lambda: lead.act(case, "file", condition=1),
             "dispatch": lambda: lead.act(case, "dispatch", tasks=[{"department": kind[1], "role": "lead"}]),
             "sign": lambda: dept.act_task(task(), "sign"), "complete": lambda: dept.act_task(task(), "complete", result="已修复"),
             "send_check": lambda: lead.act(case, "send_check"), "check_pass": lambda: lead.act(case, "check_pass")}
    order = ["new", "to_file", "to_dispatch", "assigned", "handling", "review", "checking", "to_close"]

    def task():
        return lead.get(f"/api/v1/cases/{case}")["tasks"][0]["task_id"]
    for step in list(steps)[:order.index(state)]:
        steps[step]()
    return case


def test_keys__a_routine_case_from_arrival_to_close(opened, chromium, city, kind):
    """Two people, no mouse: five keys from arrival to dispatch, and every key counted."""
    desk_page, dept_page = opened(chromium), opened(chromium)
    Desk(desk_page, city).sign_in("shift_lead")
    Desk(dept_page, city).sign_in("department")
    event = report(type_code=kind[0], title="路灯不亮", text="路口", reporter="k-1")
    city.produce("tongguan.citizen.reports", [event.SerializeToString()])
    case = case_of(city, event)
    desk, dept = Keys(desk_page, case), Keys(dept_page, case)
    desk.find()
    for key in ("a", "f", "Enter", "d", "Enter"):
        desk.press(key)  # one after the other: each waits for the step before it, not for the operator
    desk.wait(city, "assigned")
    to_dispatch = desk.count
    assert to_dispatch == 5
    dept.find()
    dept.press("i", "Enter")
    dept.state("handling")
    dept.press("b")
    dept.type("已修复")
    dept.press("Control+Enter")
    desk.wait(city, "review")
    desk.find()
    desk.state("review")  # the page has heard of it
    desk.press("v", "Enter")
    desk.state("checking")
    desk.press("p", "Enter")
    desk.state("to_close")
    desk.press("z", "Enter")
    desk.wait(city, "closed")
    print(f"\nkeys: accept to dispatch {to_dispatch} (a f Enter d Enter), arrival to close {desk.count + dept.count}: "
          f"desk {desk.count}, department {dept.count} of which the words of the result {dept.typed}")
    assert not desk_page.faults + dept_page.faults


AT_ONCE = """keys => keys.forEach(key => document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true})))"""


@pytest.mark.parametrize("when", ["before the panel is drawn", "while the panel waits for its proposal", "while the step is under way"])
def test_keys__what_is_pressed_ahead_follows_its_step(page, city, kind, when):
    """Keys were lost between the Enter for a panel and its drawing, or a panel took the Enter meant for the next."""
    case = made(city, kind, "to_file")
    Desk(page, city).sign_in("shift_lead")
    desk, held = Keys(page, case), []
    desk.find()

    def hold(route):
        """The first, until it is let go."""
        route.continue_() if held else held.append(route)

    def press(*keys):
        page.evaluate(AT_ONCE, keys)

    def await_held(what):
        wait_for(lambda: page.wait_for_timeout(20) or held, what=what)
    if when == "before the panel is drawn":
        press("f", "Enter", "d", "Enter")
    elif when == "while the panel waits for its proposal":
        page.route("**/api/v1/catalog/*", hold)
        press("f", "Enter")
        await_held("the request of the proposal")
        press("d", "Enter")
    else:
        page.route(f"**/api/v1/cases/{case}/actions", hold)
        press("f")
        expect(page.get_by_test_id("panel-file").locator(":focus")).to_be_attached()
        press("Enter")
        await_held("the request of the step")
        press("d", "Enter")
    for route in held:
        route.continue_()
    # Done, the cursor goes on to the next case, if there is one: the log tells what was done.
    done = "SELECT array_agg(action ORDER BY seq) FROM tongguan.case_log WHERE case_id::text = %s AND seq > 2"
    wait_for(lambda: page.wait_for_timeout(50) or len(city.value(done, case) or ()) >= 2, what="both steps")
    assert city.value(done, case) == ["file", "dispatch"] and not page.faults


def test_keys__a_field_has_its_letters_while_a_step_is_under_way(page, city, kind):
    case, held = made(city, kind), []
    Desk(page, city).sign_in("shift_lead")
    desk = Keys(page, case)
    desk.find()
    page.route(f"**/api/v1/cases/{case}/actions", lambda route: held.append(route))
    desk.press("a")
    wait_for(lambda: page.wait_for_timeout(20) or held, what="the request")
    desk.press("/", "f", "a", "r")
    expect(page.get_by_test_id("search")).to_have_value("far")
    desk.press("Escape")
    held[0].continue_()
    desk.state("to_file")
    desk.press("c", "Control+Enter")  # words are wanted
    desk.type("")
    desk.press("a", "f")
    expect(page.locator(".disp textarea").first).to_have_value("af")
    assert not page.faults


ACTS = (  # act, the account, the state it begins in, keys, what proves it
    ("accept", "shift_lead", "new", ("a",), "to_file"),
    ("file", "shift_lead", "to_file", ("f", "Enter"), "to_dispatch"),
    ("dispatch", "shift_lead", "to_dispatch", ("d", "Enter"), "assigned"),
    ("refuse", "shift_lead", "new", ("A", "Enter"), "refused"),
    ("send check", "shift_lead", "review", ("v", "Enter"), "checking"),
    ("check passed", "shift_lead", "checking", ("p", "Enter"), "to_close"),
    ("close", "shift_lead", "to_close", ("z", "Enter"), "closed"),
    ("rework", "shift_lead", "review", ("r", "text:墙面未复原", "Control+Enter"), "handling"),
    ("sign", "department", "assigned", ("i", "Enter"), "handling"),
    ("return", "department", "assigned", ("r", "Enter"), "to_dispatch"),
)


def test_keys__the_ten_commonest_acts(opened, chromium, city, kind):
    pages = {who: opened(chromium) for who in ("shift_lead", "department")}
    cases = [made(city, kind, begins) for _, _, begins, _, _ in ACTS]
    for who, page in pages.items():
        Desk(page, city).sign_in(who)
    said = []
    for (act, who, _, keys, ends), case in zip(ACTS, cases):
        desk = Keys(pages[who], case)
        desk.find()
        for key in keys:
            desk.type(key[5:]) if key.startswith("text:") else desk.press(key)
        desk.wait(city, ends)
        said.append(f"{act} {desk.count - desk.typed}" + (f" + {desk.typed} of text" if desk.typed else ""))
    print("\nkeys an act: " + ", ".join(said))
    assert not pages["shift_lead"].faults + pages["department"].faults


def test_keys__a_key_that_may_not_act_says_why_and_off_means_off(page, city, kind):
    case = made(city, kind, "to_close")
    Desk(page, city).sign_in("shift_lead")
    desk = Keys(page, case)
    desk.find()
    desk.press("d")
    expect(page.locator(".foot .note")).to_contain_text("派遣")
    expect(page.get_by_test_id("panel-dispatch")).to_have_count(0)
    desk.press("w")
    expect(page.locator("table.why")).to_be_visible()
    desk.press("w", "x")
    expect(page.get_by_test_id("bulk")).to_have_attribute("data-count", "1")
    desk.press("Escape", "t")
    expect(page.get_by_test_id("replay")).to_be_visible()
    first = page.get_by_test_id("log").count()
    desk.press("ArrowRight")
    expect(page.get_by_test_id("log")).to_have_count(first + 1)
    desk.press("Escape", "?")
    page.get_by_test_id("keys-off").check()
    desk.press("Escape")
    page.evaluate("document.activeElement.blur()")
    desk.press("z")
    expect(page.get_by_test_id("panel-close")).to_have_count(0)
    desk.press("ArrowUp")  # arrows are no single keys
    # An input method at work: nothing acts, whatever the key.
    page.evaluate("""() => { localStorage.keys = 'on'; }""")
    page.reload()
    expect(page.get_by_test_id("stream-state")).to_have_attribute("data-state", "live")
    desk.find()
    page.evaluate("""() => document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'z', isComposing: true, bubbles: true}))""")
    page.evaluate("""() => document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'Process', bubbles: true}))""")
    expect(page.get_by_test_id("panel-close")).to_have_count(0)
    assert wait_for(lambda: city.api().get(f"/api/v1/cases/{case}")["state"]) == "to_close"
    assert not page.faults


def test_keys__many_at_once_each_under_its_own_key(page, city, kind):
    cases = [made(city, kind) for _ in range(4)]
    Desk(page, city).sign_in("shift_lead")
    desk = Keys(page, cases[0])
    for case in cases:
        desk.find(case)
        desk.press("x")
    expect(page.get_by_test_id("bulk")).to_have_attribute("data-count", "4")
    city.api("operator").act(cases[3], "refuse", reason="not_ours")  # somebody was quicker with one
    page.get_by_test_id("bulk-accept").click()
    result = page.get_by_test_id("bulk-result")
    expect(result).to_have_attribute("data-running", "false")
    states = [city.api().get(f"/api/v1/cases/{case}")["state"] for case in cases]
    assert states == ["to_file"] * 3 + ["refused"]
    assert int(result.get_attribute("data-done")) == 3
    assert not page.faults
