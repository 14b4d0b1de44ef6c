INSERT INTO tongguan.dept (code, name_zh, name_en, short_zh, short_en, pinyin, kind, calendar, parent, streets)
SELECT code, name_zh, coalesce(name_en, name_zh), coalesce(short_zh, name_zh), coalesce(short_en, name_en, name_zh),
	coalesce(pinyin, ''), coalesce(kind, ''), calendar, parent, coalesce(streets, '{}')
FROM jsonb_to_recordset($1::jsonb) AS r
	(code text, name_zh text, name_en text, short_zh text, short_en text, pinyin text, kind text, calendar text,
	 parent text, streets text[])
