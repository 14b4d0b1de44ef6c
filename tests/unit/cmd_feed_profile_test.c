#include "cmd_feed.h"

#define REPORT "report: {title: x}\n"

/* Where each mistake stands, line and column, and a word of what is said. */
static const struct {
	const char *yaml, *at, *says;
} mistakes[] = {
	{"", "p.yaml:1:1: ", "empty"},
	{"feed: other\n", "p.yaml:1:7: ", "own name: p"},
	{FEED_HEAD "tobic: t\n", "p.yaml:4:1: ", "no key \"tobic\""},
	{FEED_HEAD "topic: t\ntopic: t\n", "p.yaml:5:1: ", "topic"},
	{FEED_HEAD, "p.yaml:1:1: ", "\"time\" is missing"},
	{"feed: p\nfile: none.csv\nformat: csv\n", "p.yaml:2:7: ", "no such file"},
	{"feed: p\nfile: f.csv\nformat: xls\n", "p.yaml:3:9: ", "csv, ndjson or geojson"},
	{"feed: p\nfile: [f]\nformat: csv\n", "p.yaml:2:7: ", "a text is wanted"},
	{FEED_HEAD "order: sideways\n", "p.yaml:4:8: ", "time or file"},
	{FEED_HEAD "time: {value: \"{when}\"}\n", "p.yaml:4:15: ", "no column \"when\""},
	{FEED_HEAD "time: {value: \"{t\"}\n", "p.yaml:4:15: ", "without its }"},
	{FEED_HEAD "time: {value: \"t}\"}\n", "p.yaml:4:15: ", "without its {"},
	{FEED_HEAD "time: {value: \"{}\"}\n", "p.yaml:4:15: ", "name of a column"},
	{FEED_HEAD "time: {value: \"{@line}\"}\n", "p.yaml:4:15: ", "{@row} and {@metric}"},
	{FEED_HEAD "time: \"{t}\"\n", "p.yaml:4:7: ", "a map is wanted"},
	{FEED_HEAD "time: {value: \"{t}\", format: soon}\n", "p.yaml:4:30: ", "epoch_s"},
	{FEED_HEAD "time: {value: \"{t}\", format: \"%H\"}\n", "p.yaml:4:30: ", "zone is needed"},
	{FEED_HEAD "time: {value: \"{t}\", format: \"%s\"}\n", "p.yaml:4:30: ", "epoch_s"},
	{FEED_HEAD "time: {value: \"{t}\", format: \"%Y%\"}\n", "p.yaml:4:30: ", "middle"},
	{FEED_HEAD "time: {value: \"{t}\", zone: Moon/Base}\n", "p.yaml:4:28: ", "no time zone"},
	{FEED_BASE, "p.yaml:1:1: ", "report, readings, position, status"},
	{FEED_BASE REPORT "status: {state: fault}\n", "p.yaml:10:1: ", "report stands already"},
	{FEED_BASE "report: {}\n", "p.yaml:9:9: ", "one of title"},
	{FEED_BASE "report: {headline: x}\n", "p.yaml:9:10: ", "no key \"headline\""},
	{FEED_BASE "report: {title: \"\"}\n", "p.yaml:9:17: ", "empty"},
	{FEED_BASE "report: {title: [x]}\n", "p.yaml:9:17: ", "lookup"},
	{FEED_BASE "readings: []\n", "p.yaml:9:11: ", "list"},
	{FEED_BASE "readings: [{value: \"{t}\"}]\n", "p.yaml:9:12: ", "\"metric\" is missing"},
	{FEED_BASE "readings: [{metric: m, value: soon}]\n", "p.yaml:9:31: ", "a number"},
	{FEED_BASE "position: {speed_kmh: {value: \"{t}\", scale: much}}\n",
		"p.yaml:9:45: ", "a number"},
	{FEED_BASE "status: {state: broken}\n", "p.yaml:9:17: ", "\"broken\" is not one of"},
	{FEED_BASE "status: {state: {value: \"{t}\", map: {a: online, b: dead}}}\n",
		"p.yaml:9:17: ", "\"dead\" is not one of"},
	{FEED_BASE "report: {title: {value: \"{t}\"}}\n", "p.yaml:9:17: ", "map or table"},
	{FEED_BASE "report: {title: {value: \"{t}\", map: [a]}}\n", "p.yaml:9:37: ", "a map"},
	{FEED_BASE "report: {title: {value: \"{t}\", table: no.csv}}\n",
		"p.yaml:9:39: ", "no.csv cannot be read"},
	{FEED_BASE "report: {title: {value: \"{t}\", table: f.csv}}\n",
		"f.csv:1:1: ", "no column value"},
	{FEED_BASE REPORT "location: {lon: \"{t}\"}\n", "p.yaml:10:11: ", "\"lat\" is missing"},
	{FEED_BASE REPORT "location: geometry\n", "p.yaml:10:11: ", "GeoJSON"},
	{FEED_BASE REPORT "location: {lon: \"1\", lat: \"2\", datum: mars}\n",
		"p.yaml:10:39: ", "wgs84"},
	{FEED_BASE REPORT "location: {lon: \"1\", lat: \"2\", ignore: [[1]]}\n",
		"p.yaml:10:41: ", "[lon, lat]"},
	{FEED_BASE REPORT "type_code: 123\n", "p.yaml:10:12: ", "5 digits"},
	{FEED_BASE REPORT "attributes: {original_time: x}\n", "p.yaml:10:14: ", "replay itself"},
	{FEED_BASE REPORT "only: [{value: \"{t}\"}]\n", "p.yaml:10:8: ", "\"in\" is missing"},
	{FEED_BASE REPORT "only: [{value: \"{t}\", in: a}]\n", "p.yaml:10:27: ", "list of texts"},
};

static void profile__each_mistake_is_shown_where_it_stands(void **state)
{
	(void)state;
	feed_file("f.csv", "id,t\n1,1\n");
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		struct feed_profile *profile = NULL;
		struct tg_buf why = {0};
		const char *text;

		assert_int_equal(feed_load(mistakes[i].yaml, &profile, &why), -TG_EPARSE);
		text = tg_buf_cstr(&why);
		if (strncmp(text, mistakes[i].at, strlen(mistakes[i].at)) != 0 ||
			!strstr(text, mistakes[i].says))
			fail_msg("got '%s', wanted '%s… %s …'", text, mistakes[i].at,
				mistakes[i].says);
		tg_buf_release(&why);
	}
}

static void profile__a_table_is_checked_too(void **state)
{
	static const struct {
		const char *table, *says;
	} rows[] = {
		{"value\na\n", "t.csv:1:1: beside value"},
		{"key,result\na,b\n", "t.csv:1:1: there is no column value"},
		{"value,result\na,b\nb\n", "t.csv:3:1: the row is broken"},
		{"value,result\na,b\na,c\n", "p.yaml:9:39: t.csv holds \"a\" twice"},
	};

	(void)state;
	feed_file("f.csv", "id,t\n1,1\n");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct feed_profile *profile = NULL;
		struct tg_buf why = {0};

		feed_file("t.csv", rows[i].table);
		assert_int_equal(
			feed_load(FEED_BASE "report: {title: {value: \"{t}\", table: t.csv}}\n",
				&profile, &why),
			-TG_EPARSE);
		if (strncmp(tg_buf_cstr(&why), rows[i].says, strlen(rows[i].says)) != 0)
			fail_msg("got '%s', wanted '%s…'", tg_buf_cstr(&why), rows[i].says);
		tg_buf_release(&why);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(profile__each_mistake_is_shown_where_it_stands),
		cmocka_unit_test(profile__a_table_is_checked_too),
	};

	return cmocka_run_group_tests_name(
		"cmd_feed_profile", tests, feed_dir_make, feed_dir_remove);
}
