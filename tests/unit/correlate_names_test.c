/* Names: each text once, at an address that stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "correlate/names.h"
#include "correlate/registry.h"

#define MANY 20000

static void names__are_found_where_they_were_however_many_come(void **state)
{
	static const char *texts[MANY];
	struct tg_names *names;
	char text[32];

	(void)state;
	assert_int_equal(tg_names_new(&names), 0);
	for (int i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "%s-%d", i % 2 ? "device" : "d", i);
		assert_null(tg_names_find(names, text));
		texts[i] = tg_names_text(names, text);
		assert_string_equal(texts[i], text);
	}
	for (int i = 0; i < MANY; i++) {
		snprintf(text, sizeof(text), "%s-%d", i % 2 ? "device" : "d", i);
		assert_ptr_equal(tg_names_text(names, text), texts[i]);
		assert_ptr_equal(tg_names_find(names, text), tg_name_of(texts[i]));
	}
	tg_names_free(names);
}

static void names__none_is_made_of_nothing(void **state)
{
	struct tg_names *names;

	(void)state;
	assert_int_equal(tg_names_new(&names), 0);
	assert_null(tg_names_text(names, NULL));
	assert_null(tg_names_text(names, ""));
	assert_null(tg_names_find(names, ""));
	/* but a source may have no name */
	assert_string_equal(tg_names_get(names, "")->text, "");
	assert_non_null(tg_names_find(names, ""));
	assert_true(tg_names_stamp(names) < tg_names_stamp(names));
	tg_names_free(names);
}

static struct tg_registry *registry_with(const char *id)
{
	struct tg_registry *r;

	assert_int_equal(tg_registry_new(&r), 0);
	assert_int_equal(tg_registry_add(r, tg_slice_cstr(id), TG_SLICE("S1"), TG_SLICE("D1"), 0,
				 TG_SLICE("{}")),
		0);
	return r;
}

static void names__know_their_device_as_the_newest_registry_has_it(void **state)
{
	struct tg_registry *first = registry_with("a"), *second = registry_with("b");
	struct tg_names *names;
	struct tg_name *name;

	(void)state;
	assert_int_equal(tg_names_new(&names), 0);
	name = tg_names_get(names, "b");
	assert_null(tg_registry_device(first, name));
	assert_ptr_equal(tg_registry_device(second, name), tg_registry_find(second, "b"));
	assert_null(tg_registry_device(first, name));
	/* what is added later is seen too */
	assert_int_equal(tg_registry_add(first, TG_SLICE("b"), TG_SLICE("S2"), TG_SLICE("D1"), 0,
				 TG_SLICE("{}")),
		0);
	assert_string_equal(tg_registry_device(first, name)->street, "S2");
	tg_names_free(names);
	tg_registry_free(first);
	tg_registry_free(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names__are_found_where_they_were_however_many_come),
		cmocka_unit_test(names__none_is_made_of_nothing),
		cmocka_unit_test(names__know_their_device_as_the_newest_registry_has_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
