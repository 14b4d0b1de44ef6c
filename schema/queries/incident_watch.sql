-- What the owner of partition $1 has to clear: all that is open, and what was cleared at or after $2 (the watermark that
-- it starts from), whose message may be untold.
SELECT incident_id, state, part, tongguan.time_to_us(last_event_at) AS last_us, window_us, rule_id
FROM tongguan.incident
WHERE part = $1::integer AND window_us > 0
	AND (state = 'open' OR (state = 'cleared' AND tongguan.time_to_us(last_event_at) + window_us >= $2::bigint))
