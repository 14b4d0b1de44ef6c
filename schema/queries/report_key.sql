-- The identity under a key: the one first given, or this one. $1 key hash, $2 body hash, $3 event_id, $4 occurred µs
WITH old AS (
	DELETE FROM tongguan.report_key WHERE created_at < now() - interval '1 day' AND key_hash <> $1::bytea
)
INSERT INTO tongguan.report_key AS k (key_hash, body_sha256, event_id, occurred_us)
VALUES ($1::bytea, $2::bytea, $3, $4::bigint)
ON CONFLICT (key_hash) DO UPDATE SET key_hash = excluded.key_hash
RETURNING event_id, occurred_us, body_sha256 = $2::bytea
