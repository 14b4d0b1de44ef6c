-- One turn of the clocks: at most $1 levels fire; then what the system does by itself, at most $2 tasks to resume and $3 cases to
-- remind of: (fired, µs late, µs until the next, tasks, cases).
SELECT e.fired, e.late_us, least(e.next_in_us, r.next_in_us), r.tasks, tongguan.replies_to_ask($3::integer)
FROM tongguan.escalate($1::integer) e, tongguan.tasks_to_resume($2::integer) r
