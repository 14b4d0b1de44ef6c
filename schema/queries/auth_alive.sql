-- Which of these hashes still stand for somebody? $1 array of hashes
SELECT s.token_hash
FROM tongguan.session s
JOIN tongguan.account a ON a.name = s.account
WHERE s.token_hash = ANY ($1::bytea[]) AND s.expires_at > now() AND NOT a.disabled
UNION ALL
SELECT token_hash
FROM tongguan.token
WHERE token_hash = ANY ($1::bytea[]) AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
