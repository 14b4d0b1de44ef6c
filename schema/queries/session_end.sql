-- Gives a row when there was such a session and it was theirs to end. $1 session_id, $2 account, NULL: anybody's
DELETE FROM tongguan.session s
WHERE s.session_id = $1::uuid AND ($2::text IS NULL OR s.account = $2::text)
RETURNING 1
