"""What goes wrong with a case, and what is asked for it, by the keyboard: merged and parted, returned, put off, held, appealed, void.

Each act is proved by what the database holds afterwards.
"""
import json
from types import SimpleNamespace

import pytest
from desk import Desk, Keys
from harness import Api, wait_for
from playwright.sync_api import expect
from test_console import hasten
from test_keys import kind, made  # noqa: F401

TASK = "SELECT {} FROM tongguan.tasks WHERE case_id::text = %s AND role = 'lead' ORDER BY assigned_at DESC LIMIT 1"


@pytest.fixture(scope="module")
def desks(opened_once, chromium, city):
    """One page each, signed in once."""
    pages = {who: opened_once(chromium) for who in ("shift_lead", "department", "leader")}
    for who, page in pages.items():
        Desk(page, city).sign_in(who)
    yield SimpleNamespace(**pages)
    assert not [fault for page in pages.values() for fault in page.faults]


def task_says(city, case, column, wanted):
    wait_for(lambda: city.value(TASK.format(column), case) == wanted, what=f"{column} {wanted}")


def act(page, city, case, key, action, *keys):
    """Opens the panel of an action by its key, presses the keys, and waits until the panel has done its work."""
    hands = Keys(page, case)
    hands.find()
    expect(page.get_by_test_id(f"action-{action}").or_(page.get_by_test_id(f"answer-{action}")).first).to_be_attached()
    hands.press(key)
    panel = page.get_by_test_id(f"panel-{action}")
    expect(panel).to_be_visible()
    if keys:
        hands.press(*keys)
        expect(panel).to_have_count(0)
    return panel


def test_flows__merged_side_by_side_and_parted_again(desks, city, kind):  # noqa: F811
    made(city, kind)
    case, page = made(city, kind), desks.shift_lead
    panel = act(page, city, case, "m", "merge")
    expect(panel.get_by_test_id("compare")).to_be_visible()
    into = panel.get_by_role("radio", checked=True).get_attribute("data-case-id")
    page.keyboard.press("Enter")
    wait_for(lambda: city.rows("SELECT state, merged_into::text FROM tongguan.cases WHERE case_id::text = %s", case) == [("merged", into)],
             what="the case merged")
    expect(page.locator('[data-testid="toast"][data-kind="done"] button:not(.x)')).to_contain_text("u")
    page.keyboard.press("u")
    wait_for(lambda: city.rows("SELECT state, merged_into FROM tongguan.cases WHERE case_id::text = %s", case) == [("new", None)],
             what="the case parted again")
    assert city.value("SELECT count(*) FROM tongguan.case_log WHERE case_id::text = %s AND action = 'unmerge'", case) == 1


def test_flows__more_time_is_asked_for_given_and_denied(desks, city, kind):  # noqa: F811
    case = made(city, kind, "handling")
    due = city.value(TASK.format("due_at"), case)
    act(desks.department, city, case, "e", "request_extension", "1", "Enter")
    act(desks.shift_lead, city, case, "e", "grant_extension", "Enter")
    task_says(city, case, "extensions", 1)
    assert city.value(TASK.format("due_at"), case) > due
    act(desks.department, city, case, "e", "request_extension", "2", "Enter")
    act(desks.leader, city, case, "E", "deny_extension", "Enter")
    wait_for(lambda: city.value("SELECT count(*) FROM tongguan.case_log WHERE case_id::text = %s AND action = 'deny_extension'", case) == 1)
    task_says(city, case, "extensions", 1)


def test_flows__a_hold_is_asked_for_denied_granted_and_ended(desks, city, kind):  # noqa: F811
    case = made(city, kind, "handling")
    day = city.value("SELECT to_char(now() + interval '9 days', 'YYYY-MM-DD')")
    for key, answer, held in (("S", "deny_suspension", False), ("s", "grant_suspension", True)):
        panel = act(desks.department, city, case, "s", "request_suspension")
        panel.get_by_test_id("field-until").fill(day)
        panel.get_by_role("radiogroup").focus()
        desks.department.keyboard.press("Enter")
        expect(panel).to_have_count(0)
        act(desks.leader, city, case, key, answer, "Enter")
        wait_for(lambda: city.value("SELECT count(*) FROM tongguan.case_log WHERE case_id::text = %s AND action = %s", case, answer) == 1)
        task_says(city, case, "suspended", held)
    expect(Desk(desks.department, city).row(case)).to_have_attribute("data-level", "hold")
    act(desks.shift_lead, city, case, "s", "resume", "Enter")
    task_says(city, case, "suspended", False)
    expect(Desk(desks.department, city).row(case)).not_to_have_attribute("data-level", "hold")


def test_flows__returned_twice_and_then_ruled_for_good(desks, city, kind):  # noqa: F811
    case = made(city, kind, "assigned")
    act(desks.department, city, case, "r", "return", "Enter")
    wait_for(lambda: city.value("SELECT return_count FROM tongguan.cases WHERE case_id::text = %s", case) == 1, what="the first return")
    panel = act(desks.shift_lead, city, case, "d", "dispatch")
    expect(panel.locator(".caution")).to_be_visible()
    planned = panel.get_by_test_id("planned")
    expect(planned).to_be_visible()
    expect(planned).not_to_have_attribute("data-department", kind[1])  # whoever has returned it is not proposed again
    desks.shift_lead.keyboard.press("Enter")
    expect(panel).to_have_count(0)
    Keys(desks.shift_lead, case).wait(city, "assigned")
    other, task = city.rows("SELECT department, task_id::text FROM tongguan.tasks WHERE case_id::text = %s AND state = 'assigned'", case)[0]
    assert other != kind[1]
    made_token = city.run("token", "create", "--role", "department", "--department", other, "--name", "second-return")
    assert made_token.returncode == 0, made_token.stderr
    Api(city.address, made_token.stdout.strip()).act_task(task, "return", reason="wrong_area")
    wait_for(lambda: city.value("SELECT return_count FROM tongguan.cases WHERE case_id::text = %s", case) == 2, what="the second return")
    panel = act(desks.shift_lead, city, case, "r", "uphold")
    expect(panel.locator(".caution")).to_contain_text("终审")
    desks.shift_lead.keyboard.press("Enter")
    Keys(desks.shift_lead, case).wait(city, "assigned")
    standing = city.rows("SELECT department, task_id::text FROM tongguan.tasks WHERE case_id::text = %s AND state = 'assigned'", case)
    assert [department for department, _ in standing] == [other]
    third = Api(city.address, made_token.stdout.strip()).get(f"/api/v1/tasks/{standing[0][1]}")
    assert "sign" in third["allowed_actions"] and "return" not in third["allowed_actions"]


def test_flows__what_the_engine_does_not_accept_is_said_in_the_readers_language(desks, city, kind):  # noqa: F811
    case, page = made(city, kind, "handling"), desks.department
    page.route("**/actions", lambda route: route.continue_(post_data=json.dumps(route.request.post_data_json | {"by": "soon"})))
    try:
        for said in ("时长：须写成 2h、4wh、1wd、2nd", "by: must be a limit: 2h, 4wh, 1wd, 2nd"):
            hands = Keys(page, case)
            hands.find()
            hands.press("e")
            expect(page.get_by_test_id("panel-request_extension")).to_be_visible()
            hands.press("1", "Enter")
            expect(page.locator('[data-testid="toast"]').filter(has_text=said)).to_be_visible()
            page.keyboard.press("Escape")
            page.get_by_test_id("lang-switch").click()
    finally:
        page.unroute("**/actions")
    task_says(city, case, "extensions", 0)


def test_flows__an_appeal_after_a_late_close(desks, city, kind):  # noqa: F811
    case = made(city, kind, "handling")
    hasten(city, case, seconds=1)
    wait_for(lambda: city.rows("SELECT 1 FROM tongguan.clock WHERE case_id::text = %s AND kind = 'handle' AND due_at < now()", case), what="overdue")
    lead, department = city.api("shift_lead"), city.api("department")
    department.act_task(city.value(TASK.format("task_id::text"), case), "complete", result="已修复")
    for action in ("send_check", "check_pass", "close"):
        lead.act(case, action)
    page = desks.department
    Keys(page, case).find()
    page.get_by_test_id("action-appeal").press("Enter")
    expect(page.get_by_test_id("panel-appeal")).to_be_visible()
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("panel-appeal")).to_have_count(0)
    detail = wait_for(lambda: city.rows("SELECT detail FROM tongguan.case_log WHERE case_id::text = %s AND action = 'appeal'", case), what="the appeal")
    assert detail[0][0]["reason"] == "clock_wrong"


def test_flows__void(desks, city, kind):  # noqa: F811
    case, page = made(city, kind, "to_dispatch"), desks.shift_lead
    Keys(page, case).find()
    button = page.get_by_test_id("action-void")
    expect(button).to_be_attached()
    if not button.is_visible():
        page.keyboard.press(".")
    button.press("Enter")
    expect(page.get_by_test_id("panel-void")).to_be_visible()
    page.keyboard.press("Enter")
    Keys(page, case).wait(city, "void")
