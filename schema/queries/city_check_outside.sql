-- Devices farther from the city than its halo: on the far bank is fine, in another town it is a slip.
SELECT d.line, d.device_id, min(ST_Distance(b.geom::geography, p::geography))
FROM jsonb_to_recordset($1::jsonb) AS d (line integer, device_id text, lon float8, lat float8),
	LATERAL ST_SetSRID(ST_MakePoint(d.lon, d.lat), 4326) AS p, city_shape b
WHERE b.level = 'boundary' AND d.lon IS NOT NULL
	AND NOT EXISTS (SELECT FROM city_shape c WHERE c.level = 'boundary' AND ST_Intersects(c.geom, p))
GROUP BY d.line, d.device_id
HAVING min(ST_Distance(b.geom::geography, p::geography)) > $2::float8
ORDER BY d.line
