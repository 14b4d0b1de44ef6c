/* tongguan feed: publish files of recorded events to the topics as if they happened now. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/share.h"
#include "cmd/cmd.h"
#include "cmd/feed_find.h"
#include "cmd/feed_replay.h"
#include "cmd/feed_series.h"

#define NAME "feed"

#define SPEED_MAX      1e9
#define TIME_TEXT_MAX  64
#define PLACE_TEXT_MAX 64
#define ROWS_MAX       1e15

static const char usage[] =
	"usage: tongguan feed NAME|PROFILE.yaml|FILE... [options]\n\n"
	"Publishes recorded events to the topics as if they happened now; several files are merged "
	"by "
	"time.\n"
	"NAME is feeds/NAME.yaml in the folder of the loaded city; docs/feeds.md describes "
	"profiles.\n"
	"FILE is data: NAME.csv.gz goes by schema/feeds/NAME.yaml.\n"
	"  --profile PATH   another profile for FILE, which takes the place of the file it names\n"
	"  --format F       csv, ndjson or geojson: of FILE, when it is not the profile's\n"
	"  --place LON,LAT  where readings, positions and states happen that have no place\n"
	"  --rows N         only the first N rows of each file\n"
	"  --speed N|max    recorded seconds a second (default 1); max: as fast as Kafka takes "
	"them\n"
	"  --from T, --to T only rows from T on, before T, by their recorded times (2015-03-16 or\n"
	"                   2015-03-16T08:00, in the profile's zone unless T names one)\n"
	"  --shift-to now   move the series to now and keep the recorded instant in the attribute\n"
	"                   original_time (default)\n"
	"  --keep-time      leave all times as they are\n";

struct feed_options {
	const char *profile, *format, *speed, *from, *to, *shift_to, *place, *rows;
	bool keep_time;
	const char *files[FEED_SERIES_MAX];
	size_t file_count;
};

/* Everything one run holds. */
struct feed_run {
	struct feed_options opt;
	struct tg_conf conf;
	struct feed_plan plan;
	enum feed_format format;
	struct feed_fixed fixed;
	uint64_t rows_max;
	struct tg_buf paths[FEED_SERIES_MAX];
	struct feed_tally tallies[FEED_SERIES_MAX];
	struct feed_series *series[FEED_SERIES_MAX];
	size_t count;
	struct tg_buf why;
};

/* ---- command line ---- */

static int take_options(struct feed_options *opt, int argc, char **argv)
{
	const struct {
		const char *name;
		const char **ret;
	} known[] = {{"--profile", &opt->profile}, {"--format", &opt->format},
		{"--speed", &opt->speed}, {"--from", &opt->from}, {"--to", &opt->to},
		{"--shift-to", &opt->shift_to}, {"--place", &opt->place}, {"--rows", &opt->rows}};
	const size_t known_count = sizeof(known) / sizeof(known[0]);

	for (int i = 1; i < argc; i++) {
		size_t k = 0, n = strcspn(argv[i], "=");

		if (strcmp(argv[i], "--keep-time") == 0) {
			opt->keep_time = true;
			continue;
		}
		if (argv[i][0] != '-') {
			if (opt->file_count == FEED_SERIES_MAX)
				return tg_cmd_usage(NAME, "at most %d files", FEED_SERIES_MAX);
			opt->files[opt->file_count++] = argv[i];
			continue;
		}
		while (k < known_count &&
			(strlen(known[k].name) != n || memcmp(known[k].name, argv[i], n) != 0))
			k++;
		if (k == known_count)
			return tg_cmd_usage(NAME, "what is '%s'?", argv[i]);
		if (argv[i][n])
			*known[k].ret = argv[i] + n + 1;
		else if (i + 1 < argc)
			*known[k].ret = argv[++i];
		else
			return tg_cmd_usage(NAME, "%s wants a value", argv[i]);
	}
	return -1;
}

static bool parse_place(const char *text, struct feed_fixed *ret)
{
	const char *comma = strchr(text, ',');
	char lon[PLACE_TEXT_MAX];

	if (!comma ||
		snprintf(lon, sizeof(lon), "%.*s", (int)(comma - text), text) >= (int)sizeof(lon))
		return false;
	ret->given = feed_decimal_parse(lon, &ret->lon) && fabs(ret->lon) <= 180 &&
		     feed_decimal_parse(comma + 1, &ret->lat) && fabs(ret->lat) <= 90;
	return ret->given;
}

static int check_limits(struct feed_run *run)
{
	const struct feed_options *opt = &run->opt;
	double rows = 0;

	if (opt->place && !parse_place(opt->place, &run->fixed))
		return tg_cmd_usage(NAME, "--place: LON,LAT in degrees, not '%s'", opt->place);
	if (opt->rows && (!feed_decimal_parse(opt->rows, &rows) || rows < 1 || rows > ROWS_MAX ||
				 rows != floor(rows)))
		return tg_cmd_usage(NAME, "--rows: a whole number above 0, not '%s'", opt->rows);
	run->rows_max = (uint64_t)rows;
	return -1;
}

static int check_options(struct feed_run *run)
{
	const struct feed_options *opt = &run->opt;
	struct feed_plan *plan = &run->plan;

	if (!opt->file_count)
		return tg_cmd_usage(NAME, "the name of a feed, a profile or a file is wanted");
	if (opt->format && !feed_format_parse(opt->format, &run->format))
		return tg_cmd_usage(
			NAME, "--format: csv, ndjson or geojson, not '%s'", opt->format);
	if (opt->shift_to && strcmp(opt->shift_to, "now") != 0)
		return tg_cmd_usage(NAME, "--shift-to: now, not '%s'", opt->shift_to);
	if (opt->shift_to && opt->keep_time)
		return tg_cmd_usage(NAME, "either --shift-to now or --keep-time");
	plan->keep_time = opt->keep_time;
	plan->brokers = run->conf.kafka_brokers;
	plan->retention_days = run->conf.ingest_retention_days;
	plan->speed = 1;
	plan->max = opt->speed && strcmp(opt->speed, "max") == 0;
	if (opt->speed && !plan->max &&
		(!feed_decimal_parse(opt->speed, &plan->speed) || plan->speed <= 0 ||
			plan->speed > SPEED_MAX))
		return tg_cmd_usage(
			NAME, "--speed: a number above 0, or max, not '%s'", opt->speed);
	return -1;
}

/* A date alone is its first instant. */
static int parse_bound(
	const struct feed_profile *profile, const char *option, const char *text, int64_t *ret_us)
{
	const struct feed_time time = {.format = FEED_ISO, .zone = profile->time.zone};
	char full[TIME_TEXT_MAX];
	const char *wrong;

	if (!text)
		return -1;
	snprintf(full, sizeof(full), "%s%s", text, strlen(text) == 10 ? "T00:00" : "");
	wrong = feed_time_parse(&time, full, ret_us);
	return wrong ? tg_cmd_usage(NAME, "%s '%s': %s", option, text, wrong) : -1;
}

/* ---- feeds ---- */

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && strcmp(text + n - m, end) == 0;
}

/* NAME.csv.gz, whatever its endings are, goes by schema/feeds/NAME.yaml. */
static int find_shipped(const char *file, struct tg_buf *ret)
{
	const char *slash = strrchr(file, '/'), *own = slash ? slash + 1 : file;
	char relative[768];
	int n = snprintf(
		relative, sizeof(relative), "schema/feeds/%.*s.yaml", (int)strcspn(own, "."), own);
	int rc = n < (int)sizeof(relative) ? tg_share_path(relative, ret) : -TG_ENOENT;

	if (rc == -TG_ENOENT)
		return tg_cmd_usage(NAME, "%s: there is no %s: give --profile PROFILE.yaml", file,
			ret->len ? tg_buf_cstr(ret) : relative);
	return rc ? tg_cmd_fail(NAME, "no memory") : -1;
}

/* The path of the profile in run->paths[i]; *ret_file is set when the argument is data itself. */
static int find_profile(struct feed_run *run, size_t i, const char **ret_file)
{
	const char *arg = run->opt.files[i];
	struct tg_buf *path = &run->paths[i];
	int rc;

	if (run->opt.profile) {
		*ret_file = arg;
		rc = tg_buf_add_cstr(path, run->opt.profile);
	} else if (ends_with(arg, ".yaml")) {
		rc = tg_buf_add_cstr(path, arg);
	} else if (!strchr(arg, '/') && !strchr(arg, '.')) {
		rc = feed_find(&run->conf, arg, path, &run->why);
		if (rc && run->why.len)
			return tg_cmd_usage(NAME, "%s: %s", arg, tg_buf_cstr(&run->why));
	} else {
		*ret_file = arg;
		return find_shipped(arg, path);
	}
	return rc || !tg_buf_cstr(path) ? tg_cmd_fail(NAME, "no memory") : -1;
}

static int open_feed(struct feed_run *run, size_t i)
{
	struct feed_window window = {INT64_MIN, INT64_MAX, run->rows_max};
	struct feed_profile *profile;
	const char *file = NULL;
	int code = find_profile(run, i, &file);

	if (code >= 0)
		return code;
	if (feed_profile_load(tg_buf_cstr(&run->paths[i]), file,
		    run->opt.format ? &run->format : NULL, &profile, &run->why)) {
		fprintf(stderr, "%s\n", run->why.len ? tg_buf_cstr(&run->why) : "no memory");
		return TG_EXIT_USAGE;
	}
	profile->fixed = run->fixed;
	code = parse_bound(profile, "--from", run->opt.from, &window.from_us);
	if (code < 0)
		code = parse_bound(profile, "--to", run->opt.to, &window.to_us);
	if (code >= 0) {
		feed_profile_free(profile);
		return code;
	}
	if (feed_series_open(profile, &window, &run->tallies[i], &run->series[i], &run->why))
		return tg_cmd_fail(NAME, "%s", run->why.len ? tg_buf_cstr(&run->why) : "no memory");
	run->count++;
	return -1;
}

static int run_feeds(struct feed_run *run)
{
	int code;

	for (size_t i = 0; i < run->opt.file_count; i++) {
		code = open_feed(run, i);
		if (code >= 0)
			return code;
	}
	code = feed_replay_run(run->series, run->count, &run->plan);
	for (size_t i = 0; i < run->count; i++)
		feed_tally_print(&run->tallies[i]);
	return code;
}

static void release(struct feed_run *run)
{
	for (size_t i = 0; i < FEED_SERIES_MAX; i++) {
		feed_series_close(run->series[i]);
		tg_buf_release(&run->paths[i]);
	}
	tg_buf_release(&run->why);
	tg_conf_release(&run->conf);
	free(run);
}

int cmd_feed(int argc, char **argv)
{
	struct feed_run *run = calloc(1, sizeof(*run));
	int code;

	if (!run)
		return tg_cmd_fail(NAME, "no memory");
	code = tg_cmd_begin(&argc, argv, usage, false, &run->conf);
	if (code >= 0) {
		free(run);
		return code;
	}
	code = take_options(&run->opt, argc, argv);
	if (code < 0)
		code = check_options(run);
	if (code < 0)
		code = check_limits(run);
	if (code < 0)
		code = run_feeds(run);
	release(run);
	return code;
}
