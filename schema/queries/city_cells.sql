INSERT INTO tongguan.grid_cell (id, cell_id, street, geom)
SELECT row_number() OVER (ORDER BY cell_id) - 1, cell_id, street,
	ST_Multi(ST_CollectionExtract(ST_MakeValid(ST_GeomFromGeoJSON(geom)), 3))
FROM jsonb_to_recordset($1::jsonb) AS r (cell_id text, street text, geom text)
