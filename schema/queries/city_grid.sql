-- Square cells of cell_m over the boundary, cut along it; numbered within their street from west to east and north to
-- south: division 6 + street 3 + block 3 + serial 3 digits. A cell belongs to the street that holds its middle, else to the
-- nearest one.
WITH c AS (
	SELECT division, boundary, ST_XMin(boundary) AS x0, ST_YMax(boundary) AS y0, ST_XMax(boundary) AS x1,
		ST_YMin(boundary) AS y1,
		cell_m / (111194.93 * cos(radians((ST_YMin(boundary) + ST_YMax(boundary)) / 2))) AS dx,
		cell_m / 111194.93 AS dy
	FROM tongguan.city
),
parts AS (
	-- small pieces: testing a cell against them is much cheaper than against the whole outline
	SELECT ST_Subdivide(boundary, 64) AS geom FROM c
),
squares AS (
	SELECT i, j, ST_MakeEnvelope(x0 + i * dx, y0 - (j + 1) * dy, x0 + (i + 1) * dx, y0 - j * dy, 4326) AS square
	FROM c, generate_series(0, floor((x1 - x0) / dx)::integer) i, generate_series(0, floor((y0 - y1) / dy)::integer) j
),
pieces AS (
	SELECT i, j, ST_Multi(ST_CollectionExtract(ST_Union(ST_Intersection(square, parts.geom)), 3)) AS geom
	FROM squares JOIN parts ON ST_Intersects(square, parts.geom)
	GROUP BY i, j
),
placed AS (
	SELECT i, j, geom, (
		SELECT s.code FROM tongguan.street s WHERE s.geom IS NOT NULL
		ORDER BY s.geom <-> ST_PointOnSurface(pieces.geom), s.code LIMIT 1) AS street
	FROM pieces WHERE NOT ST_IsEmpty(geom) AND ST_Area(geom) > 0
),
numbered AS (
	SELECT geom, street, coalesce(right(regexp_replace(street, '\D', '', 'g'), 3), '0') AS street3,
		row_number() OVER (PARTITION BY street ORDER BY j, i) - 1 AS n
	FROM placed
)
INSERT INTO tongguan.grid_cell (id, cell_id, street, geom)
SELECT row_number() OVER (ORDER BY cell_id COLLATE "C") - 1, cell_id, street, geom
FROM (
	SELECT (SELECT division FROM c) || lpad(street3, 3, '0') || lpad((n / 999 + 1)::text, 3, '0') ||
		lpad((n % 999 + 1)::text, 3, '0') AS cell_id, street, geom
	FROM numbered
) AS cells
