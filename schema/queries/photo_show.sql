-- $1 hash, $2 the caller's department, $3 the caller, $4 with the bytes
SELECT p.type, p.size, CASE WHEN $4::boolean THEN encode(p.bytes, 'base64') END
FROM tongguan.photo p
WHERE p.hash = $1::bytea AND ($2::text IS NULL
	OR EXISTS (SELECT FROM tongguan.photo_source s WHERE s.hash = p.hash AND (s.department = $2::text OR s.actor = $3::text))
	OR EXISTS (SELECT FROM tongguan.case_entry e JOIN tongguan.case_file c ON c.case_id = e.case_id
		WHERE e.detail ? 'photos' AND e.detail -> 'photos' ? encode(p.hash, 'hex') AND c.departments @> ARRAY[$2::text]))
