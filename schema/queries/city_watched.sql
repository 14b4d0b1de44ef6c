-- What correlate knows of the city: by the version it sees that another was loaded.
SELECT version, halo_m, public.ST_XMin(boundary), public.ST_YMin(boundary), public.ST_XMax(boundary), public.ST_YMax(boundary),
	region_m, zone
FROM tongguan.city
