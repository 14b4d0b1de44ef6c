-- A BRIN index skips what is summarised and reads all that is not. VACUUM summarises, and comes after a fifth of a month's rows at
-- the earliest: until then whoever asks for the last hour would read them all.
DROP INDEX tongguan.event_occurred, tongguan.event_ingested;
CREATE INDEX event_occurred ON tongguan.event USING brin (occurred_at) WITH (pages_per_range = 32);
CREATE INDEX event_ingested ON tongguan.event USING brin (ingested_at) WITH (pages_per_range = 32);

-- Summarises what was stored since the last time, one process at a time; gives the ranges. A month whose lock does not come at once
-- (VACUUM works there and summarises itself) is left for the next call.
CREATE FUNCTION tongguan.event_summarize() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
	ranges bigint := 0;
	x regclass;
BEGIN
	IF NOT pg_try_advisory_xact_lock(7413, 2) THEN
		RETURN 0;
	END IF;
	FOR x IN SELECT i.indexrelid FROM pg_inherits h JOIN pg_stat_all_tables s ON s.relid = h.inhrelid
			JOIN pg_index i ON i.indrelid = h.inhrelid JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
			WHERE h.inhparent = 'tongguan.event'::regclass AND a.amname = 'brin' AND s.n_ins_since_vacuum > 0 LOOP
		BEGIN
			ranges := ranges + brin_summarize_new_values(x);
		EXCEPTION WHEN lock_not_available THEN
			NULL;
		END;
	END LOOP;
	RETURN ranges;
END
$$;
REVOKE EXECUTE ON FUNCTION tongguan.event_summarize() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tongguan.event_summarize() TO tongguan_ingest;
