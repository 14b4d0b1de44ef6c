INSERT INTO tongguan.device (device_id, source_kind, geom, datum, name, report_every_s, limits, street)
SELECT device_id, source_kind, p, coalesce(datum, 1), coalesce(name, ''), report_every_s, limits,
	(SELECT s.code FROM tongguan.street s WHERE ST_Covers(s.geom, p) ORDER BY s.code LIMIT 1)
FROM jsonb_to_recordset($1::jsonb) AS r
	(device_id text, source_kind smallint, lon float8, lat float8, datum smallint, name text, report_every_s integer,
	 limits jsonb),
	LATERAL ST_SetSRID(ST_MakePoint(lon, lat), 4326) AS p
