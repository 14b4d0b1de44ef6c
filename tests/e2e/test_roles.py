"""Each process works under a database account that may do what its part needs and nothing more.

EXPECTED is the whole truth: a table or view that is not in it, or a privilege more or less, is a failure. Letters as in
has_table_privilege: S select, I insert, U update, D delete; TRUNCATE, REFERENCES and TRIGGER nobody has.
"""
import psycopg
import pytest
from harness import now_us

ROLES = ("tongguan_ingest", "tongguan_correlate", "tongguan_dispatch", "tongguan_read")
NOBODY = ("", "", "", "")
#                    ingest correlate dispatch read
EXPECTED = {
    "account":             ("", "", "S", ""),
    "audit_anchor":        ("", "", "SI", "S"),
    "audit_leaf":          ("", "", "SI", "S"),
    "calendar":            ("", "", "", "S"),
    "case_docs":           ("", "", "S", ""),
    "case_entry":          ("", "", "SI", ""),
    "case_evidence":       ("", "", "SI", ""),
    "case_file":           ("", "", "SIU", ""),
    "case_incident":       ("", "", "SIU", ""),
    "case_link":           ("", "", "SI", ""),
    "case_log":            ("", "", "S", "S"),
    "case_serial":         ("", "", "SIU", ""),
    "case_task":           ("", "", "SIU", ""),
    "case_type":           ("S", "", "S", ""),
    "case_words":          ("", "", "SIU", ""),
    "cases":               ("", "", "", "S"),
    "catalog":             ("", "", "", "S"),
    "city":                ("S", "S", "S", ""),
    "clock":               ("", "", "SIU", ""),
    "clock_due":           ("", "", "SIUD", ""),
    "reply_owed":          ("", "", "SIUD", ""),
    "consumer_offset":     ("", "", "SIU", ""),
    "dead_letter":         ("SI", "", "", ""),
    "dead_letters":        ("", "", "", "S"),
    "departments":         ("", "", "", "S"),
    "dept":                ("", "", "S", ""),
    "device":              ("S", "S", "", ""),
    "devices":             ("", "", "", "S"),
    "duty":                ("", "", "S", ""),
    "escalation_rung":     ("", "", "S", ""),
    "event":               ("SI", "", "S", ""),
    "events":              ("", "S", "", "S"),
    "filing_condition":    ("", "", "S", ""),
    "grid_cell":           ("S", "", "S", ""),
    "grid_cells":          ("", "", "", "S"),
    "idempotency":         ("", "", "SIUD", ""),
    "incident":            ("", "SIU", "S", ""),
    "incident_event":      ("", "SIUD", "S", ""),
    "incident_events":     ("", "", "", "S"),
    "incident_owner":      ("", "SIU", "", ""),
    "incident_span":       ("", "SIUD", "S", ""),
    "incident_told":       ("", "SIU", "", ""),
    "incidents":           ("", "", "", "S"),
    "login_failure":       ("", "", "SIUD", ""),
    "outbox":              ("", "", "SIUD", ""),
    "outbox_lease":        ("", "", "SU", ""),
    "photo":               ("", "", "SI", ""),
    "photo_source":        ("", "", "SI", ""),
    "report_key":          ("", "", "SIUD", ""),
    "retention":           ("S", "", "", ""),
    "rule":                ("", "SIUD", "S", "S"),
    "session":             ("", "", "SID", ""),
    "source_offset":       ("SIU", "S", "", ""),
    "stage_limit":         ("", "", "S", ""),
    "street":              ("S", "S", "S", ""),
    "streets":             ("", "", "", "S"),
    "tasks":               ("", "", "", "S"),
    "token":               ("", "", "S", ""),
    "work_calendar":       ("", "", "S", ""),
    "work_calendar_day":   ("", "", "S", ""),
    "zone":                NOBODY,
    "zones":               ("", "", "", "S"),
}


def test_roles__have_exactly_the_privileges_of_the_table(city):
    city.value("SELECT tongguan.event_partition_ensure('2002-02-02')::text IS NULL")  # made later: it must give nobody anything
    rows = city.rows("""SELECT c.relname, r.rolname, concat(
            CASE WHEN has_table_privilege(r.oid, c.oid, 'SELECT') THEN 'S' END,
            CASE WHEN has_table_privilege(r.oid, c.oid, 'INSERT') THEN 'I' END,
            CASE WHEN has_table_privilege(r.oid, c.oid, 'UPDATE') THEN 'U' END,
            CASE WHEN has_table_privilege(r.oid, c.oid, 'DELETE') THEN 'D' END,
            CASE WHEN has_table_privilege(r.oid, c.oid, 'TRUNCATE,REFERENCES,TRIGGER') THEN '!' END), c.relispartition
        FROM pg_class c CROSS JOIN pg_roles r
        WHERE c.relnamespace IN ('tongguan'::regnamespace) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND r.rolname = ANY (%s)""", list(ROLES))
    have = {}
    for table, role, letters, is_partition in rows:
        if is_partition:
            assert letters == "", f"{role} may {letters} on {table}: partitions are used through the whole table"
        else:
            have.setdefault(table, [""] * len(ROLES))[ROLES.index(role)] = letters
    assert {t: tuple(p) for t, p in have.items()} == EXPECTED
    assert not city.rows("SELECT 1 FROM information_schema.role_column_grants WHERE table_schema = 'tongguan' AND grantee = ANY (%s)"
                         " AND privilege_type NOT IN ('SELECT', 'INSERT', 'UPDATE')", list(ROLES))


def test_roles__own_nothing_and_are_nothing_else(city):
    assert city.rows("SELECT rolname FROM pg_roles WHERE rolname = ANY (%s) AND (rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication"
                     " OR rolbypassrls)", list(ROLES)) == []
    # Ingest's staging table lives and dies with its session: what lasts is the owner's.
    assert city.rows("SELECT c.relname FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner"
                     " WHERE r.rolname = ANY (%s) AND c.relpersistence <> 't' AND c.relnamespace <> 'pg_toast'::regnamespace", list(ROLES)) == []
    assert city.rows("SELECT 1 FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = ANY (%s)", list(ROLES)) == []
    for role in ROLES:
        assert city.value("SELECT has_schema_privilege(%s, 'tongguan', 'USAGE') AND NOT has_schema_privilege(%s, 'tongguan', 'CREATE')"
                          " AND NOT has_schema_privilege(%s, 'public', 'CREATE')", role, role, role), role


def test_roles__functions_with_the_owners_rights_are_few_pinned_and_for_ingest_alone(city):
    rows = city.rows("""SELECT p.proname, array_to_string(p.proconfig, ';'), (SELECT array_agg(r ORDER BY r) FROM unnest(%s::text[]) r
            WHERE has_function_privilege(r, p.oid, 'EXECUTE'))
        FROM pg_proc p WHERE p.pronamespace = 'tongguan'::regnamespace AND p.prosecdef ORDER BY 1""", list(ROLES))
    assert [name for name, _, _ in rows] == ["event_partition_ensure", "event_summarize", "offsets_anew", "retention_ahead", "retention_drop", "retention_sweep"]
    for name, config, who in rows:
        assert "search_path=pg_catalog" in (config or ""), f"{name}: somebody's own function could run with the owner's rights"
        assert who == ["tongguan_ingest"], name


def account(city, role):
    name = role.removeprefix("tongguan_").upper()
    return psycopg.connect(city.env["TONGGUAN_POSTGRES_URL"], user=city.env[f"TONGGUAN_POSTGRES_{name}_USER"],
                           password=city.env[f"TONGGUAN_POSTGRES_{name}_PASSWORD"], autocommit=True)


@pytest.mark.parametrize("role, sql", [
    ("tongguan_dispatch", "UPDATE tongguan.case_entry SET note = 'nothing happened'"),
    ("tongguan_dispatch", "DELETE FROM tongguan.case_entry"),
    ("tongguan_dispatch", "TRUNCATE tongguan.case_entry"),
    ("tongguan_dispatch", "UPDATE tongguan.case_evidence SET doc = '{}'"),
    ("tongguan_dispatch", "DELETE FROM tongguan.case_file"),
    ("tongguan_dispatch", "INSERT INTO tongguan.account (name, password_hash, role) VALUES ('me', 'x', 'admin')"),
    ("tongguan_dispatch", "DROP TABLE tongguan.case_entry"),
    ("tongguan_dispatch", "SELECT tongguan.retention_drop(1, 1)"),
    ("tongguan_ingest", "UPDATE tongguan.event SET value = 1"),
    ("tongguan_ingest", "DELETE FROM tongguan.event"),
    ("tongguan_ingest", "DELETE FROM tongguan.dead_letter"),
    ("tongguan_ingest", "SELECT 1 FROM tongguan.case_file"),
    ("tongguan_ingest", "SELECT password_hash FROM tongguan.account"),
    ("tongguan_ingest", "CREATE TABLE tongguan.mine ()"),
    ("tongguan_correlate", "SELECT contact FROM tongguan.event"),
    ("tongguan_correlate", "UPDATE tongguan.source_offset SET next = 0"),
    ("tongguan_correlate", "INSERT INTO tongguan.case_evidence SELECT"),
])
def test_roles__what_they_must_not_do_is_denied(city, role, sql):
    with account(city, role) as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute(sql)


def test_roles__up_runs_each_process_under_its_own_account(city):
    rows = city.rows("SELECT DISTINCT usename, split_part(application_name, ' ', 2) FROM pg_stat_activity WHERE application_name LIKE"
                     " 'tongguan %%' AND split_part(application_name, ' ', 2) IN ('ingest', 'correlate', 'dispatch')")
    assert {(u, a) for u, a in rows} == {(f"tongguan_{a}", a) for a in ("ingest", "correlate", "dispatch")}


def test_roles__a_partition_made_later_takes_events_through_the_whole_table(city):
    with account(city, "tongguan_ingest") as conn:
        conn.execute("SELECT tongguan.event_partition_ensure('2002-03-03')")
        conn.execute("BEGIN")
        conn.execute("INSERT INTO tongguan.event (uid, occurred_at, ingested_at, source, source_pos, source_id, event_id, source_kind)"
                     " VALUES (gen_random_uuid(), '2002-03-03', now(), 0, 0, 'role', %s, 1)", (str(now_us()),))
        assert conn.execute("SELECT count(*) FROM tongguan.event WHERE source_id = 'role'").fetchone()[0] == 1
        conn.execute("ROLLBACK")
    with city.pg() as conn:
        conn.execute("DROP TABLE tongguan.event_2002_01_28, tongguan.event_2002_02_25")


def test_roles__readers_see_the_views_and_nothing_behind_them(city):
    with city.pg() as conn:
        conn.execute("SET ROLE tongguan_read")
        for view, expected in EXPECTED.items():
            if expected[3]:
                conn.execute(f"SELECT * FROM tongguan.{view} LIMIT 1")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("SELECT contact FROM tongguan.event LIMIT 1")
