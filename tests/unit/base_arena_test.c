#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/arena.h"
#include "base/list.h"

static void arena_alloc__gives_distinct_aligned_memory_across_blocks(void **state)
{
	struct tg_arena arena;
	char *seen[200];

	(void)state;
	tg_arena_init(&arena, 256, 1 << 20);
	for (int i = 0; i < 200; i++) {
		size_t n = (size_t)(i * 7 % 400);

		seen[i] = tg_arena_alloc(&arena, n);
		assert_non_null(seen[i]);
		assert_int_equal((uintptr_t)seen[i] % 16, 0);
		memset(seen[i], i, n);
	}
	for (int i = 0; i < 200; i++) {
		for (int k = 0; k < i * 7 % 400; k++)
			assert_int_equal((uint8_t)seen[i][k], (uint8_t)i);
	}
	tg_arena_release(&arena);
}

static void arena_reset__hands_the_same_blocks_out_again(void **state)
{
	struct tg_arena arena;
	void *first, *large;

	(void)state;
	tg_arena_init(&arena, 64, 1 << 20);
	first = tg_arena_alloc(&arena, 40);
	large = tg_arena_alloc(&arena, 1000);
	tg_arena_reset(&arena);
	assert_int_equal(arena.used, 0);
	assert_ptr_equal(tg_arena_alloc(&arena, 40), first);
	assert_ptr_equal(tg_arena_alloc(&arena, 1000), large);
	tg_arena_release(&arena);
}

static void arena_alloc__past_max_is_null_until_reset(void **state)
{
	struct tg_arena arena;

	(void)state;
	tg_arena_init(&arena, 64, 128);
	assert_non_null(tg_arena_alloc(&arena, 100));
	assert_null(tg_arena_alloc(&arena, 100));
	assert_null(tg_arena_alloc(&arena, SIZE_MAX));
	assert_null(tg_arena_alloc(&arena, SIZE_MAX - 20));
	assert_non_null(tg_arena_alloc(&arena, 0));
	assert_null(tg_arena_strdup(&arena, "a", 1));
	tg_arena_reset(&arena);
	assert_string_equal(tg_arena_strdup(&arena, "abc", 2), "ab");
	assert_string_equal(tg_arena_strdup(&arena, NULL, 0), "");
	tg_arena_release(&arena);
}

struct item {
	int n;
	struct tg_list link;
};

static void list__keeps_order_and_lets_items_leave_during_a_walk(void **state)
{
	struct tg_list head;
	struct item items[5];
	int sum = 0;

	(void)state;
	tg_list_init(&head);
	assert_true(tg_list_empty(&head));
	for (int i = 0; i < 5; i++) {
		items[i].n = i;
		tg_list_push(&head, &items[i].link);
	}
	tg_list_foreach_safe (it, tmp, &head) {
		if (tg_container_of(it, struct item, link)->n % 2)
			tg_list_remove(it);
	}
	tg_list_foreach (it, &head) {
		sum = sum * 10 + tg_container_of(it, struct item, link)->n;
	}
	assert_int_equal(sum, 24); /* 0, 2, 4 */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arena_alloc__gives_distinct_aligned_memory_across_blocks),
		cmocka_unit_test(arena_reset__hands_the_same_blocks_out_again),
		cmocka_unit_test(arena_alloc__past_max_is_null_until_reset),
		cmocka_unit_test(list__keeps_order_and_lets_items_leave_during_a_walk),
	};

	return cmocka_run_group_tests_name("base_arena", tests, NULL, NULL);
}
