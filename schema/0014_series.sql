-- The kinds that look at one source's words in order of time (threshold, silence), and the rules that run.

-- A span: a source beyond its limit, or silent, from an instant until another. Which spans there are may still change while late
-- words are in time; whoever tells of a source says from when on its spans are these and no others.
CREATE TABLE tongguan.incident_span (
	rule_id        text NOT NULL,
	source_id      text NOT NULL,
	raised_at      timestamptz NOT NULL,
	cleared_at     timestamptz,              -- NULL: it stands
	cleared_value  double precision,         -- of the reading that cleared it
	above          double precision,         -- the device's own limits, where they count
	below          double precision,
	area           text NOT NULL,            -- what folds: a street's or district's code, else the source itself
	part           integer NOT NULL,         -- the partition that told it
	incident_id    uuid REFERENCES tongguan.incident (incident_id),
	uids           uuid[] NOT NULL,          -- its members
	members        jsonb NOT NULL,           -- [{u, t, v, y, x, l, c}]: uid, µs, value, type, lon, lat, cell
	PRIMARY KEY (rule_id, source_id, raised_at)
);
CREATE INDEX incident_span_area ON tongguan.incident_span (rule_id, area, raised_at);
CREATE INDEX incident_span_of ON tongguan.incident_span (incident_id);
CREATE INDEX incident_span_standing ON tongguan.incident_span (part) WHERE cleared_at IS NULL;

-- How far each partition has told of the series of a rule (by the print of its definition): by the watermark, then the offset. What
-- is judged again from an older state is told when it has come there.
CREATE TABLE tongguan.incident_told (
	part     integer NOT NULL,
	print    text NOT NULL,
	mark_us  bigint NOT NULL,
	next     bigint NOT NULL,
	PRIMARY KEY (part, print)
);

-- Whose word counts: an owner whose transaction comes after another has claimed the partition says nothing any more.
CREATE TABLE tongguan.incident_owner (
	part   integer PRIMARY KEY,
	epoch  bigint NOT NULL
);

ALTER TABLE tongguan.incident ADD COLUMN area text;
-- Of what was merged or withdrawn: by which batch, so that a crash before the messages leaves nobody untold.
CREATE INDEX incident_ended ON tongguan.incident (merged_part, merged_next) WHERE state = 'withdrawn';

-- The rules that run, as correlate loaded them last.
CREATE TABLE tongguan.rule (
	rule_id     text PRIMARY KEY,
	version     integer NOT NULL,
	pack        text NOT NULL,
	kind        text NOT NULL,
	domain      text NOT NULL,
	severity    smallint NOT NULL,
	title       text,
	definition  jsonb NOT NULL,
	loaded_at   timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT, INSERT, UPDATE, DELETE ON tongguan.incident_span, tongguan.rule TO tongguan_correlate;
GRANT SELECT, INSERT, UPDATE ON tongguan.incident_told, tongguan.incident_owner TO tongguan_correlate;
GRANT DELETE ON tongguan.incident_event TO tongguan_correlate;
GRANT SELECT ON tongguan.device, tongguan.street TO tongguan_correlate;
GRANT SELECT ON tongguan.incident_span, tongguan.rule TO tongguan_dispatch;
GRANT SELECT ON tongguan.rule TO tongguan_read;

-- Takes over what one story says. Gives the incidents of spans that are no more, and the areas that it touched.
CREATE FUNCTION tongguan.incident_retell(batch jsonb, story jsonb, OUT gone uuid[], OUT areas text[])
LANGUAGE plpgsql AS $$
DECLARE
	rule text := story ->> 'rule';
	source text := story ->> 'source';
	from_at timestamptz := tongguan.us_to_time((story ->> 'from_us')::bigint);
	kept timestamptz[] := '{}';
	one jsonb;
	at timestamptz;
	ends timestamptz;
	their uuid[];
BEGIN
	areas := ARRAY[story ->> 'area'];
	FOR one IN SELECT s FROM jsonb_array_elements(story -> 'spans') WITH ORDINALITY AS a(s, n) ORDER BY n LOOP
		at := tongguan.us_to_time((one ->> 'r')::bigint);
		ends := tongguan.us_to_time((one ->> 'c')::bigint);
		kept := kept || at;
		IF (one ->> 'on')::boolean THEN
			UPDATE tongguan.incident_span s SET cleared_at = ends, cleared_value = (one ->> 'cv')::float8
				WHERE s.rule_id = rule AND s.source_id = source AND s.raised_at = at AND s.cleared_at IS DISTINCT FROM ends;
			CONTINUE;
		END IF;
		SELECT array_agg((m ->> 'u')::uuid) INTO their FROM jsonb_array_elements(one -> 'm') m;
		INSERT INTO tongguan.incident_span AS s (rule_id, source_id, raised_at, cleared_at, cleared_value, above, below, area, part,
				incident_id, uids, members)
			-- A span that took another's place takes its incident too.
			SELECT rule, source, at, ends, (one ->> 'cv')::float8, (story ->> 'above')::float8, (story ->> 'below')::float8,
				story ->> 'area', (batch ->> 'part')::integer,
				(SELECT o.incident_id FROM tongguan.incident_span o WHERE o.rule_id = rule AND o.source_id = source
					AND o.raised_at >= from_at AND o.uids && their ORDER BY o.raised_at LIMIT 1), their, one -> 'm'
			ON CONFLICT (rule_id, source_id, raised_at) DO UPDATE SET cleared_at = excluded.cleared_at,
				cleared_value = excluded.cleared_value, part = excluded.part, uids = excluded.uids, members = excluded.members
			WHERE (s.cleared_at, s.uids) IS DISTINCT FROM (excluded.cleared_at, excluded.uids);
	END LOOP;
	WITH struck AS (
		DELETE FROM tongguan.incident_span s
			WHERE s.rule_id = rule AND s.source_id = source AND s.raised_at >= from_at AND s.raised_at <> ALL (kept)
			RETURNING s.incident_id, s.area
	)
	SELECT coalesce(array_agg(DISTINCT k.incident_id) FILTER (WHERE k.incident_id IS NOT NULL), '{}'),
			areas || coalesce(array_agg(k.area), '{}') INTO gone, areas FROM struck k;
	-- Where the device lay when it fell silent is where that silence belongs.
	SELECT array_agg(DISTINCT x) INTO areas FROM (SELECT unnest(areas) AS x UNION
		SELECT s.area FROM tongguan.incident_span s WHERE s.rule_id = rule AND s.source_id = source AND s.raised_at = ANY (kept)) u;
END
$$;

-- Members, bounds, state and explanation of one incident from its spans as they are now. True when that changed something.
CREATE FUNCTION tongguan.incident_tell_spans(batch jsonb, rule text, id uuid) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
	def jsonb := batch -> 'rules' -> rule;
	moved boolean;
BEGIN
	DELETE FROM tongguan.incident_event e WHERE e.incident_id = id AND e.rule_id = rule AND NOT EXISTS (
		SELECT FROM tongguan.incident_span s WHERE s.incident_id = id AND e.event_uid = ANY (s.uids));
	moved := FOUND;
	INSERT INTO tongguan.incident_event AS ie (rule_id, event_uid, incident_id, occurred_at, core, reporter)
		SELECT DISTINCT ON (m.u) rule, m.u, id, tongguan.us_to_time(m.t), m.u = s.uids[cardinality(s.uids)],
			hashtextextended(s.source_id, 0)
		FROM tongguan.incident_span s, jsonb_to_recordset(s.members) AS m(u uuid, t bigint) WHERE s.incident_id = id
		ON CONFLICT (rule_id, event_uid) DO UPDATE SET incident_id = excluded.incident_id, core = excluded.core
			WHERE (ie.incident_id, ie.core) IS DISTINCT FROM (excluded.incident_id, excluded.core);
	moved := moved OR FOUND;
	WITH s AS (
		SELECT * FROM tongguan.incident_span s WHERE s.incident_id = id
	), c AS (
		SELECT min(e.occurred_at) AS first_at, max(e.occurred_at) AS last_at, count(*) AS events, count(*) FILTER (WHERE e.core) AS cores
		FROM tongguan.incident_event e WHERE e.incident_id = id
	), spans AS (
		SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('source_id', x.source_id,
				'since', to_char(x.raised_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
				'until', to_char(x.cleared_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
				'above', x.above, 'below', x.below, 'cleared_value', x.cleared_value,
				CASE def ->> 'kind' WHEN 'silence' THEN 'last_heard' ELSE 'readings' END,
				(SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('event_uid', m.u, 'value', m.v,
					'at', to_char(tongguan.us_to_time(m.t) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))) ORDER BY m.t, m.u)
					FROM (SELECT * FROM jsonb_to_recordset(x.members) AS m(u uuid, t bigint, v float8) ORDER BY m.t DESC, m.u DESC
						LIMIT 20) m)
			)) ORDER BY x.raised_at, x.source_id) AS list
		FROM (SELECT * FROM s ORDER BY s.cleared_at IS NULL DESC, s.raised_at DESC, s.source_id LIMIT 50) x
	), now AS (
		SELECT c.*, (def -> 'explanation') || jsonb_build_object(
				'case_type', coalesce(def -> 'explanation' ->> 'case_type', f.type_code),
				'area', f.area,
				'counts', jsonb_build_object('events', c.events, 'cores', c.cores, 'reporters', a.sources, 'spans', a.spans,
					'standing', a.standing),
				'spans', spans.list) AS explanation,
			CASE WHEN a.standing > 0 THEN 'open' ELSE 'cleared' END AS state,
			f.core_at, f.core_uid, f.type_code, f.grid_cell, f.geom,
			ARRAY(SELECT e.event_uid FROM tongguan.incident_event e WHERE e.incident_id = id
				ORDER BY e.occurred_at, e.event_uid LIMIT 100) AS evidence
		FROM c, spans, (SELECT count(*) AS spans, count(DISTINCT s.source_id) AS sources,
				count(*) FILTER (WHERE s.cleared_at IS NULL) AS standing FROM s) a,
			(SELECT x.area, tongguan.us_to_time(m.t) AS core_at, m.u AS core_uid, m.y AS type_code, m.c AS grid_cell,
				public.ST_SetSRID(public.ST_MakePoint(m.x, m.l), 4326) AS geom
			FROM (SELECT * FROM s ORDER BY s.raised_at, s.source_id LIMIT 1) x,
				jsonb_to_recordset(x.members) AS m(u uuid, t bigint, y text, c text, x float8, l float8)
			ORDER BY m.t DESC, m.u DESC LIMIT 1) f
	)
	UPDATE tongguan.incident i SET revision = i.revision + 1, state = n.state, merged_into = NULL,
			first_event_at = n.first_at, last_event_at = n.last_at, event_count = n.events, core_at = n.core_at,
			core_uid = n.core_uid, type_code = n.type_code, grid_cell = n.grid_cell, geom = n.geom, evidence = n.evidence,
			explanation = n.explanation
		FROM now n
		WHERE i.incident_id = id AND (moved OR (i.state, i.event_count, i.core_uid, i.explanation)
			IS DISTINCT FROM (n.state, n.events, n.core_uid, n.explanation));
	RETURN FOUND;
END
$$;

-- The incidents of one area of a rule, from its spans: those that overlap, or follow each other within the rule's cool-down, are one.
-- Each keeps the id that its earliest span had; one that all its spans have left is merged where they went, or withdrawn.
-- touched: incidents whose spans lie at or after from_at; all of them may have changed.
CREATE FUNCTION tongguan.incident_area(batch jsonb, rule text, area text, from_at timestamptz, gone uuid[]) RETURNS uuid[]
LANGUAGE plpgsql AS $$
DECLARE
	def jsonb := batch -> 'rules' -> rule;
	cooldown interval := coalesce((def ->> 'cooldown_us')::bigint, 0) * interval '1 microsecond';
	seen uuid[] := gone;
	taken uuid[] := '{}';
	one record;
	chosen uuid;
	other uuid;
BEGIN
	FOR one IN
		WITH s AS (
			SELECT x.raised_at, x.source_id, x.incident_id, x.uids[1] AS uid, coalesce(x.cleared_at, 'infinity') AS ends
			FROM tongguan.incident_span x
			WHERE x.rule_id = rule AND x.area = incident_area.area AND coalesce(x.cleared_at, 'infinity') >= from_at - cooldown
		), o AS (
			SELECT s.*, max(s.ends) OVER (ORDER BY s.raised_at, s.source_id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
			FROM s
		), n AS (
			SELECT o.*, count(*) FILTER (WHERE o.before IS NULL OR o.raised_at > o.before + cooldown
				OR (cooldown = '0' AND o.raised_at >= o.before)) OVER (ORDER BY o.raised_at, o.source_id) AS number
			FROM o
		)
		SELECT n.number, (array_agg(n.uid ORDER BY n.raised_at, n.source_id))[1] AS first_uid, min(n.raised_at) AS raised_at,
			array_agg(n.incident_id ORDER BY n.raised_at, n.source_id) FILTER (WHERE n.incident_id IS NOT NULL) AS ids,
			array_agg(n.source_id) AS sources, array_agg(n.raised_at) AS raised
		FROM n GROUP BY n.number ORDER BY n.number
	LOOP
		chosen := NULL;
		FOREACH other IN ARRAY coalesce(one.ids, '{}') LOOP
			IF other <> ALL (seen) THEN
				seen := seen || other;
			END IF;
			IF chosen IS NULL AND other <> ALL (taken) THEN
				chosen := other;
			END IF;
		END LOOP;
		IF chosen IS NULL THEN
			chosen := md5(rule || ':' || one.first_uid)::uuid;
			INSERT INTO tongguan.incident (incident_id, rule_id, rule_version, kind, domain, severity, part, window_us, revision,
					first_event_at, last_event_at, event_count, core_at, core_uid, evidence, explanation, area)
				VALUES (chosen, rule, (def ->> 'version')::integer, def ->> 'kind', def ->> 'domain', (def ->> 'severity')::smallint,
					(batch ->> 'part')::integer, 0, 0, one.raised_at, one.raised_at, 0, one.raised_at, one.first_uid, '{}', '{}', area)
				ON CONFLICT (incident_id) DO NOTHING;
			seen := seen || chosen;
		END IF;
		taken := taken || chosen;
		UPDATE tongguan.incident_span s SET incident_id = chosen
			FROM unnest(one.sources, one.raised) AS k(source_id, raised_at)
			WHERE s.rule_id = rule AND s.source_id = k.source_id AND s.raised_at = k.raised_at AND s.incident_id IS DISTINCT FROM chosen;
		UPDATE tongguan.incident i SET state = 'merged', merged_into = chosen, revision = i.revision + 1,
				merged_part = (batch ->> 'part')::integer, merged_next = (batch ->> 'next')::bigint
			WHERE (i.incident_id = ANY (one.ids) AND i.incident_id <> chosen AND i.state <> 'merged'
				AND NOT EXISTS (SELECT FROM tongguan.incident_span s WHERE s.incident_id = i.incident_id));
	END LOOP;
	FOREACH other IN ARRAY seen LOOP
		IF EXISTS (SELECT FROM tongguan.incident_span s WHERE s.incident_id = other) THEN
			PERFORM tongguan.incident_tell_spans(batch, rule, other);
			CONTINUE;
		END IF;
		DELETE FROM tongguan.incident_event e WHERE e.incident_id = other AND e.rule_id = rule;
		UPDATE tongguan.incident i SET state = 'withdrawn', revision = i.revision + 1,
				merged_part = (batch ->> 'part')::integer, merged_next = (batch ->> 'next')::bigint,
				explanation = i.explanation || '{"withdrawn": "a late reading shows that it never was"}'
			WHERE i.incident_id = other AND i.state IN ('open', 'cleared');
		-- What was merged into one that moved on goes with it.
		UPDATE tongguan.incident i SET merged_into = m.merged_into FROM tongguan.incident m
			WHERE i.merged_into = other AND m.incident_id = other AND m.merged_into IS NOT NULL;
	END LOOP;
	RETURN seen;
END
$$;

-- A new owner: waits for what the one before has under way, then says how far all has been told.
CREATE FUNCTION tongguan.incident_claim(of_part integer, of_epoch bigint) RETURNS TABLE (print text, mark_us bigint, next bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
	INSERT INTO tongguan.incident_owner AS o (part, epoch) VALUES (of_part, of_epoch)
		ON CONFLICT (part) DO UPDATE SET epoch = greatest(o.epoch, excluded.epoch);
	RETURN QUERY SELECT t.print, t.mark_us, t.next FROM tongguan.incident_told t WHERE t.part = of_part;
END
$$;

-- All stories of a batch. Gives the ids touched, each with its trace where exactly one story did it.
CREATE FUNCTION tongguan.incident_stories(batch jsonb) RETURNS TABLE (id uuid, trace text)
LANGUAGE plpgsql AS $$
DECLARE
	one jsonb;
	place record;
	said record;
	-- (rule, area, from, trace) of every story, and what it struck out
	rules text[] := '{}';
	areas text[] := '{}';
	froms timestamptz[] := '{}';
	tps text[] := '{}';
	struck uuid[] := '{}';
	struck_rules text[] := '{}';
	started timestamptz;
BEGIN
	PERFORM FROM tongguan.incident_owner o WHERE o.part = (batch ->> 'part')::integer AND o.epoch = (batch ->> 'epoch')::bigint FOR UPDATE;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	INSERT INTO tongguan.incident_told AS t (part, print, mark_us, next)
		SELECT DISTINCT (batch ->> 'part')::integer, batch -> 'rules' -> (s ->> 'rule') ->> 'print', (batch ->> 'mark_us')::bigint,
			(batch ->> 'next')::bigint
		FROM jsonb_array_elements(coalesce(batch -> 'stories', '[]')) s
		ON CONFLICT (part, print) DO UPDATE SET mark_us = excluded.mark_us, next = excluded.next
		WHERE (t.mark_us, t.next) <= (excluded.mark_us, excluded.next);
	FOR one IN SELECT s FROM jsonb_array_elements(coalesce(batch -> 'stories', '[]')) WITH ORDINALITY AS a(s, n) ORDER BY n LOOP
		SELECT least(tongguan.us_to_time((one ->> 'from_us')::bigint), min(tongguan.us_to_time((s ->> 'r')::bigint))) INTO started
			FROM jsonb_array_elements(one -> 'spans') s;
		SELECT r.gone, r.areas INTO said FROM tongguan.incident_retell(batch, one) r;
		rules := rules || array_fill(one ->> 'rule', ARRAY[cardinality(said.areas)]);
		areas := areas || said.areas;
		froms := froms || array_fill(started, ARRAY[cardinality(said.areas)]);
		tps := tps || array_fill(one ->> 'tp', ARRAY[cardinality(said.areas)]);
		struck := struck || said.gone;
		struck_rules := struck_rules || array_fill(one ->> 'rule', ARRAY[cardinality(said.gone)]);
	END LOOP;
	FOR place IN SELECT r AS rule, a AS area, min(f) AS from_at, CASE WHEN count(*) = 1 THEN max(p) END AS tp
			FROM unnest(rules, areas, froms, tps) AS u(r, a, f, p) GROUP BY r, a ORDER BY r, a LOOP
		RETURN QUERY SELECT t, place.tp FROM unnest(tongguan.incident_area(batch, place.rule, place.area, place.from_at,
			ARRAY(SELECT k.id FROM unnest(struck_rules, struck) AS k(rule, id) JOIN tongguan.incident i ON i.incident_id = k.id
				WHERE k.rule = place.rule AND i.area = place.area))) t;
	END LOOP;
END
$$;

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
	-- It says by which batch: when the owner is gone between the row and the message, the next one finds it (queries/incident_unruled) and
	-- tells it. By time alone it would not, where raising and clearing have the same watermark.
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
