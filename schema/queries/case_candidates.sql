-- What routing a case needs: its document, and how many tasks each department has open (at most a thousand are counted).
-- $1 case_id, $2 the caller's department
SELECT tongguan.case_row_doc(c)::text, tongguan.now_us(), (
	SELECT jsonb_object_agg(d.code, (SELECT count(*) FROM (SELECT 1 FROM tongguan.case_task t
		WHERE t.department = d.code AND t.state IN ('assigned', 'signed') LIMIT 1000) x))::text
	FROM tongguan.dept d)
FROM tongguan.case_file c
WHERE c.case_id = $1::uuid AND ($2::text IS NULL OR c.departments @> ARRAY[$2::text])
