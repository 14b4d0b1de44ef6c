-- Pairs of one level that overlap by more than what rounding of corners makes: strips of half a metre. Two shapes whose edges
-- all pair with a neighbour's cannot overlap each other, so one of the two is loose.
SELECT a.file, b."row", b.id, a.id, a."row", ST_Area(common::geography)
FROM city_shape a JOIN city_shape b ON b.level = a.level AND b."row" > a."row" AND b.geom && a.geom
	AND (a.loose OR b.loose) AND a.apart,
	LATERAL ST_CollectionExtract(ST_Intersection(a.geom, b.geom), 3) AS common
WHERE ST_IsValid(a.geom) AND ST_IsValid(b.geom) AND ST_Relate(a.geom, b.geom, 'T********')
	AND ST_Area(common::geography) > 0.25 * ST_Perimeter(common::geography)
ORDER BY a.file, b."row", a."row" LIMIT 100
