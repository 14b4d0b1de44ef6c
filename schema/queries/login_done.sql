-- Opens a session, clears the name's failures and the account's expired sessions. $1 name, $2 hash, $3 hours, $4 address, $5 client
WITH cleared AS (
	DELETE FROM tongguan.login_failure WHERE name = $1
), expired AS (
	DELETE FROM tongguan.session WHERE account = $1 AND expires_at <= now()
)
INSERT INTO tongguan.session (token_hash, account, expires_at, peer, agent)
SELECT $2::bytea, a.name, now() + $3::integer * interval '1 hour', $4::text, $5::text
FROM tongguan.account a
WHERE a.name = $1 AND NOT a.disabled
RETURNING (extract(epoch FROM expires_at) * 1000000)::bigint
