-- $1 case_id, $2 the caller's department
SELECT tongguan.case_shown(c)::text, tongguan.now_us()
FROM tongguan.case_file c
WHERE c.case_id = $1::uuid AND ($2::text IS NULL OR c.departments @> ARRAY[$2::text])
