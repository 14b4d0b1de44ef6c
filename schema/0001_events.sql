-- Events stored once, the offsets that move with them, and what was refused.

CREATE EXTENSION IF NOT EXISTS postgis;
CREATE SCHEMA IF NOT EXISTS tongguan;

-- One row a source partition. `next` moves in the transaction that stores rows, by compare-and-set on
-- (next, forwarded, epoch); an assignment first raises the epoch. [forwarded, next) is published again on every read.
CREATE TABLE tongguan.source_offset (
	id         smallint GENERATED ALWAYS AS IDENTITY UNIQUE,
	topic      text NOT NULL,
	partition  integer NOT NULL,
	next       bigint NOT NULL DEFAULT 0,
	forwarded  bigint NOT NULL DEFAULT 0,
	epoch      bigint NOT NULL DEFAULT 0,
	PRIMARY KEY (topic, partition),
	CHECK (forwarded <= next)
) WITH (fillfactor = 50); -- updated all the time: room for the new version on the same page

CREATE TABLE tongguan.event (
	uid          uuid NOT NULL,
	occurred_at  timestamptz NOT NULL,
	ingested_at  timestamptz NOT NULL,
	source       smallint NOT NULL,         -- source_offset.id: where it was read
	source_pos   bigint NOT NULL,           -- the record's offset there
	source_id    text NOT NULL,
	event_id     text NOT NULL,
	source_kind  smallint NOT NULL,
	type_code    text,
	metric       text,                      -- of a reading, with value and unit
	value        double precision,
	unit         text,
	speed_kmh    real,                      -- of a position
	heading_deg  real,
	state        smallint,                  -- of a status: 1 online, 2 offline, 3 low battery, 4 fault
	geom         geometry(Point, 4326),     -- WGS 84; NULL: a report without a place
	datum        smallint,                  -- as sent
	accuracy_m   real,
	grid_cell    text,                      -- NULL: outside the city or without a place
	street       text,
	district     text,
	region       integer,
	flags        smallint NOT NULL DEFAULT 0, -- 1 unknown type, 2 unregistered device, 4 outside the city, 8 place is the device's
	contact      text,                      -- personal data; in no view
	payload      jsonb                      -- those members of the JSON form that no column holds (always `report`, its contact masked)
) PARTITION BY RANGE (occurred_at);

-- Unique over the whole table because the identity holds the time.
CREATE UNIQUE INDEX event_uid ON tongguan.event (uid, occurred_at);
CREATE INDEX event_geom ON tongguan.event USING spgist (geom);
CREATE INDEX event_occurred ON tongguan.event USING brin (occurred_at);
CREATE INDEX event_ingested ON tongguan.event USING brin (ingested_at);
CREATE INDEX event_report_type ON tongguan.event (type_code, occurred_at) WHERE source_kind IN (3, 4);

-- Months are attached, not created in place: attaching does not lock out those who read and write other months.
CREATE FUNCTION tongguan.event_partition_ensure(day date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	first date := make_date(extract(year FROM day)::integer, extract(month FROM day)::integer, 1);
	name  text := 'event_' || to_char(first, 'YYYY_MM');
BEGIN
	IF to_regclass('tongguan.' || name) IS NOT NULL THEN
		RETURN;
	END IF;
	PERFORM pg_advisory_xact_lock(hashtext('tongguan.event_partition_ensure'));
	IF to_regclass('tongguan.' || name) IS NOT NULL THEN
		RETURN;
	END IF;
	EXECUTE format('CREATE TABLE tongguan.%I (LIKE tongguan.event INCLUDING ALL)', name);
	EXECUTE format('ALTER TABLE tongguan.event ATTACH PARTITION tongguan.%I FOR VALUES FROM (%L) TO (%L)',
		name, first || ' 00:00:00+00', (first + interval '1 month')::date || ' 00:00:00+00');
END
$$;

-- A record that was refused, whole, under where it stood.
CREATE TABLE tongguan.dead_letter (
	topic        text NOT NULL,
	partition    integer NOT NULL,
	"offset"     bigint NOT NULL,
	reason       text NOT NULL,
	detail       text NOT NULL DEFAULT '',  -- what to mend
	received_at  timestamptz NOT NULL,
	key          bytea,
	value        bytea,                     -- NULL: a tombstone
	headers      jsonb NOT NULL DEFAULT '[]', -- [{"name": …, "value": … or, where it is no text, "hex": …}]
	PRIMARY KEY (topic, partition, "offset")
);
CREATE INDEX dead_letter_received ON tongguan.dead_letter (received_at);

-- An owner takes its partitions: the epoch rises, whoever held them before can move nothing any more. `starts` is where a
-- partition begins that nobody has read yet. `dead` lists what was refused in [forwarded, next): "offset reason, …".
-- A partition is missing from the answer when another owner made its row at the same moment: ask again.
CREATE FUNCTION tongguan.offsets_take(topics text[], partitions integer[], starts bigint[])
RETURNS TABLE (topic text, partition integer, id integer, next bigint, forwarded bigint, epoch bigint, dead text)
LANGUAGE sql AS $$
	WITH want AS (
		SELECT * FROM unnest(topics, partitions, starts) AS w(topic, partition, start)
	), taken AS (
		UPDATE tongguan.source_offset o SET epoch = o.epoch + 1
		FROM want w WHERE o.topic = w.topic AND o.partition = w.partition
		RETURNING o.*
	), made AS (
		INSERT INTO tongguan.source_offset (topic, partition, next, forwarded, epoch)
		SELECT w.topic, w.partition, w.start, w.start, 1 FROM want w
		WHERE NOT EXISTS (SELECT FROM tongguan.source_offset o
			WHERE o.topic = w.topic AND o.partition = w.partition)
		ON CONFLICT DO NOTHING
		RETURNING *
	)
	SELECT o.topic, o.partition, o.id::integer, o.next, o.forwarded, o.epoch,
		(SELECT string_agg(d."offset" || ' ' || d.reason, ',' ORDER BY d."offset")
		 FROM tongguan.dead_letter d
		 WHERE d.topic = o.topic AND d.partition = o.partition
		   AND d."offset" >= o.forwarded AND d."offset" < o.next)
	FROM (SELECT * FROM taken UNION ALL SELECT * FROM made) o
$$;

-- Compare-and-set of several partitions at once. Returns how many moved: fewer than asked means fenced, roll back.
CREATE FUNCTION tongguan.offsets_move(ids integer[], epochs bigint[], old_next bigint[], old_forwarded bigint[],
	new_next bigint[], new_forwarded bigint[])
RETURNS bigint LANGUAGE sql AS $$
	WITH moved AS (
		UPDATE tongguan.source_offset o SET next = m.next, forwarded = m.forwarded
		FROM unnest(ids, epochs, old_next, old_forwarded, new_next, new_forwarded)
			AS m(id, epoch, old_next, old_forwarded, next, forwarded)
		WHERE o.id = m.id AND o.epoch = m.epoch AND o.next = m.old_next AND o.forwarded = m.old_forwarded
		RETURNING 1
	)
	SELECT count(*) FROM moved
$$;

CREATE FUNCTION tongguan.source_kind_name(kind smallint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
	SELECT (ARRAY['sensor', 'vehicle', 'inspector', 'citizen', 'video', 'system'])[kind]
$$;

-- The event's whole JSON form: what the columns hold, then the members that were kept aside.
CREATE FUNCTION tongguan.event_payload(e tongguan.event) RETURNS jsonb LANGUAGE sql STABLE PARALLEL SAFE AS $$
	SELECT jsonb_strip_nulls(jsonb_build_object(
		'event_id', e.event_id,
		'source_id', e.source_id,
		'source_kind', tongguan.source_kind_name(e.source_kind),
		'occurred_at', to_char(e.occurred_at AT TIME ZONE 'UTC',
			CASE WHEN extract(microseconds FROM e.occurred_at)::bigint % 1000000 = 0
			THEN 'YYYY-MM-DD"T"HH24:MI:SS"Z"' ELSE 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"' END),
		'type_code', e.type_code,
		'location', CASE WHEN e.geom IS NOT NULL AND e.flags & 8 = 0 THEN jsonb_build_object(
			'lon', ST_X(e.geom), 'lat', ST_Y(e.geom),
			'datum', (ARRAY['wgs84', 'gcj02', 'bd09', 'cgcs2000'])[e.datum],
			'accuracy_m', e.accuracy_m) END,
		'reading', CASE WHEN e.metric IS NOT NULL THEN jsonb_build_object(
			'metric', e.metric, 'value', e.value, 'unit', e.unit) END,
		'position', CASE WHEN e.speed_kmh IS NOT NULL OR e.heading_deg IS NOT NULL THEN jsonb_build_object(
			'speed_kmh', e.speed_kmh, 'heading_deg', e.heading_deg) END,
		'status', CASE WHEN e.state IS NOT NULL THEN jsonb_build_object(
			'state', (ARRAY['online', 'offline', 'low_battery', 'fault'])[e.state]) END
	)) || coalesce(e.payload, '{}'::jsonb)
$$;

CREATE VIEW tongguan.events AS
	SELECT e.source_id, e.event_id, tongguan.source_kind_name(e.source_kind) AS source_kind, e.type_code,
		e.metric, e.value, e.occurred_at, e.ingested_at, e.grid_cell, e.street, e.geom,
		tongguan.event_payload(e) AS payload,
		e.uid, e.unit, e.district, e.region, e.datum, e.accuracy_m, e.flags
	FROM tongguan.event e;

CREATE VIEW tongguan.dead_letters AS
	SELECT topic, partition, "offset", reason, received_at, detail FROM tongguan.dead_letter;
