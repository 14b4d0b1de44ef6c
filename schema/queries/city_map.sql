-- The city as the console draws it: rings thinned to some ten metres.
SELECT c.version, jsonb_build_object('name_zh', c.name_zh, 'name_en', c.name_en, 'division', c.division, 'zone', c.zone,
	'bbox', jsonb_build_array(ST_XMin(c.boundary), ST_YMin(c.boundary), ST_XMax(c.boundary), ST_YMax(c.boundary)),
	'boundary', ST_AsGeoJSON(ST_SimplifyPreserveTopology(c.boundary, 0.0001), 6)::jsonb,
	'streets', jsonb_build_object('type', 'FeatureCollection', 'features',
		(SELECT coalesce(jsonb_agg(jsonb_build_object('type', 'Feature', 'id', s.code,
			'geometry', ST_AsGeoJSON(ST_SimplifyPreserveTopology(s.geom, 0.0001), 6)::jsonb,
			'properties', jsonb_build_object('code', s.code, 'name_zh', s.name_zh, 'name_en', s.name_en,
				'short_zh', s.short_zh, 'short_en', s.short_en, 'district', s.district)) ORDER BY s.code), '[]')
		FROM tongguan.street s)))::text
FROM tongguan.city c
