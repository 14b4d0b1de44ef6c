#include "cmd/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define BAR_CELLS   24
#define TERMINAL_MS 200
#define LOG_MS      5000
#define WIPE_LINE   "\r\033[K"
#define CLOCK_MAX   20

void progress_init(struct progress *progress)
{
	*progress =
		(struct progress){.terminal = isatty(STDERR_FILENO) == 1, .mono_us = tg_mono_us()};
}

uint64_t progress_every_ms(const struct progress *progress)
{
	return progress->terminal ? TERMINAL_MS : LOG_MS;
}

/* "2015-03-16 00:54" */
static void clock_text(const struct progress_now *now, char out[CLOCK_MAX])
{
	char text[TG_RFC3339_MAX];

	out[0] = '\0';
	if (now->clock_us == INT64_MIN)
		return;
	if (now->zone)
		tg_rfc3339_local(now->zone, now->clock_us, text);
	else
		tg_rfc3339_utc(now->clock_us, text);
	snprintf(out, CLOCK_MAX, "%.10s %.5s", text, text + 11);
}

static void draw_bar(const struct progress_now *now, double rate, const char *clock)
{
	char bar[BAR_CELLS + 1];
	int full = (int)(now->share * BAR_CELLS);

	memset(bar, '.', BAR_CELLS);
	memset(bar, '#', (size_t)(full > BAR_CELLS ? BAR_CELLS : full));
	bar[BAR_CELLS] = '\0';
	fprintf(stderr, WIPE_LINE "[%s] %3.0f %%  %" PRIu64 " events  %.0f/s  %s", bar,
		now->share * 100, now->events, rate, clock);
	fflush(stderr);
}

void progress_show(struct progress *progress, const char *name, const struct progress_now *now)
{
	int64_t mono_us = tg_mono_us(), passed_us = mono_us - progress->mono_us;
	double rate = passed_us > 0
			      ? (double)(now->events - progress->events) * 1e6 / (double)passed_us
			      : 0;
	char clock[CLOCK_MAX];

	clock_text(now, clock);
	if (progress->terminal) {
		draw_bar(now, rate, clock);
		progress->drawn = true;
	} else {
		tg_log(TG_INFO, name, TG_F("events", TG_I(now->events)),
			TG_F("percent", TG_I(now->share * 100)), TG_F("per_s", TG_I(rate)),
			TG_F("series_clock", TG_S(clock)));
	}
	progress->events = now->events;
	progress->mono_us = mono_us;
}

void progress_end(struct progress *progress)
{
	if (progress->drawn)
		fputs(WIPE_LINE, stderr);
	progress->drawn = false;
}
