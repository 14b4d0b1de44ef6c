-- The records [$4, $5) of partition $3 of topic $2 (source_offset.id $1) as the tables hold them, in order: what is due to be
-- published and is not in Kafka any more. Looked for by ingestion time: a partition is stored in the order of its positions, so what
-- lies beyond $4 was not stored before the youngest row below it (an hour is left for a clock that was set back).
WITH since AS MATERIALIZED (
	SELECT coalesce(max(now() - make_interval(hours => hours + 1)), '-infinity') AS at
	FROM unnest(ARRAY[1, 6, 24, 168, 1008]) AS hours
	WHERE EXISTS (SELECT FROM tongguan.event e
		WHERE e.source = $1::smallint AND e.source_pos < $4::bigint AND e.ingested_at >= now() - make_interval(hours => hours))
)
SELECT e.source_pos, convert_to(tongguan.event_payload(e)::text, 'UTF8'), NULL::bytea,
	'[{"name": "content-type", "value": "application/json"}]'::jsonb
FROM tongguan.event e
WHERE e.source = $1::smallint AND e.source_pos >= $4::bigint AND e.source_pos < $5::bigint
	AND e.ingested_at >= (SELECT at FROM since)
UNION ALL
SELECT d."offset", d.value, d.key, d.headers
FROM tongguan.dead_letter d
WHERE d.topic = $2 AND d.partition = $3::integer AND d."offset" >= $4::bigint AND d."offset" < $5::bigint
ORDER BY 1
LIMIT $6::bigint
