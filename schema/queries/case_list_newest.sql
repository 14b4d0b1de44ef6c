-- Cases, newest first. Absent filters are NULL and fold away when the plan is made for these values.
-- Words are looked for first: the latest 5000 cases that have them.
-- $1 states $2 domain $3 department $4 street $5 grid_cell $6–$9 west south east north $10 overdue $11 words $12 pattern
-- $13 the caller's department $14 key µs and $15 id of the last row shown $16 limit
SELECT (SELECT v.doc FROM tongguan.case_docs v WHERE v.case_id = c.case_id)::text,
	ST_X(c.geom), ST_Y(c.geom), tongguan.time_to_us(c.reported_at), c.case_id, tongguan.now_us()
FROM tongguan.case_file c
WHERE
	($1::text[] IS NULL OR c.state = ANY ($1::text[]))
	AND ($2::text IS NULL OR c.domain = $2::text)
	AND ($3::text IS NULL OR c.departments @> ARRAY[$3::text])
	AND ($4::text IS NULL OR c.street = $4::text)
	AND ($5::text IS NULL OR c.grid_cell = $5::text)
	AND ($6::float8 IS NULL OR c.geom && ST_MakeEnvelope($6::float8, $7::float8, $8::float8, $9::float8, 4326))
	AND ($10::boolean IS NULL OR $10::boolean = (c.overdue OR coalesce(c.handle_due_at < now() AND c.done_at IS NULL
		AND c.state NOT IN ('closed', 'refused', 'not_filed', 'void', 'merged'), false)))
	AND ($11::text IS NULL OR c.case_id = ANY (ARRAY(SELECT w.case_id FROM tongguan.case_words w
		WHERE w.words @> tongguan.bigrams($11::text) AND w.said ILIKE $12::text ORDER BY w.case_id DESC LIMIT 5000)))
	AND ($13::text IS NULL OR c.departments @> ARRAY[$13::text])
	AND ($14::bigint IS NULL OR (c.reported_at, c.case_id) < (tongguan.us_to_time($14::bigint), $15::uuid))
ORDER BY c.reported_at DESC, c.case_id DESC
LIMIT $16::bigint
