INSERT INTO tongguan.city AS c
	(version, name_zh, name_en, division, zone, cell_m, region_m, halo_m, boundary)
SELECT 1, d ->> 'name_zh', d ->> 'name_en', d ->> 'division', d ->> 'zone', nullif((d ->> 'cell_m')::float8, 0),
	(d ->> 'region_m')::float8, (d ->> 'halo_m')::float8,
	(SELECT ST_Multi(ST_CollectionExtract(ST_Union(ST_Force2D(ST_GeomFromGeoJSON(p))), 3))
	 FROM jsonb_array_elements_text(d -> 'boundary') p)
FROM (SELECT $1::jsonb AS d) doc
ON CONFLICT (only_row) DO UPDATE SET version = c.version + 1, name_zh = excluded.name_zh, name_en = excluded.name_en,
	division = excluded.division, zone = excluded.zone, cell_m = excluded.cell_m, region_m = excluded.region_m,
	halo_m = excluded.halo_m, boundary = excluded.boundary, loaded_at = now()
