-- $1 code
SELECT 1 FROM tongguan.dept WHERE code = $1
