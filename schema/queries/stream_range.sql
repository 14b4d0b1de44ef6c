-- The first position that is still kept and the last one given out.
SELECT (SELECT min(o.pos) FROM tongguan.outbox o), (SELECT l.last_pos FROM tongguan.outbox_lease l)
