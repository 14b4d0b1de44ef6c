-- The shapes of a city folder for the checks below; gone with the transaction.
INSERT INTO city_shape
SELECT level, file, "row", id, apart, loose, ST_Force2D(ST_SetSRID(ST_GeomFromGeoJSON(geom), 4326))
FROM jsonb_to_recordset($1::jsonb) AS r
	(level text, file text, "row" integer, id text, apart boolean, loose boolean, geom text)
