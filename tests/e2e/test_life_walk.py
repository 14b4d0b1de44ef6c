"""A thousand cases walked at random through every action, by people who race with clocks, with each other and with the system; what
must always hold is asked of the database meanwhile, and at the end the log alone gives the same tables."""
import collections
import http.client
import json
import os
import random
import threading
import time
from datetime import datetime, timedelta, timezone

import psycopg
import pytest

import harness
import replay_oracle

pytestmark = pytest.mark.apart

CASES, TRANSITIONS, WORKERS = 1000, int(os.environ.get("TONGGUAN_WALK", "20000")), 10
SEED = int(os.environ.get("TG_TEST_SEED", str(time.time_ns() % 1_000_000)))
TERMINAL = {"closed", "refused", "not_filed", "void", "merged"}
OPEN = {"new", "verifying", "to_file", "to_dispatch", "assigned", "handling", "review", "checking", "to_close"}
WORKING = {"to_dispatch", "assigned", "handling"}

# action: (who, from, to, how often it is tried). to None: stays, or follows from more than the state.
CASE_ACTIONS = {
    "accept": ("operator", {"new"}, "to_file", 8), "edit": ("operator", {"new", "verifying", "to_file"}, None, 1),
    "refuse": ("operator", {"new"}, "refused", .2), "send_verify": ("operator", {"new"}, "verifying", 1),
    "verify_result": ("inspector", {"verifying"}, "new", 4), "file": ("operator", {"to_file"}, "to_dispatch", 8),
    "not_file": ("shift_lead", {"to_file"}, "not_filed", .2), "dispatch": ("shift_lead", {"to_dispatch"}, "assigned", 8),
    "uphold": ("shift_lead", {"to_dispatch"}, "assigned", 4), "add_assist": ("operator", {"assigned", "handling"}, None, 1),
    "waive_assist": ("operator", WORKING, None, 1), "rework": ("operator", {"review"}, "handling", 3),
    "send_check": ("operator", {"review"}, "checking", 3), "check_fail": ("inspector", {"checking"}, "handling", 2),
    "check_pass": ("inspector", {"checking"}, "to_close", 3), "close": ("shift_lead", {"to_close"}, "closed", 2),
    "void": ("shift_lead", OPEN, "void", .06), "remind": ("supervisor", OPEN, None, .5), "supervise": ("supervisor", OPEN, None, .3),
    "merge": ("operator", OPEN, "merged", .5), "unmerge": ("shift_lead", {"merged"}, "new", 30),
    "self_dispose": ("inspector", {"new"}, "closed", .2), "comment": ("leader", OPEN | TERMINAL, None, .2),
}
TASK_ACTIONS = {
    "sign": ("department", {"assigned"}, 8), "return": ("department", {"assigned", "signed"}, 1), "forward": ("department", {"signed"}, .7),
    "complete": ("department", {"signed"}, 4), "request_extension": ("department", {"assigned", "signed"}, 1.5),
    "grant_extension": ("leader", {"assigned", "signed"}, 2), "deny_extension": ("shift_lead", {"assigned", "signed"}, .5),
    "request_suspension": ("department", {"assigned", "signed"}, 1.5), "grant_suspension": ("leader", {"assigned", "signed"}, 2.5),
    "deny_suspension": ("leader", {"assigned", "signed"}, .5), "resume": ("operator", {"assigned", "signed"}, 1),
    "appeal": ("department", {"done"}, 1), "comment": ("department", {"assigned", "signed"}, .3),
}
ALWAYS = {  # each gives the rows that must not be
    "an open task has one handling clock that runs or waits": """SELECT t.task_id FROM tongguan.case_task t JOIN tongguan.case_file c USING (case_id)
        WHERE t.state IN ('assigned', 'signed') AND (SELECT count(*) FROM tongguan.clock k WHERE k.case_id = t.case_id AND k.task_id = t.task_id
            AND k.kind = 'handle' AND k.state <> 'stopped') <> 1""",
    "a task that is over has none": """SELECT t.task_id FROM tongguan.case_task t JOIN tongguan.clock k USING (case_id, task_id)
        WHERE t.state IN ('done', 'waived', 'cancelled') AND k.state <> 'stopped'""",
    "no clock of a suspended task runs but the reply's": """SELECT t.task_id FROM tongguan.case_task t JOIN tongguan.clock k USING (case_id, task_id)
        WHERE t.suspended AND k.kind <> 'reply' AND k.state = 'running'""",
    "a case is suspended as its lead is": """SELECT c.case_id FROM tongguan.case_file c WHERE c.suspended <> EXISTS (SELECT 1
        FROM tongguan.case_task t WHERE t.case_id = c.case_id AND t.role = 'lead' AND t.round = c.round AND t.suspended)""",
    "an ended case has no living clock, no level to come, no open task": """SELECT c.case_id FROM tongguan.case_file c
        WHERE c.state IN ('closed', 'refused', 'not_filed', 'void', 'merged') AND (
            EXISTS (SELECT 1 FROM tongguan.clock k WHERE k.case_id = c.case_id AND k.state <> 'stopped')
            OR EXISTS (SELECT 1 FROM tongguan.clock_due d WHERE d.case_id = c.case_id AND d.fired_at IS NULL)
            OR EXISTS (SELECT 1 FROM tongguan.case_task t WHERE t.case_id = c.case_id AND t.state IN ('assigned', 'signed')))""",
    "no deadline lies before its start": "SELECT clock_id FROM tongguan.clock WHERE due_at < started_at",
    "one leads what is dispatched": """SELECT c.case_id FROM tongguan.case_file c WHERE c.state IN ('assigned', 'handling', 'review', 'checking',
        'to_close') AND (SELECT count(*) FROM tongguan.case_task t WHERE t.case_id = c.case_id AND t.role = 'lead' AND t.round = c.round
            AND t.state IN ('assigned', 'signed', 'done')) <> 1""",
    "merged is what names another": "SELECT case_id FROM tongguan.case_file WHERE (state = 'merged') <> (merged_into IS NOT NULL)",
    "no level fires early, or late": """SELECT clock_id, level, fire_at, fired_at, skipped_from, now() FROM tongguan.clock_due
        WHERE fired_at < fire_at OR fired_at > fire_at + interval '2 s'
        OR (fired_at IS NULL AND fire_at < now() - interval '2 s')""",
    "no suspension outlasts its end": """SELECT task_id FROM tongguan.case_task WHERE suspended AND suspended_until < now() - interval '2 s'""",
    "granted is at most twice": "SELECT task_id FROM tongguan.case_task WHERE extensions > 2",
}


class Person:
    """A signed-in caller on one connection."""

    def __init__(self, address, token):
        self.address, self.token, self.conn = address, token, None

    def __call__(self, method, path, body=None):
        for attempt in range(2):
            if not self.conn:
                self.conn = http.client.HTTPConnection(self.address, timeout=30)
            try:
                self.conn.request(method, "/api/v1" + path, json.dumps(body) if body is not None else None,
                                  {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"})
                answer = self.conn.getresponse()
                return answer.status, json.loads(answer.read())
            except (http.client.HTTPException, OSError):
                self.conn = None  # the server closes what was idle
                if attempt:
                    raise


class Walk:
    def __init__(self, city, seed):
        self.city, self.rng = city, random.Random(seed)
        self.people = {name: Person(city.address, token) for name, token in city.walk_tokens.items()}
        self.cases, self.counts, self.refused, self.faults = [], collections.Counter(), collections.Counter(), []

    def create(self):
        lon, lat = harness.scattered(self.rng, 300)
        status, doc = self.people["operator"]("POST", "/cases", {"type_code": self.rng.choice(self.city.walk_types), "title": "走",
                                                                "location": {"lon": lon, "lat": lat}})
        assert status == 201, doc
        self.cases.append(doc)

    def body(self, action, case, task):
        rng, units = self.rng, self.city.walk_units
        if action in ("refuse", "not_file", "uphold", "rework", "void", "deny_extension", "deny_suspension", "return", "appeal"):
            return {"reason": "walk"}
        if action == "dispatch":
            some = rng.sample(self.city.walk_departments, rng.randint(1, 3))
            return {"tasks": [{"department": d, "role": "assist" if i else "lead"} for i, d in enumerate(some)]}
        if action in ("add_assist", "waive_assist"):
            assists = [t["department"] for t in case["tasks"] if t["role"] == "assist"]
            chosen = rng.choice(assists) if action == "waive_assist" and assists else rng.choice(self.city.walk_departments)
            return {"department": chosen} | ({"reason": "walk"} if action == "waive_assist" else {})
        if action == "request_suspension":
            until = datetime.now(timezone.utc) + timedelta(seconds=rng.choice([1, 5, 60]) * rng.uniform(.5, 1.5))
            return {"reason": "walk", "until": until.isoformat()}
        return {"verify_result": {"result": "seen"}, "complete": {"result": "done"}, "self_dispose": {"result": "done"},
                "file": {"condition": 1}, "edit": {"title": f"走 {rng.random()}"}, "comment": {"note": "walk"},
                "forward": {"unit": rng.choice(units)}, "request_extension": {"reason": "walk", "by": rng.choice(["0.5wh", "0.0005h"])},
                "merge": {"into": rng.choice(self.cases)["case_id"]}}.get(action, {})

    def choose(self, case):
        if self.rng.random() < .03:  # whatever the state
            return self.rng.choice(list(CASE_ACTIONS)), None
        choices = [(name, None, weight) for name, (_, since, _, weight) in CASE_ACTIONS.items() if case["state"] in since]
        for task in case["tasks"]:
            choices += [(name, task, weight) for name, (_, since, weight) in TASK_ACTIONS.items() if task["state"] in since
                        and self.plausible(name, task)]
        return self.rng.choices(choices, [w for *_, w in choices])[0][:2]

    def plausible(self, action, task):
        """Mostly what can be: the rest is tried seldom, so that the steps go somewhere."""
        if self.rng.random() < .05:
            return True
        if action.startswith(("grant", "deny")):
            return task["request"] is not None and action.endswith(task["request"]["kind"])
        return (action in ("resume", "comment")) if task["suspended"] else action != "resume"

    def who(self, action, task):
        role = (TASK_ACTIONS if task else CASE_ACTIONS)[action][0]
        return self.people[task["department"] if role == "department" else role]

    def step(self):
        i = self.rng.randrange(len(self.cases))
        while self.cases[i]["state"] in TERMINAL - {"merged"} and self.rng.random() < .95:  # what has ended is rarely touched again
            i = self.rng.randrange(len(self.cases))
        case = self.cases[i]
        action, task = self.choose(case)
        place = f"/tasks/{task['task_id']}" if task else f"/cases/{case['case_id']}"
        body = {"action": action, "version": (task or case)["version"], **self.body(action, case, task)}
        status, doc = self.who(action, task)("POST", place + "/actions", body)
        if status == 200:
            self.counts[action] += 1
            self.check(action, task, case, doc)
        else:
            self.refused[f"{status} {action}"] += 1
            if status not in (403, 409, 422) or status == 409 and action in doc.get("allowed_actions", []):
                self.faults.append((action, case["state"], status, doc))
        self.cases[i] = doc if status == 200 and not task else self.people["leader"]("GET", f"/cases/{case['case_id']}")[1]

    def check(self, action, task, before, after):
        if task:
            if after["version"] != task["version"] + 1 and action != "comment":
                self.faults.append((action, "task version", task["version"], after["version"]))
            return
        to = CASE_ACTIONS[action][2] or before["state"]
        if after["state"] != to or after["version"] != before["version"] + (action != "comment"):
            self.faults.append((action, before["state"], before["version"], after["state"], after["version"]))


@pytest.fixture(scope="module")
def servers():
    """Servers of the walk's own: every row of them is judged, and the chains of all cases."""
    with harness.City(roles=()) as running:
        yield running


@pytest.fixture(scope="module")
def city(servers):
    servers.role_under_test = harness.Role(servers, "dispatch").ready()
    second = harness.Role(servers, "dispatch", env={"TONGGUAN_HTTP_LISTEN": "127.0.0.1:0"})
    leads = [code for (code,) in servers.rows("SELECT code FROM tongguan.dept ORDER BY 1 LIMIT 6")]
    units = [code + "-1" for code in leads]
    with servers.pg() as conn:
        conn.execute("INSERT INTO tongguan.dept (code, name_zh, name_en, short_zh, short_en, calendar, parent) SELECT code || '-1', name_zh,"
                     " name_en, short_zh, short_en, calendar, code FROM tongguan.dept WHERE code = ANY (%s)", (leads,))
        # Two of the types run out of time within the walk.
        types = [code for (code,) in conn.execute("SELECT type_code FROM tongguan.case_type WHERE left(type_code, 2) = '22' ORDER BY 1 LIMIT 6")]
        conn.execute("UPDATE tongguan.filing_condition SET handle_limit = '0.002h' WHERE type_code = ANY (%s)", (types[:2],))
        conn.execute("UPDATE tongguan.case_type SET self_dispose = true WHERE type_code = ANY (%s)", (types[3:],))
        version = conn.execute("UPDATE tongguan.city SET version = version + 1 RETURNING version").fetchone()[0]
    harness.wait_for(lambda: f"tongguan_dispatch_city_version {version}" in harness.Api(servers.address)("GET", "/metrics", raw=True)[2].decode(),
                     what="the city of the walk")
    tokens = {who: servers.api(who).token for who in ("operator", "shift_lead", "leader", "supervisor", "inspector")}
    for code in leads + units:
        made = servers.run("token", "create", "--role", "department", "--department", code, "--name", f"walk-{code}")
        assert made.returncode == 0, made.stderr
        tokens[code] = made.stdout.strip()
    servers.walk_tokens, servers.walk_departments, servers.walk_units, servers.walk_types = tokens, leads, units, types
    yield servers
    second.stop()
    servers.role_under_test.stop()


def watch(city, stop, faults, looks):
    while not stop.wait(2.0):
        faults += broken(city)
        looks.append(1)


def broken(city):
    with city.pg() as conn:
        return [(name, rows) for name, sql in ALWAYS.items() if (rows := conn.execute(sql + " LIMIT 3").fetchall())]


def run(walk, steps):
    for _ in range(CASES // WORKERS + 1):
        walk.create()
    while sum(walk.counts.values()) < steps and not walk.faults:
        walk.step()


def test_walk__a_thousand_cases_at_random_keep_every_invariant_and_replay_from_their_log(city):
    print(f"\nseed {SEED} (TG_TEST_SEED)")
    began, stop, faults, looks = time.monotonic(), threading.Event(), [], []
    walks = [Walk(city, SEED * 100 + n) for n in range(WORKERS)]
    threads = [threading.Thread(target=run, args=(walk, TRANSITIONS // WORKERS + 1)) for walk in walks]
    watcher = threading.Thread(target=watch, args=(city, stop, faults, looks))
    for thread in (*threads, watcher):
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    watcher.join()
    took = time.monotonic() - began
    counts, refused = (sum((getattr(w, name) for w in walks), collections.Counter()) for name in ("counts", "refused"))
    assert not any(w.faults for w in walks), [w.faults[:3] for w in walks]
    assert not faults and not broken(city), faults or broken(city)
    mine = [c["case_id"] for w in walks for c in w.cases]
    assert sum(counts.values()) >= TRANSITIONS and len(mine) >= CASES
    missed = (set(CASE_ACTIONS) | set(TASK_ACTIONS)) - set(counts)
    assert not missed or TRANSITIONS < 20000, missed
    resumed, escalated = city.rows("SELECT count(*) FILTER (WHERE action = 'resume' AND actor_role = 'system'), count(*) FILTER (WHERE action ="
                                   " 'escalate') FROM tongguan.case_log WHERE case_id = ANY (%s)", mine)[0]
    assert resumed and escalated
    crowds(city, mine)
    assert not city.rows("SELECT c.case_id FROM tongguan.case_file c JOIN tongguan.case_docs v USING (case_id) WHERE NOT v.doc @> tongguan.case_row_doc(c)"
                         " OR jsonb_array_length(v.doc -> 'tasks') <> jsonb_array_length(tongguan.case_row_doc(c) -> 'tasks')")
    entries = replayed(city, mine)
    explained(city, mine)
    audited = city.run("audit", "verify")
    assert audited.returncode == 0, audited.stdout
    states = collections.Counter(s for (s,) in city.rows("SELECT state FROM tongguan.cases WHERE case_id = ANY (%s)", mine))
    print(f"{sum(counts.values())} transitions over {len(mine)} cases in {took:.0f} s, {sum(refused.values())} refused; {resumed} resumed and"
          f" {escalated} escalated by the system; {len(looks)} looks at {len(ALWAYS)} invariants; {entries} entries replayed to the same tables")
    print(f"ended as {dict(states.most_common())}\n{dict(counts.most_common())}")


def crowds(city, mine):
    """Whoever reported is counted at the case that stands for theirs, and at no other."""
    rows = city.rows("SELECT case_id::text, doc ->> 'merged_into', (doc ->> 'reporters')::int, jsonb_array_length(doc -> 'merged')"
                     " FROM tongguan.case_docs WHERE case_id = ANY (%s)", mine)
    into = {case: master for case, master, _, _ in rows}

    def root(case, depth=0):
        assert depth < len(rows), "a ring of merged cases"
        return root(into[case], depth + 1) if into[case] else case
    size = collections.Counter(root(case) for case in into)
    for case, master, reporters, merged in rows:
        if not master:
            assert (reporters, merged) == (size[case], size[case] - 1), case
    assert sum(size.values()) == len(mine)


CASE_COLUMNS = ("state", "version", "suspended", "supervise_level", "escalation_level", "rework_count", "return_count", "extension_count",
                "round", "filed_at", "dispatched_at", "done_at", "closed_at", "condition", "merged_into", "lead_department")
TASK_COLUMNS = ("department", "role", "state", "version", "round", "assigned_at", "signed_at", "done_at", "due_at", "extensions",
                "suspended", "suspended_until", "appealed_at")


def plain(value):
    if isinstance(value, str) and value[:2] == "20" and "T" in value:
        return datetime.fromisoformat(value)
    return str(value) if hasattr(value, "hex") and not isinstance(value, (int, float)) else value


def one_moment(conn):
    conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    return conn.transaction()


def replayed(city, mine):
    with city.pg() as conn, one_moment(conn):  # levels go on firing
        cursor = conn.execute("SELECT case_id::text, task_id::text, at, action, actor_role, from_state, to_state, detail"
                              " FROM tongguan.case_log WHERE case_id = ANY (%s) ORDER BY case_id, seq", (mine,))
        logs = collections.defaultdict(list)
        for case, *entry in cursor:
            logs[case].append(dict(zip(("task_id", "at", "action", "actor_role", "from_state", "to_state", "detail"), entry)))
        tasks = collections.defaultdict(list)
        for case, task, request, *row in conn.execute(f"SELECT case_id::text, task_id::text, request ->> 'kind', {', '.join(TASK_COLUMNS)}"
                                                      " FROM tongguan.case_task WHERE case_id = ANY (%s)", (mine,)):
            tasks[case].append((task, request, dict(zip(TASK_COLUMNS, row))))
        for case, had, *row in conn.execute(f"SELECT case_id::text, departments, {', '.join(CASE_COLUMNS)} FROM tongguan.case_file"
                                            " WHERE case_id = ANY (%s)", (mine,)):
            born = {task: (next((e["detail"]["from"] for e in logs[case] if e["task_id"] == task and e["action"] == "forward"),
                                doc["department"]), doc["assigned_at"]) for task, _, doc in tasks[case]}
            told = replay_oracle.replay(logs[case], born)
            assert {n: plain(getattr(told, n)) for n in CASE_COLUMNS} == {n: plain(v) for n, v in zip(CASE_COLUMNS, row)}, case
            assert sorted(told.had) == sorted(had), case
            key = lambda t: (t["assigned_at"], t["department"], t["role"])  # noqa: E731
            want = [doc | {"request": request} for _, request, doc in tasks[case]]
            got = [{n: plain(getattr(t, n)) for n in (*TASK_COLUMNS, "request")} for t in told.tasks]
            assert sorted(got, key=key) == sorted(want, key=key), case
    return sum(map(len, logs.values()))


def explained(city, mine):
    """Every deadline that runs is the end of the last period that its explanation counts."""
    rng, seen = random.Random(SEED), 0
    for case in rng.sample(mine, 150):
        for clock in city.api().get(f"/api/v1/cases/{case}/deadline")["clocks"]:
            if clock["state"] == "running" and clock["clock"] in ("handle", "sign"):
                seen += 1
                end = clock["periods"][-1]["to"] if clock["periods"] else clock["started_at"]  # an assistant's, when the lead is late
                assert datetime.fromisoformat(end) == datetime.fromisoformat(clock["due_at"]), (case, clock)
    assert seen
