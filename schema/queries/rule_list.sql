-- The rules that run, as correlate loaded them last.
SELECT jsonb_build_object('rule_id', r.rule_id, 'version', r.version, 'pack', r.pack, 'kind', r.kind, 'domain', r.domain,
	'severity', r.severity, 'title', r.title, 'definition', r.definition, 'loaded_at', r.loaded_at)::text
FROM tongguan.rule r
ORDER BY r.pack, r.rule_id
