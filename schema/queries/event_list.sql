-- Stored events, latest first; a uid begins with its time. $1 from µs, $2 to µs, $3–$6 west south east north, $7 uid of the last shown,
-- $8 limit $9 source $10 metric
SELECT tongguan.time_to_us(e.occurred_at), e.uid, jsonb_build_object('event_uid', e.uid, 'source_id', e.source_id,
	'event_id', e.event_id,
	'source_kind', tongguan.source_kind_name(e.source_kind),
	'type_code', e.type_code, 'metric', e.metric, 'value', CASE WHEN abs(e.value) < 1e308 THEN e.value END,
	'occurred_at', e.occurred_at, 'ingested_at', e.ingested_at, 'grid_cell', e.grid_cell, 'street', e.street,
	'lon', ST_X(e.geom), 'lat', ST_Y(e.geom), 'payload', tongguan.event_payload(e))::text, ST_X(e.geom), ST_Y(e.geom)
FROM tongguan.event e
WHERE e.occurred_at >= tongguan.us_to_time($1::bigint) AND e.occurred_at < tongguan.us_to_time($2::bigint)
	AND e.uid >= rpad(lpad(to_hex($1::bigint / 1000), 12, '0'), 32, '0')::uuid
	AND e.uid <= rpad(lpad(to_hex($2::bigint / 1000), 12, '0'), 32, 'f')::uuid
	AND ($3::float8 IS NULL OR e.geom && ST_MakeEnvelope($3::float8, $4::float8, $5::float8, $6::float8, 4326))
	AND ($7::uuid IS NULL OR e.uid < $7::uuid)
	AND ($9::text IS NULL OR e.source_id = $9::text)
	AND ($10::text IS NULL OR e.metric = $10::text)
ORDER BY e.uid DESC
LIMIT $8::bigint
