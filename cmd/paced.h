/* Sending events to Kafka at their time: one loop with a producer, a timer that paces, progress on
 * stderr, SIGINT and SIGTERM. What is sent, and when, is the caller's. */
#ifndef TG_CMD_PACED_H
#define TG_CMD_PACED_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/io/kafka.h"
#include "cmd/progress.h"

enum paced_step {
	PACED_SENT,   /* one more; ask again */
	PACED_LATER,  /* the next one is due in *wait_us */
	PACED_FULL,   /* Kafka takes no more for now: the same one again after a delivery */
	PACED_OVER,   /* nothing more to send: the run ends when all is delivered */
	PACED_FAILED, /* the run ends now; the caller has said why */
};

struct paced_how {
	const char *name;   /* of the command, in messages */
	const char *client; /* of Kafka's client */
	enum paced_step (*pump)(void *ctx, int64_t *wait_us);
	void (*delivered)(void *ctx, void *tag, int rc, bool closing);
	double (*share)(void *ctx); /* how far it is, 0 to 1 */
};

enum { PACED_PACE, PACED_PROGRESS, PACED_TIMERS };
enum { PACED_INT, PACED_TERM, PACED_SIGNALS };

/* Lives as long as the run, at one address. `now` is the caller's to fill: events and clock. */
struct paced {
	const struct paced_how *how;
	void *ctx;
	uv_loop_t loop;
	uv_timer_t timers[PACED_TIMERS];
	uv_signal_t signals[PACED_SIGNALS];
	struct tg_producer *producer;
	struct progress progress;
	struct progress_now now;
	bool full;
	bool over;
	bool closing;
	bool stopped; /* by a signal */
};

/* 0, or an exit code after saying why; then there is nothing to close. */
int paced_open(struct paced *p, const struct paced_how *how, const char *brokers, void *ctx);
/* A topic that nobody made would swallow its events until a time limit: false, said, when it is not
 * there. */
bool paced_topic_exists(struct paced *p, const char *brokers, const char *topic);
/* Until all is delivered, the caller fails, or somebody stops it. */
void paced_run(struct paced *p);
void paced_close(struct paced *p);

#endif
