INSERT INTO tongguan.case_type (type_code, kind, class_code, class_zh, class_en, name_zh, name_en, short_zh, short_en,
	pinyin, domain, lead, co, accept_limit, dispatch_limit, dispose_limit, urgency, self_dispose, lasting)
SELECT type_code, coalesce(kind, ''), class_code, coalesce(class_zh, ''), coalesce(class_en, ''), name_zh,
	coalesce(name_en, name_zh), coalesce(short_zh, name_zh), coalesce(short_en, name_en, name_zh),
	coalesce(pinyin, ''), domain, lead, coalesce(co, '{}'), accept_limit, dispatch_limit, dispose_limit, urgency,
	coalesce(self_dispose, false), coalesce(lasting, 'mixed')
FROM jsonb_to_recordset($1::jsonb) AS r
	(type_code text, kind text, class_code text, class_zh text, class_en text, name_zh text, name_en text,
	 short_zh text, short_en text, pinyin text, domain text, lead text, co text[], accept_limit text,
	 dispatch_limit text, dispose_limit text, urgency text, self_dispose boolean, lasting text)
