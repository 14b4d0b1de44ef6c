-- $1 name, $2 hash, $3 role, $4 department or NULL, $5 reads only, $6 days or NULL: for good
INSERT INTO tongguan.token (name, token_hash, role, department, read_only, expires_at)
VALUES ($1, $2::bytea, $3, $4, $5::boolean, now() + $6::integer * interval '1 day')
