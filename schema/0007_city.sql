-- Zones (school surroundings, construction sites, no-go areas …) and what the registry of devices says about readings.

CREATE TABLE tongguan.zone (
	code     text PRIMARY KEY,
	name_zh  text NOT NULL,
	name_en  text NOT NULL,
	class    text NOT NULL DEFAULT '',
	geom     geometry(MultiPolygon, 4326) NOT NULL
);
CREATE INDEX zone_geom ON tongguan.zone USING gist (geom);

-- {"metric": {"above": number, "below": number}, …}: for rules that say `limits: device`.
ALTER TABLE tongguan.device ADD COLUMN limits jsonb NOT NULL DEFAULT '{}';

CREATE VIEW tongguan.zones AS SELECT code, name_zh, name_en, class, geom FROM tongguan.zone;
CREATE OR REPLACE VIEW tongguan.devices AS
	SELECT device_id, source_kind, geom, datum, name, report_every_s, street, limits FROM tongguan.device;
