-- Open and overdue cases: in all (NULL), and by department.
WITH open AS (
	SELECT c.departments, c.overdue OR (c.handle_due_at < now() AND c.done_at IS NULL) AS late
	FROM tongguan.case_file c
	WHERE c.state NOT IN ('closed', 'refused', 'not_filed', 'void', 'merged')
)
SELECT NULL, count(*), count(*) FILTER (WHERE late) FROM open
UNION ALL
SELECT d.code, count(*), count(*) FILTER (WHERE late) FROM open, unnest(departments) AS d(code) GROUP BY d.code
