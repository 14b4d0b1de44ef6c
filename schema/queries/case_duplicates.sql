-- A case, what it may repeat (cases that came before it, within 150 m and 60 days, open or closed at most 14 days ago), and words
-- that were written lately, by which the rare ones are known. $1 case_id, $2 the caller's department
WITH own AS (
	SELECT c.*, t.lasting FROM tongguan.case_file c LEFT JOIN tongguan.case_type t ON t.type_code = c.type_code
	WHERE c.case_id = $1::uuid AND ($2::text IS NULL OR c.departments @> ARRAY[$2::text])
), near AS (
	SELECT f.* FROM own o JOIN tongguan.case_file f ON f.geom && ST_Expand(o.geom,
			150 / (111195 * greatest(cos(radians(ST_Y(o.geom))), 0.01)), 150 / 111195.0)
	WHERE f.case_id <> o.case_id AND (f.reported_at, f.case_id) < (o.reported_at, o.case_id)
		AND f.reported_at > o.reported_at - interval '60 days'
		AND (f.closed_at IS NULL OR f.closed_at > now() - interval '14 days')
		AND f.merged_into IS DISTINCT FROM o.case_id
		AND ($2::text IS NULL OR f.departments @> ARRAY[$2::text])
	ORDER BY f.reported_at DESC LIMIT 200
)
SELECT (SELECT jsonb_build_object('type_code', o.type_code, 'lasting', o.lasting, 'lon', ST_X(o.geom), 'lat', ST_Y(o.geom),
		'reported_at', o.reported_at, 'text', o.title || ' ' || coalesce(left(o.body, 500), '')) FROM own o)::text,
	(SELECT coalesce(jsonb_agg(jsonb_build_object('case_id', n.case_id, 'case_no', n.case_no, 'title', n.title,
		'state', n.state, 'type_code', n.type_code, 'lasting', t.lasting, 'lon', ST_X(n.geom), 'lat', ST_Y(n.geom),
		'reported_at', n.reported_at, 'closed_at', n.closed_at, 'text', n.title || ' ' || coalesce(left(n.body, 500), ''),
		'merged_children', (SELECT count(*) FROM tongguan.case_below(n.case_id)),
		'master', CASE WHEN n.merged_into IS NOT NULL AND $2::text IS NULL THEN (SELECT jsonb_build_object('case_id', m.case_id,
			'case_no', m.case_no, 'title', m.title, 'state', m.state, 'reported_at', m.reported_at,
			'merged_children', (SELECT count(*) FROM tongguan.case_below(m.case_id)))
			FROM tongguan.case_master(n.merged_into) m) END)), '[]')
	FROM near n LEFT JOIN tongguan.case_type t ON t.type_code = n.type_code)::text,
	(SELECT coalesce(jsonb_agg(s.said), '[]') FROM (SELECT substr(w.said, 22, 300) AS said FROM tongguan.case_words w
		ORDER BY w.case_id DESC LIMIT 400) s)::text,
	tongguan.now_us()
FROM own
