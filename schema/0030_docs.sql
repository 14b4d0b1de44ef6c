-- {merged, reporters} of a case that others were merged into: which, and how many people have reported any of them, each once. One
-- that somebody brought in by hand has no evidence and counts as one.
CREATE OR REPLACE FUNCTION tongguan.case_crowd(id uuid) RETURNS jsonb
LANGUAGE plpgsql STABLE SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
	ids uuid[];
	merged jsonb;
BEGIN
	SELECT id || coalesce(array_agg(b.case_id), '{}'), coalesce(jsonb_agg(jsonb_build_object('case_id', b.case_id, 'case_no', b.case_no,
			'title', b.title, 'reported_at', b.reported_at) ORDER BY b.reported_at, b.case_id), '[]') INTO ids, merged
		FROM tongguan.case_below(id) b;
	RETURN jsonb_build_object('merged', merged, 'reporters', (
		SELECT count(DISTINCT CASE WHEN v.case_id IS NULL THEN '/' || x
				ELSE coalesce(v.doc -> 'report' ->> 'reporter_id', v.source_id) END)
		FROM unnest(ids) x LEFT JOIN tongguan.case_evidence v ON v.case_id = x));
END
$$;

-- What is shown of a case is one view: a list of two hundred has its parts looked up as one statement, which costs half of what a call
-- for each row did.
CREATE VIEW tongguan.case_docs AS
	SELECT c.case_id, jsonb_build_object('case_id', c.case_id, 'case_no', c.case_no, 'incident_id', c.incident_id,
			'origin', c.origin, 'domain', c.domain, 'type_code', c.type_code, 'type_name_zh', t.name_zh,
			'type_name_en', t.name_en, 'type_short_zh', t.short_zh, 'type_short_en', t.short_en,
			'condition', c.condition, 'handle_limit', c.handle_limit, 'title', c.title, 'text', c.body,
			'state', c.state, 'version', c.version, 'grid_cell', c.grid_cell, 'street', c.street, 'district', c.district,
			'geom', public.ST_AsGeoJSON(c.geom, 15)::jsonb, 'lon', public.ST_X(c.geom), 'lat', public.ST_Y(c.geom), 'urgency', c.urgency)
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
		|| jsonb_build_object('related', (
			SELECT coalesce(jsonb_agg(jsonb_build_object('case_id', o.case_id, 'case_no', o.case_no, 'title', o.title,
				'state', o.state, 'kind', r.kind) ORDER BY o.reported_at, o.case_id), '[]')
			FROM (SELECT c.recurs AS other, 'repeats' AS kind WHERE c.recurs IS NOT NULL
				UNION ALL SELECT f.case_id, 'repeated_by' FROM tongguan.case_file f WHERE f.recurs = c.case_id
				UNION ALL SELECT l.other, 'beside' FROM tongguan.case_link l WHERE l.case_id = c.case_id
				UNION ALL SELECT l.case_id, 'beside' FROM tongguan.case_link l WHERE l.other = c.case_id) r
			JOIN tongguan.case_file o ON o.case_id = r.other))
		-- Nearly all are cases that nothing was merged into.
		|| CASE WHEN EXISTS (SELECT FROM tongguan.case_file f WHERE f.merged_into = c.case_id) THEN tongguan.case_crowd(c.case_id)
			ELSE jsonb_build_object('merged', '[]'::jsonb, 'reporters', (
				SELECT greatest(count(DISTINCT coalesce(v.doc -> 'report' ->> 'reporter_id', v.source_id)), 1)
				FROM tongguan.case_evidence v WHERE v.case_id = c.case_id)) END AS doc
	FROM tongguan.case_file c
	LEFT JOIN tongguan.case_type t ON t.type_code = c.type_code
	LEFT JOIN tongguan.street s ON s.code = c.street;
GRANT SELECT ON tongguan.case_docs TO tongguan_dispatch;

-- Of the row as this transaction sees it.
CREATE FUNCTION tongguan.case_shown(c tongguan.case_file) RETURNS jsonb
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan
	SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
	RETURN (SELECT v.doc FROM tongguan.case_docs v WHERE v.case_id = c.case_id);
END
$$;

-- What is decided on is less than what is shown: the row, its tasks and its clocks. The same names mean the same as above.
CREATE OR REPLACE FUNCTION tongguan.case_row_doc(c tongguan.case_file) RETURNS jsonb
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan
	SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
	RETURN jsonb_build_object('case_id', c.case_id, 'case_no', c.case_no, 'incident_id', c.incident_id,
			'origin', c.origin, 'domain', c.domain, 'type_code', c.type_code, 'condition', c.condition, 'handle_limit', c.handle_limit, 'title', c.title,
			'state', c.state, 'version', c.version, 'grid_cell', c.grid_cell, 'street', c.street, 'district', c.district,
			'lon', public.ST_X(c.geom), 'lat', public.ST_Y(c.geom), 'urgency', c.urgency,
			'suspended', c.suspended, 'emergency', c.emergency, 'merged_into', c.merged_into, 'supervise_level', c.supervise_level,
			'escalation_level', c.escalation_level, 'rework_count', c.rework_count, 'return_count', c.return_count,
			'extension_count', c.extension_count, 'round', c.round, 'reported_at', c.reported_at, 'filed_at', c.filed_at,
			'dispatched_at', c.dispatched_at, 'done_at', c.done_at, 'closed_at', c.closed_at, 'overdue', c.overdue,
			'departments', to_jsonb(c.departments))
		|| jsonb_build_object(
			'tasks', (SELECT coalesce(jsonb_agg(jsonb_build_object('task_id', k.task_id, 'department', k.department, 'role', k.role,
					'state', k.state, 'version', k.version, 'round', k.round, 'assigned_at', k.assigned_at,
					'signed_at', k.signed_at, 'due_at', k.due_at, 'done_at', k.done_at, 'result', k.result,
					'request', k.request, 'extensions', k.extensions, 'suspended', k.suspended,
					'suspended_until', k.suspended_until, 'appealed_at', k.appealed_at) ORDER BY k.task_id), '[]')
				FROM tongguan.case_task k WHERE k.case_id = c.case_id),
			'clocks', (SELECT coalesce(jsonb_agg(tongguan.clock_doc(k) ORDER BY k.clock_id), '[]')
				FROM tongguan.clock k WHERE k.case_id = c.case_id AND (k.state <> 'stopped' OR k.kind = 'handle')),
			'master', CASE WHEN c.merged_into IS NOT NULL THEN (SELECT jsonb_build_object('case_id', m.case_id,
					'state', m.state, 'closed_at', m.closed_at) FROM tongguan.case_master(c.merged_into) m) END);
END
$$;

CREATE OR REPLACE FUNCTION tongguan.case_act(change jsonb, key_scope text, key_text text, hash bytea) RETURNS jsonb
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	c tongguan.case_file := tongguan.case_apply(change);
	doc jsonb := tongguan.case_shown(c);
BEGIN
	IF key_text <> '' THEN
		PERFORM tongguan.idempotency_keep(key_scope, key_text, hash,
			jsonb_build_object('doc', doc, 'now_us', tongguan.time_to_us((change ->> 'at')::timestamptz)));
	END IF;
	RETURN doc;
END
$$;
DROP FUNCTION tongguan.case_doc(uuid);
DROP FUNCTION tongguan.task_doc(uuid);

-- Asked some times a second for ever, and always the same way: planned once a session.
ALTER FUNCTION tongguan.escalate(integer) SET plan_cache_mode = force_generic_plan;
ALTER FUNCTION tongguan.tasks_to_resume(integer) SET plan_cache_mode = force_generic_plan;
