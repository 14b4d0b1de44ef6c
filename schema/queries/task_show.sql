-- $1 task_id, $2 the caller's department
SELECT jsonb_build_object('task_id', k.task_id, 'case', tongguan.case_shown(c))::text, tongguan.now_us()
FROM tongguan.case_task k
JOIN tongguan.case_file c ON c.case_id = k.case_id
WHERE k.task_id = $1::uuid AND ($2::text IS NULL OR k.department = $2::text)
