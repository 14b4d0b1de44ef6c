INSERT INTO tongguan.street (code, name_zh, name_en, short_zh, short_en, district, geom)
SELECT code, name_zh, name_en, short_zh, short_en, district, ST_Multi(ST_Force2D(ST_GeomFromGeoJSON(geom)))
FROM jsonb_to_recordset($1::jsonb) AS r
	(code text, name_zh text, name_en text, short_zh text, short_en text, district text, geom text)
