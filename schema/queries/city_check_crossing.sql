SELECT s.file, s."row", s.id, v.reason, coalesce(ST_X(v.location), 0), coalesce(ST_Y(v.location), 0)
FROM city_shape s, ST_IsValidDetail(s.geom) v
WHERE NOT v.valid
ORDER BY s.file, s."row"
