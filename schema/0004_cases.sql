-- Cases, their tasks and clocks, the log nobody may edit, and what is told to others in committed order.
--
-- Every writer of a case holds its row lock first; only tongguan.case_apply() and tongguan.escalate() write.

-- ---- data of the life cycle: limits of the stages, thresholds of the ladder ---------------------------------------

CREATE TABLE tongguan.stage_limit (
	clock        text NOT NULL,
	urgency      text NOT NULL,
	limit_text   text NOT NULL,
	PRIMARY KEY (clock, urgency)
);
-- accept and dispatch: only where the type is unknown; a known type brings its own.
INSERT INTO tongguan.stage_limit (clock, urgency, limit_text)
	SELECT c.clock, u.urgency, CASE u.urgency WHEN 'urgent' THEN c.urgent WHEN 'priority' THEN c.priority ELSE c.other END
	FROM (VALUES ('accept', '6min', '15min', '15min'), ('verify', '30min', '30min', '30min'),
		('file', '15min', '15min', '15min'), ('dispatch', '15min', '15min', '30min'),
		('sign', '10min', '30min', '2wh'), ('check', '30min', '4wh', '4wh'), ('close', '2wh', '2wh', '2wh'))
		AS c(clock, urgent, priority, other),
	unnest(ARRAY['urgent', 'priority', 'normal', 'slow']) AS u(urgency);

-- A level fires when percent of the handling limit is used and then `plus` has passed.
CREATE TABLE tongguan.escalation_rung (
	urgency    text NOT NULL,
	level      smallint NOT NULL CHECK (level BETWEEN 0 AND 4),
	percent    smallint NOT NULL CHECK (percent BETWEEN 1 AND 100),
	plus       text,
	supervise  smallint NOT NULL DEFAULT 0 CHECK (supervise BETWEEN 0 AND 3),
	PRIMARY KEY (urgency, level)
);
INSERT INTO tongguan.escalation_rung (urgency, level, percent, plus, supervise)
	SELECT u.urgency, r.level, r.percent, CASE WHEN u.urgency = 'urgent' THEN r.urgent ELSE r.other END, r.supervise
	FROM (VALUES (0, 50, NULL, NULL, 0), (1, 80, NULL, NULL, 0), (2, 100, NULL, NULL, 1),
		(3, 100, '15min', '1wd', 2), (4, 100, '30min', '2wd', 3)) AS r(level, percent, urgent, other, supervise),
	unnest(ARRAY['urgent', 'priority', 'normal', 'slow']) AS u(urgency);

-- ---- tables --------------------------------------------------------------------------------------------------------

CREATE TABLE tongguan.case_file (
	case_id           uuid PRIMARY KEY,
	case_no           text NOT NULL UNIQUE,
	incident_id       uuid UNIQUE,
	origin            text NOT NULL CHECK (origin IN ('incident', 'manual')),
	state             text NOT NULL,
	version           bigint NOT NULL,
	domain            text,
	type_code         text,
	title             text NOT NULL,
	body              text,
	condition         integer,               -- frozen when filed, with the limit it brings
	handle_limit      text,
	geom              geometry(Point, 4326),
	grid_cell         text,
	street            text,
	district          text,
	urgency           text NOT NULL,
	suspended         boolean NOT NULL DEFAULT false,
	emergency         boolean NOT NULL DEFAULT false,
	supervise_level   smallint NOT NULL DEFAULT 0,
	escalation_level  smallint,
	rework_count      integer NOT NULL DEFAULT 0,
	return_count      integer NOT NULL DEFAULT 0,
	extension_count   integer NOT NULL DEFAULT 0,
	round             integer NOT NULL DEFAULT 0,   -- how often it was dispatched
	reported_at       timestamptz NOT NULL,
	filed_at          timestamptz,
	dispatched_at     timestamptz,
	done_at           timestamptz,
	closed_at         timestamptz,
	due_at            timestamptz,           -- of the clock the case waits on
	handle_due_at     timestamptz,           -- NULL while that clock is paused
	overdue           boolean NOT NULL DEFAULT false, -- the handling deadline was missed, for good
	lead_department   text,
	departments       text[] NOT NULL DEFAULT '{}',   -- all that have or had a task
	contact           text,                  -- personal data; in no view
	log_seq           bigint NOT NULL DEFAULT 0,
	log_hash          bytea,
	log_at            timestamptz
) WITH (fillfactor = 80);
CREATE INDEX case_newest ON tongguan.case_file (reported_at DESC, case_id DESC);
CREATE INDEX case_due ON tongguan.case_file (due_at, case_id) WHERE due_at IS NOT NULL;
CREATE INDEX case_state ON tongguan.case_file (state, reported_at DESC, case_id DESC);
CREATE INDEX case_geom ON tongguan.case_file USING spgist (geom);
CREATE INDEX case_departments ON tongguan.case_file USING gin (departments);

CREATE TABLE tongguan.case_task (
	task_id      uuid PRIMARY KEY,
	case_id      uuid NOT NULL REFERENCES tongguan.case_file (case_id),
	department   text NOT NULL,
	role         text NOT NULL CHECK (role IN ('lead', 'assist')),
	state        text NOT NULL,
	version      bigint NOT NULL,
	round        integer NOT NULL,
	assigned_at  timestamptz NOT NULL,
	signed_at    timestamptz,
	due_at       timestamptz,
	done_at      timestamptz,
	result       text
) WITH (fillfactor = 80);
CREATE INDEX case_task_case ON tongguan.case_task (case_id);
CREATE INDEX case_task_department ON tongguan.case_task (department, state, due_at, task_id);
CREATE UNIQUE INDEX case_task_one_lead ON tongguan.case_task (case_id)
	WHERE role = 'lead' AND state IN ('assigned', 'signed', 'done');

CREATE TABLE tongguan.clock (
	clock_id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	case_id       uuid NOT NULL REFERENCES tongguan.case_file (case_id),
	task_id       uuid REFERENCES tongguan.case_task (task_id),
	kind          text NOT NULL,
	state         text NOT NULL CHECK (state IN ('running', 'paused', 'stopped')),
	limit_text    text NOT NULL,
	unit          text NOT NULL,
	amount_us     bigint NOT NULL,           -- of counted time; extensions not included
	calendar      text,                      -- NULL: continuous
	started_at    timestamptz NOT NULL,
	due_at        timestamptz,               -- while paused: what it was
	stopped_at    timestamptz,
	remaining_us  bigint,                    -- counted time left when paused or stopped; negative when late
	pauses        jsonb NOT NULL DEFAULT '[]', -- [{from, to}], to null: still paused
	extensions    jsonb NOT NULL DEFAULT '[]'  -- [{at, limit, amount_us}]
) WITH (fillfactor = 80);
CREATE INDEX clock_case ON tongguan.clock (case_id);
CREATE UNIQUE INDEX clock_one_handling ON tongguan.clock (task_id)
	WHERE kind = 'handle' AND state IN ('running', 'paused');

-- The levels still to fire, and those that did. Written only under the case's lock.
CREATE TABLE tongguan.clock_due (
	clock_id   bigint NOT NULL REFERENCES tongguan.clock (clock_id),
	level      smallint NOT NULL,
	case_id    uuid NOT NULL,
	fire_at    timestamptz NOT NULL,
	supervise  smallint NOT NULL,
	fired_at   timestamptz,
	PRIMARY KEY (clock_id, level)
) WITH (fillfactor = 80);
CREATE INDEX clock_due_next ON tongguan.clock_due (fire_at) WHERE fired_at IS NULL;

CREATE TABLE tongguan.case_entry (
	case_id     uuid NOT NULL REFERENCES tongguan.case_file (case_id),
	seq         bigint NOT NULL,
	task_id     uuid,
	at          timestamptz NOT NULL,
	actor       text NOT NULL,
	actor_role  text NOT NULL,
	action      text NOT NULL,
	from_state  text,
	to_state    text,
	note        text,                       -- may be erased; note_hash stays
	note_hash   bytea,
	detail      jsonb,
	prev_hash   bytea,
	hash        bytea NOT NULL,
	PRIMARY KEY (case_id, seq)
);

CREATE TABLE tongguan.case_evidence (
	case_id      uuid NOT NULL REFERENCES tongguan.case_file (case_id),
	event_uid    uuid NOT NULL,
	occurred_at  timestamptz NOT NULL,
	source_id    text NOT NULL,
	source_kind  smallint NOT NULL,
	type_code    text,
	lon          double precision,
	lat          double precision,
	doc          jsonb,
	PRIMARY KEY (case_id, event_uid)
);

-- What dispatch has seen of an incident: the revision makes a repeated message harmless, the key one case an incident.
CREATE TABLE tongguan.case_incident (
	incident_id  uuid PRIMARY KEY,
	revision     bigint NOT NULL,
	case_id      uuid UNIQUE
) WITH (fillfactor = 80);

CREATE TABLE tongguan.case_serial (
	division  text NOT NULL,
	day       date NOT NULL,
	last      integer NOT NULL,
	PRIMARY KEY (division, day)
) WITH (fillfactor = 10);

CREATE TABLE tongguan.consumer_offset (
	consumer   text NOT NULL,
	topic      text NOT NULL,
	partition  integer NOT NULL,
	next       bigint NOT NULL,
	PRIMARY KEY (consumer, topic, partition)
) WITH (fillfactor = 50);

CREATE TABLE tongguan.idempotency (
	scope      text NOT NULL,
	key        text NOT NULL,
	body_hash  bytea NOT NULL,
	answer     jsonb NOT NULL,
	at         timestamptz NOT NULL DEFAULT now(),
	PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_at ON tongguan.idempotency (at);

CREATE TABLE tongguan.outbox (
	id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	pos      bigint UNIQUE,                 -- order of commit, given by the one publisher
	kind     text NOT NULL CHECK (kind IN ('case', 'task', 'incident')),
	case_id  uuid,
	task_id  uuid,
	doc      jsonb NOT NULL,
	at       timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 70);
CREATE INDEX outbox_unnumbered ON tongguan.outbox (id) WHERE pos IS NULL;

CREATE TABLE tongguan.outbox_lease (
	only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	holder      text NOT NULL DEFAULT '',
	epoch       bigint NOT NULL DEFAULT 0,
	expires_at  timestamptz NOT NULL DEFAULT '-infinity',
	last_pos    bigint NOT NULL DEFAULT 0,  -- given out
	published   bigint NOT NULL DEFAULT 0   -- acknowledged by Kafka
) WITH (fillfactor = 10);
INSERT INTO tongguan.outbox_lease DEFAULT VALUES;

CREATE INDEX IF NOT EXISTS grid_cell_geom ON tongguan.grid_cell USING gist (geom);

-- ---- small functions -----------------------------------------------------------------------------------------------

CREATE FUNCTION tongguan.now_us() RETURNS bigint
LANGUAGE sql VOLATILE AS $$ SELECT tongguan.time_to_us(clock_timestamp()) $$;

-- Functions with a query inside are plpgsql: a function in SQL would be planned again in every transaction.

-- Each field as 4 bytes of length and its bytes; NULL is ffffffff, which is the length -1.
CREATE FUNCTION tongguan.entry_hash(e tongguan.case_entry) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
	framed bytea := '';
	field bytea;
BEGIN
	FOREACH field IN ARRAY ARRAY[convert_to(e.seq::text, 'UTF8'), convert_to(e.case_id::text, 'UTF8'),
			convert_to(e.task_id::text, 'UTF8'), convert_to(tongguan.time_to_us(e.at)::text, 'UTF8'),
			convert_to(e.actor, 'UTF8'), convert_to(e.actor_role, 'UTF8'), convert_to(e.action, 'UTF8'),
			convert_to(e.from_state, 'UTF8'), convert_to(e.to_state, 'UTF8'), e.note_hash,
			convert_to(e.detail::text, 'UTF8'), e.prev_hash] LOOP
		framed := framed || int4send(coalesce(length(field), -1)) || coalesce(field, '');
	END LOOP;
	RETURN sha256(framed);
END
$$;

-- The cell of a place; a point on an edge belongs to the lowest. No row: outside the city.
CREATE FUNCTION tongguan.place_at(lon double precision, lat double precision) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (
	SELECT jsonb_build_object('grid_cell', g.cell_id, 'street', g.street, 'district', s.district)
		FROM tongguan.grid_cell g LEFT JOIN tongguan.street s ON s.code = g.street
		WHERE ST_Intersects(g.geom, ST_SetSRID(ST_MakePoint(lon, lat), 4326))
		ORDER BY g.id LIMIT 1
	);
END
$$;

-- ---- documents -----------------------------------------------------------------------------------------------------

CREATE FUNCTION tongguan.clock_doc(k tongguan.clock) RETURNS jsonb
LANGUAGE sql STABLE AS $$
	SELECT jsonb_build_object('clock_id', k.clock_id, 'task_id', k.task_id, 'kind', k.kind, 'state', k.state,
		'limit', k.limit_text, 'unit', k.unit, 'amount_us', k.amount_us, 'calendar', k.calendar,
		'started_at', k.started_at, 'due_at', k.due_at, 'stopped_at', k.stopped_at,
		'remaining_us', k.remaining_us, 'pauses', k.pauses, 'extensions', k.extensions)
$$;

CREATE FUNCTION tongguan.case_clocks(id uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (
	SELECT coalesce(jsonb_agg(tongguan.clock_doc(k) ORDER BY k.clock_id), '[]')
		FROM tongguan.clock k WHERE k.case_id = id
	);
END
$$;

-- All of a case but what depends on who asks and when. `clocks` (live ones and the handling ones) is for the program.
CREATE FUNCTION tongguan.case_row_doc(c tongguan.case_file) RETURNS jsonb
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
			'emergency', c.emergency,
			'supervise_level', c.supervise_level, 'escalation_level', c.escalation_level, 'rework_count', c.rework_count,
			'return_count', c.return_count, 'extension_count', c.extension_count, 'round', c.round,
			'reported_at', c.reported_at, 'filed_at', c.filed_at, 'dispatched_at', c.dispatched_at, 'done_at', c.done_at,
			'closed_at', c.closed_at, 'due_at', c.due_at, 'handle_due_at', c.handle_due_at, 'overdue', c.overdue,
			'lead_department', c.lead_department, 'departments', to_jsonb(c.departments),
			'tasks', (SELECT coalesce(jsonb_agg(jsonb_build_object('task_id', k.task_id, 'department', k.department,
					'department_name_zh', d.name_zh, 'department_name_en', d.name_en,
					'department_short_zh', d.short_zh, 'department_short_en', d.short_en, 'role', k.role,
					'state', k.state, 'version', k.version, 'round', k.round, 'assigned_at', k.assigned_at,
					'signed_at', k.signed_at, 'due_at', k.due_at, 'done_at', k.done_at, 'result', k.result)
					ORDER BY k.task_id), '[]')
				FROM tongguan.case_task k LEFT JOIN tongguan.dept d ON d.code = k.department
				WHERE k.case_id = c.case_id),
			'clocks', (SELECT coalesce(jsonb_agg(tongguan.clock_doc(k) ORDER BY k.clock_id), '[]')
				FROM tongguan.clock k WHERE k.case_id = c.case_id AND (k.state <> 'stopped' OR k.kind = 'handle')))
		FROM (SELECT 1) one
		LEFT JOIN tongguan.case_type t ON t.type_code = c.type_code
		LEFT JOIN tongguan.street s ON s.code = c.street
	);
END
$$;

CREATE FUNCTION tongguan.case_doc(id uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (
	SELECT tongguan.case_row_doc(c) FROM tongguan.case_file c WHERE c.case_id = id
	);
END
$$;

CREATE FUNCTION tongguan.task_doc(id uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN (
	SELECT jsonb_build_object('task_id', k.task_id, 'case', tongguan.case_doc(k.case_id))
		FROM tongguan.case_task k WHERE k.task_id = id
	);
END
$$;

-- ---- one transition ------------------------------------------------------------------------------------------------

-- What an earlier request with this key was answered: {"what": "replay", "answer"} or {"what": "reused"}; else NULL.
CREATE FUNCTION tongguan.idempotency_find(key_scope text, key_text text, hash bytea) RETURNS jsonb
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	RETURN (
	SELECT CASE WHEN i.body_hash = hash THEN jsonb_build_object('what', 'replay', 'answer', i.answer)
			ELSE '{"what": "reused"}' END
		FROM tongguan.idempotency i
		WHERE i.scope = key_scope AND i.key = key_text AND i.at > clock_timestamp() - interval '24 hours'
	);
END
$$;

CREATE FUNCTION tongguan.idempotency_keep(key_scope text, key_text text, hash bytea, said jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	INSERT INTO tongguan.idempotency AS i (scope, key, body_hash, answer) VALUES (key_scope, key_text, hash, said)
	ON CONFLICT (scope, key) DO UPDATE SET body_hash = excluded.body_hash, answer = excluded.answer, at = now();
END
$$;

-- Locks the case (or the case of a task), then looks the key up: whoever waited here sees what the winner kept.
CREATE FUNCTION tongguan.case_lock(id uuid, on_task boolean, key_scope text, key_text text, hash bytea,
	lon double precision, lat double precision) RETURNS jsonb
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	c tongguan.case_file;
	owner uuid := id;
	found_key jsonb;
BEGIN
	IF id IS NULL THEN
		PERFORM pg_advisory_xact_lock(7411, hashtext(key_scope || ' ' || key_text)) WHERE key_text <> '';
	ELSE
		IF on_task THEN
			SELECT t.case_id INTO owner FROM tongguan.case_task t WHERE t.task_id = id;
		END IF;
		SELECT * INTO c FROM tongguan.case_file f WHERE f.case_id = owner FOR UPDATE;
		IF NOT FOUND THEN
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
		'place', CASE WHEN lon IS NOT NULL THEN tongguan.place_at(lon, lat) END);
END
$$;

-- One log entry and its message. The caller holds the case's lock and stores the head.
CREATE FUNCTION tongguan.case_say(INOUT c tongguan.case_file, e jsonb, at timestamptz, silent boolean)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	r tongguan.case_entry;
BEGIN
	r.case_id := c.case_id;
	r.seq := c.log_seq + 1;
	r.task_id := (e ->> 'task_id')::uuid;
	r.at := at;
	r.actor := e ->> 'actor';
	r.actor_role := e ->> 'actor_role';
	r.action := e ->> 'action';
	r.from_state := e ->> 'from_state';
	r.to_state := e ->> 'to_state';
	r.note := e ->> 'note';
	r.note_hash := sha256(convert_to(r.note, 'UTF8'));
	r.detail := nullif(e -> 'detail', 'null');
	r.prev_hash := c.log_hash;
	r.hash := tongguan.entry_hash(r);
	INSERT INTO tongguan.case_entry SELECT r.*;
	c.log_seq := r.seq;
	c.log_hash := r.hash;
	c.log_at := r.at;
	IF NOT silent THEN
		PERFORM tongguan.case_tell(c, r, e);
	END IF;
END
$$;

CREATE FUNCTION tongguan.case_tell(c tongguan.case_file, r tongguan.case_entry, e jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	INSERT INTO tongguan.outbox (kind, case_id, task_id, doc)
	SELECT k.kind, c.case_id, r.task_id, jsonb_build_object('kind', k.kind, 'case_id', c.case_id, 'case_no', c.case_no,
		'task_id', r.task_id, 'incident_id', c.incident_id, 'seq', r.seq, 'at', r.at, 'actor', r.actor,
		'actor_role', r.actor_role, 'action', r.action, 'from_state', r.from_state, 'to_state', r.to_state,
		'state', coalesce(r.to_state, c.state), 'version', coalesce((e ->> 'case_version')::bigint, c.version),
		'task_state', e ->> 'task_state', 'task_version', (e ->> 'task_version')::bigint,
		'department', e ->> 'department', 'detail', r.detail, 'hash', encode(r.hash, 'hex'))
	|| jsonb_build_object('title', c.title, 'type_code', c.type_code, 'domain', c.domain, 'urgency', c.urgency,
		'grid_cell', c.grid_cell, 'street', c.street, 'lon', ST_X(c.geom), 'lat', ST_Y(c.geom),
		'due_at', c.due_at, 'handle_due_at', c.handle_due_at, 'overdue', c.overdue, 'suspended', c.suspended,
		'supervise_level', c.supervise_level, 'escalation_level', c.escalation_level,
		'rework_count', c.rework_count, 'lead_department', c.lead_department,
		'departments', to_jsonb(c.departments))
	FROM (SELECT CASE WHEN r.action = 'incident' THEN 'incident' WHEN r.task_id IS NOT NULL THEN 'task' ELSE 'case' END
		AS kind) k;
END
$$;

-- The changed row of a case from its change document; everything else of the row stays.
CREATE FUNCTION tongguan.case_changed(c tongguan.case_file, j jsonb) RETURNS tongguan.case_file
LANGUAGE plpgsql STABLE AS $$
BEGIN
	c := jsonb_populate_record(c, j);
	IF j ? 'lon' THEN
		c.geom := ST_SetSRID(ST_MakePoint((j ->> 'lon')::double precision, (j ->> 'lat')::double precision), 4326);
	END IF;
	RETURN c;
END
$$;

CREATE FUNCTION tongguan.case_number(division_code text, local_day date) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	made text;
BEGIN
	INSERT INTO tongguan.case_serial AS s (division, day, last) VALUES (division_code, local_day, 1)
		ON CONFLICT (division, day) DO UPDATE SET last = s.last + 1
		RETURNING s.division || to_char(s.day, 'YYYYMMDD') || lpad(s.last::text, 6, '0') INTO made;
	RETURN made;
END
$$;

CREATE FUNCTION tongguan.clocks_apply(change jsonb, owner uuid) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	j jsonb;
	k tongguan.clock;
BEGIN
	FOR j IN SELECT e FROM jsonb_array_elements(change -> 'clocks') e LOOP
		k := jsonb_populate_record(NULL::tongguan.clock, j);
		IF k.clock_id IS NULL THEN
			INSERT INTO tongguan.clock (case_id, task_id, kind, state, limit_text, unit, amount_us, calendar,
					started_at, due_at, stopped_at, remaining_us, pauses, extensions)
				VALUES (owner, k.task_id, k.kind, k.state, k.limit_text, k.unit, k.amount_us, k.calendar,
					k.started_at, k.due_at, k.stopped_at, k.remaining_us, k.pauses, k.extensions)
				RETURNING clock_id INTO k.clock_id;
		ELSE
			UPDATE tongguan.clock SET state = k.state, due_at = k.due_at, stopped_at = k.stopped_at,
					remaining_us = k.remaining_us, pauses = k.pauses, extensions = k.extensions
				WHERE clock_id = k.clock_id;
			DELETE FROM tongguan.clock_due WHERE clock_id = k.clock_id AND fired_at IS NULL;
		END IF;
		INSERT INTO tongguan.clock_due (clock_id, level, case_id, fire_at, supervise)
			SELECT k.clock_id, d.level, owner, d.fire_at, d.supervise
			FROM jsonb_to_recordset(j -> 'levels') AS d(level smallint, fire_at timestamptz, supervise smallint)
			ON CONFLICT (clock_id, level) DO NOTHING;
	END LOOP;
END
$$;

-- Writes one decided change: {at, new, case, number, tasks, clocks, log, silent}. Gives the row as it is now.
CREATE FUNCTION tongguan.case_apply(change jsonb) RETURNS tongguan.case_file
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	j jsonb := change -> 'case';
	at timestamptz := (change ->> 'at')::timestamptz;
	silent boolean := coalesce((change ->> 'silent')::boolean, false);
	c tongguan.case_file;
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
			signed_at, due_at, done_at, result)
		SELECT n.task_id, c.case_id, n.department, n.role, n.state, n.version, n.round, n.assigned_at, n.signed_at,
			n.due_at, n.done_at, n.result
		FROM jsonb_populate_recordset(NULL::tongguan.case_task, change -> 'tasks') n
		ORDER BY n.state IN ('assigned', 'signed', 'done')
		ON CONFLICT (task_id) DO UPDATE SET state = excluded.state, version = excluded.version,
			signed_at = excluded.signed_at, due_at = excluded.due_at, done_at = excluded.done_at,
			result = excluded.result;
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
			departments = c.departments, log_seq = c.log_seq, log_hash = c.log_hash, log_at = c.log_at
		WHERE f.case_id = c.case_id;
	RETURN c;
END
$$;

-- The same, with the key's answer kept, for a request; gives the document.
CREATE FUNCTION tongguan.case_act(change jsonb, key_scope text, key_text text, hash bytea) RETURNS jsonb
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	c tongguan.case_file := tongguan.case_apply(change);
	doc jsonb := tongguan.case_row_doc(c);
BEGIN
	IF key_text <> '' THEN
		PERFORM tongguan.idempotency_keep(key_scope, key_text, hash,
			jsonb_build_object('doc', doc, 'now_us', tongguan.time_to_us((change ->> 'at')::timestamptz)));
	END IF;
	RETURN doc;
END
$$;

-- ---- incidents -----------------------------------------------------------------------------------------------------

-- Locks what is known of these incidents, in one order for everybody: [{incident_id, revision, case, place}].
CREATE FUNCTION tongguan.intake_lock(asked jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	q record;
	k tongguan.case_incident;
	c tongguan.case_file;
	said jsonb := '[]';
BEGIN
	FOR q IN SELECT a.incident_id, a.lon, a.lat
			FROM jsonb_to_recordset(asked) AS a(incident_id uuid, lon double precision, lat double precision)
			ORDER BY a.incident_id LOOP
		INSERT INTO tongguan.case_incident AS ci (incident_id, revision) VALUES (q.incident_id, 0)
			ON CONFLICT (incident_id) DO UPDATE SET revision = ci.revision RETURNING * INTO k;
		c := NULL;
		IF k.case_id IS NOT NULL THEN
			SELECT * INTO c FROM tongguan.case_file f WHERE f.case_id = k.case_id FOR UPDATE;
		END IF;
		said := said || jsonb_build_object('incident_id', k.incident_id, 'revision', k.revision, 'case_id', k.case_id,
			'case', CASE WHEN c.case_id IS NOT NULL THEN tongguan.case_row_doc(c) END,
			'place', CASE WHEN q.lon IS NOT NULL THEN tongguan.place_at(q.lon, q.lat) END);
	END LOOP;
	RETURN jsonb_build_object('now_us', tongguan.now_us(), 'incidents', said);
END
$$;

-- What the first of an incident's reports says, in short: mostly where. JSON null: nothing.
CREATE FUNCTION tongguan.intake_words(i jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ -- an SQL function would be planned anew at every call
BEGIN
	RETURN coalesce((SELECT to_jsonb(left(v.payload -> 'report' ->> 'text', 500))
		FROM tongguan.event v
		WHERE v.uid = ANY (ARRAY(SELECT x::uuid FROM jsonb_array_elements_text(i -> 'evidence') x))
			AND v.occurred_at BETWEEN (i ->> 'from')::timestamptz AND (i ->> 'to')::timestamptz
			AND v.payload -> 'report' ->> 'text' <> ''
		ORDER BY v.occurred_at, v.uid LIMIT 1), 'null');
END
$$;

-- batch: {incidents: [{incident_id, revision, case_id, evidence, from, to, change, tell}], consumer, offsets}. evidence only when
-- the case opens; tell only for an incident without a case.
CREATE FUNCTION tongguan.intake_apply(batch jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	i jsonb;
BEGIN
	FOR i IN SELECT e FROM jsonb_array_elements(batch -> 'incidents') e LOOP
		IF jsonb_typeof(i -> 'change') = 'object' THEN
			PERFORM tongguan.case_apply(CASE WHEN (i -> 'change' ->> 'new')::boolean
				THEN jsonb_set(i -> 'change', '{case,body}', tongguan.intake_words(i)) ELSE i -> 'change' END);
		END IF;
		UPDATE tongguan.case_incident SET revision = (i ->> 'revision')::bigint,
				case_id = coalesce((i ->> 'case_id')::uuid, case_id)
			WHERE incident_id = (i ->> 'incident_id')::uuid;
		INSERT INTO tongguan.case_evidence (case_id, event_uid, occurred_at, source_id, source_kind, type_code, lon, lat,
				doc)
			SELECT (i ->> 'case_id')::uuid, v.uid, v.occurred_at, v.source_id, v.source_kind, v.type_code, ST_X(v.geom),
				ST_Y(v.geom), v.payload
			FROM tongguan.event v
			WHERE v.uid = ANY (ARRAY(SELECT x::uuid FROM jsonb_array_elements_text(i -> 'evidence') x))
				AND v.occurred_at BETWEEN (i ->> 'from')::timestamptz AND (i ->> 'to')::timestamptz
			ON CONFLICT DO NOTHING;
		IF jsonb_typeof(i -> 'tell') = 'object' THEN
			INSERT INTO tongguan.outbox (kind, doc) VALUES ('incident', i -> 'tell');
		END IF;
	END LOOP;
	INSERT INTO tongguan.consumer_offset AS o (consumer, topic, partition, next)
		SELECT batch ->> 'consumer', p.topic, p.partition, p.next
		FROM jsonb_to_recordset(batch -> 'offsets') AS p(topic text, partition integer, next bigint)
		ORDER BY p.topic, p.partition
		ON CONFLICT (consumer, topic, partition) DO UPDATE SET next = excluded.next;
END
$$;

-- ---- clocks that run out -------------------------------------------------------------------------------------------

-- Fires what is due, in order of deadline, each level once. Never waits for a case somebody is working on: that one comes
-- with the next call. Gives how many fired and the µs until the next known one (NULL: none).
CREATE FUNCTION tongguan.escalate(max_rows integer, OUT fired integer, OUT late_us bigint, OUT next_in_us bigint)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	q record;
	c tongguan.case_file;
	at timestamptz;
BEGIN
	fired := 0;
	late_us := 0;
	-- All are locked before the first is written: a row this transaction has changed would be passed over.
	FOR q IN WITH due AS MATERIALIZED (
				SELECT d.clock_id, d.level, d.fire_at, d.supervise, d.case_id
				FROM tongguan.clock_due d JOIN tongguan.case_file f USING (case_id)
				WHERE d.fired_at IS NULL AND d.fire_at <= clock_timestamp()
				ORDER BY d.fire_at, d.clock_id, d.level LIMIT max_rows FOR UPDATE OF f, d SKIP LOCKED
			) SELECT * FROM due ORDER BY fire_at, clock_id, level LOOP
		SELECT * INTO c FROM tongguan.case_file f WHERE f.case_id = q.case_id;
		at := greatest(clock_timestamp(), c.log_at);
		c.escalation_level := greatest(c.escalation_level, q.level);
		c.supervise_level := greatest(c.supervise_level, q.supervise);
		c.overdue := c.overdue OR q.level >= 2;
		c.version := c.version + 1;
		UPDATE tongguan.clock_due SET fired_at = at WHERE clock_id = q.clock_id AND level = q.level;
		c := tongguan.case_say(c, (SELECT jsonb_build_object('task_id', k.task_id, 'actor', 'system',
				'actor_role', 'system', 'action', 'escalate', 'from_state', c.state, 'to_state', c.state,
				'note', 'E' || q.level, 'task_state', t.state, 'task_version', t.version,
				'department', t.department, 'detail', jsonb_build_object('level', q.level, 'clock', k.kind,
					'fire_at', q.fire_at, 'due_at', k.due_at, 'limit', k.limit_text))
			FROM tongguan.clock k LEFT JOIN tongguan.case_task t ON t.task_id = k.task_id
			WHERE k.clock_id = q.clock_id), at, false);
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

-- ---- committed order -----------------------------------------------------------------------------------------------

-- One turn of a dispatcher: keeps or takes the lease when it may, numbers what has been committed, and gives the rows
-- after `after`. epoch 0: somebody else leads.
CREATE FUNCTION tongguan.outbox_turn(me text, after bigint, max_rows integer)
RETURNS TABLE (epoch bigint, published bigint, pos bigint, kind text, case_id text, doc text)
LANGUAGE plpgsql VOLATILE SET enable_seqscan = off SET jit = off AS $$ -- no statistics yet, or old ones: it always wants the end
#variable_conflict use_column
DECLARE
	l tongguan.outbox_lease;
	ids bigint[];
BEGIN
	SELECT * INTO l FROM tongguan.outbox_lease;
	IF l.holder <> me AND l.expires_at > clock_timestamp() THEN
		l.epoch := 0;
	ELSIF l.holder <> me OR l.expires_at < clock_timestamp() + interval '2 seconds' THEN
		UPDATE tongguan.outbox_lease x SET holder = me, epoch = x.epoch + (x.holder <> me)::integer,
				expires_at = clock_timestamp() + interval '3 seconds'
			WHERE x.holder = me OR x.expires_at <= clock_timestamp() RETURNING * INTO l;
		IF NOT FOUND THEN
			l.epoch := 0;
			l.published := 0;
		END IF;
	END IF;
	IF l.epoch > 0 AND EXISTS (SELECT 1 FROM tongguan.outbox o WHERE o.pos IS NULL) THEN
		-- The row lock and the epoch are the fence: a woken old leader finds neither.
		SELECT * INTO l FROM tongguan.outbox_lease x WHERE x.holder = me AND x.epoch = l.epoch FOR UPDATE;
		IF FOUND THEN
			SELECT array_agg(o.id ORDER BY o.id) INTO ids
				FROM (SELECT id FROM tongguan.outbox WHERE pos IS NULL ORDER BY id LIMIT max_rows) o;
			UPDATE tongguan.outbox o SET pos = l.last_pos + array_position(ids, o.id) WHERE o.id = ANY (ids);
			UPDATE tongguan.outbox_lease SET last_pos = l.last_pos + coalesce(cardinality(ids), 0);
		ELSE
			l.epoch := 0;
		END IF;
	END IF;
	RETURN QUERY
		SELECT l.epoch, l.published, t.pos, t.kind, t.case_id, t.doc
		FROM (SELECT 1) one
		LEFT JOIN (SELECT o.pos, o.kind, coalesce(o.case_id::text, o.doc ->> 'incident_id') AS case_id,
				(o.doc || jsonb_build_object('pos', o.pos))::text AS doc
			FROM tongguan.outbox o WHERE o.pos > after ORDER BY o.pos LIMIT max_rows) t ON true
		ORDER BY t.pos;
END
$$;

-- What Kafka has acknowledged, by the leader only; forgets messages and keys that nobody will ask for again.
CREATE FUNCTION tongguan.outbox_published(me text, my_epoch bigint, upto bigint, keep interval) RETURNS void
LANGUAGE sql VOLATILE AS $$
	UPDATE tongguan.outbox_lease l SET published = greatest(l.published, upto)
		WHERE l.holder = me AND l.epoch = my_epoch;
	DELETE FROM tongguan.outbox o WHERE o.id IN (SELECT x.id FROM tongguan.outbox x
		WHERE x.pos <= upto AND x.at < now() - keep ORDER BY x.id LIMIT 1000);
	DELETE FROM tongguan.idempotency i WHERE (i.scope, i.key) IN (SELECT x.scope, x.key FROM tongguan.idempotency x
		WHERE x.at < now() - interval '24 hours' ORDER BY x.at LIMIT 1000)
$$;

-- ---- the city as the program reads it ------------------------------------------------------------------------------

CREATE FUNCTION tongguan.city_doc() RETURNS jsonb
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
		'types', (SELECT coalesce(jsonb_agg(to_jsonb(t) || jsonb_build_object('conditions',
				(SELECT coalesce(jsonb_agg(to_jsonb(f) - 'type_code' ORDER BY f.condition_no), '[]')
				FROM tongguan.filing_condition f WHERE f.type_code = t.type_code))
				ORDER BY t.type_code COLLATE "C"), '[]') FROM tongguan.case_type t),
		'stage_limits', (SELECT coalesce(jsonb_agg(to_jsonb(l)), '[]') FROM tongguan.stage_limit l),
		'ladder', (SELECT coalesce(jsonb_agg(to_jsonb(r) ORDER BY r.urgency, r.level), '[]')
			FROM tongguan.escalation_rung r))
	FROM tongguan.city c
$$;

-- ---- views of the contract -----------------------------------------------------------------------------------------

CREATE VIEW tongguan.cases AS
	SELECT case_id, case_no, incident_id, origin, domain, type_code, condition, title, state, version, grid_cell, street,
		district, geom, urgency, suspended, reported_at, filed_at, dispatched_at, done_at, closed_at, due_at, handle_due_at,
		overdue OR coalesce(handle_due_at < now() AND done_at IS NULL
			AND state NOT IN ('closed', 'refused', 'not_filed', 'void', 'merged'), false) AS overdue,
		escalation_level, rework_count, emergency, supervise_level, return_count, extension_count, handle_limit,
		lead_department, departments, ST_X(geom) AS lon, ST_Y(geom) AS lat
	FROM tongguan.case_file;

CREATE VIEW tongguan.tasks AS
	SELECT task_id, case_id, department, role, state, version, assigned_at, signed_at, due_at, done_at, round, result
	FROM tongguan.case_task;

CREATE VIEW tongguan.case_log AS
	SELECT seq, case_id, task_id, at, actor, actor_role, action, from_state, to_state, note, detail, prev_hash, hash,
		note_hash
	FROM tongguan.case_entry;
