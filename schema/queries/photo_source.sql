-- $1 hash, $2 actor, $3 department or ''
INSERT INTO tongguan.photo_source (hash, actor, department) VALUES ($1::bytea, $2, $3) ON CONFLICT DO NOTHING
