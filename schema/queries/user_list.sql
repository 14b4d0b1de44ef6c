SELECT name, role, coalesce(department, ''), CASE WHEN disabled THEN 'disabled' ELSE 'active' END,
	to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'), ''
FROM tongguan.account
ORDER BY name
