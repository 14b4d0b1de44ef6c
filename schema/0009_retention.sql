-- What is kept how long: months of events go when they are old enough and no case needs them any more, and the evidence of
-- a case is the case's own. A dead letter remembers that it was sent again.

ALTER TABLE tongguan.dead_letter
	ADD COLUMN retried_at timestamptz,
	ADD COLUMN retried_by text,
	ADD COLUMN retried_offset bigint;       -- where it lies now, in the same partition

CREATE OR REPLACE VIEW tongguan.dead_letters AS
	SELECT topic, partition, "offset", reason, received_at, detail, retried_at, retried_by, retried_offset
	FROM tongguan.dead_letter;

-- ---- evidence ------------------------------------------------------------------------------------------------------

-- The whole event but its contact, which is personal data and ends with the event.
ALTER TABLE tongguan.case_evidence
	ADD COLUMN ingested_at timestamptz,
	ADD COLUMN grid_cell text,
	ADD COLUMN street text;

UPDATE tongguan.case_evidence k SET doc = tongguan.event_payload(v), ingested_at = v.ingested_at, grid_cell = v.grid_cell,
		street = v.street
	FROM tongguan.event v WHERE v.uid = k.event_uid AND v.occurred_at = k.occurred_at;

-- As before, but what is copied is the whole event.
CREATE OR REPLACE FUNCTION tongguan.intake_evidence(i jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	INSERT INTO tongguan.case_evidence (case_id, event_uid, occurred_at, source_id, source_kind, type_code, lon, lat, doc,
			ingested_at, grid_cell, street)
		SELECT (i ->> 'case_id')::uuid, v.uid, v.occurred_at, v.source_id, v.source_kind, v.type_code, ST_X(v.geom),
			ST_Y(v.geom), tongguan.event_payload(v), v.ingested_at, v.grid_cell, v.street
		FROM tongguan.event v
		WHERE v.uid = ANY (ARRAY(SELECT x::uuid FROM jsonb_array_elements_text(i -> 'evidence') x))
			AND v.occurred_at BETWEEN (i ->> 'from')::timestamptz AND (i ->> 'to')::timestamptz
		ON CONFLICT DO NOTHING;
END
$$;

-- ---- months --------------------------------------------------------------------------------------------------------

-- Below the floor nothing is kept and nothing is stored any more: the upper end of the last month that was dropped.
CREATE TABLE tongguan.retention (
	only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	floor_at  timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO tongguan.retention DEFAULT VALUES;

-- Members of incidents by time, to find what a month holds.
CREATE INDEX incident_event_at ON tongguan.incident_event USING brin (occurred_at);

CREATE FUNCTION tongguan.event_months() RETURNS TABLE (name text, from_at timestamptz, to_at timestamptz)
LANGUAGE sql STABLE AS $$
	SELECT c.relname::text, m.first AT TIME ZONE 'UTC', (m.first + interval '1 month') AT TIME ZONE 'UTC'
	FROM pg_inherits i
	JOIN pg_class c ON c.oid = i.inhrelid
	CROSS JOIN LATERAL (SELECT to_timestamp(substr(c.relname, 7), 'YYYY_MM')::date::timestamp AS first) m
	WHERE i.inhparent = 'tongguan.event'::regclass AND c.relname ~ '^event_[0-9]{4}_[0-9]{2}$'
$$;

-- This month and so many after it are there. Gives how many are there after it without a gap.
CREATE FUNCTION tongguan.retention_ahead(months integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
DECLARE
	this date := date_trunc('month', now())::date;
	ahead integer := 0;
BEGIN
	FOR i IN 0 .. months LOOP
		PERFORM tongguan.event_partition_ensure((this + make_interval(months => i))::date);
	END LOOP;
	WHILE EXISTS (SELECT FROM tongguan.event_months() m
			WHERE m.from_at = this + make_interval(months => ahead + 1)) LOOP
		ahead := ahead + 1;
	END LOOP;
	RETURN ahead;
END
$$;

-- The oldest month that lies wholly before now - keep_days goes, in these steps: evidence that cases have there and do not
-- hold yet is copied into them; if an incident has members there and dispatch has not seen it, or a case still lacks
-- evidence, the month stays ('needed'); else it is dropped. The lock that this takes makes every reader and writer of events
-- wait, so it is wanted for wait_ms at most ('busy': try again soon). One process at a time ('elsewhere'). 'nothing': no
-- month is old enough.
CREATE FUNCTION tongguan.retention_drop(keep_days integer, wait_ms integer, OUT outcome text, OUT month text,
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
	SELECT * INTO m FROM tongguan.event_months() e
		WHERE keep_days > 0 AND e.to_at <= now() - make_interval(days => keep_days) ORDER BY e.from_at LIMIT 1;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	month := m.name;
	INSERT INTO tongguan.case_evidence (case_id, event_uid, occurred_at, source_id, source_kind, type_code, lon, lat, doc,
			ingested_at, grid_cell, street)
		SELECT f.case_id, v.uid, v.occurred_at, v.source_id, v.source_kind, v.type_code, ST_X(v.geom), ST_Y(v.geom),
			tongguan.event_payload(v), v.ingested_at, v.grid_cell, v.street
		FROM tongguan.incident_event x
		JOIN tongguan.case_file f ON f.incident_id = x.incident_id
		JOIN tongguan.event v ON v.uid = x.event_uid AND v.occurred_at = x.occurred_at
		WHERE x.occurred_at >= m.from_at AND x.occurred_at < m.to_at
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

-- Dead letters that arrived before the floor, some at a time. Gives how many went.
CREATE FUNCTION tongguan.retention_sweep(max_rows integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	gone bigint;
BEGIN
	DELETE FROM tongguan.dead_letter d USING (SELECT x.topic, x.partition, x."offset" FROM tongguan.dead_letter x
			WHERE x.received_at < (SELECT r.floor_at FROM tongguan.retention r)
			ORDER BY x.received_at LIMIT max_rows FOR UPDATE SKIP LOCKED) old
		WHERE d.topic = old.topic AND d.partition = old.partition AND d."offset" = old."offset";
	GET DIAGNOSTICS gone = ROW_COUNT;
	RETURN gone;
END
$$;

REVOKE EXECUTE ON FUNCTION tongguan.retention_ahead(integer), tongguan.retention_drop(integer, integer),
	tongguan.retention_sweep(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tongguan.retention_ahead(integer), tongguan.retention_drop(integer, integer),
	tongguan.retention_sweep(integer) TO tongguan_ingest;
GRANT SELECT ON tongguan.retention TO tongguan_ingest;
