INSERT INTO tongguan.work_calendar (name, weekdays, periods, hours_per_day)
SELECT name, weekdays, periods, hours_per_day
FROM jsonb_to_recordset($1::jsonb) AS r (name text, weekdays integer[], periods text[], hours_per_day float8)
