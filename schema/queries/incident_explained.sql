-- One incident in words; $1 is its id as text.
SELECT i.incident_id AS incident, i.rule_id || ' version ' || i.rule_version AS rule, i.state, i.merged_into AS "merged into",
	CASE i.kind
	WHEN 'single' THEN 'one report of type ' || coalesce(i.type_code, '(none)') || ': each is an incident of its own'
	WHEN 'cluster' THEN format('%s of its events are cores: each has, within %s m and the %s s before it, at least %s '
			'events by %s reporters; the others lie within %s m and %s s of a core',
			x.counts ->> 'cores', x.p ->> 'radius_m', x.p ->> 'window_s', x.p ->> 'min_events',
			x.p ->> 'min_reporters', x.p ->> 'radius_m', x.p ->> 'window_s')
	WHEN 'threshold' THEN format('%s %s, %s', x.p ->> 'metric',
		CASE WHEN x.p ? 'limits' THEN 'beyond the limits of the device'
			WHEN x.p ? 'above' THEN 'above ' || (x.p ->> 'above')
			ELSE 'below ' || (x.p ->> 'below') END,
		CASE WHEN x.p ? 'for_s' THEN format('without a pause for %s s', x.p ->> 'for_s')
			ELSE format('in %s of the last %s readings since the last clearing', x.p ->> 'k', x.p ->> 'n') END)
	WHEN 'silence' THEN format('nothing was heard of the device for %s s%s', x.p ->> 'after_s',
		CASE WHEN x.p ? 'schedule' THEN ' of the hours in which it is expected to speak' ELSE '' END)
	END AS why,
	CASE i.kind
	WHEN 'threshold' THEN CASE WHEN x.p ? 'limits' THEN 'of each device, from the registry of the city' ELSE 'of the rule' END
	WHEN 'silence' THEN format('devices "%s" of the registry, each from its first word on', x.p ->> 'devices') END AS "limits from",
	CASE WHEN i.kind = 'threshold' THEN
		CASE WHEN x.p ? 'clear_below' THEN 'the first reading below ' || (x.p ->> 'clear_below')
			WHEN x.p ? 'clear_above' THEN 'the first reading above ' || (x.p ->> 'clear_above')
			ELSE 'the first reading within the limit' END
	WHEN i.kind = 'silence' THEN 'the next word' END AS "cleared by",
	CASE WHEN x.p ? 'schedule' THEN format('%s, by the clock of %s', x.p ->> 'schedule', coalesce((SELECT c.zone FROM tongguan.city c), 'UTC'))
		END AS schedule,
	CASE i.kind
	WHEN 'threshold' THEN 'at once, and corrected when a late reading comes within the tolerance'
	WHEN 'silence' THEN 'when the watermark less the tolerance had passed the instant: never unsaid' END AS judged,
	CASE WHEN x.p ? 'fold_by' THEN format('all silent devices of %s %s are one incident', x.p ->> 'fold_by', i.explanation ->> 'area')
		END AS folded,
	CASE i.explanation #>> '{ended,reason}'
	WHEN 'rule_removed' THEN 'its rule was taken out of the packs: ended at ' || (i.explanation #>> '{ended,at}')
	WHEN 'rule_changed' THEN 'its rule was changed: ended at ' || (i.explanation #>> '{ended,at}') END AS ended,
	i.explanation ->> 'withdrawn' AS withdrawn,
	CASE WHEN i.kind IN ('threshold', 'silence') THEN format('%s events, %s devices, %s times, %s of them not over',
			x.counts ->> 'events', x.counts ->> 'reporters', x.counts ->> 'spans', x.counts ->> 'standing')
		ELSE format('%s events, %s reporters', x.counts ->> 'events', x.counts ->> 'reporters') END AS counts,
	x.p ->> 'where' AS condition,
	format('%s to %s', i.first_event_at, i.last_event_at) AS happened,
	i.detected_at AS detected, i.grid_cell AS cell,
	CASE WHEN i.geom IS NOT NULL THEN format('%s, %s', public.ST_X(i.geom), public.ST_Y(i.geom)) END AS place
FROM tongguan.incident i
CROSS JOIN LATERAL (SELECT i.explanation -> 'counts' AS counts, i.explanation -> 'parameters' AS p) x
WHERE i.incident_id::text = lower($1)
