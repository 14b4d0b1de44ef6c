-- What was told after a position. $1 pos, $2 limit
SELECT o.pos, o.kind, o.doc::text
FROM tongguan.outbox o
WHERE o.pos > $1::bigint
ORDER BY o.pos
LIMIT $2::bigint
