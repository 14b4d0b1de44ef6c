SELECT name, role, coalesce(department, ''), CASE WHEN revoked_at IS NULL THEN 'active' ELSE 'revoked' END,
	to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
FROM tongguan.token
ORDER BY name
