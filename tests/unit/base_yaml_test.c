#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/yaml.h"

static void yaml__every_node_knows_its_line_and_column(void **state)
{
	static const char text[] = "# a pack\n"
				   "name: flood  # comment\n"
				   "rules:\n"
				   "  - id: one\n"
				   "    window_min: 30\n"
				   "  - {id: \"two\", near: [1.5, -2e3]}\n"
				   "text: |\n"
				   "  two\n"
				   "  lines\n"
				   "空: 值\n";
	struct tg_yaml *root, *rules, *two;
	struct tg_buf why = {0};

	(void)state;
	assert_int_equal(tg_yaml_parse("p.yaml", TG_SLICE(text), &root, &why), 0);
	assert_int_equal(root->kind, TG_YAML_MAP);
	assert_int_equal(root->line, 2);
	assert_string_equal(root->child->key, "name");
	assert_string_equal(root->child->text, "flood");
	assert_int_equal(root->child->line, 2);
	assert_int_equal(root->child->column, 7);
	assert_int_equal(root->child->key_column, 1);
	assert_false(root->child->seen);
	rules = tg_yaml_get(root, "rules");
	assert_non_null(rules);
	assert_true(rules->seen);
	assert_int_equal(rules->kind, TG_YAML_SEQ);
	assert_int_equal(rules->line, 4);
	assert_int_equal(rules->column, 3);
	assert_int_equal(rules->key_line, 3);
	assert_int_equal(rules->child->child->next->line, 5);
	assert_int_equal(rules->child->child->next->column, 17);
	two = rules->child->next;
	assert_null(two->next);
	assert_int_equal(two->line, 6);
	assert_int_equal(two->column, 5);
	assert_true(two->child->quoted);
	assert_string_equal(two->child->text, "two");
	assert_int_equal(tg_yaml_get(two, "near")->child->next->column, 29);
	assert_string_equal(tg_yaml_get(root, "text")->text, "two\nlines\n");
	assert_string_equal(tg_yaml_get(root, "空")->text, "值");
	assert_int_equal(tg_yaml_get(root, "空")->column, 4);
	assert_null(tg_yaml_get(root, "absent"));
	assert_null(tg_yaml_get(rules, "id")); /* not a map */
	tg_yaml_free(root);
	tg_yaml_free(NULL);
}

static void yaml__says_where_and_what_to_mend(void **state)
{
	static const struct {
		struct tg_slice text;
		const char *why;
	} rows[] = {
		{TG_SLICE(""), "p.yaml:1:1: the file is empty"},
		{TG_SLICE("# nothing\n"), "p.yaml:2:1: the file is empty"},
		{TG_SLICE("a: 1\nb: 2\na: 3\n"),
			"p.yaml:3:1: the key \"a\" stands already on line 1"},
		{TG_SLICE("a: &x 1\n"), "p.yaml:1:4: anchors"},
		{TG_SLICE("a: 1\nb: *x\n"), "p.yaml:2:4: aliases"},
		{TG_SLICE("a: !!int 1\n"), "p.yaml:1:4: tags"},
		{TG_SLICE("- &x [1]\n"), "p.yaml:1:3: anchors"},
		{TG_SLICE("? [a]\n: 1\n"), "p.yaml:1:3: a key must be a plain text"},
		{TG_SLICE("a: [1, 2\nb: 3\n"), "p.yaml:2:2: "},
		{TG_SLICE("a: 1\n\tb: 2\n"), "p.yaml:2:1: found a tab character"},
		{TG_SLICE("a: 1\n---\nb: 2\n"), "p.yaml:2:1: only one document"},
		{TG_SLICE("a: \"x\\0y\"\n"), "p.yaml:1:4: a text must not hold a NUL"},
		{TG_SLICE("a: 1\nb: \xff\n"), "p.yaml:2:4: "},
		{TG_SLICE("a: 1\nb: \x01\n"), "p.yaml:2:4: "},
		{TG_SLICE("a: 'open\n"), "p.yaml:2:1: found unexpected end of stream"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tg_buf why = {0};
		struct tg_yaml *root = NULL;

		assert_int_equal(tg_yaml_parse("p.yaml", rows[i].text, &root, &why), -TG_EPARSE);
		assert_null(root);
		if (strncmp(tg_buf_cstr(&why), rows[i].why, strlen(rows[i].why)) != 0)
			fail_msg("got \"%s\", wanted \"%s\"", tg_buf_cstr(&why), rows[i].why);
		tg_buf_release(&why);
	}
}

static void yaml__bounds_its_depth(void **state)
{
	char text[200] = "";
	struct tg_yaml *root;

	(void)state;
	for (size_t depth = 32; depth <= 33; depth++) {
		struct tg_buf why = {0};
		int rc;

		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		rc = tg_yaml_parse("p", (struct tg_slice){text, 2 * depth}, &root, &why);
		assert_int_equal(rc, depth == 32 ? 0 : -TG_EPARSE);
		if (!rc)
			tg_yaml_free(root);
		else
			assert_string_equal(tg_buf_cstr(&why), "p:1:33: nested too deeply");
		tg_buf_release(&why);
	}
}

static void yaml_getters__convert_the_whole_scalar_or_nothing(void **state)
{
	enum { I = 1, D = 2, B = 4 };
	static const struct {
		const char *text;
		int ok;
	} rows[] = {{"0", I | D}, {"-7", I | D}, {"9223372036854775807", I | D},
		{"9223372036854775808", D}, {"1.5", D}, {"-0.5", D}, {"1e3", D}, {"1E-3", D},
		{"2.5e+3", D}, {"1e3x", 0}, {"1.", 0}, {".5", 0}, {"1e", 0}, {"007", 0},
		{"00.5", 0}, {"0x10", 0}, {"1_000", 0}, {"+1", 0}, {"1 2", 0}, {"-", 0}, {"nan", 0},
		{".inf", 0}, {"1e999", 0}, {"'5'", 0}, {"\"true\"", 0}, {"true", B}, {"false", B},
		{"yes", 0}, {"True", 0}, {"''", 0}, {"[1]", 0}, {"{a: 1}", 0}, {"~", 0}};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tg_buf why = {0};
		struct tg_yaml *root;
		int64_t n = 0;
		double d = 0;
		bool b = false;

		assert_int_equal(tg_yaml_parse("p", tg_slice_cstr(rows[i].text), &root, &why), 0);
		if ((tg_yaml_int(root, &n) == 0) != !!(rows[i].ok & I) ||
			(tg_yaml_dbl(root, &d) == 0) != !!(rows[i].ok & D) ||
			(tg_yaml_bool(root, &b) == 0) != !!(rows[i].ok & B))
			fail_msg("%s", rows[i].text);
		if (rows[i].ok & I)
			assert_true(n == strtoll(rows[i].text, NULL, 10));
		if (rows[i].ok & D)
			assert_true(d == strtod(rows[i].text, NULL));
		tg_yaml_free(root);
	}
}

static void yaml_load__names_a_file_it_cannot_read(void **state)
{
	struct tg_buf why = {0};
	struct tg_yaml *root;

	(void)state;
	assert_int_equal(tg_yaml_load("/nowhere/x.yaml", &root, &why), -TG_EPARSE);
	assert_string_equal(tg_buf_cstr(&why),
		"/nowhere/x.yaml:1:1: cannot be read: No such file or directory");
	tg_buf_release(&why);
}

static void yaml__survives_random_damage(void **state)
{
	static const char good[] =
		"a: [1, {b: \"c\", d: 'e'}]\nf:\n  - g: |\n      h\n  - ? i\n    : j\n";
	char text[sizeof(good)];

	(void)state;
	srand(9);
	for (int i = 0; i < 20000; i++) {
		struct tg_buf why = {0};
		struct tg_yaml *root;

		memcpy(text, good, sizeof(good));
		for (int k = rand() % 4; k >= 0; k--)
			text[(size_t)rand() % (sizeof(good) - 1)] =
				rand() % 3 ? good[(size_t)rand() % (sizeof(good) - 1)]
					   : (char)rand();
		if (tg_yaml_parse("p", (struct tg_slice){text, sizeof(good) - 1}, &root, &why) == 0)
			tg_yaml_free(root);
		else
			assert_true(why.len > 0);
		tg_buf_release(&why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(yaml__every_node_knows_its_line_and_column),
		cmocka_unit_test(yaml__says_where_and_what_to_mend),
		cmocka_unit_test(yaml__bounds_its_depth),
		cmocka_unit_test(yaml_getters__convert_the_whole_scalar_or_nothing),
		cmocka_unit_test(yaml_load__names_a_file_it_cannot_read),
		cmocka_unit_test(yaml__survives_random_damage),
	};

	return cmocka_run_group_tests_name("base_yaml", tests, NULL, NULL);
}
