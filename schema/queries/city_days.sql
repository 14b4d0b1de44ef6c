INSERT INTO tongguan.work_calendar_day (calendar, day, kind, periods, name)
SELECT calendar, day, kind, periods, coalesce(name, '')
FROM jsonb_to_recordset($1::jsonb) AS r (calendar text, day date, kind text, periods text[], name text)
