-- Keeps a photo once, whoever brings it. $1 hash, $2 type, $3 bytes in base64
INSERT INTO tongguan.photo (hash, type, size, bytes)
SELECT $1::bytea, $2::text, length(b.bytes), b.bytes FROM (SELECT decode($3::text, 'base64') AS bytes) b
ON CONFLICT (hash) DO NOTHING
