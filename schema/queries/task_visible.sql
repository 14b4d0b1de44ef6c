-- $1 task_id, $2 the caller's department
SELECT 1
FROM tongguan.case_task k
WHERE k.task_id = $1::uuid AND ($2::text IS NULL OR k.department = $2::text)
