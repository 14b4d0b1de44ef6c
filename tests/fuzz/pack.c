/* Rule packs: YAML, expressions, examples; the examples of what is accepted are run. */
#include "correlate/example.h"
#include "correlate/pack.h"
#include "tests/fuzz/fuzz.h"

static void run_examples(const struct tg_rule *rule)
{
	for (size_t i = 0; i < rule->examples_len; i++) {
		struct tg_buf why = {0};
		int rc = tg_example_run(rule, &rule->examples[i], NULL, &why);

		FUZZ_HOLDS(rc == 0 || (rc == 1 && why.len));
		tg_buf_release(&why);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct tg_pack_limits limits = {.radius_max_m = 500};
	struct tg_ruleset set = {0};
	struct tg_buf why = {0};
	int rc = tg_pack_parse(
		"fuzz.yaml", (struct tg_slice){(const char *)data, len}, &limits, &set, &why);

	FUZZ_HOLDS((rc == 0) == (why.len == 0));
	FUZZ_HOLDS(rc == 0 || why.data[why.len - 1] == '\n');
	for (size_t i = 0; i < set.len; i++)
		run_examples(set.rules[i]);
	tg_ruleset_release(&set);
	tg_buf_release(&why);
	return 0;
}
