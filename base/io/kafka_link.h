/* One connection to one broker: one request at a time, answered within a limit. Runs on the loop's
 * thread; whoever cannot run the loop (start-up, stopping) serves the descriptor itself. */
#ifndef TG_BASE_IO_KAFKA_LINK_H
#define TG_BASE_IO_KAFKA_LINK_H

#include <poll.h>
#include <sys/uio.h>

#include "base/io/kafka_wire.h"
#include "base/list.h"

struct kafka_link;

struct kafka_link_ops {
	/* The answer to the request under way, behind its correlation id. Another may be sent. */
	void (*on_answer)(void *ctx, struct kafka_link *link, struct wire_reader *answer);
	/* The connection ended, or was never made. With a request under way nobody knows whether
	 * it was done. */
	void (*on_lost)(void *ctx, struct kafka_link *link);
	void (*on_up)(void *ctx, struct kafka_link *link);
	void (*on_freed)(void *ctx);
};

struct kafka_link {
	struct tg_list entry; /* in the list of whoever made it */
	char host[256], port[6];
	bool bootstrap;    /* named by the configuration, so it stays */
	bool blocking;     /* nobody runs the loop now, so a name is looked up at once */
	enum wire_api api; /* of the request under way */
	bool busy;

	uv_loop_t *loop;
	const struct kafka_link_ops *ops;
	void *ctx;
	struct tg_slice client_id;
	enum { LINK_DOWN, LINK_RESOLVING, LINK_CONNECTING, LINK_UP, LINK_CLOSED } state;
	struct resolve *resolve;
	uv_poll_t *poll; /* of fd */
	int fd;
	short watched;                      /* poll's events that uv was told of */
	unsigned handles;                   /* polls that uv still closes */
	unsigned tries;                     /* chooses among several addresses */
	uint64_t until_ms;                  /* the connection, or the answer, is due */
	uint64_t not_before_ms, backoff_ms; /* of the next try */
	int32_t correlation;
	struct tg_buf out, in;
	struct iovec *iov; /* what is still to be sent */
	size_t iov_count, iov_cap, iov_at;
};

/* The clock of everything here: monotonic. */
uint64_t kafka_now_ms(void);

struct kafka_link *kafka_link_new(uv_loop_t *loop, struct tg_slice host, struct tg_slice port,
	struct tg_slice client_id, const struct kafka_link_ops *ops, void *ctx);
/* Nothing is called afterwards but on_freed. */
void kafka_link_free(struct kafka_link *link);

/* Up, and nothing under way. Begins to connect when that is due. */
bool kafka_link_ready(struct kafka_link *link, uint64_t now_ms);
/* The buffer a request is put together in, its header written; NULL when memory is out. */
struct tg_buf *kafka_link_begin(struct kafka_link *link, enum wire_api api);
/* The frame's pieces, in order: bytes of the caller's, which stay where they are until the answer
 * or the loss, or with data NULL the next bytes of that buffer. */
TG_MUST int kafka_link_piece(struct kafka_link *link, const void *data, size_t len);
void kafka_link_send(struct kafka_link *link, uint64_t now_ms);
/* Ends what is overdue. */
void kafka_link_tick(struct kafka_link *link, uint64_t now_ms);
/* -1: nothing to wait for. */
int kafka_link_wants(const struct kafka_link *link, short *ret_events);
void kafka_link_serve(struct kafka_link *link, short events);

#endif
