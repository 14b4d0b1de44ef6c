-- Counts a failure. From the fifth within 15 minutes the name is locked: 30 s, doubling to 15 min. $1 name
WITH forgotten AS (
	DELETE FROM tongguan.login_failure WHERE last_at < now() - interval '1 day' AND name <> $1
)
INSERT INTO tongguan.login_failure AS f (name, failures, last_at)
VALUES ($1, 1, now())
ON CONFLICT (name) DO UPDATE SET
	failures = CASE WHEN f.last_at < now() - interval '15 minutes' THEN 1 ELSE f.failures + 1 END,
	last_at = now(),
	locked_until = CASE WHEN f.failures >= 4 AND f.last_at >= now() - interval '15 minutes'
		THEN now() + least(interval '15 minutes', interval '30 seconds' * 2 ^ least(f.failures - 4, 10)) END
