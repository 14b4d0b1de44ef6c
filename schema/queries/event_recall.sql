-- Stored events for windows that reach further back than the topic is read again: ingested before $4 (µs), not older than
-- $5 (µs), of the types $1 (comma separated; empty: every type), after ($2 µs, $3 uid) in order of time, a page.
SELECT tongguan.time_to_us(e.occurred_at) AS occurred_us, e.uid, replace(e.uid::text, '-', '') AS uid_hex, e.payload,
	public.ST_X(e.geom) AS lon, public.ST_Y(e.geom) AS lat, e.grid_cell, e.street, e.district
FROM tongguan.events e
WHERE (e.occurred_at, e.uid) > (tongguan.us_to_time($2::bigint), $3::uuid)
	AND e.occurred_at >= tongguan.us_to_time($5::bigint) AND e.ingested_at < tongguan.us_to_time($4::bigint)
	AND ($1::text = '' OR e.type_code = ANY (string_to_array($1::text, ',')))
	AND e.geom IS NOT NULL
ORDER BY e.occurred_at, e.uid
LIMIT 4000
