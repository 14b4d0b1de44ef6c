-- Whose lasting token is this? $1 hash
SELECT name, role, coalesce(department, ''), NULL
FROM tongguan.token
WHERE token_hash = $1::bytea AND revoked_at IS NULL
