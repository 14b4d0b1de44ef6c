-- How many of these are there for the caller to see? $1 array of hashes in hex, each once, $2 the caller's department, $3 the caller
SELECT count(*)
FROM unnest($1::text[]) AS asked(hex)
JOIN tongguan.photo p ON p.hash = decode(asked.hex, 'hex')
WHERE $2::text IS NULL
	OR EXISTS (SELECT FROM tongguan.photo_source s WHERE s.hash = p.hash AND (s.department = $2::text OR s.actor = $3::text))
	OR EXISTS (SELECT FROM tongguan.case_entry e JOIN tongguan.case_file c ON c.case_id = e.case_id
		WHERE e.detail ? 'photos' AND e.detail -> 'photos' ? asked.hex AND c.departments @> ARRAY[$2::text])
