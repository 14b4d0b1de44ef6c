SELECT m.event_uid, m.occurred_at, CASE WHEN m.core THEN 'core' ELSE 'member' END,
	coalesce(m.source_id || ' ' || m.event_id, '')
FROM tongguan.incident_events m
WHERE m.incident_id::text = lower($1)
ORDER BY m.occurred_at, m.event_uid
