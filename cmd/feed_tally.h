/* What became of the rows of one file, and why some became nothing. A row that cannot become an
 * event is a value with a reason, not an error. */
#ifndef TG_CMD_FEED_TALLY_H
#define TG_CMD_FEED_TALLY_H

#include <stddef.h>
#include <stdint.h>

#define FEED_REASONS_MAX 32
#define FEED_TOLD_MAX    10

struct feed_fault {
	const char *reason; /* static: rows are counted by it */
	char detail[160];   /* of this row: which column, which text */
};

/* Sets both and returns -TG_EPARSE. */
int feed_fault_set(struct feed_fault *fault, const char *reason, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

struct feed_tally {
	const char *name;  /* of the feed */
	uint64_t rows;     /* read */
	uint64_t passed;   /* over, by only, --from or --to */
	uint64_t empty;    /* rows none of whose readings has a number */
	uint64_t events;   /* made, waiting or sent */
	uint64_t sent;     /* taken by Kafka for good */
	uint64_t refused;  /* by Kafka */
	uint64_t left_out; /* rows, or readings where a row has several */
	struct feed_reason {
		const char *text;
		uint64_t count;
	} reasons[FEED_REASONS_MAX]; /* the last one takes what finds no place */
	size_t reason_count, told;
};

/* Counts; the first FEED_TOLD_MAX times also a line on stderr: "PLACE: left out: REASON: DETAIL".
 */
void feed_tally_leave_out(
	struct feed_tally *tally, const char *place, const struct feed_fault *fault);
/* The closing lines on stdout. */
void feed_tally_print(const struct feed_tally *tally);

#endif
