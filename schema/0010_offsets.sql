-- The move as one statement that fails when it is fenced: so it stands in one message with BEGIN and COPY, and a batch costs
-- two round trips. TG001 is nobody else's SQLSTATE.
CREATE FUNCTION tongguan.offsets_move_all(ids integer[], epochs bigint[], old_next bigint[], old_forwarded bigint[],
	new_next bigint[], new_forwarded bigint[])
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	moved bigint;
BEGIN
	UPDATE tongguan.source_offset o SET next = m.next, forwarded = m.forwarded
	FROM unnest(ids, epochs, old_next, old_forwarded, new_next, new_forwarded)
		AS m(id, epoch, old_next, old_forwarded, next, forwarded)
	WHERE o.id = m.id AND o.epoch = m.epoch AND o.next = m.old_next AND o.forwarded = m.old_forwarded;
	GET DIAGNOSTICS moved = ROW_COUNT;
	IF moved <> cardinality(ids) THEN
		RAISE EXCEPTION 'another owner has taken these partitions' USING ERRCODE = 'TG001';
	END IF;
END
$$;

-- Replaced by it.
DROP FUNCTION tongguan.offsets_move(integer[], bigint[], bigint[], bigint[], bigint[], bigint[]);
