-- One row whether the account exists or not. $1 name
SELECT q.name, coalesce(a.role, ''), coalesce(a.department, ''), a.password_hash,
	(SELECT ceil(extract(epoch FROM f.locked_until - now()))::bigint
	 FROM tongguan.login_failure f
	 WHERE f.name = q.name AND f.locked_until > now())
FROM (SELECT $1::text AS name) q
LEFT JOIN tongguan.account a ON a.name = q.name AND NOT a.disabled
