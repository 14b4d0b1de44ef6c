-- The registry of devices after $1, a page.
SELECT d.device_id, d.street, s.district, public.ST_X(d.geom), public.ST_Y(d.geom), d.source_kind, d.limits::text
FROM tongguan.device d
LEFT JOIN tongguan.street s ON s.code = d.street
WHERE d.device_id > $1
ORDER BY d.device_id
LIMIT 1000
