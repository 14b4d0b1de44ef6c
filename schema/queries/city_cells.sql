-- Numbered by the bytes of their names, so that "the lowest" does not depend on a collation.
INSERT INTO tongguan.grid_cell (id, cell_id, street, geom)
SELECT row_number() OVER (ORDER BY cell_id COLLATE "C") - 1, cell_id, street, ST_Multi(ST_Force2D(ST_GeomFromGeoJSON(geom)))
FROM jsonb_to_recordset($1::jsonb) AS r (cell_id text, street text, geom text)
