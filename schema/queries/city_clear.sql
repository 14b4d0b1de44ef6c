DO $$
BEGIN
	LOCK TABLE tongguan.city IN EXCLUSIVE MODE;
	DELETE FROM tongguan.device;
	DELETE FROM tongguan.zone;
	DELETE FROM tongguan.grid_cell;
	DELETE FROM tongguan.street;
	DELETE FROM tongguan.filing_condition;
	DELETE FROM tongguan.case_type;
	DELETE FROM tongguan.duty;
	DELETE FROM tongguan.dept;
	DELETE FROM tongguan.work_calendar_day;
	DELETE FROM tongguan.work_calendar;
END
$$
