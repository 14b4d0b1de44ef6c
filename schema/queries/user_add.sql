-- $1 name, $2 password hash, $3 role, $4 department or NULL
INSERT INTO tongguan.account (name, password_hash, role, department) VALUES ($1, $2, $3, $4)
