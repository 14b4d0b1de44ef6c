#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "dispatch/api_ring.h"

static const char case_doc[] =
	"{\"case_id\":\"c1\",\"case_no\":\"310104\",\"version\":4,\"state\":\"handling\","
	"\"action\":\"sign\",\"seq\":5,"
	"\"at\":\"2026-11-22T10:00:00+00:00\",\"task_id\":\"t1\",\"task_version\":2,\"task_state\":"
	"\"signed\","
	"\"department\":\"A\",\"departments\":[\"A\",\"B\"],\"note\":\"private words\"}";

static void push(struct tg_ring *ring, int64_t pos)
{
	struct tg_frame frame;

	assert_int_equal(tg_frame_make(pos, TG_SLICE("case"), tg_slice_cstr(case_doc), &frame), 0);
	tg_ring_push(ring, &frame);
}

static void frame__a_task_event_has_the_tasks_version_and_state(void **state)
{
	struct tg_frame frame;
	char text[1024] = "";

	(void)state;
	assert_int_equal(tg_frame_make(17, TG_SLICE("task"), tg_slice_cstr(case_doc), &frame), 0);
	assert_true(frame.len < sizeof(text));
	memcpy(text, frame.bytes, frame.len);
	assert_int_equal(strncmp(text, "id: 17\nevent: task\ndata: {", 26), 0);
	assert_string_equal(text + frame.len - 3, "}\n\n");
	assert_non_null(strstr(text, "\"task_id\":\"t1\""));
	assert_non_null(strstr(text, "\"version\":2"));
	assert_non_null(strstr(text, "\"state\":\"signed\""));
	assert_non_null(strstr(text, "\"case_version\":4"));
	assert_null(strstr(text, "private"));
	tg_frame_release(&frame);
}

static void frame__a_department_sees_its_own_only(void **state)
{
	struct tg_frame frame;

	(void)state;
	assert_int_equal(tg_frame_make(1, TG_SLICE("case"), tg_slice_cstr(case_doc), &frame), 0);
	assert_true(tg_frame_visible(&frame, ""));
	assert_true(tg_frame_visible(&frame, "A"));
	assert_true(tg_frame_visible(&frame, "B"));
	assert_false(tg_frame_visible(&frame, "C"));
	assert_false(tg_frame_visible(&frame, "AB"));
	tg_frame_release(&frame);
	assert_int_equal(
		tg_frame_make(1, TG_SLICE("incident"), TG_SLICE("{\"incident_id\":\"i\"}"), &frame),
		0);
	assert_true(tg_frame_visible(&frame, ""));
	assert_false(tg_frame_visible(&frame, "A"));
	tg_frame_release(&frame);
}

static void frame__what_is_no_document_is_refused(void **state)
{
	struct tg_frame frame;

	(void)state;
	assert_int_equal(tg_frame_make(1, TG_SLICE("case"), TG_SLICE("{"), &frame), -TG_EPARSE);
}

static void ring__gives_what_comes_after_a_position(void **state)
{
	struct tg_ring *ring = calloc(1, sizeof(*ring));

	(void)state;
	assert_non_null(ring);
	assert_false(tg_ring_covers(ring, 0));
	for (int64_t pos = 10; pos < 20; pos++)
		push(ring, pos);
	assert_false(tg_ring_covers(ring, 8));
	assert_true(tg_ring_covers(ring, 9));
	assert_int_equal(tg_ring_after(ring, 9, 0)->pos, 10);
	assert_int_equal(tg_ring_after(ring, 14, 0)->pos, 15);
	assert_int_equal(tg_ring_after(ring, 14, 4)->pos, 19);
	assert_null(tg_ring_after(ring, 14, 5));
	assert_null(tg_ring_after(ring, 19, 0));
	tg_ring_release(ring);
	free(ring);
}

static void ring__forgets_the_oldest_and_says_so(void **state)
{
	struct tg_ring *ring = calloc(1, sizeof(*ring));
	int64_t n = 2 * TG_RING_FRAMES + 7;

	(void)state;
	assert_non_null(ring);
	for (int64_t pos = 1; pos <= n; pos++)
		push(ring, pos);
	assert_false(tg_ring_covers(ring, n - TG_RING_FRAMES - 1));
	assert_true(tg_ring_covers(ring, n - TG_RING_FRAMES));
	for (size_t i = 0; i < TG_RING_FRAMES; i++)
		assert_int_equal(tg_ring_after(ring, n - TG_RING_FRAMES, i)->pos,
			n - TG_RING_FRAMES + 1 + (int64_t)i);
	tg_ring_release(ring);
	free(ring);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frame__a_task_event_has_the_tasks_version_and_state),
		cmocka_unit_test(frame__a_department_sees_its_own_only),
		cmocka_unit_test(frame__what_is_no_document_is_refused),
		cmocka_unit_test(ring__gives_what_comes_after_a_position),
		cmocka_unit_test(ring__forgets_the_oldest_and_says_so),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
