-- Ladders of every clock that somebody must be told of, the roster of who is on duty, and what becomes of a case when its
-- incident goes on, ends or joins another.

-- ---- ladders as data ---------------------------------------------------------------------------------------------------

-- A rung also fires at once when the case has been sent back to its department `rework` times.
ALTER TABLE tongguan.escalation_rung
	ADD COLUMN clock text NOT NULL DEFAULT 'handle' CHECK (clock IN ('handle', 'sign', 'reply')),
	ADD COLUMN watchers text[] NOT NULL DEFAULT '{}',
	ADD COLUMN rework smallint CHECK (rework > 0);
ALTER TABLE tongguan.escalation_rung DROP CONSTRAINT escalation_rung_pkey;
ALTER TABLE tongguan.escalation_rung ADD PRIMARY KEY (clock, urgency, level);
UPDATE tongguan.escalation_rung SET watchers = (ARRAY['{handler}', '{department_duty}', '{department_head,supervisor}',
		'{centre_leader,domain_vice_lead}', '{district_leader,city_platform}'])[level + 1]::text[],
	rework = CASE level WHEN 4 THEN 3 END;
-- Nobody has signed: the duty officer at the limit, the head of the department when as much again has passed. No answer to
-- a reminder: the head and the supervisor.
INSERT INTO tongguan.escalation_rung (clock, urgency, level, percent, plus, supervise, watchers)
	SELECT r.clock, u.urgency, r.level, 100, CASE WHEN NOT r.again THEN NULL WHEN u.urgency = 'urgent' THEN '10min'
		WHEN u.urgency = 'priority' THEN '30min' ELSE '2wh' END, r.supervise, r.watchers
	FROM (VALUES ('sign', 1, false, 0, '{department_duty}'::text[]), ('sign', 2, true, 1, '{department_head,supervisor}'),
		('reply', 2, false, 1, '{department_head,supervisor}')) AS r(clock, level, again, supervise, watchers),
	unnest(ARRAY['urgent', 'priority', 'normal', 'slow']) AS u(urgency);

-- ---- who is on duty ----------------------------------------------------------------------------------------------------

-- Local time of the city, half-open; a night is two rows. No row at all: this city keeps no roster.
CREATE TABLE tongguan.duty (
	department  text NOT NULL REFERENCES tongguan.dept (code),
	weekday     smallint NOT NULL CHECK (weekday BETWEEN 1 AND 7),
	from_min    smallint NOT NULL CHECK (from_min >= 0),
	to_min      smallint NOT NULL CHECK (to_min <= 1440),
	name        text NOT NULL,
	CHECK (from_min < to_min)
);
CREATE INDEX duty_department ON tongguan.duty (department, weekday);
GRANT SELECT ON tongguan.duty TO tongguan_dispatch;

-- Names of those on duty in a department. NULL: no roster is kept.
CREATE FUNCTION tongguan.on_duty(dept_code text, at timestamptz) RETURNS text[]
LANGUAGE plpgsql STABLE AS $$
DECLARE
	here timestamp := at AT TIME ZONE (SELECT c.zone FROM tongguan.city c);
	minute integer := extract(hour FROM here) * 60 + extract(minute FROM here);
BEGIN
	IF NOT EXISTS (SELECT 1 FROM tongguan.duty) THEN
		RETURN NULL;
	END IF;
	RETURN (SELECT coalesce(array_agg(d.name ORDER BY d.name), '{}') FROM tongguan.duty d
		WHERE d.department = dept_code AND d.weekday = extract(isodow FROM here) AND d.from_min <= minute AND minute < d.to_min);
END
$$;

-- ---- clocks that run out -----------------------------------------------------------------------------------------------

-- Set by the level before it, which had nobody to tell: the number of that level.
ALTER TABLE tongguan.clock_due ADD COLUMN skipped_from smallint;

-- Fires one level under the case's lock; gives the case as it is then.
CREATE FUNCTION tongguan.escalate_one(c tongguan.case_file, q tongguan.clock_due, at timestamptz) RETURNS tongguan.case_file
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	k tongguan.clock;
	t tongguan.case_task;
	r tongguan.escalation_rung;
	names text[];
	empty boolean;
BEGIN
	SELECT * INTO k FROM tongguan.clock x WHERE x.clock_id = q.clock_id;
	SELECT * INTO t FROM tongguan.case_task x WHERE x.task_id = k.task_id;
	SELECT * INTO r FROM tongguan.escalation_rung x WHERE x.clock = k.kind AND x.urgency = c.urgency AND x.level = q.level;
	IF 'department_duty' = ANY (r.watchers) THEN
		names := tongguan.on_duty(t.department, at);
	END IF;
	-- Nobody is there to be told: whoever comes next is told now, and does not wait out the time between.
	empty := cardinality(names) = 0 AND cardinality(r.watchers) = 1;
	IF empty THEN
		UPDATE tongguan.clock_due d SET fire_at = at, skipped_from = q.level
			WHERE d.clock_id = q.clock_id AND d.fired_at IS NULL AND d.fire_at > at AND d.level = (SELECT min(n.level)
				FROM tongguan.clock_due n WHERE n.clock_id = q.clock_id AND n.level > q.level AND n.fired_at IS NULL);
	END IF;
	c.escalation_level := greatest(c.escalation_level, q.level);
	c.supervise_level := greatest(c.supervise_level, q.supervise);
	c.overdue := c.overdue OR (k.kind = 'handle' AND k.due_at <= at);
	c.version := c.version + 1;
	RETURN tongguan.case_say(c, jsonb_build_object('task_id', k.task_id, 'actor', 'system', 'actor_role', 'system',
		'action', 'escalate', 'from_state', c.state, 'to_state', c.state, 'note', 'E' || q.level, 'task_state', t.state,
		'task_version', t.version, 'department', t.department, 'detail', jsonb_strip_nulls(jsonb_build_object('level', q.level,
			'clock', k.kind, 'fire_at', q.fire_at, 'due_at', k.due_at, 'limit', k.limit_text, 'supervise', q.supervise,
			'watchers', CASE WHEN empty THEN '[]' ELSE to_jsonb(r.watchers) END, 'on_duty', to_jsonb(names),
			'skipped', CASE WHEN empty THEN true END, 'skipped_from', q.skipped_from))), at, false);
END
$$;

-- Fires what is due, in order of deadline, each level once. Never waits for a case somebody is working on: that one comes
-- with the next call. Gives how many fired and the µs until the next known one (NULL: none).
CREATE OR REPLACE FUNCTION tongguan.escalate(max_rows integer, OUT fired integer, OUT late_us bigint, OUT next_in_us bigint)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	q tongguan.clock_due;
	c tongguan.case_file;
	at timestamptz;
BEGIN
	fired := 0;
	late_us := 0;
	-- All are locked before the first is written: a row this transaction has changed would be passed over.
	FOR q IN WITH due AS MATERIALIZED (
				SELECT d.*
				FROM tongguan.clock_due d JOIN tongguan.case_file f USING (case_id)
				WHERE d.fired_at IS NULL AND d.fire_at <= clock_timestamp()
				ORDER BY d.fire_at, d.clock_id, d.level LIMIT max_rows FOR UPDATE OF f, d SKIP LOCKED
			) SELECT * FROM due ORDER BY fire_at, clock_id, level LOOP
		SELECT * INTO c FROM tongguan.case_file f WHERE f.case_id = q.case_id;
		at := greatest(clock_timestamp(), c.log_at);
		UPDATE tongguan.clock_due SET fired_at = at WHERE clock_id = q.clock_id AND level = q.level;
		c := tongguan.escalate_one(c, q, at);
		UPDATE tongguan.case_file f SET version = c.version, escalation_level = c.escalation_level,
				supervise_level = c.supervise_level, overdue = c.overdue, log_seq = c.log_seq,
				log_hash = c.log_hash, log_at = c.log_at
			WHERE f.case_id = c.case_id;
		fired := fired + 1;
		late_us := greatest(late_us, tongguan.time_to_us(at) - tongguan.time_to_us(q.fire_at));
	END LOOP;
	SELECT greatest(tongguan.time_to_us(min(d.fire_at)) - tongguan.now_us(), 0) INTO next_in_us
		FROM tongguan.clock_due d WHERE d.fired_at IS NULL;
END
$$;

-- ---- cases beside each other ---------------------------------------------------------------------------------------------

-- The case that this one repeats: the same came again after that one was closed. An incident has one case, and one more each
-- time it goes on after its case was closed.
ALTER TABLE tongguan.case_file ADD COLUMN recurs uuid REFERENCES tongguan.case_file (case_id);
ALTER TABLE tongguan.case_file DROP CONSTRAINT case_file_incident_id_key;
CREATE UNIQUE INDEX case_one_an_incident ON tongguan.case_file
	(incident_id, (coalesce(recurs, '00000000-0000-0000-0000-000000000000')));
CREATE INDEX case_recurs ON tongguan.case_file (recurs) WHERE recurs IS NOT NULL;
CREATE INDEX case_closed_place ON tongguan.case_file (type_code, grid_cell, closed_at) WHERE state = 'closed';

-- Cases whose incidents turned out to be one when both were under way.
CREATE TABLE tongguan.case_link (
	case_id  uuid NOT NULL REFERENCES tongguan.case_file (case_id),
	other    uuid NOT NULL REFERENCES tongguan.case_file (case_id),
	PRIMARY KEY (case_id, other)
);
CREATE INDEX case_link_other ON tongguan.case_link (other);
GRANT SELECT, INSERT ON tongguan.case_link TO tongguan_dispatch;

-- {merged, reporters, related}: what was merged into it, how many people have reported it, each once (a case that somebody
-- brought in by hand has no evidence and counts as one), and which cases it has to do with: repeats, repeated_by, beside.
CREATE OR REPLACE FUNCTION tongguan.case_crowd(id uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
	ids uuid[] := ARRAY[id];
	merged jsonb := '[]';
BEGIN
	IF EXISTS (SELECT 1 FROM tongguan.case_file f WHERE f.merged_into = id) THEN
		SELECT ids || array_agg(b.case_id), jsonb_agg(jsonb_build_object('case_id', b.case_id, 'case_no', b.case_no,
				'title', b.title, 'reported_at', b.reported_at) ORDER BY b.reported_at, b.case_id) INTO ids, merged
			FROM tongguan.case_below(id) b;
	END IF;
	RETURN jsonb_build_object('merged', merged, 'reporters', (
			SELECT count(DISTINCT CASE WHEN v.case_id IS NULL THEN '/' || x
					ELSE coalesce(v.doc -> 'report' ->> 'reporter_id', v.source_id) END)
			FROM unnest(ids) x LEFT JOIN tongguan.case_evidence v ON v.case_id = x),
		'related', (
			SELECT coalesce(jsonb_agg(jsonb_build_object('case_id', o.case_id, 'case_no', o.case_no, 'title', o.title,
				'state', o.state, 'kind', r.kind) ORDER BY o.reported_at, o.case_id), '[]')
			FROM (SELECT f.recurs AS other, 'repeats' AS kind FROM tongguan.case_file f WHERE f.case_id = id AND f.recurs IS NOT NULL
				UNION ALL SELECT f.case_id, 'repeated_by' FROM tongguan.case_file f WHERE f.recurs = id
				UNION ALL SELECT l.other, 'beside' FROM tongguan.case_link l WHERE l.case_id = id
				UNION ALL SELECT l.case_id, 'beside' FROM tongguan.case_link l WHERE l.other = id) r
			JOIN tongguan.case_file o ON o.case_id = r.other));
END
$$;

CREATE OR REPLACE VIEW tongguan.cases AS
	SELECT case_id, case_no, incident_id, origin, domain, type_code, condition, title, state, version, grid_cell, street,
		district, geom, urgency, suspended, reported_at, filed_at, dispatched_at, done_at, closed_at, due_at, handle_due_at,
		overdue OR coalesce(handle_due_at < now() AND done_at IS NULL
			AND state NOT IN ('closed', 'refused', 'not_filed', 'void', 'merged'), false) AS overdue,
		escalation_level, rework_count, emergency, supervise_level, return_count, extension_count, handle_limit,
		lead_department, departments, ST_X(geom) AS lon, ST_Y(geom) AS lat, merged_into, recurs
	FROM tongguan.case_file;

-- ---- a batch of incidents --------------------------------------------------------------------------------------------

-- asked: [{incident_id, lon, lat, type_code}]. Locks what is known of them, their cases in one order for everybody. Of an
-- incident that has no case yet: the last case of its type in its cell that was closed within 7 days.
CREATE OR REPLACE FUNCTION tongguan.intake_lock(asked jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
	locked tongguan.case_incident[];
	c tongguan.case_file;
	ids uuid[];
	docs jsonb[];
BEGIN
	WITH l AS (
		INSERT INTO tongguan.case_incident AS ci (incident_id, revision)
			SELECT DISTINCT a.incident_id, 0 FROM jsonb_to_recordset(asked) AS a(incident_id uuid) ORDER BY a.incident_id
			ON CONFLICT (incident_id) DO UPDATE SET revision = ci.revision RETURNING *
	) SELECT array_agg(l::tongguan.case_incident) INTO locked FROM l;
	-- Read one by one after its lock: whoever held it may have changed tasks and clocks.
	FOR c IN SELECT f.* FROM unnest(locked) k JOIN tongguan.case_file f ON f.case_id = k.case_id
			ORDER BY f.case_id FOR UPDATE OF f LOOP
		ids := array_append(ids, c.case_id);
		docs := array_append(docs, tongguan.case_row_doc(c));
	END LOOP;
	RETURN jsonb_build_object('now_us', tongguan.now_us(), 'incidents', (
		SELECT coalesce(jsonb_agg(jsonb_build_object('incident_id', k.incident_id, 'revision', k.revision, 'case_id', k.case_id,
				'case', docs[array_position(ids, k.case_id)], 'place', p.place,
				'recurs', CASE WHEN k.case_id IS NULL THEN (
					SELECT jsonb_build_object('case_id', f.case_id, 'case_no', f.case_no, 'closed_at', f.closed_at)
					FROM tongguan.case_file f
					WHERE f.state = 'closed' AND f.type_code = a.type_code AND f.grid_cell = p.place ->> 'grid_cell'
						AND f.closed_at > clock_timestamp() - interval '7 days'
					ORDER BY f.closed_at DESC LIMIT 1) END)), '[]')
			FROM (SELECT DISTINCT ON (x.incident_id) x.*
				FROM jsonb_to_recordset(asked) AS x(incident_id uuid, lon float8, lat float8, type_code text)
				ORDER BY x.incident_id, x.lon NULLS LAST) a
			JOIN unnest(locked) k ON k.incident_id = a.incident_id
			CROSS JOIN LATERAL (SELECT CASE WHEN a.lon IS NOT NULL THEN tongguan.place_at(a.lon, a.lat) END AS place OFFSET 0) p));
END
$$;

-- What the events of a case said, copied into it: they are kept for a time, it for good.
CREATE OR REPLACE FUNCTION tongguan.intake_evidence(i jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	owner uuid := (i ->> 'case_id')::uuid;
	wanted uuid[] := ARRAY(SELECT x::uuid FROM jsonb_array_elements_text(i -> 'evidence') x
		WHERE NOT EXISTS (SELECT 1 FROM tongguan.case_evidence k WHERE k.case_id = owner AND k.event_uid = x::uuid));
BEGIN
	IF wanted = '{}' THEN
		RETURN;
	END IF;
	INSERT INTO tongguan.case_evidence (case_id, event_uid, occurred_at, source_id, source_kind, type_code, lon, lat, doc,
			ingested_at, grid_cell, street)
		SELECT owner, v.uid, v.occurred_at, v.source_id, v.source_kind, v.type_code, ST_X(v.geom), ST_Y(v.geom),
			tongguan.event_payload(v), v.ingested_at, v.grid_cell, v.street
		FROM tongguan.event v
		WHERE v.uid = ANY (wanted) AND v.occurred_at BETWEEN (i ->> 'from')::timestamptz AND (i ->> 'to')::timestamptz
		ON CONFLICT DO NOTHING;
END
$$;

-- batch: {incidents: [{incident_id, revision, case_id, evidence, from, to, change, tell, beside}], consumer, offsets}. tell only
-- for an incident without a case; beside: another case that has to do with this one from now on.
CREATE OR REPLACE FUNCTION tongguan.intake_apply(batch jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
	i jsonb;
	change jsonb;
	opened jsonb[];
BEGIN
	FOR i IN SELECT e FROM jsonb_array_elements(batch -> 'incidents') e LOOP
		change := i -> 'change';
		IF jsonb_typeof(change) IS DISTINCT FROM 'object' THEN
			CONTINUE;
		END IF;
		IF NOT (change ->> 'new')::boolean THEN
			PERFORM tongguan.case_apply(change);
			CONTINUE;
		END IF;
		change := jsonb_set(change, '{case,body}', tongguan.intake_words(i));
		IF jsonb_array_length(change -> 'tasks') = 0 THEN
			opened := array_append(opened, change);
		ELSE
			PERFORM tongguan.case_apply(change);
		END IF;
	END LOOP;
	IF opened IS NOT NULL THEN
		PERFORM tongguan.cases_open(opened);
	END IF;
	UPDATE tongguan.case_incident ci SET revision = n.revision, case_id = coalesce(n.case_id, ci.case_id)
		FROM jsonb_to_recordset(batch -> 'incidents') AS n(incident_id uuid, revision bigint, case_id uuid)
		WHERE ci.incident_id = n.incident_id;
	PERFORM tongguan.intake_evidence(e) FROM jsonb_array_elements(batch -> 'incidents') e WHERE jsonb_typeof(e -> 'evidence') = 'array';
	INSERT INTO tongguan.case_link (case_id, other)
		SELECT n.case_id, n.beside FROM jsonb_to_recordset(batch -> 'incidents') AS n(case_id uuid, beside uuid)
		WHERE n.beside IS NOT NULL ON CONFLICT DO NOTHING;
	INSERT INTO tongguan.outbox (kind, doc)
		SELECT 'incident', e -> 'tell' FROM jsonb_array_elements(batch -> 'incidents') e WHERE jsonb_typeof(e -> 'tell') = 'object';
	INSERT INTO tongguan.consumer_offset AS o (consumer, topic, partition, next)
		SELECT batch ->> 'consumer', p.topic, p.partition, p.next
		FROM jsonb_to_recordset(batch -> 'offsets') AS p(topic text, partition integer, next bigint)
		ORDER BY p.topic, p.partition
		ON CONFLICT (consumer, topic, partition) DO UPDATE SET next = excluded.next;
END
$$;

-- ---- the city as the program reads it ----------------------------------------------------------------------------------

CREATE OR REPLACE FUNCTION tongguan.city_doc() RETURNS jsonb
LANGUAGE sql STABLE AS $$
	SELECT jsonb_build_object('version', c.version, 'name_zh', c.name_zh, 'name_en', c.name_en, 'division', c.division,
		'zone', c.zone,
		'streets', (SELECT coalesce(jsonb_agg(jsonb_build_object('code', s.code, 'name_zh', s.name_zh,
				'name_en', s.name_en, 'short_zh', s.short_zh, 'short_en', s.short_en, 'district', s.district)
				ORDER BY s.code COLLATE "C"), '[]') FROM tongguan.street s),
		'calendars', (SELECT coalesce(jsonb_agg(to_jsonb(w) || jsonb_build_object('days',
				(SELECT coalesce(jsonb_agg(jsonb_build_object('day', d.day - date '1970-01-01', 'kind', d.kind,
					'periods', d.periods, 'name', d.name)), '[]')
				FROM tongguan.work_calendar_day d WHERE d.calendar = w.name)) ORDER BY w.name COLLATE "C"), '[]')
			FROM tongguan.work_calendar w),
		'depts', (SELECT coalesce(jsonb_agg(to_jsonb(d) ORDER BY d.code COLLATE "C"), '[]') FROM tongguan.dept d),
		'duty', (SELECT coalesce(jsonb_agg(to_jsonb(y) - 'name'), '[]') FROM tongguan.duty y),
		'types', (SELECT coalesce(jsonb_agg(to_jsonb(t) || jsonb_build_object('conditions',
				(SELECT coalesce(jsonb_agg(to_jsonb(f) - 'type_code' ORDER BY f.condition_no), '[]')
				FROM tongguan.filing_condition f WHERE f.type_code = t.type_code))
				ORDER BY t.type_code COLLATE "C"), '[]') FROM tongguan.case_type t),
		'stage_limits', (SELECT coalesce(jsonb_agg(to_jsonb(l)), '[]') FROM tongguan.stage_limit l),
		'ladder', (SELECT coalesce(jsonb_agg(to_jsonb(r) ORDER BY r.clock, r.urgency, r.level), '[]')
			FROM tongguan.escalation_rung r))
	FROM tongguan.city c
$$;
