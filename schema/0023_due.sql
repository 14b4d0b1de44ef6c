-- Levels that fall due are found by their index in the order in which they fire, however many clocks run and however many of them
-- run out at the very same instant: at the end of a working day thousands do.
CREATE INDEX clock_due_order ON tongguan.clock_due (fire_at, clock_id, level) WHERE fired_at IS NULL;
DROP INDEX tongguan.clock_due_next;

-- Fires what is due, in order of deadline, each level once. Never waits for a case somebody is working on: that one comes
-- with the next call. Gives how many fired and the µs until the next known one (NULL: none).
CREATE OR REPLACE FUNCTION tongguan.escalate(max_rows integer, OUT fired integer, OUT late_us bigint, OUT next_in_us bigint)
LANGUAGE plpgsql VOLATILE SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
	SET enable_sort = off AS $$
DECLARE
	q tongguan.clock_due;
	c tongguan.case_file;
	at timestamptz;
	upto timestamptz := clock_timestamp(); -- one instant, where the search in the index ends
BEGIN
	fired := 0;
	late_us := 0;
	-- All are locked before the first is written: a row this transaction has changed would be passed over.
	FOR q IN WITH due AS MATERIALIZED (
				SELECT d.*
				FROM tongguan.clock_due d JOIN tongguan.case_file f USING (case_id)
				WHERE d.fired_at IS NULL AND d.fire_at <= upto
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
