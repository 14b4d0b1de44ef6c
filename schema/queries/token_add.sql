-- $1 name, $2 hash, $3 role, $4 department or NULL
INSERT INTO tongguan.token (name, token_hash, role, department) VALUES ($1, $2::bytea, $3, $4)
