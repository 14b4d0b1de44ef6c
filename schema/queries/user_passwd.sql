-- Also ends the account's sessions and lifts a lock. $1 name, $2 password hash
WITH ended AS (
	DELETE FROM tongguan.session WHERE account = $1
), lifted AS (
	DELETE FROM tongguan.login_failure WHERE name = $1
)
UPDATE tongguan.account SET password_hash = $2, password_at = now() WHERE name = $1
