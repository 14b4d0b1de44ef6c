-- $1 incident_id, $2 the caller's department
SELECT (tongguan.incident_doc(i) || jsonb_build_object('case_id', c.case_id))::text
FROM tongguan.incident i
LEFT JOIN tongguan.case_file c ON c.incident_id = i.incident_id
WHERE i.incident_id = $1::uuid AND ($2::text IS NULL OR c.departments @> ARRAY[$2::text])
