-- Tasks by their deadline. $1 department $2 states $3 due before, µs $4 the caller's department $5 due µs and $6 id of the
-- last shown $7 limit
(SELECT jsonb_build_object('task_id', k.task_id, 'case',
		(SELECT v.doc FROM tongguan.case_docs v WHERE v.case_id = c.case_id))::text,
	tongguan.time_to_us(k.due_at), k.task_id, tongguan.now_us()
FROM tongguan.case_task k
JOIN tongguan.case_file c ON c.case_id = k.case_id
WHERE k.due_at IS NOT NULL
	AND ($1::text IS NULL OR k.department = $1::text)
	AND ($2::text[] IS NULL OR k.state = ANY ($2::text[]))
	AND ($3::bigint IS NULL OR k.due_at < tongguan.us_to_time($3::bigint))
	AND ($4::text IS NULL OR k.department = $4::text)
	AND ($6::uuid IS NULL OR (k.due_at, k.task_id) > (tongguan.us_to_time($5::bigint), $6::uuid))
ORDER BY k.due_at, k.task_id
LIMIT $7::bigint)
UNION ALL
(SELECT jsonb_build_object('task_id', k.task_id, 'case',
		(SELECT v.doc FROM tongguan.case_docs v WHERE v.case_id = c.case_id))::text,
	tongguan.time_to_us(k.due_at), k.task_id, tongguan.now_us()
FROM tongguan.case_task k
JOIN tongguan.case_file c ON c.case_id = k.case_id
WHERE k.due_at IS NULL AND $3::bigint IS NULL
	AND ($1::text IS NULL OR k.department = $1::text)
	AND ($2::text[] IS NULL OR k.state = ANY ($2::text[]))
	AND ($4::text IS NULL OR k.department = $4::text)
	AND ($5::bigint IS NOT NULL OR $6::uuid IS NULL OR k.task_id > $6::uuid)
ORDER BY k.task_id
LIMIT $7::bigint)
LIMIT $7::bigint
