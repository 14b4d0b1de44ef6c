-- An incident that is cleared by quiet also says by which batch: when the owner is gone between the row and the message, the next one finds
-- it (queries/incident_unruled) and tells it. By time alone it did not, where raising and clearing had the same watermark.

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
	UPDATE tongguan.incident i SET state = 'cleared', revision = i.revision + 1,
			merged_part = (batch ->> 'part')::integer, merged_next = (batch ->> 'next')::bigint
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
