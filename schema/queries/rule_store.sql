-- The rules that run: $1 is all of them, [{rule_id, version, pack, kind, domain, severity, title, definition}]. A row whose definition
-- is the same keeps the time of its loading.
WITH fresh AS (
	SELECT * FROM jsonb_to_recordset($1::jsonb) AS r(rule_id text, version integer, pack text, kind text, domain text,
		severity smallint, title text, definition jsonb)
), gone AS (
	DELETE FROM tongguan.rule r WHERE NOT EXISTS (SELECT FROM fresh f WHERE f.rule_id = r.rule_id)
)
INSERT INTO tongguan.rule AS r (rule_id, version, pack, kind, domain, severity, title, definition)
SELECT rule_id, version, pack, kind, domain, severity, title, definition FROM fresh
ON CONFLICT (rule_id) DO UPDATE SET version = excluded.version, pack = excluded.pack, kind = excluded.kind,
	domain = excluded.domain, severity = excluded.severity, title = excluded.title, definition = excluded.definition,
	loaded_at = now()
WHERE (r.version, r.pack, r.kind, r.domain, r.severity, r.title, r.definition)
	IS DISTINCT FROM (excluded.version, excluded.pack, excluded.kind, excluded.domain, excluded.severity, excluded.title,
		excluded.definition)
