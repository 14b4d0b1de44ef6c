-- Cases from incidents a batch at a time: one statement a table where 0004 has one a case. What is written is the same.

-- ---- one log entry, and what is told of it ---------------------------------------------------------------------------

-- The entry after the last one of the case, with its hash.
CREATE FUNCTION tongguan.case_entry_of(c tongguan.case_file, e jsonb, at timestamptz) RETURNS tongguan.case_entry
LANGUAGE plpgsql STABLE AS $$
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
	RETURN r;
END
$$;

-- The message of one entry, as a row of the outbox that has no number yet.
CREATE FUNCTION tongguan.case_message(c tongguan.case_file, r tongguan.case_entry, e jsonb) RETURNS tongguan.outbox
LANGUAGE plpgsql STABLE AS $$
DECLARE
	o tongguan.outbox;
BEGIN
	o.kind := CASE WHEN r.action = 'incident' THEN 'incident' WHEN r.task_id IS NOT NULL THEN 'task' ELSE 'case' END;
	o.case_id := c.case_id;
	o.task_id := r.task_id;
	o.doc := jsonb_build_object('kind', o.kind, 'case_id', c.case_id, 'case_no', c.case_no,
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
		'departments', to_jsonb(c.departments));
	RETURN o;
END
$$;

CREATE OR REPLACE FUNCTION tongguan.case_tell(c tongguan.case_file, r tongguan.case_entry, e jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	o tongguan.outbox := tongguan.case_message(c, r, e);
BEGIN
	INSERT INTO tongguan.outbox (kind, case_id, task_id, doc) VALUES (o.kind, o.case_id, o.task_id, o.doc);
END
$$;

CREATE OR REPLACE FUNCTION tongguan.case_say(INOUT c tongguan.case_file, e jsonb, at timestamptz, silent boolean)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	r tongguan.case_entry := tongguan.case_entry_of(c, e, at);
BEGIN
	INSERT INTO tongguan.case_entry SELECT r.*;
	c.log_seq := r.seq;
	c.log_hash := r.hash;
	c.log_at := r.at;
	IF NOT silent THEN
		PERFORM tongguan.case_tell(c, r, e);
	END IF;
END
$$;

-- ---- free words: once a statement ------------------------------------------------------------------------------------

CREATE FUNCTION tongguan.case_words_put_all() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO tongguan.case_words (case_id, said, words)
		SELECT l.case_id, l.said, ARRAY(SELECT DISTINCT substr(lower(l.said), n, 2) FROM generate_series(1, char_length(l.said) - 1) n)
		FROM (SELECT f.case_id, f.case_no || ' ' || f.title || ' ' || coalesce(left(f.body, 500), '') AS said FROM fresh f) l;
	RETURN NULL;
END
$$;
DROP TRIGGER case_words_new ON tongguan.case_file;
CREATE TRIGGER case_words_new AFTER INSERT ON tongguan.case_file REFERENCING NEW TABLE AS fresh
	FOR EACH STATEMENT EXECUTE FUNCTION tongguan.case_words_put_all();

-- ---- a batch of incidents --------------------------------------------------------------------------------------------

-- The plans below are kept for a session's life, from empty tables on: always by index.
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
			ORDER BY k.incident_id FOR UPDATE OF f LOOP
		ids := array_append(ids, c.case_id);
		docs := array_append(docs, tongguan.case_row_doc(c));
	END LOOP;
	RETURN jsonb_build_object('now_us', tongguan.now_us(), 'incidents', (
		SELECT coalesce(jsonb_agg(jsonb_build_object('incident_id', k.incident_id, 'revision', k.revision, 'case_id', k.case_id,
				'case', docs[array_position(ids, k.case_id)],
				'place', CASE WHEN a.lon IS NOT NULL THEN tongguan.place_at(a.lon, a.lat) END)), '[]')
			FROM jsonb_to_recordset(asked) AS a(incident_id uuid, lon double precision, lat double precision)
			JOIN unnest(locked) k ON k.incident_id = a.incident_id));
END
$$;

-- The numbers of so many new cases of one day: the last one taken before them.
CREATE FUNCTION tongguan.case_numbers(division_code text, local_day date, many integer) RETURNS integer
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	before integer;
BEGIN
	INSERT INTO tongguan.case_serial AS s (division, day, last) VALUES (division_code, local_day, many)
		ON CONFLICT (division, day) DO UPDATE SET last = s.last + excluded.last RETURNING s.last - many INTO before;
	RETURN before;
END
$$;

-- Opens cases that have no task yet, all of one instant: changes are those of case_apply().
CREATE FUNCTION tongguan.cases_open(changes jsonb[]) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	division text := changes[1] -> 'number' ->> 'division';
	day date := (changes[1] -> 'number' ->> 'day')::date;
	at timestamptz := (changes[1] ->> 'at')::timestamptz;
	number integer := tongguan.case_numbers(division, day, cardinality(changes));
	stem text := division || to_char(day, 'YYYYMMDD');
	change jsonb;
	e jsonb;
	c tongguan.case_file;
	r tongguan.case_entry;
	files tongguan.case_file[];
	entries tongguan.case_entry[];
	told tongguan.outbox[];
BEGIN
	FOREACH change IN ARRAY changes LOOP
		c := tongguan.case_changed(jsonb_populate_record(NULL::tongguan.case_file, '{"log_seq": 0}'), change -> 'case');
		number := number + 1;
		c.case_no := stem || lpad(number::text, 6, '0');
		FOR e IN SELECT l FROM jsonb_array_elements(change -> 'log') WITH ORDINALITY AS a(l, n) ORDER BY a.n LOOP
			r := tongguan.case_entry_of(c, e, at);
			c.log_seq := r.seq;
			c.log_hash := r.hash;
			c.log_at := r.at;
			entries := array_append(entries, r);
			IF NOT coalesce((change ->> 'silent')::boolean, false) THEN
				told := array_append(told, tongguan.case_message(c, r, e));
			END IF;
		END LOOP;
		files := array_append(files, c);
	END LOOP;
	INSERT INTO tongguan.case_file SELECT (f).* FROM unnest(files) f;
	INSERT INTO tongguan.clock (case_id, kind, state, limit_text, unit, amount_us, calendar, started_at, due_at, stopped_at,
			remaining_us, pauses, extensions)
		SELECT (x -> 'case' ->> 'case_id')::uuid, k.kind, k.state, k.limit_text, k.unit, k.amount_us, k.calendar,
			k.started_at, k.due_at, k.stopped_at, k.remaining_us, k.pauses, k.extensions
		FROM unnest(changes) x, jsonb_populate_recordset(NULL::tongguan.clock, x -> 'clocks') k;
	INSERT INTO tongguan.case_entry SELECT (s).* FROM unnest(entries) s;
	INSERT INTO tongguan.outbox (kind, case_id, task_id, doc)
		SELECT o.kind, o.case_id, o.task_id, o.doc FROM unnest(told) WITH ORDINALITY AS o ORDER BY o.ordinality;
END
$$;

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
	INSERT INTO tongguan.outbox (kind, doc)
		SELECT 'incident', e -> 'tell' FROM jsonb_array_elements(batch -> 'incidents') e WHERE jsonb_typeof(e -> 'tell') = 'object';
	INSERT INTO tongguan.consumer_offset AS o (consumer, topic, partition, next)
		SELECT batch ->> 'consumer', p.topic, p.partition, p.next
		FROM jsonb_to_recordset(batch -> 'offsets') AS p(topic text, partition integer, next bigint)
		ORDER BY p.topic, p.partition
		ON CONFLICT (consumer, topic, partition) DO UPDATE SET next = excluded.next;
END
$$;

-- What the events of a new case said, copied into it: they are kept for a time, it for good.
CREATE FUNCTION tongguan.intake_evidence(i jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	INSERT INTO tongguan.case_evidence (case_id, event_uid, occurred_at, source_id, source_kind, type_code, lon, lat, doc)
		SELECT (i ->> 'case_id')::uuid, v.uid, v.occurred_at, v.source_id, v.source_kind, v.type_code, ST_X(v.geom),
			ST_Y(v.geom), v.payload
		FROM tongguan.event v
		WHERE v.uid = ANY (ARRAY(SELECT x::uuid FROM jsonb_array_elements_text(i -> 'evidence') x))
			AND v.occurred_at BETWEEN (i ->> 'from')::timestamptz AND (i ->> 'to')::timestamptz
		ON CONFLICT DO NOTHING;
END
$$;
