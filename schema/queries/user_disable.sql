-- Also ends the account's sessions. $1 name, $2 true to disable, false to enable
WITH ended AS (
	DELETE FROM tongguan.session WHERE account = $1 AND $2::boolean
)
UPDATE tongguan.account SET disabled = $2::boolean WHERE name = $1
