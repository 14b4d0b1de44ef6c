INSERT INTO tongguan.zone (code, name_zh, name_en, class, geom)
SELECT code, name_zh, name_en, coalesce(class, ''), ST_Multi(ST_Force2D(ST_GeomFromGeoJSON(geom)))
FROM jsonb_to_recordset($1::jsonb) AS r (code text, name_zh text, name_en text, class text, geom text)
