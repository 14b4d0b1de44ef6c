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

static void count_reason(struct feed_tally *tally, const char *text)
{
	size_t i = 0;

	while (i < tally->reason_count && strcmp(tally->reasons[i].text, text) != 0)
		i++;
	if (i == FEED_REASONS_MAX) {
		i--;
		tally->reasons[i].text = "other reasons";
	}
	if (i == tally->reason_count)
		tally->reasons[tally->reason_count++] = (struct feed_reason){text, 0};
	tally->reasons[i].count++;
}

void feed_tally_leave_out(
	struct feed_tally *tally, const char *place, const struct feed_fault *fault)
{
	tally->left_out++;
	count_reason(tally, fault->reason);
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

void feed_tally_print(const struct feed_tally *tally)
{
	printf("%s: %" PRIu64 " rows, %" PRIu64 " events sent, %" PRIu64 " left out", tally->name,
		tally->rows, tally->sent, tally->left_out);
	print_count(tally->passed, "passed over");
	print_count(tally->empty, "without a reading");
	print_count(tally->refused, "refused by Kafka");
	print_count(tally->events - tally->sent - tally->refused, "not sent");
	putchar('\n');
	for (size_t i = 0; i < tally->reason_count; i++)
		printf("  %8" PRIu64 "  %s\n", tally->reasons[i].count, tally->reasons[i].text);
}
