#include "cmd/feed_tally.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"

int feed_fault_set(struct feed_fault *fault, const char *reason, const char *fmt, ...)
{
	va_list ap;

	fault->reason = reason;
	va_start(ap, fmt);
	vsnprintf(fault->detail, sizeof(fault->detail), fmt, ap);
	va_end(ap);
	return -TG_EPARSE;
}

static struct feed_reason *find_reason(struct feed_tally *tally, const char *text)
{
	size_t i = 0;

	while (i < tally->reason_count && strcmp(tally->reasons[i].text, text) != 0)
		i++;
	if (i == FEED_REASONS_MAX) {
		i--;
		tally->reasons[i].text = "other reasons";
	}
	if (i == tally->reason_count)
		tally->reasons[tally->reason_count++] = (struct feed_reason){text, 0, 0};
	return &tally->reasons[i];
}

void feed_tally_row(struct feed_tally *tally, const char *reason)
{
	tally->left_out++;
	find_reason(tally, reason)->rows++;
}

void feed_tally_reading(struct feed_tally *tally, const char *reason)
{
	tally->readings++;
	find_reason(tally, reason)->readings++;
}

void feed_tally_tell(struct feed_tally *tally, const char *place, const struct feed_fault *fault)
{
	if (tally->told == FEED_TOLD_MAX)
		return;
	tally->told++;
	/* On a terminal the line may begin where the progress bar stands: wipe that first. */
	fprintf(stderr, "%s%s: left out: %s%s%s\n", isatty(STDERR_FILENO) ? "\r\033[K" : "", place,
		fault->reason, fault->detail[0] ? ": " : "", fault->detail);
	if (tally->told == FEED_TOLD_MAX)
		fprintf(stderr, "%s: further ones are only counted\n", tally->name);
}

static void print_count(uint64_t n, const char *what)
{
	if (n)
		printf(", %" PRIu64 " %s", n, what);
}

static void print_reasons(uint64_t n, const char *what, const char *text)
{
	if (n)
		printf("  %8" PRIu64 " %s: %s\n", n, what, text);
}

void feed_tally_print(const struct feed_tally *tally)
{
	printf("%s: %" PRIu64 " rows = %" PRIu64 " taken + %" PRIu64 " refused", tally->name,
		tally->rows, tally->taken, tally->left_out);
	if (tally->passed)
		printf(" + %" PRIu64 " passed over", tally->passed);
	printf("; %" PRIu64 " events sent", tally->sent);
	print_count(tally->refused, "refused by Kafka");
	print_count(tally->events - tally->sent - tally->refused, "not sent");
	putchar('\n');
	for (size_t i = 0; i < tally->reason_count; i++) {
		const struct feed_reason *reason = &tally->reasons[i];

		print_reasons(reason->rows, "rows", reason->text);
		print_reasons(reason->readings, "readings", reason->text);
	}
}
