INSERT INTO tongguan.filing_condition (type_code, condition_no, handle_limit, filing_zh, filing_en, close_zh, close_en, lead)
SELECT type_code, condition_no, handle_limit, coalesce(filing_zh, ''), coalesce(filing_en, ''), coalesce(close_zh, ''),
	coalesce(close_en, ''), lead
FROM jsonb_to_recordset($1::jsonb) AS r
	(type_code text, condition_no integer, handle_limit text, filing_zh text, filing_en text, close_zh text,
	 close_en text, lead text)
