-- A session keeps the plans of this function from empty tables on: always by index.
ALTER FUNCTION tongguan.case_crowd(uuid) SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off;
