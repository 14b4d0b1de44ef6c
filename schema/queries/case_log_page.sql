-- A case's trace from its beginning; one row of NULLs when there is no more. $1 case_id, $2 the caller's department,
-- $3 last seq shown, $4 limit
SELECT e.seq, jsonb_build_object('seq', e.seq, 'task_id', e.task_id, 'at', e.at, 'actor', e.actor,
	'actor_role', e.actor_role, 'action', e.action, 'from_state', e.from_state, 'to_state', e.to_state, 'note', e.note,
	'detail', e.detail, 'prev_hash', encode(e.prev_hash, 'hex'), 'hash', encode(e.hash, 'hex'))::text
FROM tongguan.case_file c
LEFT JOIN LATERAL (
	SELECT * FROM tongguan.case_log l
	WHERE l.case_id = c.case_id AND l.seq > $3::bigint
	ORDER BY l.seq
	LIMIT $4::bigint
) e ON true
WHERE c.case_id = $1::uuid AND ($2::text IS NULL OR c.departments @> ARRAY[$2::text])
ORDER BY e.seq
