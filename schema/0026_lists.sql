-- Lists of cases stay quick when there are many.

-- A list is planned for the filters at hand. How each of its two hundred documents is put together is planned once a session: planning
-- took several times as long as reading. By index, also while the tables are new and empty.
ALTER FUNCTION tongguan.case_row_doc(tongguan.case_file) SET plan_cache_mode = force_generic_plan
	SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off;

-- Open cases without a deadline come last in the order of deadlines: they are not looked for among all that were ever closed.
CREATE INDEX case_open_undue ON tongguan.case_file (case_id DESC)
	WHERE due_at IS NULL AND state NOT IN ('closed', 'refused', 'not_filed', 'void', 'merged');
