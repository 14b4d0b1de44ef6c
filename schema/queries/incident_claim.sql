-- The owner of partition $1 by the epoch $2 begins: how far each rule's series have been told of.
SELECT print, mark_us, next FROM tongguan.incident_claim($1::integer, $2::bigint)
