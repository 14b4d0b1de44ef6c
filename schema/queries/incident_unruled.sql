-- What stands in partition $1 by a rule that runs no more, or by another definition than it has now; $2: {rule_id: print} of those that
-- run. Also what was retired or cleared by a batch after the offset $3: its message may be untold.
SELECT coalesce(json_agg(json_build_object('id', incident_id, 'why', CASE WHEN $2::jsonb ? rule_id THEN 'rule_changed' ELSE 'rule_removed' END))::text, '')
FROM tongguan.incident
WHERE (incident_id IN (SELECT s.incident_id FROM tongguan.incident_span s WHERE s.cleared_at IS NULL) AND state = 'open' AND part = $1::integer
		AND (NOT $2::jsonb ? rule_id OR print <> $2::jsonb ->> rule_id))
	OR (state = 'cleared' AND merged_part = $1::integer AND merged_next > $3::bigint)
