INSERT INTO tongguan.device (device_id, source_kind, geom, datum, name, report_every_s, street)
SELECT device_id, source_kind, p, CASE upper(coalesce(datum, 'WGS84')) WHEN 'GCJ02' THEN 2 WHEN 'BD09' THEN 3
		WHEN 'CGCS2000' THEN 4 ELSE 1 END, coalesce(name, ''), report_every_s,
	(SELECT s.code FROM tongguan.street s WHERE ST_Covers(s.geom, p) ORDER BY s.code LIMIT 1)
FROM jsonb_to_recordset($1::jsonb) AS r
	(device_id text, source_kind smallint, lon float8, lat float8, datum text, name text, report_every_s integer),
	LATERAL ST_SetSRID(ST_MakePoint(lon, lat), 4326) AS p
