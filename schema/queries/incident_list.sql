-- Incidents, last detected first. $1 states $2 domain $3 rule $4–$7 west south east north $8 the caller's department
-- $9 detected µs and $10 id of the last shown $11 limit
SELECT tongguan.incident_doc(i)::text, ST_X(i.geom), ST_Y(i.geom), tongguan.time_to_us(i.detected_at), i.incident_id
FROM (
	SELECT * FROM tongguan.incident i
	WHERE ($1::text[] IS NULL OR i.state = ANY ($1::text[]))
		AND ($2::text IS NULL OR i.domain = $2::text)
		AND ($3::text IS NULL OR i.rule_id = $3::text)
		AND ($4::float8 IS NULL OR i.geom && ST_MakeEnvelope($4::float8, $5::float8, $6::float8, $7::float8, 4326))
		AND ($8::text IS NULL OR i.incident_id IN (SELECT c.incident_id FROM tongguan.case_file c
			WHERE c.departments @> ARRAY[$8::text] AND c.incident_id IS NOT NULL))
		AND ($9::bigint IS NULL OR (i.detected_at, i.incident_id) < (tongguan.us_to_time($9::bigint), $10::uuid))
	ORDER BY i.detected_at DESC, i.incident_id DESC
	LIMIT $11::bigint
) i
ORDER BY i.detected_at DESC, i.incident_id DESC
