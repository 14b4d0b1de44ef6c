#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"

#define KEYS 2000

static struct tg_slice key_of(int i, char text[16])
{
	snprintf(text, 16, "k%d", i);
	return tg_slice_cstr(text);
}

static void map__agrees_with_an_array_over_random_steps(void **state)
{
	static char values[KEYS];
	char *want[KEYS] = {0}, text[16];
	struct tg_map *map;
	size_t count = 0;

	(void)state;
	srand(7);
	assert_int_equal(tg_map_new(0, &map), 0);
	for (int step = 0; step < 200000; step++) {
		int i = rand() % KEYS;
		struct tg_slice key = key_of(i, text);

		if (rand() % 2) {
			count += want[i] == NULL;
			want[i] = &values[rand() % KEYS];
			assert_int_equal(tg_map_put(map, key, want[i]), 0);
		} else {
			count -= want[i] != NULL;
			assert_ptr_equal(tg_map_remove(map, key), want[i]);
			want[i] = NULL;
		}
		assert_ptr_equal(tg_map_get(map, key_of(step % KEYS, text)), want[step % KEYS]);
		assert_int_equal(tg_map_count(map), count);
	}
	tg_map_clear(map);
	assert_int_equal(tg_map_count(map), 0);
	assert_null(tg_map_get(map, key_of(1, text)));
	tg_map_free(map);
	tg_map_free(NULL);
}

static void map_put__at_max_refuses_a_new_key_but_replaces_an_old_one(void **state)
{
	struct tg_map *map;
	int a, b;

	(void)state;
	assert_int_equal(tg_map_new(2, &map), 0);
	assert_int_equal(tg_map_put(map, TG_SLICE("a"), &a), 0);
	assert_int_equal(tg_map_put(map, TG_SLICE(""), &a), 0); /* the empty key is a key */
	assert_int_equal(tg_map_put(map, TG_SLICE("b"), &b), -TG_EFULL);
	assert_int_equal(tg_map_put(map, TG_SLICE("a"), &b), 0);
	assert_ptr_equal(tg_map_get(map, TG_SLICE("a")), &b);
	assert_ptr_equal(tg_map_get(map, TG_SLICE("")), &a);
	assert_null(tg_map_get(map, TG_SLICE("b")));
	tg_map_free(map);
}

static void map_next__visits_each_once_while_the_visited_leave(void **state)
{
	static char seen[KEYS];
	char text[16];
	struct tg_map *map;
	struct tg_slice key;
	size_t pos = 0, visits = 0;
	char *value;

	(void)state;
	assert_int_equal(tg_map_new(0, &map), 0);
	for (int i = 0; i < KEYS; i++)
		assert_int_equal(tg_map_put(map, key_of(i, text), &seen[i]), 0);
	while ((value = tg_map_next(map, &pos, &key))) {
		*value = (char)(*value + 1);
		visits++;
		if (visits % 2)
			assert_ptr_equal(tg_map_remove(map, key), value);
	}
	assert_int_equal(visits, KEYS);
	assert_int_equal(tg_map_count(map), KEYS / 2);
	for (int i = 0; i < KEYS; i++)
		assert_int_equal(seen[i], 1);
	tg_map_free(map);
}

static void id_of(uint32_t n, uint8_t id[16])
{
	memset(id, 0, 16); /* the id of nought is all zeros and must still count as an id */
	memcpy(id + 4, &n, sizeof(n));
}

static void idset__never_claims_what_was_not_added_and_keeps_the_recent_half(void **state)
{
	struct tg_idset *set;
	uint8_t id[16];

	(void)state;
	assert_int_equal(tg_idset_new(1000, &set), 0);
	for (uint32_t n = 0; n < 10000; n++) {
		id_of(n, id);
		assert_false(tg_idset_has(set, id));
		assert_true(tg_idset_add(set, id));
		assert_false(tg_idset_add(set, id));
		for (uint32_t back = 1; back <= 500 && back <= n; back += 83) {
			id_of(n - back, id);
			assert_true(tg_idset_has(set, id));
		}
	}
	id_of(0, id);
	assert_false(tg_idset_has(set, id)); /* long forgotten */
	id_of(9999, id);
	tg_idset_clear(set);
	assert_false(tg_idset_has(set, id));
	tg_idset_free(set);
	tg_idset_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(map__agrees_with_an_array_over_random_steps),
		cmocka_unit_test(map_put__at_max_refuses_a_new_key_but_replaces_an_old_one),
		cmocka_unit_test(map_next__visits_each_once_while_the_visited_leave),
		cmocka_unit_test(idset__never_claims_what_was_not_added_and_keeps_the_recent_half),
	};

	return cmocka_run_group_tests_name("base_map", tests, NULL, NULL);
}
