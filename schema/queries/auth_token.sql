-- Whose lasting token is this? $1 hash
SELECT name, role, coalesce(department, ''), (extract(epoch FROM expires_at) * 1000000)::bigint, read_only
FROM tongguan.token
WHERE token_hash = $1::bytea AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
