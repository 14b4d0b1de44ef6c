-- What became of a simulation's events: members of incidents, in order of incident. $1 the run's name, $2, $3 its bounds in µs.
SELECT ie.rule_id, ie.incident_id, replace(ie.event_uid::text, '-', ''), e.source_id, tongguan.time_to_us(ie.occurred_at),
	i.kind, tongguan.time_to_us(i.detected_at)
FROM tongguan.incident_event ie
JOIN tongguan.incident i USING (incident_id)
JOIN tongguan.event e ON e.uid = ie.event_uid AND e.occurred_at = ie.occurred_at
WHERE ie.occurred_at >= tongguan.us_to_time($2::bigint) AND ie.occurred_at <= tongguan.us_to_time($3::bigint)
	AND starts_with(e.event_id, $1 || '-')
ORDER BY ie.rule_id, ie.incident_id, ie.occurred_at
