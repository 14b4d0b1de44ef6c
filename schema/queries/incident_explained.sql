-- One incident in words; $1 is its id as text.
SELECT i.incident_id AS incident, i.rule_id || ' version ' || i.rule_version AS rule, i.state, i.merged_into AS "merged into",
	CASE i.kind
	WHEN 'single' THEN 'one report of type ' || coalesce(i.type_code, '(none)') || ': each is an incident of its own'
	WHEN 'cluster' THEN format('%s of its events are cores: each has, within %s m and the %s s before it, at least %s '
			'events by %s reporters; the others lie within %s m and %s s of a core',
			x.counts ->> 'cores', x.p ->> 'radius_m', x.p ->> 'window_s', x.p ->> 'min_events',
			x.p ->> 'min_reporters', x.p ->> 'radius_m', x.p ->> 'window_s')
	ELSE i.kind END AS why,
	format('%s events, %s reporters', x.counts ->> 'events', x.counts ->> 'reporters') AS counts,
	x.p ->> 'where' AS condition,
	format('%s to %s', i.first_event_at, i.last_event_at) AS happened,
	i.detected_at AS detected, i.grid_cell AS cell,
	CASE WHEN i.geom IS NOT NULL THEN format('%s, %s', public.ST_X(i.geom), public.ST_Y(i.geom)) END AS place
FROM tongguan.incident i
CROSS JOIN LATERAL (SELECT i.explanation -> 'counts' AS counts, i.explanation -> 'parameters' AS p) x
WHERE i.incident_id::text = lower($1)
