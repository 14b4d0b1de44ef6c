/* Packs: what is wrong is named at its line and column; the built-in pack is right and its examples
 * hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "correlate/example.h"
#include "correlate/near_miss.h"
#include "correlate/pack.h"

#define HEAD "pack: p\nversion: 1\nlateness_s: 60\nrules:\n"
#define RULE                                                                                      \
	HEAD "  - id: a\n    version: 1\n    kind: cluster\n    domain: minsheng\n    severity: " \
	     "3\n    auto_file: false\n"
#define WHOLE                                                                                  \
	RULE "    types: [\"05101\"]\n    min_events: 3\n    min_reporters: 2\n    radius_m: " \
	     "100\n    window_s: 600\n"
#define SINGLE                                                                                   \
	HEAD "  - id: a\n    version: 1\n    kind: single\n    domain: minsheng\n    severity: " \
	     "3\n    auto_file: false\n"                                                         \
	     "    types: [\"05101\"]\n"
#define THRESHOLD                                                                                 \
	HEAD "  - id: a\n    version: 1\n    kind: threshold\n    domain: pingan\n    severity: " \
	     "1\n    auto_file: true\n"                                                           \
	     "    metric: level_cm\n"
#define SILENCE                                                                                 \
	HEAD "  - id: a\n    version: 1\n    kind: silence\n    domain: pingan\n    severity: " \
	     "1\n    auto_file: true\n"

static const struct {
	const char *text;
	const char *says; /* the first line, or NULL: nothing is wrong */
} packs[] = {
	{WHOLE, NULL},
	{SINGLE, NULL},
	{WHOLE "    cooldown_s: 60\n    title: t\n    case_type: \"05102\"\n    condition: 2\n",
		NULL},
	{THRESHOLD "    above: 27\n    k: 2\n    n: 3\n    clear_below: 20\n", NULL},
	{THRESHOLD "    below: 3\n    for_s: 300\n    clear_above: 4\n", NULL},
	{THRESHOLD "    limits: device\n    k: 1\n    n: 1\n", NULL},
	{SILENCE "    devices: \"lamp-*\"\n    after_s: 900\n    schedule: \"18:00-24:00\"\n    "
		 "fold_by: "
		 "street\n",
		NULL},
	{WHOLE "    colour: red\n", "p.yaml:16:5: a rule has no key colour"},
	{WHOLE "    k: 3\n", "p.yaml:16:5: a rule has no key k"},
	{RULE "    types: [\"05101\"]\n    min_events: 3\n    min_reporters: 2\n    window_s: "
	      "600\n",
		"p.yaml:5:9: a rule needs the key radius_m"},
	{"pack: p\nversion: 1\nrules: []\n", "p.yaml:1:1: a pack needs the key lateness_s"},
	{"pack: p\nversion: 1\nlateness_s: -1\nrules: []\n",
		"p.yaml:3:13: lateness_s lies between 0 and 1e+09"},
	{RULE "    types: [\"05101\"]\n    min_events: three\n    min_reporters: 2\n    radius_m: "
	      "100\n    window_s: 600\n",
		"p.yaml:12:17: min_events must be a whole number"},
	{RULE "    types: [\"05101\"]\n    min_events: 3\n    min_reporters: 2\n    radius_m: "
	      "100\n    window_s: -5\n",
		"p.yaml:15:15: window_s lies between 0.001 and 3.16224e+07"},
	{RULE "    types: [\"05101\"]\n    min_events: 3\n    min_reporters: 2\n    radius_m: "
	      "501\n    window_s: 5\n",
		"p.yaml:14:15: radius_m is larger than the city's halo_m (500): events across a "
		"border would be missed"},
	{RULE "    types: [\"05101\"]\n    min_events: 3\n    min_reporters: 4\n    radius_m: 50\n "
	      "   window_s: 5\n",
		"p.yaml:13:20: min_reporters cannot be more than min_events (3)"},
	{RULE "    types: [\"5101\"]\n    min_events: 3\n    min_reporters: 2\n    radius_m: 50\n  "
	      "  window_s: 5\n",
		"p.yaml:11:13: a type code has 5 digits (or \"*\" alone for every type)"},
	{WHOLE "    where: value > 3 and\n",
		"p.yaml:16:25: a field, a number or a text is missing here"},
	{WHOLE "    where: \"metric == 3\"\n", "p.yaml:16:23: a text is compared with a number"},
	{WHOLE "  - id: a\n    version: 1\n    kind: single\n    domain: minsheng\n    severity: "
	       "3\n    auto_file: false\n"
	       "    types: [\"05101\"]\n",
		"p.yaml:16:9: the id a stands already at p.yaml:5"},
	{HEAD "  - id: a\n    version: 1\n    kind: wave\n    domain: minsheng\n    severity: 9\n  "
	      "  auto_file: maybe\n",
		"p.yaml:7:11: kind is one of: single cluster threshold silence"},
	{HEAD "  - id: a\n    version: 1\n    kind: single\n    domain: food\n    severity: 3\n    "
	      "auto_file: false\n"
	      "    types: [\"05101\"]\n",
		"p.yaml:8:13: domain is one of: pingan jianguan shichang minsheng"},
	{THRESHOLD "    above: 27\n    below: 3\n    k: 2\n    n: 3\n    clear_below: 20\n",
		"p.yaml:13:12: a threshold rule has above or below, not both"},
	{THRESHOLD "    above: 27\n    k: 4\n    n: 3\n    clear_below: 20\n",
		"p.yaml:13:8: k cannot be more than n (3)"},
	{THRESHOLD "    above: 27\n    k: 1\n    n: 3\n",
		"p.yaml:5:9: a threshold rule needs the key clear_below"},
	{THRESHOLD "    above: 27\n    k: 1\n    n: 3\n    clear_below: 30\n",
		"p.yaml:5:9: the clearing value lies beyond the limit"},
	{SILENCE "    devices: \"*\"\n", "p.yaml:5:9: a rule needs the key after_s"},
	{SILENCE "    devices: \"*\"\n    after_s: 3\n    schedule: 22:00-06:00\n",
		"p.yaml:13:15: a period ends after it begins, on the same day (24:00 is its end)"},
	{SILENCE "    devices: \"*\"\n    after_s: 3\n    fold_by: planet\n",
		"p.yaml:13:14: fold_by is one of: street district"},
	{SINGLE "    examples: [{name: x, events: [{id: e, at: 0}], expect: [{events: [f]}]}]\n",
		"p.yaml:12:71: the example has no event with this id"},
	{SINGLE "    examples: [{name: x, events: [{id: e, at: noon}], expect: []}]\n",
		"p.yaml:12:47: at is a number of seconds or a time with its zone"},
	{"rules", "p.yaml:1:1: a pack is a map with pack, version, lateness_s and rules"},
	{"pack: [\n", "p.yaml:2:1:"},
};

static void pack__says_what_is_wrong_and_where(void **state)
{
	const struct tg_pack_limits limits = {500};
	(void)state;

	for (size_t i = 0; i < sizeof(packs) / sizeof(packs[0]); i++) {
		struct tg_ruleset set = {0};
		struct tg_buf why = {0};
		int rc = tg_pack_parse("p.yaml", tg_slice_cstr(packs[i].text), &limits, &set, &why);
		char text[512];

		snprintf(text, sizeof(text), "%s", tg_buf_cstr(&why));
		text[strcspn(text, "\n")] = '\0';
		if (!packs[i].says) {
			assert_string_equal(text, "");
			assert_int_equal(rc, 0);
			assert_int_equal(set.len, 1);
		} else {
			assert_int_equal(rc, -TG_EPARSE);
			assert_int_equal(set.len, 0);
			if (strncmp(text, packs[i].says, strlen(packs[i].says)) != 0)
				assert_string_equal(text, packs[i].says);
		}
		tg_buf_release(&why);
		tg_ruleset_release(&set);
	}
}

static void pack__one_refused_file_leaves_its_neighbours(void **state)
{
	const struct tg_pack_limits limits = {500};
	struct tg_ruleset set = {0};
	struct tg_buf why = {0};
	(void)state;

	assert_int_equal(tg_pack_parse("one.yaml", tg_slice_cstr(SINGLE), &limits, &set, &why), 0);
	assert_int_equal(
		tg_pack_parse("two.yaml", tg_slice_cstr(WHOLE), &limits, &set, &why), -TG_EPARSE);
	assert_string_equal(
		tg_buf_cstr(&why), "two.yaml:5:9: the id a stands already at one.yaml:5\n");
	assert_int_equal(set.len, 1);
	assert_int_equal(set.lateness_max_us, 60000000);
	tg_buf_release(&why);
	tg_ruleset_release(&set);
}

static void example__a_wrong_expectation_is_told(void **state)
{
	const struct tg_pack_limits limits = {500};
	struct tg_ruleset set = {0};
	struct tg_buf why = {0};
	(void)state;

	assert_int_equal(tg_pack_parse("p.yaml",
				 TG_SLICE(SINGLE "    examples: [{name: x, events: [{id: e, at: 0, "
						 "type_code: \"05101\"}], expect: "
						 "[]}]\n"),
				 &limits, &set, &why),
		0);
	assert_int_equal(tg_example_run(set.rules[0], &set.rules[0]->examples[0], NULL, &why), 1);
	assert_string_equal(tg_buf_cstr(&why), "  raised, but not expected: {e} open\n");
	tg_buf_release(&why);
	tg_ruleset_release(&set);
}

static void packs__shipped_ones_hold_their_examples_and_every_limit_has_a_near_miss(void **state)
{
	static const char *const folders[] = {"correlate/packs", "schema/cities/xuhui/packs"};
	const struct tg_pack_limits limits = {500};

	(void)state;
	for (size_t f = 0; f < sizeof(folders) / sizeof(folders[0]); f++) {
		struct tg_ruleset set = {0};
		struct tg_buf why = {0};
		size_t refused;

		assert_int_equal(tg_packs_load(folders[f], &limits, &set, &refused, &why), 0);
		assert_string_equal(tg_buf_cstr(&why), "");
		assert_int_equal(refused, 0);
		for (size_t i = 0; i < set.len; i++) {
			assert_true(set.rules[i]->examples_len > 0);
			for (size_t k = 0; k < set.rules[i]->examples_len; k++) {
				int rc = tg_example_run(
					set.rules[i], &set.rules[i]->examples[k], NULL, &why);

				assert_string_equal(tg_buf_cstr(&why), "");
				assert_int_equal(rc, 0);
			}
			assert_int_equal(tg_near_miss_look(set.rules[i], NULL, &why), 0);
			assert_string_equal(tg_buf_cstr(&why), "");
		}
		tg_buf_release(&why);
		tg_ruleset_release(&set);
	}
}

#define AT(id, at, who, lat)                                                           \
	"          - {id: " id ", at: " at ", type_code: \"05101\", reporter_id: " who \
	", lon: 1, "                                                                   \
	"lat: " lat "}\n"
#define EXAMPLE(name) "      - name: " name "\n        events:\n"
#define NONE          "        expect: []\n"
#define LEVEL(id, at, value)                                                                      \
	"          - {id: " id ", at: " at ", source_id: s, metric: level_cm, value: " value ", " \
	"lon: 1, lat: 1}\n"

static const struct {
	const char *text;
	const char *bare[5]; /* what is warned of */
} misses[] = {
	{WHOLE, {"min_events", "min_reporters", "radius_m", "window_s"}},
	{WHOLE "    examples:\n" EXAMPLE("an event short") AT("a", "0", "p", "1") AT(
		 "b", "1", "q", "1") NONE EXAMPLE("a reporter short") AT("a", "0", "p", "1")
			AT("b", "1", "p", "1") AT("c", "2", "p", "1") NONE,
		{"radius_m", "window_s"}},
	/* A metre beyond 100 m, and ten: only the first holds the radius. */
	{WHOLE "    examples:\n" EXAMPLE("a metre") AT("a", "0", "p", "1") AT(
		 "b", "1", "q", "1") AT("c", "2", "r", "1.000908314") NONE EXAMPLE("a second")
			AT("a", "0", "p", "1") AT("b", "0", "q", "1") AT("c", "601", "r", "1") NONE,
		{"min_reporters"}},
	{WHOLE "    examples:\n" EXAMPLE("ten metres") AT("a", "0", "p", "1") AT("b", "1", "q", "1")
			AT("c", "2", "r", "1.000989253") NONE,
		{"min_reporters", "radius_m", "window_s"}},
	{THRESHOLD "    above: 27\n    clear_below: 20\n    k: 2\n    n: 3\n",
		{"k", "above or below"}},
	{THRESHOLD
		"    above: 27\n    clear_below: 20\n    k: 2\n    n: 3\n    examples:\n" EXAMPLE(
			"one") LEVEL("a", "0", "30") LEVEL("b", "1", "27") NONE,
		{NULL}},
	{THRESHOLD "    below: 3\n    clear_above: 4\n    for_s: 300\n",
		{"for_s", "above or below"}},
	{SILENCE "    devices: \"s*\"\n    after_s: 900\n", {"after_s"}},
	{SINGLE, {"types"}},
	{SINGLE "    examples:\n" EXAMPLE("all")
			AT("a", "0", "p", "1") "        expect: [{events: [a]}]\n",
		{"types"}},
};

static void near_misses__are_missed_where_a_limit_could_be_looser_unnoticed(void **state)
{
	const struct tg_pack_limits limits = {500};

	(void)state;
	for (size_t i = 0; i < sizeof(misses) / sizeof(misses[0]); i++) {
		struct tg_ruleset set = {0};
		struct tg_buf why = {0};
		int bare = 0;

		if (tg_pack_parse("p.yaml", tg_slice_cstr(misses[i].text), &limits, &set, &why))
			fail_msg("%s", tg_buf_cstr(&why));
		while (misses[i].bare[bare])
			bare++;
		assert_int_equal(tg_near_miss_look(set.rules[0], NULL, &why), bare);
		for (int k = 0; k < bare; k++) {
			char line[100];

			snprintf(line, sizeof(line),
				"p.yaml:5:9: warning: a: no example holds %s: add a near miss",
				misses[i].bare[k]);
			assert_non_null(strstr(tg_buf_cstr(&why), line));
		}
		tg_buf_release(&why);
		tg_ruleset_release(&set);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pack__says_what_is_wrong_and_where),
		cmocka_unit_test(pack__one_refused_file_leaves_its_neighbours),
		cmocka_unit_test(example__a_wrong_expectation_is_told),
		cmocka_unit_test(
			packs__shipped_ones_hold_their_examples_and_every_limit_has_a_near_miss),
		cmocka_unit_test(near_misses__are_missed_where_a_limit_could_be_looser_unnoticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
