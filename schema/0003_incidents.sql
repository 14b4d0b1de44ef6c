-- Incidents: what events mean together. Rows are written by one function, called with all that a batch touched, in one
-- transaction; calling it again with the same batch changes nothing and returns the same rows.

CREATE TABLE tongguan.incident (
	incident_id     uuid PRIMARY KEY,
	rule_id         text NOT NULL,
	rule_version    integer NOT NULL,
	kind            text NOT NULL CHECK (kind IN ('single', 'cluster', 'threshold', 'silence')),
	domain          text NOT NULL CHECK (domain IN ('pingan', 'jianguan', 'shichang', 'minsheng')),
	severity        smallint NOT NULL CHECK (severity BETWEEN 1 AND 4),
	state           text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'cleared', 'withdrawn', 'merged')),
	merged_into     uuid REFERENCES tongguan.incident (incident_id),
	merged_part     integer,                -- by which batch: its partition and the offset after it
	merged_next     bigint,
	revision        bigint NOT NULL DEFAULT 1,
	part            integer NOT NULL,       -- the partition whose owner clears it
	window_us       bigint NOT NULL,        -- quiet time after the last member; 0: never cleared by time
	first_event_at  timestamptz NOT NULL,
	last_event_at   timestamptz NOT NULL,
	detected_at     timestamptz NOT NULL DEFAULT now(),
	event_count     bigint NOT NULL,
	core_at         timestamptz NOT NULL,   -- the earliest core: it gives the incident its place and type
	core_uid        uuid NOT NULL,
	type_code       text,
	grid_cell       text,
	geom            geometry(Point, 4326),
	evidence        uuid[] NOT NULL,        -- the first 100 members in event time
	explanation     jsonb NOT NULL,
	CHECK ((state = 'merged') = (merged_into IS NOT NULL)),
	CHECK (first_event_at <= last_event_at)
);

CREATE INDEX incident_part ON tongguan.incident (part, last_event_at) WHERE window_us > 0;
CREATE INDEX incident_merged_into ON tongguan.incident (merged_into) WHERE merged_into IS NOT NULL;
CREATE INDEX incident_geom ON tongguan.incident USING spgist (geom);
CREATE INDEX incident_detected ON tongguan.incident (detected_at);

-- An event belongs to at most one incident of a rule: this is what joins, and what unites the parts of one cluster that
-- two partitions found.
CREATE TABLE tongguan.incident_event (
	rule_id      text NOT NULL,
	event_uid    uuid NOT NULL,
	incident_id  uuid NOT NULL REFERENCES tongguan.incident (incident_id),
	occurred_at  timestamptz NOT NULL,
	core         boolean NOT NULL,
	reporter     bigint NOT NULL,           -- a hash; counts distinct reporters
	UNIQUE (rule_id, event_uid)
);

CREATE INDEX incident_event_of ON tongguan.incident_event (incident_id, occurred_at, event_uid);

CREATE FUNCTION tongguan.us_to_time(us bigint) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
	SELECT timestamptz '1970-01-01 00:00:00+00' + make_interval(secs => us / 1000000)
		+ (us % 1000000) * interval '1 microsecond'
$$;

CREATE FUNCTION tongguan.time_to_us(t timestamptz) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT (extract(epoch FROM t) * 1000000)::bigint $$;

CREATE VIEW tongguan.incidents AS
	SELECT incident_id, rule_id, rule_version, domain, severity, state, merged_into, revision, first_event_at,
		last_event_at, detected_at, event_count, grid_cell, geom, evidence::text[] AS evidence, explanation, kind,
		type_code
	FROM tongguan.incident;

CREATE VIEW tongguan.incident_events AS
	SELECT ie.incident_id, ie.rule_id, ie.event_uid, ie.occurred_at, ie.core, e.source_id, e.event_id
	FROM tongguan.incident_event ie
	LEFT JOIN tongguan.event e ON e.uid = ie.event_uid AND e.occurred_at = ie.occurred_at;

-- The message of tongguan.incidents: the columns of the view. Times in UTC whatever the session says.
CREATE FUNCTION tongguan.incident_doc(i tongguan.incident) RETURNS jsonb
LANGUAGE sql STABLE SET timezone = 'UTC' AS $$
	SELECT jsonb_build_object('incident_id', i.incident_id, 'rule_id', i.rule_id, 'rule_version', i.rule_version,
		'domain', i.domain, 'severity', i.severity, 'state', i.state, 'merged_into', i.merged_into,
		'revision', i.revision, 'first_event_at', i.first_event_at, 'last_event_at', i.last_event_at,
		'detected_at', i.detected_at, 'event_count', i.event_count, 'grid_cell', i.grid_cell,
		'geom', public.ST_AsGeoJSON(i.geom, 15)::jsonb, 'evidence', to_jsonb(i.evidence),
		'explanation', i.explanation)
$$;

-- One report, one incident; a repeat finds its own. Gives the ids touched, each with its trace.
CREATE FUNCTION tongguan.incident_singles(batch jsonb) RETURNS TABLE (id uuid, trace text)
LANGUAGE sql AS $$
	WITH said AS (
		SELECT DISTINCT ON (s.r, s.u) s.r AS rule, s.u AS uid, tongguan.us_to_time(s.t) AS at, s.y AS type_code,
			s.c AS cell, s.p AS reporter, s.tp AS trace, batch -> 'rules' -> s.r AS def,
			public.ST_SetSRID(public.ST_MakePoint(s.x, s.l), 4326) AS geom,
			coalesce(ie.incident_id, md5(s.r || ':' || s.u)::uuid) AS id
		FROM jsonb_to_recordset(batch -> 'singles')
			AS s(r text, u uuid, t bigint, y text, x float8, l float8, c text, p bigint, tp text)
		LEFT JOIN tongguan.incident_event ie ON ie.rule_id = s.r AND ie.event_uid = s.u
	), raised AS (
		INSERT INTO tongguan.incident (incident_id, rule_id, rule_version, kind, domain, severity, part, window_us,
				first_event_at, last_event_at, event_count, core_at, core_uid, type_code, grid_cell, geom,
				evidence, explanation)
			SELECT id, rule, (def ->> 'version')::integer, 'single', def ->> 'domain',
				(def ->> 'severity')::smallint, (batch ->> 'part')::integer, 0,
				at, at, 1, at, uid, type_code, cell, geom, ARRAY[uid],
				(def -> 'explanation') || jsonb_build_object(
					'case_type', coalesce(def -> 'explanation' ->> 'case_type', type_code),
					'counts', jsonb_build_object('events', 1, 'cores', 1, 'reporters', 1),
					'cores', jsonb_build_array(uid))
			FROM said
			ON CONFLICT (incident_id) DO NOTHING
	), mapped AS (
		INSERT INTO tongguan.incident_event (rule_id, event_uid, incident_id, occurred_at, core, reporter)
			SELECT rule, uid, id, at, true, reporter FROM said
			ON CONFLICT (rule_id, event_uid) DO NOTHING
	)
	SELECT id, trace FROM said
$$;

-- All incidents that hold one of these members become one: the one with the earlier first event keeps its id. NULL when
-- no member is mapped yet. merged_into always names a living incident: what was merged into a merged one moves on.
CREATE FUNCTION tongguan.incident_unite(batch jsonb, rule text, uids uuid[], OUT id uuid, OUT changed boolean)
LANGUAGE plpgsql AS $$
DECLARE
	found uuid[];
	kept tongguan.incident;
	gone tongguan.incident;
BEGIN
	changed := false;
	SELECT array_agg(i.incident_id ORDER BY i.first_event_at, i.incident_id) INTO found
		FROM tongguan.incident i
		WHERE i.incident_id IN (SELECT ie.incident_id FROM tongguan.incident_event ie
			WHERE ie.rule_id = rule AND ie.event_uid = ANY (uids));
	id := found[1];
	IF found IS NULL OR cardinality(found) = 1 THEN
		RETURN;
	END IF;
	changed := true;
	SELECT * INTO kept FROM tongguan.incident WHERE incident_id = id;
	FOR gone IN SELECT * FROM tongguan.incident WHERE incident_id = ANY (found[2:]) LOOP
		IF (gone.core_at, gone.core_uid) < (kept.core_at, kept.core_uid) THEN
			kept.core_at := gone.core_at;
			kept.core_uid := gone.core_uid;
			kept.type_code := gone.type_code;
			kept.grid_cell := gone.grid_cell;
			kept.geom := gone.geom;
		END IF;
		IF gone.state = 'open' AND kept.state <> 'open' THEN
			kept.state := 'open';
			kept.part := gone.part;
		END IF;
		kept.detected_at := least(kept.detected_at, gone.detected_at);
		kept.last_event_at := greatest(kept.last_event_at, gone.last_event_at);
	END LOOP;
	UPDATE tongguan.incident SET state = 'merged', merged_into = id, revision = revision + 1,
			merged_part = (batch ->> 'part')::integer, merged_next = (batch ->> 'next')::bigint
		WHERE incident_id = ANY (found[2:]) OR merged_into = ANY (found[2:]);
	UPDATE tongguan.incident_event SET incident_id = id WHERE incident_id = ANY (found[2:]);
	UPDATE tongguan.incident SET core_at = kept.core_at, core_uid = kept.core_uid, type_code = kept.type_code,
			grid_cell = kept.grid_cell, geom = kept.geom, state = kept.state, part = kept.part,
			detected_at = kept.detected_at, last_event_at = kept.last_event_at
		WHERE incident_id = id;
END
$$;

-- One group: members that one incident must hold. Joins, mints or merges; what the incident says of itself is brought up to
-- date once at the end of the batch.
CREATE FUNCTION tongguan.incident_group(batch jsonb, rule text, members jsonb, OUT id uuid, OUT changed boolean)
LANGUAGE plpgsql AS $$
DECLARE
	def jsonb := batch -> 'rules' -> rule;
	uids uuid[];
	core record;
	last_at timestamptz;
BEGIN
	SELECT array_agg((m ->> 'u')::uuid), tongguan.us_to_time(max((m ->> 't')::bigint)) INTO uids, last_at
		FROM jsonb_array_elements(members) m;
	SELECT u.id, u.changed INTO id, changed FROM tongguan.incident_unite(batch, rule, uids) u;
	SELECT x.u, tongguan.us_to_time(x.t) AS at, x.y, x.c,
			public.ST_SetSRID(public.ST_MakePoint(x.x, x.l), 4326) AS geom INTO core
		FROM jsonb_to_recordset(members) AS x(u uuid, t bigint, y text, c text, x float8, l float8, k boolean)
		WHERE x.k ORDER BY x.t, x.u LIMIT 1;
	IF id IS NULL THEN
		id := md5(rule || ':' || core.u)::uuid;
		INSERT INTO tongguan.incident (incident_id, rule_id, rule_version, kind, domain, severity, part, window_us,
				revision, first_event_at, last_event_at, event_count, core_at, core_uid, type_code, grid_cell,
				geom, evidence, explanation)
			VALUES (id, rule, (def ->> 'version')::integer, def ->> 'kind', def ->> 'domain',
				(def ->> 'severity')::smallint, (batch ->> 'part')::integer, (def ->> 'window_us')::bigint,
				0, core.at, core.at, 0, core.at, core.u, core.y, core.c, core.geom, '{}', '{}');
	END IF;
	INSERT INTO tongguan.incident_event AS ie (rule_id, event_uid, incident_id, occurred_at, core, reporter)
		SELECT rule, x.u, id, tongguan.us_to_time(x.t), x.k, x.p
		FROM jsonb_to_recordset(members) AS x(u uuid, t bigint, k boolean, p bigint)
		ON CONFLICT (rule_id, event_uid) DO UPDATE SET core = true WHERE excluded.core AND NOT ie.core;
	changed := changed OR FOUND;
	IF NOT changed THEN
		RETURN;
	END IF;
	-- A cleared incident that grows at its end is open again, and whoever saw it clears it.
	UPDATE tongguan.incident i SET state = 'open', part = (batch ->> 'part')::integer
		WHERE i.incident_id = id AND i.state = 'cleared' AND i.last_event_at < last_at;
	UPDATE tongguan.incident i SET core_at = core.at, core_uid = core.u, type_code = core.y, grid_cell = core.c,
			geom = core.geom
		WHERE i.incident_id = id AND core.u IS NOT NULL AND (core.at, core.u) < (i.core_at, i.core_uid);
END
$$;

-- Counts, bounds, evidence and explanation from the members as they are now, once for each incident that changed.
CREATE FUNCTION tongguan.incident_tell(batch jsonb, ids uuid[]) RETURNS void
LANGUAGE sql AS $$
	UPDATE tongguan.incident i SET
		revision = i.revision + 1,
		first_event_at = c.first_at, last_event_at = c.last_at, event_count = c.events,
		evidence = ARRAY(SELECT m.event_uid FROM tongguan.incident_event m WHERE m.incident_id = i.incident_id
			ORDER BY m.occurred_at, m.event_uid LIMIT 100),
		explanation = (batch -> 'rules' -> i.rule_id -> 'explanation') || jsonb_build_object(
			'case_type', coalesce(batch -> 'rules' -> i.rule_id -> 'explanation' ->> 'case_type', i.type_code),
			'counts', jsonb_build_object('events', c.events, 'cores', c.cores, 'reporters', c.reporters),
			'cores', to_jsonb(ARRAY(SELECT m.event_uid FROM tongguan.incident_event m
				WHERE m.incident_id = i.incident_id AND m.core ORDER BY m.occurred_at, m.event_uid LIMIT 20)))
	FROM (SELECT m.incident_id, min(m.occurred_at) AS first_at, max(m.occurred_at) AS last_at, count(*) AS events,
			count(*) FILTER (WHERE m.core) AS cores, count(DISTINCT m.reporter) AS reporters
		FROM tongguan.incident_event m WHERE m.incident_id = ANY (ids) GROUP BY m.incident_id) c
	WHERE i.incident_id = c.incident_id AND i.state <> 'merged'
$$;

-- batch: {part, from, next, rules: {id: {version, kind, domain, severity, window_us, explanation}}, singles: [...], groups:
-- [{rule, members, tp}], clear: [{id, before_us}]}. Returns a row for all that it touched, whether or not this call changed
-- it, and for what was merged into those by a batch after `from`: a crash between the rows and the messages leaves nobody
-- untold. trace is set where exactly one event did it.
CREATE FUNCTION tongguan.incident_apply(batch jsonb)
RETURNS TABLE (incident_id uuid, state text, part integer, last_us bigint, window_us bigint, rule_id text, trace text, doc text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
	touched uuid[];
	traces text[];
	changed uuid[] := '{}';
	one jsonb;
	told record;
	name text;
BEGIN
	-- In one order for every correlator, so that two batches over the same incidents wait instead of locking crosswise.
	FOR name IN SELECT k FROM jsonb_object_keys(batch -> 'rules') k ORDER BY k LOOP
		PERFORM pg_advisory_xact_lock(7409, hashtext(name));
	END LOOP;
	SELECT coalesce(array_agg(s.id), '{}'), coalesce(array_agg(s.trace), '{}') INTO touched, traces
		FROM tongguan.incident_singles(batch) s;
	FOR one IN SELECT g FROM jsonb_array_elements(batch -> 'groups') WITH ORDINALITY AS a(g, n) ORDER BY n LOOP
		SELECT t.id, t.changed INTO told FROM tongguan.incident_group(batch, one ->> 'rule', one -> 'members') t;
		touched := touched || told.id;
		traces := traces || (one ->> 'tp');
		IF told.changed THEN
			changed := changed || told.id;
		END IF;
	END LOOP;
	PERFORM tongguan.incident_tell(batch, changed);
	UPDATE tongguan.incident i SET state = 'cleared', revision = i.revision + 1
		FROM jsonb_to_recordset(batch -> 'clear') AS c(id uuid, before_us bigint)
		WHERE i.incident_id = c.id AND i.state = 'open' AND i.window_us > 0
			AND tongguan.time_to_us(i.last_event_at) + i.window_us < c.before_us;
	RETURN QUERY
		WITH t AS (
			SELECT a.id, a.trace FROM unnest(touched, traces) AS a(id, trace)
			UNION ALL
			SELECT (c ->> 'id')::uuid, NULL FROM jsonb_array_elements(batch -> 'clear') c
		), once AS (
			SELECT t.id, CASE WHEN count(*) = 1 THEN max(t.trace) END AS trace FROM t GROUP BY t.id
		), all_told AS (
			SELECT o.id, o.trace FROM once o
			UNION
			SELECT m.incident_id, NULL FROM once o JOIN tongguan.incident m ON m.merged_into = o.id
				WHERE m.merged_part = (batch ->> 'part')::integer AND m.merged_next > (batch ->> 'from')::bigint
		)
		SELECT DISTINCT ON (i.incident_id) i.incident_id, i.state, i.part, tongguan.time_to_us(i.last_event_at), i.window_us,
			i.rule_id, a.trace, tongguan.incident_doc(i)::text
		FROM all_told a JOIN tongguan.incident i ON i.incident_id = a.id
		ORDER BY i.incident_id, a.trace NULLS LAST;
END
$$;
