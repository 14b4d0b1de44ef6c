-- The events a case rests on: the incident's members, and what was copied when the case opened (it outlives the events).
-- One row of NULLs when there is none. $1 case_id, $2 the caller's department, $3 time µs and $4 uid of the last shown,
-- $5 limit
SELECT tongguan.time_to_us(m.occurred_at), m.event_uid, jsonb_build_object('event_uid', m.event_uid,
	'source_id', coalesce(e.source_id, v.source_id), 'event_id', coalesce(e.event_id, v.doc ->> 'event_id'),
	'source_kind', tongguan.source_kind_name(coalesce(e.source_kind, v.source_kind)),
	'type_code', coalesce(e.type_code, v.type_code), 'occurred_at', m.occurred_at, 'ingested_at', coalesce(e.ingested_at, v.ingested_at),
	'core', m.core, 'metric', coalesce(e.metric, v.doc -> 'reading' ->> 'metric'),
	'value', CASE WHEN e.uid IS NULL THEN (v.doc -> 'reading' ->> 'value')::float8 WHEN abs(e.value) < 1e308 THEN e.value END,
	'unit', coalesce(e.unit, v.doc -> 'reading' ->> 'unit'),
	'title', coalesce(e.payload, v.doc) -> 'report' ->> 'title', 'text', coalesce(e.payload, v.doc) -> 'report' ->> 'text',
	'grid_cell', coalesce(e.grid_cell, v.grid_cell), 'street', coalesce(e.street, v.street), 'lon', coalesce(ST_X(e.geom), v.lon), 'lat', coalesce(ST_Y(e.geom), v.lat),
	'payload', CASE WHEN e.uid IS NOT NULL THEN tongguan.event_payload(e) ELSE v.doc END)::text,
	coalesce(ST_X(e.geom), v.lon), coalesce(ST_Y(e.geom), v.lat)
FROM tongguan.case_file c
LEFT JOIN LATERAL (
	SELECT i.event_uid, i.occurred_at, i.core
	FROM tongguan.incident_event i
	WHERE i.incident_id = c.incident_id
		AND ($3::bigint IS NULL OR (i.occurred_at, i.event_uid) > (tongguan.us_to_time($3::bigint), $4::uuid))
	UNION ALL
	SELECT x.event_uid, x.occurred_at, NULL
	FROM tongguan.case_evidence x
	WHERE x.case_id = c.case_id
		AND ($3::bigint IS NULL OR (x.occurred_at, x.event_uid) > (tongguan.us_to_time($3::bigint), $4::uuid))
		AND NOT EXISTS (SELECT 1 FROM tongguan.incident_event i
			WHERE i.incident_id = c.incident_id AND i.occurred_at = x.occurred_at AND i.event_uid = x.event_uid)
	ORDER BY 2, 1
	LIMIT $5::bigint
) m ON true
LEFT JOIN tongguan.case_evidence v ON v.case_id = c.case_id AND v.event_uid = m.event_uid
LEFT JOIN tongguan.event e ON e.uid = m.event_uid AND e.occurred_at = m.occurred_at
WHERE c.case_id = $1::uuid AND ($2::text IS NULL OR c.departments @> ARRAY[$2::text])
ORDER BY m.occurred_at, m.event_uid
