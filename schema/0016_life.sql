-- The rest of a shift's life cycle: merging, forwarding, extensions, suspensions, reminders that want an answer, appeals.

ALTER TABLE tongguan.case_file
	ADD COLUMN merged_into uuid REFERENCES tongguan.case_file (case_id);
CREATE INDEX case_merged_into ON tongguan.case_file (merged_into) WHERE merged_into IS NOT NULL;

ALTER TABLE tongguan.case_task
	ADD COLUMN request jsonb,                 -- what the department has asked for and nobody has decided
	ADD COLUMN extensions smallint NOT NULL DEFAULT 0,
	ADD COLUMN suspended boolean NOT NULL DEFAULT false,
	ADD COLUMN suspended_until timestamptz,
	ADD COLUMN appealed_at timestamptz;
CREATE INDEX case_task_wake ON tongguan.case_task (suspended_until, task_id) WHERE suspended;

-- One lead at work in a case, and one a round who has done it: a case that was taken out of another begins anew.
DROP INDEX tongguan.case_task_one_lead;
CREATE UNIQUE INDEX case_task_one_lead ON tongguan.case_task (case_id) WHERE role = 'lead' AND state IN ('assigned', 'signed');
CREATE UNIQUE INDEX case_task_one_lead_a_round ON tongguan.case_task (case_id, round)
	WHERE role = 'lead' AND state IN ('assigned', 'signed', 'done');

ALTER TABLE tongguan.dept ADD COLUMN parent text;
ALTER TABLE tongguan.case_type ADD COLUMN self_dispose boolean NOT NULL DEFAULT false;

INSERT INTO tongguan.stage_limit (clock, urgency, limit_text)
	VALUES ('reply', 'urgent', '15min'), ('reply', 'priority', '2wh'), ('reply', 'normal', '2wh'), ('reply', 'slow', '2wh');

-- ---- what a case shows of others ---------------------------------------------------------------------------------------

-- All that was merged into a case, directly or through another.
CREATE FUNCTION tongguan.case_below(id uuid) RETURNS SETOF tongguan.case_file
LANGUAGE plpgsql STABLE ROWS 4 AS $$
BEGIN
	RETURN QUERY
	WITH RECURSIVE below AS (
		SELECT f.case_id FROM tongguan.case_file f WHERE f.merged_into = id
		UNION
		SELECT f.case_id FROM below b JOIN tongguan.case_file f ON f.merged_into = b.case_id
	) SELECT f.* FROM below b JOIN tongguan.case_file f ON f.case_id = b.case_id;
END
$$;

-- The case at the end of the way from one merged case to the next.
CREATE FUNCTION tongguan.case_master(id uuid) RETURNS tongguan.case_file
LANGUAGE plpgsql STABLE AS $$
DECLARE
	c tongguan.case_file;
BEGIN
	LOOP
		SELECT * INTO c FROM tongguan.case_file f WHERE f.case_id = id;
		EXIT WHEN c.merged_into IS NULL;
		id := c.merged_into;
	END LOOP;
	RETURN c;
END
$$;

-- {merged, reporters}: what was merged into it, and how many people have reported it, each once. A case that somebody
-- brought in by hand has no evidence and counts as one.
CREATE FUNCTION tongguan.case_crowd(id uuid) RETURNS jsonb
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
		FROM unnest(ids) x LEFT JOIN tongguan.case_evidence v ON v.case_id = x));
END
$$;

-- All of a case but what depends on who asks and when. `clocks` (live ones and the handling ones) and `master` are for
-- the program.
CREATE OR REPLACE FUNCTION tongguan.case_row_doc(c tongguan.case_file) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (
	SELECT jsonb_build_object('case_id', c.case_id, 'case_no', c.case_no, 'incident_id', c.incident_id,
			'origin', c.origin, 'domain', c.domain, 'type_code', c.type_code, 'type_name_zh', t.name_zh,
			'type_name_en', t.name_en, 'type_short_zh', t.short_zh, 'type_short_en', t.short_en,
			'condition', c.condition, 'handle_limit', c.handle_limit, 'title', c.title, 'text', c.body,
			'state', c.state, 'version', c.version, 'grid_cell', c.grid_cell, 'street', c.street, 'district', c.district,
			'geom', public.ST_AsGeoJSON(c.geom, 15)::jsonb, 'lon', ST_X(c.geom), 'lat', ST_Y(c.geom), 'urgency', c.urgency)
		|| jsonb_build_object('street_name', s.name_zh, 'street_name_en', s.name_en, 'suspended', c.suspended,
			'emergency', c.emergency, 'merged_into', c.merged_into,
			'supervise_level', c.supervise_level, 'escalation_level', c.escalation_level, 'rework_count', c.rework_count,
			'return_count', c.return_count, 'extension_count', c.extension_count, 'round', c.round,
			'reported_at', c.reported_at, 'filed_at', c.filed_at, 'dispatched_at', c.dispatched_at, 'done_at', c.done_at,
			'closed_at', c.closed_at, 'due_at', c.due_at, 'handle_due_at', c.handle_due_at, 'overdue', c.overdue,
			'lead_department', c.lead_department, 'departments', to_jsonb(c.departments),
			'reply_due_at', (SELECT min(k.due_at) FROM tongguan.clock k
				WHERE k.case_id = c.case_id AND k.kind = 'reply' AND k.state = 'running'),
			'tasks', (SELECT coalesce(jsonb_agg(jsonb_build_object('task_id', k.task_id, 'department', k.department,
					'department_name_zh', d.name_zh, 'department_name_en', d.name_en,
					'department_short_zh', d.short_zh, 'department_short_en', d.short_en, 'role', k.role,
					'state', k.state, 'version', k.version, 'round', k.round, 'assigned_at', k.assigned_at,
					'signed_at', k.signed_at, 'due_at', k.due_at, 'done_at', k.done_at, 'result', k.result,
					'request', k.request, 'extensions', k.extensions, 'suspended', k.suspended,
					'suspended_until', k.suspended_until, 'appealed_at', k.appealed_at)
					ORDER BY k.task_id), '[]')
				FROM tongguan.case_task k LEFT JOIN tongguan.dept d ON d.code = k.department
				WHERE k.case_id = c.case_id),
			'clocks', (SELECT coalesce(jsonb_agg(tongguan.clock_doc(k) ORDER BY k.clock_id), '[]')
				FROM tongguan.clock k WHERE k.case_id = c.case_id AND (k.state <> 'stopped' OR k.kind = 'handle')),
			'master', CASE WHEN c.merged_into IS NOT NULL THEN (SELECT jsonb_build_object('case_id', m.case_id,
					'state', m.state, 'closed_at', m.closed_at) FROM tongguan.case_master(c.merged_into) m) END)
		|| tongguan.case_crowd(c.case_id)
		FROM (SELECT 1) one
		LEFT JOIN tongguan.case_type t ON t.type_code = c.type_code
		LEFT JOIN tongguan.street s ON s.code = c.street
	);
END
$$;

-- ---- one transition ------------------------------------------------------------------------------------------------

-- Locks the case (or the case of a task), and beside it the one it is to be merged into: both in one order for everybody.
-- Then looks the key up: whoever waited here sees what the winner kept.
DROP FUNCTION tongguan.case_lock(uuid, boolean, text, text, bytea, double precision, double precision);
CREATE FUNCTION tongguan.case_lock(id uuid, on_task boolean, key_scope text, key_text text, hash bytea,
	lon double precision, lat double precision, other uuid) RETURNS jsonb
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	c tongguan.case_file;
	o tongguan.case_file;
	f tongguan.case_file;
	owner uuid := id;
	found_key jsonb;
BEGIN
	IF id IS NULL THEN
		PERFORM pg_advisory_xact_lock(7411, hashtext(key_scope || ' ' || key_text)) WHERE key_text <> '';
	ELSE
		IF on_task THEN
			SELECT t.case_id INTO owner FROM tongguan.case_task t WHERE t.task_id = id;
		END IF;
		IF other IS NULL OR other = owner THEN
			SELECT * INTO c FROM tongguan.case_file x WHERE x.case_id = owner FOR UPDATE;
		ELSE
			FOR f IN SELECT * FROM tongguan.case_file x WHERE x.case_id IN (owner, other) ORDER BY x.case_id FOR UPDATE LOOP
				IF f.case_id = owner THEN
					c := f;
				ELSE
					o := f;
				END IF;
			END LOOP;
		END IF;
		IF c.case_id IS NULL THEN
			RETURN '{"what": "nothing"}';
		END IF;
	END IF;
	IF key_text <> '' THEN
		found_key := tongguan.idempotency_find(key_scope, key_text, hash);
		IF found_key IS NOT NULL THEN
			RETURN found_key;
		END IF;
	END IF;
	RETURN jsonb_build_object('what', 'case', 'case', CASE WHEN c.case_id IS NOT NULL THEN tongguan.case_row_doc(c) END,
		'now_us', greatest(tongguan.now_us(), tongguan.time_to_us(c.log_at)),
		'place', CASE WHEN lon IS NOT NULL THEN tongguan.place_at(lon, lat) END,
		'other', CASE WHEN o.case_id IS NOT NULL THEN jsonb_build_object('case_id', o.case_id, 'case_no', o.case_no,
			'state', o.state, 'type_code', o.type_code, 'lon', ST_X(o.geom), 'lat', ST_Y(o.geom)) END);
END
$$;

-- Writes one decided change: {at, new, case, number, tasks, clocks, log, silent, beside}. beside: an entry in the log of
-- another case, which the caller has locked too. Gives the row as it is now.
CREATE OR REPLACE FUNCTION tongguan.case_apply(change jsonb) RETURNS tongguan.case_file
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	j jsonb := change -> 'case';
	at timestamptz := (change ->> 'at')::timestamptz;
	silent boolean := coalesce((change ->> 'silent')::boolean, false);
	c tongguan.case_file;
	o tongguan.case_file;
	e jsonb;
BEGIN
	IF (change ->> 'new')::boolean THEN
		c.log_seq := 0;
		c := tongguan.case_changed(c, j);
		c.case_no := tongguan.case_number(change -> 'number' ->> 'division', (change -> 'number' ->> 'day')::date);
		INSERT INTO tongguan.case_file SELECT c.*;
	ELSE
		SELECT * INTO STRICT c FROM tongguan.case_file f WHERE f.case_id = (j ->> 'case_id')::uuid FOR UPDATE;
		c := tongguan.case_changed(c, j);
	END IF;
	INSERT INTO tongguan.case_task AS t (task_id, case_id, department, role, state, version, round, assigned_at,
			signed_at, due_at, done_at, result, request, extensions, suspended, suspended_until, appealed_at)
		SELECT n.task_id, c.case_id, n.department, n.role, n.state, n.version, n.round, n.assigned_at, n.signed_at,
			n.due_at, n.done_at, n.result, nullif(n.request, 'null'), n.extensions, n.suspended, n.suspended_until,
			n.appealed_at
		FROM jsonb_populate_recordset(NULL::tongguan.case_task, change -> 'tasks') n
		ORDER BY n.state IN ('assigned', 'signed', 'done')
		ON CONFLICT (task_id) DO UPDATE SET department = excluded.department, state = excluded.state,
			version = excluded.version, round = excluded.round, signed_at = excluded.signed_at, due_at = excluded.due_at,
			done_at = excluded.done_at, result = excluded.result, request = excluded.request,
			extensions = excluded.extensions, suspended = excluded.suspended,
			suspended_until = excluded.suspended_until, appealed_at = excluded.appealed_at;
	PERFORM tongguan.clocks_apply(change, c.case_id);
	FOR e IN SELECT l FROM jsonb_array_elements(change -> 'log') WITH ORDINALITY AS a(l, n) ORDER BY a.n LOOP
		c := tongguan.case_say(c, e, at, silent);
	END LOOP;
	UPDATE tongguan.case_file f SET state = c.state, version = c.version, domain = c.domain, type_code = c.type_code,
			title = c.title, condition = c.condition, handle_limit = c.handle_limit, geom = c.geom,
			grid_cell = c.grid_cell, street = c.street, district = c.district, urgency = c.urgency,
			suspended = c.suspended, emergency = c.emergency, supervise_level = c.supervise_level,
			escalation_level = c.escalation_level, rework_count = c.rework_count, return_count = c.return_count,
			extension_count = c.extension_count, round = c.round, filed_at = c.filed_at,
			dispatched_at = c.dispatched_at, done_at = c.done_at, closed_at = c.closed_at, due_at = c.due_at,
			handle_due_at = c.handle_due_at, overdue = c.overdue, lead_department = c.lead_department,
			departments = c.departments, merged_into = c.merged_into, log_seq = c.log_seq, log_hash = c.log_hash,
			log_at = c.log_at
		WHERE f.case_id = c.case_id;
	IF jsonb_typeof(change -> 'beside') = 'object' THEN
		SELECT * INTO STRICT o FROM tongguan.case_file f WHERE f.case_id = (change -> 'beside' ->> 'case_id')::uuid FOR UPDATE;
		e := (change -> 'beside' -> 'entry') || jsonb_build_object('from_state', o.state, 'to_state', o.state,
			'case_version', o.version);
		o := tongguan.case_say(o, e, greatest(at, o.log_at), silent);
		UPDATE tongguan.case_file f SET log_seq = o.log_seq, log_hash = o.log_hash, log_at = o.log_at
			WHERE f.case_id = o.case_id;
	END IF;
	RETURN c;
END
$$;

-- ---- views of the contract -----------------------------------------------------------------------------------------

CREATE OR REPLACE VIEW tongguan.cases AS
	SELECT case_id, case_no, incident_id, origin, domain, type_code, condition, title, state, version, grid_cell, street,
		district, geom, urgency, suspended, reported_at, filed_at, dispatched_at, done_at, closed_at, due_at, handle_due_at,
		overdue OR coalesce(handle_due_at < now() AND done_at IS NULL
			AND state NOT IN ('closed', 'refused', 'not_filed', 'void', 'merged'), false) AS overdue,
		escalation_level, rework_count, emergency, supervise_level, return_count, extension_count, handle_limit,
		lead_department, departments, ST_X(geom) AS lon, ST_Y(geom) AS lat, merged_into
	FROM tongguan.case_file;

CREATE OR REPLACE VIEW tongguan.tasks AS
	SELECT task_id, case_id, department, role, state, version, assigned_at, signed_at, due_at, done_at, round, result,
		extensions, suspended, suspended_until, appealed_at
	FROM tongguan.case_task;

CREATE OR REPLACE VIEW tongguan.departments AS SELECT * FROM tongguan.dept;
CREATE OR REPLACE VIEW tongguan.catalog AS
	SELECT t.type_code, t.kind, t.class_code, t.class_zh, t.class_en, t.name_zh, t.name_en, t.short_zh, t.short_en, t.pinyin,
		t.domain, t.lead, t.co, t.accept_limit, t.dispatch_limit, t.dispose_limit, t.urgency,
		(SELECT count(*) FROM tongguan.filing_condition c WHERE c.type_code = t.type_code) AS conditions, t.self_dispose
	FROM tongguan.case_type t;

-- Tasks whose suspension is over, and the µs until the next one's is (NULL: none is suspended).
CREATE FUNCTION tongguan.tasks_to_resume(max_rows integer, OUT tasks jsonb, OUT next_in_us bigint)
LANGUAGE plpgsql STABLE AS $$
DECLARE
	at timestamptz := clock_timestamp();
BEGIN
	SELECT coalesce(jsonb_agg(t.task_id), '[]') INTO tasks
		FROM (SELECT k.task_id FROM tongguan.case_task k WHERE k.suspended AND k.suspended_until <= at
			ORDER BY k.suspended_until, k.task_id LIMIT max_rows) t;
	SELECT tongguan.time_to_us(min(k.suspended_until)) - tongguan.time_to_us(at) INTO next_in_us
		FROM tongguan.case_task k WHERE k.suspended AND k.suspended_until > at;
END
$$;
