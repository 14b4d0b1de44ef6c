-- PostGIS's SP-GiST index holds boxes, not points. A count that needs no column at all may still be planned as an index-only scan of
-- it, and PostgreSQL 15 then builds a row of type geometry from a box and dies (seen: spggettuple, heap_fill_tuple, memcpy; every
-- session is thrown out with it). No statement of ours gains from index-only scans, so this database does without them.
DO $$
BEGIN
	EXECUTE format('ALTER DATABASE %I SET enable_indexonlyscan = off', current_database());
EXCEPTION WHEN insufficient_privilege THEN
	RAISE WARNING 'set enable_indexonlyscan = off for this database: counting events may crash PostgreSQL otherwise';
END
$$;
