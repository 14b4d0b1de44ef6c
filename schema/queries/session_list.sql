-- An account's sessions, the newest first. $1 account, $2 hash of the asking token
SELECT s.session_id, jsonb_build_object('session_id', s.session_id, 'name', s.account, 'created_at', s.created_at,
	'expires_at', s.expires_at, 'peer', s.peer, 'agent', s.agent, 'current', s.token_hash = $2::bytea)::text
FROM tongguan.session s
WHERE s.account = $1::text AND s.expires_at > now()
ORDER BY s.created_at DESC, s.session_id
LIMIT 1000
