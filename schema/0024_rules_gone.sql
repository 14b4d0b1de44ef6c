-- What becomes of a threshold's or silence's incident whose rule runs no more, or is another now: nobody would ever say that it ended.

-- The definition that it stands by; NULL for kinds without spans, and for what was raised before this column was.
ALTER TABLE tongguan.incident ADD COLUMN print text;
-- Of what was retired: by which batch, so that a crash before the messages leaves nobody untold.
CREATE INDEX incident_retired ON tongguan.incident (merged_part, merged_next) WHERE state = 'cleared' AND merged_next IS NOT NULL;

-- Ends what stands of the incidents of batch -> 'retire' at the batch's watermark, and says why in the explanation.
CREATE FUNCTION tongguan.incident_retire(batch jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
	ends timestamptz;
	one record;
BEGIN
	IF coalesce(jsonb_array_length(batch -> 'retire'), 0) = 0 THEN
		RETURN;
	END IF;
	ends := tongguan.us_to_time((batch ->> 'mark_us')::bigint); -- a batch before the first watermark retires nothing
	PERFORM FROM tongguan.incident_owner o WHERE o.part = (batch ->> 'part')::integer AND o.epoch = (batch ->> 'epoch')::bigint FOR UPDATE;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	FOR one IN SELECT r.id, r.why FROM jsonb_to_recordset(batch -> 'retire') AS r(id uuid, why text) LOOP
		-- Told once more, not ended once more.
		CONTINUE WHEN NOT EXISTS (SELECT FROM tongguan.incident i WHERE i.incident_id = one.id AND i.state = 'open');
		UPDATE tongguan.incident_span s SET cleared_at = greatest(s.raised_at, ends)
			WHERE s.incident_id = one.id AND s.cleared_at IS NULL;
		-- Out of the way of what a rule of that name says now or later, which may reach back to before it began.
		DELETE FROM tongguan.incident_span s USING tongguan.incident_span o
			WHERE o.incident_id = one.id AND s.rule_id = o.rule_id || ' ' || one.id AND (s.source_id, s.raised_at) = (o.source_id, o.raised_at);
		UPDATE tongguan.incident_span s SET rule_id = s.rule_id || ' ' || one.id
			WHERE s.incident_id = one.id AND s.rule_id NOT LIKE '% ' || one.id;
		UPDATE tongguan.incident i SET state = 'cleared', revision = i.revision + 1,
				merged_part = (batch ->> 'part')::integer, merged_next = (batch ->> 'next')::bigint,
				explanation = i.explanation
					|| jsonb_build_object('ended', jsonb_build_object('reason', one.why,
						'at', to_char(ends AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')))
					|| jsonb_build_object('counts', coalesce(i.explanation -> 'counts', '{}') || '{"standing": 0}')
					|| jsonb_build_object('spans', (SELECT coalesce(jsonb_agg(
							jsonb_build_object('until', to_char(ends AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) || x ORDER BY n), '[]')
						FROM jsonb_array_elements(coalesce(i.explanation -> 'spans', '[]')) WITH ORDINALITY AS a(x, n)))
			WHERE i.incident_id = one.id;
	END LOOP;
END
$$;

-- batch: {part, epoch, from, next, mark_us, rules: {id: {version, kind, domain, severity, window_us, cooldown_us, explanation}}, singles:
-- [...], groups: [{rule, members, tp}], stories: [{rule, source, area, from_us, spans, tp}], clear: [{id, before_us}], retire: [{id, why}]}. Returns a row
-- for all that it touched, whether or not this call changed it, and for what was merged into those, withdrawn or retired by a batch after
-- `from`: a crash between the rows and the messages leaves nobody untold. trace is set where exactly one event did it.
CREATE OR REPLACE FUNCTION tongguan.incident_apply(batch jsonb)
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
	FOR name IN SELECT k FROM jsonb_object_keys(batch -> 'rules') k
			UNION SELECT i.rule_id FROM jsonb_to_recordset(coalesce(batch -> 'retire', '[]')) AS r(id uuid)
				JOIN tongguan.incident i ON i.incident_id = r.id ORDER BY 1 LOOP
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
	PERFORM tongguan.incident_retire(batch);
	SELECT touched || coalesce(array_agg(s.id), '{}'), traces || coalesce(array_agg(s.trace), '{}') INTO touched, traces
		FROM tongguan.incident_stories(batch) s;
	UPDATE tongguan.incident i SET print = batch -> 'rules' -> i.rule_id ->> 'print'
		WHERE i.incident_id = ANY (touched) AND i.kind IN ('threshold', 'silence')
			AND i.print IS DISTINCT FROM batch -> 'rules' -> i.rule_id ->> 'print';
	UPDATE tongguan.incident i SET state = 'cleared', revision = i.revision + 1
		FROM jsonb_to_recordset(batch -> 'clear') AS c(id uuid, before_us bigint)
		WHERE i.incident_id = c.id AND i.state = 'open' AND i.window_us > 0
			AND tongguan.time_to_us(i.last_event_at) + i.window_us < c.before_us;
	RETURN QUERY
		WITH t AS (
			SELECT a.id, a.trace FROM unnest(touched, traces) AS a(id, trace)
			UNION ALL
			SELECT (c ->> 'id')::uuid, NULL FROM jsonb_array_elements(batch -> 'clear') c
			UNION ALL
			SELECT (c ->> 'id')::uuid, NULL FROM jsonb_array_elements(coalesce(batch -> 'retire', '[]')) c
		), once AS (
			SELECT t.id, CASE WHEN count(*) = 1 THEN max(t.trace) END AS trace FROM t GROUP BY t.id
		), all_told AS (
			SELECT o.id, o.trace FROM once o
			UNION
			SELECT m.incident_id, NULL FROM once o JOIN tongguan.incident m ON m.merged_into = o.id
				WHERE m.merged_part = (batch ->> 'part')::integer AND m.merged_next > (batch ->> 'from')::bigint
			UNION
			SELECT w.incident_id, NULL FROM tongguan.incident w
				WHERE w.state = 'withdrawn' AND w.merged_part = (batch ->> 'part')::integer
					AND w.merged_next > (batch ->> 'from')::bigint
		)
		SELECT DISTINCT ON (i.incident_id) i.incident_id, i.state, i.part, tongguan.time_to_us(i.last_event_at), i.window_us,
			i.rule_id, a.trace, tongguan.incident_doc(i)::text
		FROM all_told a JOIN tongguan.incident i ON i.incident_id = a.id
		ORDER BY i.incident_id, a.trace NULLS LAST;
END
$$;
