SELECT incident_id, state, part, last_us, window_us, rule_id, trace, doc
FROM tongguan.incident_apply($1::jsonb)
