INSERT INTO tongguan.duty (department, weekday, from_min, to_min, name)
SELECT department, weekday, from_min, to_min, name
FROM jsonb_to_recordset($1::jsonb) AS r (department text, weekday smallint, from_min smallint, to_min smallint, name text)
