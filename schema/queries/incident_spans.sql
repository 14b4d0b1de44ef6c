-- When which device was beyond its limit or silent, by the readings that said so; $1 is the incident's id as text. The limits of a
-- device are those that the registry has now; told_until: how far in event time the owner has told of the rule.
SELECT s.source_id, s.raised_at, coalesce(s.cleared_at::text, 'not over') AS cleared_at, s.cleared_value,
	CASE WHEN i.explanation -> 'parameters' ? 'limits' THEN (
		SELECT string_agg(k || ' ' || v, ' or ' ORDER BY k)
		FROM jsonb_each_text(d.limits -> (i.explanation -> 'parameters' ->> 'metric')) AS l(k, v)) END AS limits,
	(SELECT string_agg(CASE WHEN i.kind = 'silence' OR m.v IS NULL THEN 'heard at ' ELSE m.v || ' at ' END || tongguan.us_to_time(m.t), '; ' ORDER BY m.t, m.u)
		FROM (SELECT * FROM jsonb_to_recordset(s.members) AS r(u uuid, t bigint, v float8) ORDER BY r.t DESC, r.u DESC LIMIT 10) m) AS readings,
	(SELECT max(tongguan.us_to_time(t.mark_us)) FROM tongguan.incident_told t WHERE t.part = s.part AND t.print = i.print) AS told_until
FROM tongguan.incident_span s
JOIN tongguan.incident i ON i.incident_id = s.incident_id
LEFT JOIN tongguan.device d ON d.device_id = s.source_id
WHERE i.incident_id::text = lower($1)
ORDER BY s.raised_at, s.source_id
LIMIT 100
