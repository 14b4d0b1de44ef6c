-- The event table in spans of some days (ingest.partition_days) instead of months: who looks at a place for the last hour goes through
-- that place's events of one span, and the indexes that are written to stay small. Months that are there stay until they are old enough;
-- empty ones give way.

CREATE FUNCTION tongguan.event_partitions() RETURNS TABLE (name text, from_at timestamptz, to_at timestamptz)
LANGUAGE sql STABLE AS $$
	SELECT c.relname::text, said.bound[1]::timestamptz, said.bound[2]::timestamptz
	FROM pg_inherits i
	JOIN pg_class c ON c.oid = i.inhrelid
	CROSS JOIN LATERAL regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''(.+)''\) TO \(''(.+)''\)') AS said(bound)
	WHERE i.inhparent = 'tongguan.event'::regclass
$$;

DO $$
DECLARE
	p record;
	empty boolean;
BEGIN
	FOR p IN SELECT name FROM tongguan.event_partitions() LOOP
		EXECUTE format('SELECT NOT EXISTS (SELECT FROM tongguan.%I)', p.name) INTO empty;
		IF empty THEN
			EXECUTE format('DROP TABLE tongguan.%I', p.name);
		END IF;
	END LOOP;
END
$$;

DROP FUNCTION tongguan.event_partition_ensure(date), tongguan.retention_ahead(integer), tongguan.retention_drop(integer, integer),
	tongguan.event_months();

-- A partition that holds the day is there; gives its days, the last one excluded. One that has to be made begins at a multiple of
-- so many days from a Monday, and gives way to its neighbours: the number may change at any time. It is attached, not created in
-- place: that does not lock out those who read and write other partitions.
CREATE FUNCTION tongguan.event_partition_ensure(day date, days integer DEFAULT 7, OUT from_day date, OUT to_day date)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
	name text;
BEGIN
	SELECT p.from_at::date, p.to_at::date INTO from_day, to_day FROM tongguan.event_partitions() p
		WHERE p.from_at <= day::timestamptz AND day::timestamptz < p.to_at;
	IF FOUND THEN
		RETURN;
	END IF;
	PERFORM pg_advisory_xact_lock(hashtext('tongguan.event_partition_ensure'));
	SELECT p.from_at::date, p.to_at::date INTO from_day, to_day FROM tongguan.event_partitions() p
		WHERE p.from_at <= day::timestamptz AND day::timestamptz < p.to_at;
	IF FOUND THEN
		RETURN;
	END IF;
	from_day := day - ((day - date '1970-01-05') % days + days) % days;
	to_day := from_day + days;
	SELECT greatest(from_day, max(p.to_at)::date) INTO from_day FROM tongguan.event_partitions() p WHERE p.to_at <= day::timestamptz;
	SELECT least(to_day, min(p.from_at)::date) INTO to_day FROM tongguan.event_partitions() p WHERE p.from_at > day::timestamptz;
	name := 'event_' || to_char(from_day, 'YYYY_MM_DD');
	EXECUTE format('CREATE TABLE tongguan.%I (LIKE tongguan.event INCLUDING ALL)', name);
	EXECUTE format('ALTER TABLE tongguan.event ATTACH PARTITION tongguan.%I FOR VALUES FROM (%L) TO (%L)',
		name, from_day::timestamptz, to_day::timestamptz);
END
$$;

-- The partition of now and so many after it are there. Gives how many are there after it without a gap.
CREATE FUNCTION tongguan.retention_ahead(wanted integer, days integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
	ahead integer := -1;
	edge date := now()::date;
BEGIN
	FOR i IN 0 .. wanted LOOP
		SELECT e.to_day INTO edge FROM tongguan.event_partition_ensure(edge, days) e;
	END LOOP;
	edge := now()::date;
	LOOP
		SELECT p.to_at::date INTO edge FROM tongguan.event_partitions() p
			WHERE p.from_at <= edge::timestamptz AND edge::timestamptz < p.to_at;
		EXIT WHEN NOT FOUND;
		ahead := ahead + 1;
	END LOOP;
	RETURN ahead;
END
$$;

-- The oldest partition that lies wholly before now - keep_days goes, in these steps: evidence that cases have there and do not
-- hold yet is copied into them; if an incident has members there and dispatch has not seen it, or a case still lacks
-- evidence, it stays ('needed'); else it is dropped. The lock that this takes makes every reader and writer of events
-- wait, so it is wanted for wait_ms at most ('busy': try again soon). One process at a time ('elsewhere'). 'nothing': none
-- is old enough.
CREATE FUNCTION tongguan.retention_drop(keep_days integer, wait_ms integer, OUT outcome text, OUT oldest text,
	OUT copied bigint, OUT needed bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
	m record;
BEGIN
	copied := 0;
	needed := 0;
	outcome := 'nothing';
	IF NOT pg_try_advisory_xact_lock(7413, 1) THEN
		outcome := 'elsewhere';
		RETURN;
	END IF;
	SELECT * INTO m FROM tongguan.event_partitions() e
		WHERE keep_days > 0 AND e.to_at <= now() - make_interval(days => keep_days) ORDER BY e.from_at LIMIT 1;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	oldest := m.name;
	INSERT INTO tongguan.case_evidence (case_id, event_uid, occurred_at, source_id, source_kind, type_code, lon, lat, doc,
			ingested_at, grid_cell, street)
		SELECT f.case_id, v.uid, v.occurred_at, v.source_id, v.source_kind, v.type_code, ST_X(v.geom), ST_Y(v.geom),
			tongguan.event_payload(v), v.ingested_at, v.grid_cell, v.street
		FROM tongguan.incident_event x
		JOIN tongguan.case_file f ON f.incident_id = x.incident_id
		JOIN tongguan.event v ON v.uid = x.event_uid AND v.occurred_at = x.occurred_at
		WHERE x.occurred_at >= m.from_at AND x.occurred_at < m.to_at AND v.occurred_at >= m.from_at AND v.occurred_at < m.to_at
		ON CONFLICT (case_id, event_uid) DO NOTHING;
	GET DIAGNOSTICS copied = ROW_COUNT;
	SELECT count(*) INTO needed
		FROM tongguan.incident_event x
		JOIN tongguan.incident i ON i.incident_id = x.incident_id
		LEFT JOIN tongguan.case_incident s ON s.incident_id = i.incident_id
		LEFT JOIN tongguan.case_file f ON f.incident_id = i.incident_id
		WHERE x.occurred_at >= m.from_at AND x.occurred_at < m.to_at AND i.state NOT IN ('merged', 'withdrawn')
			AND CASE WHEN f.case_id IS NULL THEN coalesce(s.revision, 0) = 0
				ELSE NOT EXISTS (SELECT FROM tongguan.case_evidence k
						WHERE k.case_id = f.case_id AND k.event_uid = x.event_uid)
					AND EXISTS (SELECT FROM tongguan.event v
						WHERE v.uid = x.event_uid AND v.occurred_at = x.occurred_at)
				END;
	IF needed > 0 THEN
		outcome := 'needed';
		RETURN;
	END IF;
	BEGIN
		PERFORM set_config('lock_timeout', greatest(wait_ms, 1) || 'ms', true);
		EXECUTE format('DROP TABLE tongguan.%I', m.name);
		UPDATE tongguan.retention SET floor_at = greatest(floor_at, m.to_at);
		outcome := 'dropped';
	EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
		outcome := 'busy';
	END;
END
$$;

REVOKE EXECUTE ON FUNCTION tongguan.event_partition_ensure(date, integer), tongguan.retention_ahead(integer, integer),
	tongguan.retention_drop(integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tongguan.event_partition_ensure(date, integer), tongguan.retention_ahead(integer, integer),
	tongguan.retention_drop(integer, integer) TO tongguan_ingest;
