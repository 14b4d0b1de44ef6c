"""The audit finds what somebody with every right in the database has done: by the program and by a script that shares nothing with it.

Each hand here is thorough: it computes the chain anew behind itself, so that the chain alone would hold.
"""
import json
import re

import audit_oracle
import psycopg
import pytest
from api_calls import create
from harness import wait_for

TABLES = {"case_file": "case_id = %(id)s", "case_entry": "case_id = %(id)s", "audit_leaf": "case_id = %(id)s OR anchor >= %(last)s",
          "audit_anchor": "number >= %(last)s"}

# The chain of one case anew, from its first entry, and the case's head with it.
RECHAIN = """DO $$
DECLARE e tongguan.case_entry; head bytea; n bigint := 0;
BEGIN
    FOR e IN SELECT * FROM tongguan.case_entry WHERE case_id = '%(id)s' ORDER BY seq LOOP
        n := n + 1;
        UPDATE tongguan.case_entry SET seq = n, prev_hash = head WHERE case_id = e.case_id AND seq = e.seq RETURNING * INTO e;
        head := tongguan.entry_hash(e);
        UPDATE tongguan.case_entry SET hash = head WHERE case_id = e.case_id AND seq = n;
    END LOOP;
    UPDATE tongguan.case_file SET log_seq = n, log_hash = head WHERE case_id = '%(id)s';
END $$;"""
ADD = """INSERT INTO tongguan.case_entry SELECT (jsonb_populate_record(e, jsonb_build_object('seq', %(at)s, 'actor', 'ghost'))).*
    FROM tongguan.case_entry e WHERE case_id = '%(id)s' AND seq = 2;"""
DELETE = "DELETE FROM tongguan.case_entry WHERE case_id = '%(id)s'; DELETE FROM tongguan.case_file WHERE case_id = '%(id)s';"
OTHER = """UPDATE tongguan.audit_leaf l SET case_id = f.case_id, seq = 1, head = f.log_hash
    FROM (SELECT * FROM tongguan.case_file WHERE log_seq = 1 AND case_id NOT IN (SELECT case_id FROM tongguan.audit_leaf
        WHERE anchor = %(last)s) LIMIT 1) f WHERE l.case_id = '%(id)s';"""

# name: (what is done, what `audit verify` says of it, {id} being the case and {last} the newest anchor, and the script).
HANDS = {
    "an altered row": ("UPDATE tongguan.case_entry SET actor = 'nobody' WHERE case_id = '%(id)s' AND seq = 2;",
                       r"case \d+ \({id}\) entry 2: its hash does not match", r"case {id} seq 2: "),
    "an altered row, chained anew": ("UPDATE tongguan.case_entry SET actor = 'nobody' WHERE case_id = '%(id)s' AND seq = 2;" + RECHAIN,
                                     r"case \d+ \({id}\) entry 5: anchor \d+ of .* saw another hash", r"case {id} seq 5: anchor"),
    "a changed note": ("UPDATE tongguan.case_entry SET note = 'other words' WHERE case_id = '%(id)s' AND seq = 3;",
                       r"case \d+ \({id}\) entry 3: its note was changed", r"case {id} seq 3: "),
    "a removed row": ("DELETE FROM tongguan.case_entry WHERE case_id = '%(id)s' AND seq = 3;",
                      r"case \d+ \({id}\) entry 3: the entry is missing", r"case {id} seq 4: expected seq 3"),
    "a removed row, chained anew": ("DELETE FROM tongguan.case_entry WHERE case_id = '%(id)s' AND seq = 3;" + RECHAIN,
                                    r"case \d+ \({id}\) entry 5: anchor \d+ of .* saw it, and it is gone", r"case {id} seq 5: anchor"),
    "an added row at the end": (ADD.replace("%(at)s", "6") + RECHAIN,
                                r"case \d+ \({id}\) entry 6: it was never told nor anchored", r"case {id} seq 6: neither"),
    "an added row between": ("UPDATE tongguan.case_entry SET seq = seq + 100 WHERE case_id = '%(id)s' AND seq > 3;"
                             + ADD.replace("%(at)s", "4") + RECHAIN,
                             r"case \d+ \({id}\) entry 5: anchor \d+ of .* saw another hash", r"case {id} seq 5: anchor"),
    "a cut tail": ("DELETE FROM tongguan.case_entry WHERE case_id = '%(id)s' AND seq = 5;",
                   r"case \d+ \({id}\) entry 5: the log ends before", r"case {id} seq 5: the chain does not end"),
    "a cut tail and a head to fit": ("DELETE FROM tongguan.case_entry WHERE case_id = '%(id)s' AND seq >= 4;" + RECHAIN,
                                     r"case \d+ \({id}\) entry 5: anchor \d+ of .* saw it, and it is gone", r"case {id} seq 5: anchor"),
    "a deleted case": (DELETE, r"case \? \({id}\) entry 5: anchor \d+ of .* saw it, and the case is gone", r"case {id} seq 5: anchor"),
    "a deleted case and what was anchored of it": (DELETE + "DELETE FROM tongguan.audit_leaf WHERE case_id = '%(id)s';",
                                                   r"anchor {last} of .* stands for \d+ cases, and \d+ are there",
                                                   r"anchor {last}: the leaves"),
    "another case in its place": (DELETE + OTHER, r"anchor {last} of .*: its cases do not give its root", r"anchor {last}: the leaves"),
    "a deleted case and its anchor": (DELETE + "DELETE FROM tongguan.audit_leaf WHERE anchor = %(last)s;"
                                      "DELETE FROM tongguan.audit_anchor WHERE number = %(last)s;",
                                      r"case \? \({id}\) entry 1: it was told, and it is gone", r"case {id} seq \d: told, and not there"),
    "the last anchor, with what it stood for": ("DELETE FROM tongguan.audit_leaf WHERE anchor = %(last)s;"
                                                "DELETE FROM tongguan.audit_anchor WHERE number = %(last)s;",
                                                r"anchor {last}: the topic .* has it and the table does not", r"anchor {last}: the topic"),
    "an anchor made anew": ("UPDATE tongguan.audit_anchor SET entries = entries + 1 WHERE number = %(last)s;"
                            "UPDATE tongguan.audit_anchor a SET hash = tongguan.audit_anchor_hash(a) WHERE number = %(last)s;",
                            r"anchor {last}: the topic .* has another hash", r"anchor {last}: the topic"),
    "an anchor that is altered": ("UPDATE tongguan.audit_anchor SET at = at - interval '1 day' WHERE number = %(last)s;",
                                  r"anchor {last} of .*: its hash does not match", r"anchor {last}: the hash"),
    "an anchor that is removed": ("DELETE FROM tongguan.audit_anchor WHERE number = %(last)s;",
                                  r"anchor {last}: it is missing", r"anchor {last}: missing"),
}


MADE = []


def anchored_case(city):
    """A case of five entries, all in one anchor; before it another of one entry, in an anchor of its own."""
    def anchors_of(case):
        return city.rows("SELECT anchor FROM tongguan.audit_leaf, tongguan.outbox_lease WHERE case_id = %s AND anchor_published >= anchor",
                         case)
    before = create(city)["case_id"]
    wait_for(lambda: anchors_of(before), timeout=20, what="an anchor")
    for _ in range(5):
        case = create(city)["case_id"]
        for note in ("one", "two", "three", "four"):
            city.api().act(case, "comment", note=note)
        found = wait_for(lambda: city.rows("SELECT 1 FROM tongguan.audit_leaf WHERE case_id = %s AND seq = 5", case) and anchors_of(case),
                         timeout=20, what="the case's anchor")
        if len(found) == 1:
            return {"id": case, "last": found[0][0]}
    raise AssertionError("five times an anchor came in between")


@pytest.fixture(scope="module")
def pause(city):
    """While a session has this lock the city writes no anchor: one written between a hand and its undoing would be undone too."""
    with city.pg() as conn:
        conn.execute("""CREATE FUNCTION tongguan.test_pause() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_advisory_xact_lock_shared(20); RETURN NULL; END $$""")
        conn.execute("CREATE TRIGGER test_pause BEFORE INSERT ON tongguan.audit_leaf EXECUTE FUNCTION tongguan.test_pause()")
        yield "SELECT pg_advisory_lock(20)"
        conn.execute("DROP FUNCTION tongguan.test_pause CASCADE")


@pytest.fixture
def hands(city, pause):
    """A session that neither foreign keys nor triggers stop, with the city's anchors paused."""
    with psycopg.connect(city.env["TONGGUAN_POSTGRES_URL"]) as conn:
        conn.autocommit = True
        conn.execute("SET session_replication_role = replica")
        conn.execute(pause)
        yield conn


@pytest.fixture
def anchored(city, hands, pause):
    """Such a case whose anchor is the newest, acknowledged by Kafka; it serves many tests while nobody else makes news."""
    while not MADE or [(MADE[0]["last"],) * 2] != city.rows("SELECT max(number), max(anchor_published) FROM tongguan.audit_anchor,"
                                                          " tongguan.outbox_lease"):
        hands.execute("SELECT pg_advisory_unlock_all()")
        MADE[:] = [anchored_case(city)]
        hands.execute(pause)
    return MADE[0]


def kept_rows(conn, where):
    return {table: conn.execute(f"SELECT t::text FROM tongguan.{table} t WHERE {test}", where).fetchall()
            for table, test in TABLES.items()}


def put_back(conn, where, kept):
    for table, test in TABLES.items():
        conn.execute(f"DELETE FROM tongguan.{table} WHERE {test}", where)
        for (row,) in kept[table]:
            conn.execute(f"INSERT INTO tongguan.{table} SELECT (%s::tongguan.{table}).*", (row,))


@pytest.mark.parametrize("hand", HANDS)
def test_audit__program_and_script_find(city, hands, anchored, hand):
    done, said, scripted = HANDS[hand]
    topic = [m.value() for m in city.consume("tongguan.audit.anchors")]
    kept = kept_rows(hands, anchored)
    try:
        hands.execute(done % anchored)
        found = city.run("audit", "verify")
        dump = audit_oracle.dump(hands, topic)
    finally:
        put_back(hands, anchored, kept)
    assert found.returncode == 1 and re.search("^broken: " + said.format(**anchored), found.stdout, re.M), found.stdout + found.stderr
    with pytest.raises(ValueError, match=scripted.format(**anchored)):
        audit_oracle.verify_dump(dump)


def test_audit__a_tail_cut_before_its_anchor_is_missed_too(city):
    """With the case's head set to fit, within the time between two anchors: what was told says more than the log does."""
    case = create(city)["case_id"]
    city.api().act(case, "comment", note="soon gone")
    with city.pg() as conn:
        conn.execute("BEGIN")
        entry = conn.execute("DELETE FROM tongguan.case_entry WHERE case_id = %s AND seq = 2 RETURNING case_entry::text", (case,)).fetchone()[0]
        row = conn.execute("SELECT case_file::text FROM tongguan.case_file WHERE case_id = %s", (case,)).fetchone()[0]
        conn.execute("UPDATE tongguan.case_file f SET log_seq = 1, log_hash = e.hash FROM tongguan.case_entry e WHERE f.case_id = e.case_id"
                     " AND f.case_id = %s", (case,))
        conn.execute("COMMIT")
        try:
            done, made = city.run("audit", "verify"), audit_oracle.dump(conn)
        finally:
            conn.execute("INSERT INTO tongguan.case_entry SELECT (%s::tongguan.case_entry).*", (entry,))
            conn.execute("UPDATE tongguan.case_file f SET log_seq = r.log_seq, log_hash = r.log_hash"
                         " FROM (SELECT (%s::tongguan.case_file).*) r WHERE f.case_id = r.case_id", (row,))
    assert done.returncode == 1 and re.search(rf"case \d+ \({case}\) entry 2: (it was told|anchor)", done.stdout), done.stdout
    with pytest.raises(ValueError, match=f"case {case} seq 2: "):
        audit_oracle.verify_dump(made)


def test_audit__what_was_put_back_holds_and_a_note_may_be_erased(city, anchored, tmp_path):
    topic = [m.value() for m in city.consume("tongguan.audit.anchors")]
    with city.pg() as conn:
        conn.execute("UPDATE tongguan.case_entry SET note = NULL WHERE case_id = %(id)s AND seq = 4", anchored)
        made = audit_oracle.dump(conn, topic)
        done = city.run("audit", "verify")
        later = audit_oracle.dump(conn, topic)
        conn.execute("UPDATE tongguan.case_entry SET note = 'three' WHERE case_id = %(id)s AND seq = 4", anchored)
    assert done.returncode == 0, done.stdout + done.stderr
    (entries, cases, anchors), most = audit_oracle.verify_dump(made), audit_oracle.verify_dump(later)
    said = [int(n) for n in re.search(r"(\d+) cases, (\d+) entries\nall anchors hold: (\d+)", done.stdout).groups()]
    # The city goes on meanwhile.
    assert cases <= said[0] <= most[1] and entries <= said[1] <= most[0] and anchors <= said[2] <= most[2], done.stdout
    assert anchors >= anchored["last"] and {json.loads(m)["number"] for m in topic} >= set(range(1, anchored["last"] + 1))
    assert city.run("audit", "verify", "--no-topic").returncode == 0


def test_audit__dispatch_can_add_anchors_and_change_none(city):
    for sql in ("UPDATE tongguan.audit_anchor SET number = 0", "DELETE FROM tongguan.audit_leaf", "TRUNCATE tongguan.audit_anchor"):
        with psycopg.connect(city.env["TONGGUAN_POSTGRES_URL"], user=city.env["TONGGUAN_POSTGRES_DISPATCH_USER"],
                             password=city.env["TONGGUAN_POSTGRES_DISPATCH_PASSWORD"]) as conn:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(sql)
