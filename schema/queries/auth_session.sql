-- Whose session is this token's? $1 hash
SELECT a.name, a.role, coalesce(a.department, ''), (extract(epoch FROM s.expires_at) * 1000000)::bigint, false
FROM tongguan.session s
JOIN tongguan.account a ON a.name = s.account
WHERE s.token_hash = $1::bytea AND s.expires_at > now() AND NOT a.disabled
