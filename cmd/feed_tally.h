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
	const char *name; /* of the feed */
	/* Rows: read = taken + left_out + passed. */
	uint64_t rows;     /* read */
	uint64_t taken;    /* became one event or more */
	uint64_t left_out; /* became none, for a reason below */
	uint64_t passed;   /* over, by only, --from or --to */
	uint64_t readings; /* left out of rows that have others */
	uint64_t events;   /* made, waiting or sent */
	uint64_t sent;     /* taken by Kafka for good */
	uint64_t refused;  /* by Kafka */
	struct feed_reason {
		const char *text;
		uint64_t rows, readings;
	} reasons[FEED_REASONS_MAX]; /* the last one takes what finds no place */
	size_t reason_count, told;
};

/* Says it on stderr the first FEED_TOLD_MAX times: "PLACE: left out: REASON: DETAIL". */
void feed_tally_tell(struct feed_tally *tally, const char *place, const struct feed_fault *fault);
/* A row that became nothing; a reading that its row goes on without. */
void feed_tally_row(struct feed_tally *tally, const char *reason);
void feed_tally_reading(struct feed_tally *tally, const char *reason);
/* The closing lines on stdout. */
void feed_tally_print(const struct feed_tally *tally);

#endif
