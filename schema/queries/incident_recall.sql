-- Spans of partition $1 that stand, by rules that run ($2: {rule_id: print}), and whose last member came before what is read again of the
-- topic ($3, µs; NULL: whenever it came): nobody else could say that they stand. An event that the table no longer has is older than anything.
SELECT s.rule_id, s.source_id, tongguan.time_to_us(s.raised_at), replace(m.u::text, '-', ''), m.t, coalesce(m.v, 'NaN'), m.y, m.x, m.l, m.c
FROM tongguan.incident_span s
JOIN tongguan.incident i ON i.incident_id = s.incident_id
CROSS JOIN LATERAL (SELECT * FROM jsonb_to_recordset(s.members) AS r(u uuid, t bigint, v float8, y text, x float8, l float8, c text)
	ORDER BY r.t DESC, r.u DESC LIMIT 1) m
WHERE s.part = $1::integer AND s.cleared_at IS NULL AND coalesce(i.print, $2::jsonb ->> s.rule_id) = $2::jsonb ->> s.rule_id
	AND ($3::bigint IS NULL OR s.raised_at < tongguan.us_to_time($3::bigint) - interval '7 days' OR EXISTS (SELECT FROM tongguan.events e
		WHERE e.uid = m.u AND e.occurred_at = tongguan.us_to_time(m.t) AND e.ingested_at < tongguan.us_to_time($3::bigint)))
