"""What a case's log alone says of the case and its tasks: a replay that shares nothing with the program but the published names.

replay(entries) takes one case's entries as dicts (seq, task_id, at, action, actor_role, from_state, to_state, detail) in order and gives
(case, tasks): the columns that follow from the log. Tasks are in the order in which they were given out.
"""
OPEN = ("assigned", "signed")
SILENT = {"comment", "contact", "incident"}  # they raise no version


class Task:
    def __init__(self, department, role, round_, at):
        self.department, self.role, self.round, self.assigned_at = department, role, round_, at
        self.first = department
        self.state, self.version, self.extensions, self.suspended = "assigned", 1, 0, False
        self.signed_at = self.done_at = self.suspended_until = self.appealed_at = self.request = self.due_at = None

    def settle(self):
        self.suspended, self.suspended_until, self.request = False, None, None

    def end(self, state):
        self.settle()
        self.state, self.version = state, self.version + 1


class Case:
    def __init__(self, born):
        self.state = self.merged_into = self.filed_at = self.dispatched_at = self.done_at = self.closed_at = self.condition = None
        self.escalation_level, self.version, self.overdue = None, 0, None
        self.supervise_level = self.rework_count = self.return_count = self.extension_count = self.round = 0
        self.tasks, self.had, self.born = [], [], born

    # ---- finding

    def lead(self):
        return next((t for t in reversed(self.tasks) if t.role == "lead" and t.round == self.round), None)

    def task(self, task_id):
        department, at = self.born[task_id]
        return next(t for t in self.tasks if t.first == department and t.assigned_at == at)

    # ---- one entry

    def give(self, department, role, at):
        self.tasks.append(Task(department, role, self.round, at))
        if department not in self.had:
            self.had.append(department)

    def apply(self, e, task):
        action, at, detail = e["action"], e["at"], e["detail"] or {}
        if action in SILENT or "merged" in detail or "unmerged" in detail:
            if "clocks" in detail:
                self.clocks(detail["clocks"])
            return  # also: what another case's log says, told here a second time
        self.version += 1
        if task and action != "escalate":
            task.version += 1
        self.state = e["to_state"]
        getattr(self, "on_" + action, lambda *_: None)(at, detail, task)
        self.clocks(detail.get("clocks", []))

    def clocks(self, said):
        for c in said:
            if c["clock"] == "handle":
                task = self.task(c["task_id"]) if "task_id" in c else next(
                    t for t in reversed(self.tasks) if t.department == c["department"])  # it is being given out
                task.due_at = None if c["state"] == "paused" else c["due_at"]

    def on_file(self, at, detail, _):
        self.filed_at, self.condition = at, detail["filed"]["condition"]

    def on_dispatch(self, at, detail, _):
        before = list(self.tasks)
        wanted = {(t["department"], t["role"]) for t in detail["tasks"]}
        self.round, self.dispatched_at = self.round + 1, at
        kept = [t for t in before if t.state in OPEN and t.role == "assist" and (t.department, "assist") in wanted]
        for t in before:
            if t in kept:
                t.round = self.round
            elif t.state in OPEN:
                t.end("cancelled")
        for t in detail["tasks"]:
            if t["department"] not in {k.department for k in kept}:
                self.give(t["department"], t["role"], at)

    def on_uphold(self, at, detail, _):
        lead = self.lead()
        lead.state, lead.signed_at, lead.version = "assigned", None, lead.version + 1

    def on_add_assist(self, at, detail, _):
        self.give(detail["department"], "assist", at)

    def on_waive_assist(self, at, detail, _):
        for t in self.tasks:
            if t.role == "assist" and t.department == detail["department"] and t.state in OPEN + ("returned",):
                t.end("waived")

    def on_rework(self, at, detail, _):
        lead = self.lead()
        self.rework_count, self.done_at = self.rework_count + 1, None
        lead.state, lead.done_at, lead.version = "signed", None, lead.version + 1

    on_check_fail = on_rework

    def over(self, at, *_):
        self.closed_at = at
        for t in self.tasks:
            if t.state in OPEN:
                t.end("cancelled")

    on_refuse = on_not_file = on_void = over

    def on_close(self, at, *_):
        self.closed_at = at

    def on_self_dispose(self, at, *_):
        self.closed_at = self.done_at = at

    def on_merge(self, at, detail, _):
        self.over(at)
        self.merged_into = detail["into"]

    def on_unmerge(self, at, detail, _):
        self.merged_into = self.closed_at = self.done_at = self.dispatched_at = self.filed_at = self.condition = None
        self.round += 1

    def on_supervise(self, *_):
        self.supervise_level += 1

    def on_escalate(self, at, detail, _):
        self.escalation_level = max(detail["level"], self.escalation_level or 0)
        self.supervise_level = max(detail.get("supervise", 0), self.supervise_level)

    # ---- tasks

    def on_sign(self, at, detail, task):
        task.state, task.signed_at = "signed", at

    def on_return(self, at, detail, task):
        task.settle()
        task.state = "returned"
        self.return_count += task.role == "lead"

    def on_complete(self, at, detail, task):
        task.settle()
        task.state, task.done_at = "done", at
        if task.role == "lead":
            self.done_at = at

    def on_forward(self, at, detail, task):
        task.department = detail["unit"]
        if task.department not in self.had:
            self.had.append(task.department)

    def on_request_extension(self, at, detail, task):
        task.request = "extension"

    def on_request_suspension(self, at, detail, task):
        task.request = "suspension"

    def on_deny_extension(self, at, detail, task):
        task.request = None

    on_deny_suspension = on_deny_extension

    def on_grant_extension(self, at, detail, task):
        task.settle()
        task.extensions += 1
        self.extension_count += 1

    def on_grant_suspension(self, at, detail, task):
        task.settle()
        task.suspended, task.suspended_until = True, detail["until"]

    def on_resume(self, at, detail, task):
        task.settle()

    def on_appeal(self, at, detail, task):
        task.appealed_at = at


def replay(entries, born):
    """born: task id → (first department, assigned at): which of the tasks that the log gives out bears which id."""
    case = Case(born)
    for e in entries:
        case.apply(e, case.task(e["task_id"]) if e["task_id"] else None)
    lead = case.lead()
    case.suspended = bool(lead and lead.suspended)
    case.lead_department = lead.department if lead else None
    return case
