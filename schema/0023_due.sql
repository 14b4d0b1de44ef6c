-- Levels that fall due are found by their index in the order in which they fire, however many clocks run and however many of them
-- run out at the very same instant: at the end of a working day thousands do.
CREATE INDEX clock_due_order ON tongguan.clock_due (fire_at, clock_id, level) WHERE fired_at IS NULL;
DROP INDEX tongguan.clock_due_next;

-- A rung may want an answer: the system then reminds whoever leads, as a person would, and their reply clock runs.
ALTER TABLE tongguan.escalation_rung ADD COLUMN reply boolean NOT NULL DEFAULT false;
UPDATE tongguan.escalation_rung SET reply = true WHERE clock = 'handle' AND level = 3;
CREATE TABLE tongguan.reply_owed (
	case_id   uuid PRIMARY KEY REFERENCES tongguan.case_file,
	since     timestamptz NOT NULL,         -- the level fired
	asked_at  timestamptz                   -- a dispatcher took it on
);
GRANT SELECT, INSERT, UPDATE, DELETE ON tongguan.reply_owed TO tongguan_dispatch;

-- Cases to be reminded of, each given to one dispatcher; to another when nothing came of it for so long.
CREATE FUNCTION tongguan.replies_to_ask(max_rows integer) RETURNS jsonb
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	cases jsonb;
BEGIN
	IF NOT EXISTS (SELECT FROM tongguan.reply_owed) THEN
		RETURN '[]';
	END IF;
	DELETE FROM tongguan.reply_owed o WHERE EXISTS (SELECT FROM tongguan.clock k
			WHERE k.case_id = o.case_id AND k.kind = 'reply' AND k.started_at >= o.since)
		OR NOT EXISTS (SELECT FROM tongguan.case_file c
			WHERE c.case_id = o.case_id AND c.state IN ('assigned', 'handling') AND NOT c.suspended);
	WITH mine AS (
		UPDATE tongguan.reply_owed o SET asked_at = clock_timestamp()
			FROM (SELECT w.case_id FROM tongguan.reply_owed w WHERE w.asked_at IS NULL OR w.asked_at < clock_timestamp() - interval '5 s'
				ORDER BY w.since, w.case_id LIMIT max_rows FOR UPDATE SKIP LOCKED) n
			WHERE o.case_id = n.case_id RETURNING o.case_id
	) SELECT coalesce(jsonb_agg(m.case_id), '[]') INTO cases FROM mine m;
	RETURN cases;
END
$$;

-- Levels are decided one by one and written by one statement a table.

-- What is said of one level: an entry as case_entry_of() takes it. detail.skipped: nobody is there to be told.
CREATE FUNCTION tongguan.escalation_of(c tongguan.case_file, q tongguan.clock_due, k tongguan.clock, t tongguan.case_task,
	r tongguan.escalation_rung, at timestamptz) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
	names text[];
	nobody boolean;
BEGIN
	IF 'department_duty' = ANY (r.watchers) THEN
		names := tongguan.on_duty(t.department, at);
	END IF;
	nobody := cardinality(names) = 0 AND cardinality(r.watchers) = 1;
	RETURN jsonb_build_object('task_id', k.task_id, 'actor', 'system', 'actor_role', 'system', 'action', 'escalate',
		'from_state', c.state, 'to_state', c.state, 'note', 'E' || q.level, 'task_state', t.state, 'task_version', t.version,
		'department', t.department, 'detail', jsonb_strip_nulls(jsonb_build_object('level', q.level, 'clock', k.kind,
			'fire_at', q.fire_at, 'due_at', k.due_at, 'limit', k.limit_text, 'supervise', q.supervise,
			'watchers', CASE WHEN nobody THEN '[]' ELSE to_jsonb(r.watchers) END, 'on_duty', to_jsonb(names),
			'skipped', CASE WHEN nobody THEN true END, 'skipped_from', q.skipped_from)));
END
$$;

-- Fires what is due, in order of deadline, each level once, and of a case one a call. Never waits for a case somebody is working on:
-- that one comes with the next call. Gives how many fired and the µs until the next known one (NULL: none).
CREATE OR REPLACE FUNCTION tongguan.escalate(max_rows integer, OUT fired integer, OUT late_us bigint, OUT next_in_us bigint)
LANGUAGE plpgsql VOLATILE SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
	SET enable_sort = off AS $$
DECLARE
	x record;
	c tongguan.case_file;
	q tongguan.clock_due;
	e jsonb;
	s tongguan.case_entry;
	at timestamptz;
	upto timestamptz := clock_timestamp(); -- one instant, where the search in the index ends
	due tongguan.clock_due[];
	files tongguan.case_file[];
	entries tongguan.case_entry[];
	told tongguan.outbox[];
	done tongguan.clock_due[];
	owed uuid[] := '{}';
BEGIN
	late_us := 0;
	WITH found AS MATERIALIZED (
		SELECT d, f
			FROM tongguan.clock_due d JOIN tongguan.case_file f USING (case_id)
			WHERE d.fired_at IS NULL AND d.fire_at <= upto
			ORDER BY d.fire_at, d.clock_id, d.level LIMIT max_rows FOR UPDATE OF f, d SKIP LOCKED
	), first AS (
		SELECT DISTINCT ON ((d).case_id) d, f FROM found ORDER BY (d).case_id, (d).fire_at, (d).clock_id, (d).level
	) SELECT array_agg(d ORDER BY (d).fire_at, (d).clock_id), array_agg(f ORDER BY (d).fire_at, (d).clock_id) INTO due, files FROM first;
	fired := coalesce(cardinality(due), 0);
	-- Clock and task are read under the lock of their case.
	FOR x IN SELECT u.n, k, t, r FROM unnest(due) WITH ORDINALITY AS u(clock_id, level, case_id, fire_at, supervise, fired_at, skipped_from, n)
			JOIN tongguan.clock k ON k.clock_id = u.clock_id LEFT JOIN tongguan.case_task t ON t.task_id = k.task_id
			LEFT JOIN tongguan.escalation_rung r ON r.clock = k.kind AND r.urgency = (files[u.n]).urgency AND r.level = u.level
			ORDER BY u.n LOOP
		q := due[x.n];
		c := files[x.n];
		at := greatest(clock_timestamp(), c.log_at);
		e := tongguan.escalation_of(c, q, x.k, x.t, x.r, at);
		-- Whoever comes next is told now, and does not wait out the time between.
		IF e -> 'detail' ? 'skipped' THEN
			UPDATE tongguan.clock_due d SET fire_at = at, skipped_from = q.level
				WHERE d.clock_id = q.clock_id AND d.fired_at IS NULL AND d.fire_at > at AND d.level = (SELECT min(n.level)
					FROM tongguan.clock_due n WHERE n.clock_id = q.clock_id AND n.level > q.level AND n.fired_at IS NULL);
		END IF;
		c.escalation_level := greatest(c.escalation_level, q.level);
		c.supervise_level := greatest(c.supervise_level, q.supervise);
		c.overdue := c.overdue OR ((x.k).kind = 'handle' AND (x.k).due_at <= at);
		c.version := c.version + 1;
		s := tongguan.case_entry_of(c, e, at);
		c.log_seq := s.seq;
		c.log_hash := s.hash;
		c.log_at := s.at;
		q.fired_at := at;
		IF (x.r).reply THEN
			owed := array_append(owed, c.case_id);
		END IF;
		done := array_append(done, q);
		entries := array_append(entries, s);
		told := array_append(told, tongguan.case_message(c, s, e));
		files[x.n] := c;
		late_us := greatest(late_us, tongguan.time_to_us(at) - tongguan.time_to_us(q.fire_at));
	END LOOP;
	IF fired > 0 THEN
		UPDATE tongguan.clock_due d SET fired_at = n.fired_at FROM unnest(done) n WHERE d.clock_id = n.clock_id AND d.level = n.level;
		INSERT INTO tongguan.case_entry SELECT (n).* FROM unnest(entries) n;
		INSERT INTO tongguan.outbox (kind, case_id, task_id, doc)
			SELECT o.kind, o.case_id, o.task_id, o.doc FROM unnest(told) WITH ORDINALITY AS o ORDER BY o.ordinality;
		UPDATE tongguan.case_file f SET version = n.version, escalation_level = n.escalation_level, supervise_level = n.supervise_level,
				overdue = n.overdue, log_seq = n.log_seq, log_hash = n.log_hash, log_at = n.log_at
			FROM unnest(files) n WHERE f.case_id = n.case_id;
		INSERT INTO tongguan.reply_owed SELECT o, at, NULL FROM unnest(owed) o
			ON CONFLICT (case_id) DO UPDATE SET since = excluded.since, asked_at = NULL;
	END IF;
	SELECT greatest(tongguan.time_to_us(min(d.fire_at)) - tongguan.now_us(), 0) INTO next_in_us
		FROM tongguan.clock_due d WHERE d.fired_at IS NULL;
END
$$;
DROP FUNCTION tongguan.escalate_one(tongguan.case_file, tongguan.clock_due, timestamptz);
