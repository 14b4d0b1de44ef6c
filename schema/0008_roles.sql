-- What each process may do in the database, and no more. The roles are groups without a password: `tongguan up` and
-- docs/interfaces.md say how they get one. A later table is granted where it is made.

DO $$
DECLARE
	name text;
	names text[] := ARRAY['tongguan_ingest', 'tongguan_correlate', 'tongguan_dispatch', 'tongguan_read'];
BEGIN
	FOREACH name IN ARRAY names LOOP
		BEGIN
			IF to_regrole(name) IS NULL THEN
				EXECUTE format('CREATE ROLE %I NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION', name);
			END IF;
		EXCEPTION
			WHEN duplicate_object OR unique_violation THEN
				NULL; -- made for another database of this server at the same moment
			WHEN insufficient_privilege THEN
				RAISE EXCEPTION 'this account may not create roles: let an administrator run CREATE ROLE %, and migrate again',
					array_to_string(names, '; CREATE ROLE ');
		END;
		EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), name);
	END LOOP;
	-- The staging table of resends.
	EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO tongguan_ingest', current_database());
END
$$;

GRANT USAGE ON SCHEMA tongguan TO tongguan_ingest, tongguan_correlate, tongguan_dispatch, tongguan_read;

-- ---- ingest: stores events and dead letters, moves offsets; changes and deletes nothing that is stored ---------------

GRANT SELECT, INSERT ON tongguan.event, tongguan.dead_letter TO tongguan_ingest;
GRANT SELECT, INSERT, UPDATE ON tongguan.source_offset TO tongguan_ingest;
GRANT SELECT ON tongguan.city, tongguan.street, tongguan.grid_cell, tongguan.device, tongguan.case_type TO tongguan_ingest;

-- Makes a table in the schema, which only the owner may. Nothing in it depends on who calls. A month is privileged as the
-- whole table is: who reads or writes does so through tongguan.event.
ALTER FUNCTION tongguan.event_partition_ensure(date) SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
REVOKE EXECUTE ON FUNCTION tongguan.event_partition_ensure(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tongguan.event_partition_ensure(date) TO tongguan_ingest;

-- ---- correlate: writes incidents, reads events through their view, which shows no contact ----------------------------

GRANT SELECT, INSERT, UPDATE ON tongguan.incident, tongguan.incident_event TO tongguan_correlate;
GRANT SELECT ON tongguan.events, tongguan.city, tongguan.source_offset TO tongguan_correlate;

-- ---- dispatch: writes cases; the log and the evidence only grow ------------------------------------------------------

GRANT SELECT, INSERT ON tongguan.case_entry, tongguan.case_evidence TO tongguan_dispatch;
GRANT SELECT, INSERT, UPDATE ON tongguan.case_file, tongguan.case_task, tongguan.clock, tongguan.case_incident,
	tongguan.case_serial, tongguan.consumer_offset, tongguan.case_words TO tongguan_dispatch;
GRANT SELECT, INSERT, UPDATE, DELETE ON tongguan.clock_due, tongguan.outbox, tongguan.idempotency, tongguan.login_failure,
	tongguan.report_key TO tongguan_dispatch;
GRANT SELECT, UPDATE ON tongguan.outbox_lease TO tongguan_dispatch;
GRANT SELECT, INSERT, DELETE ON tongguan.session TO tongguan_dispatch;
GRANT SELECT ON tongguan.account, tongguan.token TO tongguan_dispatch;
GRANT SELECT ON tongguan.event, tongguan.incident, tongguan.incident_event, tongguan.case_log TO tongguan_dispatch;
GRANT SELECT ON tongguan.city, tongguan.street, tongguan.grid_cell, tongguan.work_calendar, tongguan.work_calendar_day,
	tongguan.dept, tongguan.case_type, tongguan.filing_condition, tongguan.stage_limit, tongguan.escalation_rung
	TO tongguan_dispatch;

-- ---- read: the stable views, for maps, reports and auditors ----------------------------------------------------------

GRANT SELECT ON tongguan.events, tongguan.incidents, tongguan.incident_events, tongguan.cases, tongguan.tasks,
	tongguan.case_log, tongguan.dead_letters, tongguan.devices, tongguan.grid_cells, tongguan.streets,
	tongguan.departments, tongguan.catalog, tongguan.calendar, tongguan.zones TO tongguan_read;
