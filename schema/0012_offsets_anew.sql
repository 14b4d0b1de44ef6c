-- A topic that was deleted and made anew begins at offset 0 again. What was stored of the old one keeps its row under a name
-- that no topic can have ('@'), and so do its dead letters; the partition then begins like one that nobody has read. Only where the
-- log really ends before what is stored: the caller looked twice, this looks once more.
CREATE FUNCTION tongguan.offsets_anew(topics text[], partitions integer[], ends bigint[]) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	o     tongguan.source_offset;
	moved bigint := 0;
BEGIN
	FOR o IN SELECT s.* FROM tongguan.source_offset s
		JOIN unnest(topics, partitions, ends) AS w(topic, partition, log_end)
			ON s.topic = w.topic AND s.partition = w.partition AND s.next > w.log_end
		ORDER BY s.id FOR UPDATE OF s
	LOOP
		UPDATE tongguan.source_offset SET topic = o.topic || '@' || o.id, forwarded = next, epoch = epoch + 1 WHERE id = o.id;
		UPDATE tongguan.dead_letter SET topic = o.topic || '@' || o.id WHERE topic = o.topic AND partition = o.partition;
		moved := moved + 1;
	END LOOP;
	RETURN moved;
END
$$;
REVOKE EXECUTE ON FUNCTION tongguan.offsets_anew(text[], integer[], bigint[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tongguan.offsets_anew(text[], integer[], bigint[]) TO tongguan_ingest;

-- Takes partitions from an owner that may have been stopped in the middle of a transaction: its process is silent, its kernel keeps
-- the connection alive, and a server that waits for COPY data obeys no time limit. So a session that holds rows of source_offset and
-- has let the server wait is ended. Ending a healthy one that was merely slow costs it a retry.
CREATE FUNCTION tongguan.offsets_take_over(topics text[], partitions integer[], starts bigint[])
RETURNS TABLE (topic text, partition integer, id integer, next bigint, forwarded bigint, epoch bigint, dead text)
LANGUAGE plpgsql AS $$
BEGIN
	PERFORM pg_terminate_backend(a.pid)
	FROM pg_stat_activity a JOIN pg_locks l USING (pid)
	WHERE l.relation = 'tongguan.source_offset'::regclass AND l.mode = 'RowExclusiveLock' AND l.granted
		AND a.pid <> pg_backend_pid() AND a.usename = current_user
		AND a.wait_event_type = 'Client' AND a.xact_start < now() - interval '4 s';
	RETURN QUERY SELECT * FROM tongguan.offsets_take(topics, partitions, starts);
END
$$;
