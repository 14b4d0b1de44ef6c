-- $1 hash of a session's token
DELETE FROM tongguan.session WHERE token_hash = $1::bytea
