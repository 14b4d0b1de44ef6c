#include "base/io/kafka_link.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

#define CONNECT_LIMIT_MS 10000
#define ANSWER_LIMIT_MS  15000
#define BACKOFF_MIN_MS   50
#define BACKOFF_MAX_MS   2000
#define ANSWER_MAX       (16 << 20)
#define FRAME_HEAD       4
#define PIECES_BEGIN     32

/* A look-up under way; it may outlive the connection that asked. */
struct resolve {
	uv_getaddrinfo_t req;
	struct kafka_link *link;
};

static void link_watch(struct kafka_link *link);
static void stop_resolving(struct kafka_link *link);

uint64_t kafka_now_ms(void)
{
	return uv_hrtime() / 1000000;
}

static void on_gone(struct kafka_link *link)
{
	if (link->state != LINK_CLOSED || link->handles)
		return;
	tg_buf_release(&link->out);
	tg_buf_release(&link->in);
	free(link->iov);
	link->ops->on_freed(link->ctx);
	free(link);
}

static void on_poll_closed(uv_handle_t *handle)
{
	struct kafka_link *link = handle->data;

	free(handle);
	link->handles--;
	on_gone(link);
}

/* Closes the socket and says nothing to anybody. */
static void hang_up(struct kafka_link *link)
{
	if (link->poll) {
		uv_close((uv_handle_t *)link->poll, on_poll_closed);
		close(link->fd);
	}
	link->poll = NULL;
	link->fd = -1;
	link->watched = 0;
	link->iov_count = link->iov_at = 0;
	tg_buf_reset(&link->in);
}

static void lost(struct kafka_link *link, const char *why)
{
	tg_log(link->state == LINK_UP && !link->busy ? TG_INFO : TG_WARN, "kafka broker lost",
		TG_F("host", TG_S(link->host)), TG_F("port", TG_S(link->port)),
		TG_F("why", TG_S(why)));
	hang_up(link);
	stop_resolving(link);
	link->busy = false;
	link->state = LINK_DOWN;
	link->backoff_ms = link->backoff_ms ? 2 * link->backoff_ms : BACKOFF_MIN_MS;
	if (link->backoff_ms > BACKOFF_MAX_MS)
		link->backoff_ms = BACKOFF_MAX_MS;
	link->not_before_ms = kafka_now_ms() + link->backoff_ms;
	link->ops->on_lost(link->ctx, link);
}

/* --- connecting --- */

static void on_event(uv_poll_t *poll, int status, int events)
{
	struct kafka_link *link = poll->data;
	short seen = (short)((events & UV_READABLE ? POLLIN : 0) |
			     (events & UV_WRITABLE ? POLLOUT : 0) | (status ? POLLERR : 0));

	if (link->poll == poll)
		kafka_link_serve(link, seen);
}

static int open_socket(struct kafka_link *link, const struct addrinfo *to)
{
	int on = 1;

	link->fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (link->fd < 0)
		return -TG_ESYS;
	setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(link->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	link->poll = calloc(1, sizeof(*link->poll));
	if (!link->poll || uv_poll_init(link->loop, link->poll, link->fd)) {
		free(link->poll);
		link->poll = NULL;
		close(link->fd);
		return -TG_ESYS;
	}
	link->poll->data = link;
	link->handles++;
	if (connect(link->fd, to->ai_addr, to->ai_addrlen) && errno != EINPROGRESS)
		return -TG_ESYS;
	link->state = LINK_CONNECTING;
	link_watch(link);
	return 0;
}

/* Another address at each try, when the name has several. */
static void connect_to(struct kafka_link *link, const struct addrinfo *found)
{
	const struct addrinfo *to = found;
	unsigned n = 0;

	for (const struct addrinfo *a = found; a; a = a->ai_next)
		n++;
	for (unsigned skip = n ? link->tries++ % n : 0; skip; skip--)
		to = to->ai_next;
	if (!to)
		lost(link, "its name has no address");
	else if (open_socket(link, to))
		lost(link, strerror(errno));
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
	struct resolve *resolve = tg_container_of(req, struct resolve, req);
	struct kafka_link *link = resolve->link;

	free(resolve);
	if (link) {
		link->resolve = NULL;
		connect_to(link, status ? NULL : found);
	}
	uv_freeaddrinfo(found);
}

/* Who asked does not wait any more. */
static void stop_resolving(struct kafka_link *link)
{
	if (link->resolve)
		link->resolve->link = NULL;
	link->resolve = NULL;
}

static void begin_connection(struct kafka_link *link, uint64_t now_ms)
{
	static const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
	struct addrinfo *found = NULL;

	link->state = LINK_RESOLVING;
	link->until_ms = now_ms + CONNECT_LIMIT_MS;
	if (link->blocking) {
		if (getaddrinfo(link->host, link->port, &hints, &found))
			found = NULL;
		connect_to(link, found);
		if (found)
			freeaddrinfo(found);
		return;
	}
	link->resolve = calloc(1, sizeof(*link->resolve));
	if (link->resolve && !uv_getaddrinfo(link->loop, &link->resolve->req, on_resolved,
				     link->host, link->port, &hints)) {
		link->resolve->link = link;
		return;
	}
	free(link->resolve);
	link->resolve = NULL;
	lost(link, "its name cannot be looked up");
}

static void connected(struct kafka_link *link)
{
	int error = 0;
	socklen_t len = sizeof(error);

	getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error) {
		lost(link, strerror(error));
		return;
	}
	link->state = LINK_UP;
	link->backoff_ms = 0;
	link_watch(link);
	link->ops->on_up(link->ctx, link);
}

/* --- requests --- */

bool kafka_link_ready(struct kafka_link *link, uint64_t now_ms)
{
	if (link->state == LINK_RESOLVING && link->blocking && link->resolve) {
		stop_resolving(link);
		link->state = LINK_DOWN;
	}
	if (link->state == LINK_DOWN && now_ms >= link->not_before_ms)
		begin_connection(link, now_ms);
	return link->state == LINK_UP && !link->busy;
}

struct tg_buf *kafka_link_begin(struct kafka_link *link, enum wire_api api)
{
	assert(link->state == LINK_UP && !link->busy);
	link->api = api;
	link->iov_count = link->iov_at = 0;
	return wire_begin(&link->out, api, ++link->correlation, link->client_id) ? NULL
										 : &link->out;
}

int kafka_link_piece(struct kafka_link *link, const void *data, size_t len)
{
	if (link->iov_count == link->iov_cap) {
		size_t cap = link->iov_cap ? 2 * link->iov_cap : PIECES_BEGIN;
		struct iovec *grown = reallocarray(link->iov, cap, sizeof(*grown));

		if (!grown)
			return -TG_ENOMEM;
		link->iov = grown;
		link->iov_cap = cap;
	}
	link->iov[link->iov_count++] = (struct iovec){(void *)(uintptr_t)data, len};
	return 0;
}

/* Sends what the socket takes. False: the connection is gone. */
static bool flush(struct kafka_link *link)
{
	while (link->iov_at < link->iov_count) {
		size_t left = link->iov_count - link->iov_at;
		struct msghdr message = {.msg_iov = link->iov + link->iov_at,
			.msg_iovlen = left < IOV_MAX ? left : IOV_MAX};
		ssize_t n = sendmsg(link->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (n < 0) {
			lost(link, strerror(errno));
			return false;
		}
		for (; n > 0 ||
			(link->iov_at < link->iov_count && !link->iov[link->iov_at].iov_len);) {
			struct iovec *piece = &link->iov[link->iov_at];
			size_t taken = (size_t)n < piece->iov_len ? (size_t)n : piece->iov_len;

			piece->iov_base = (char *)piece->iov_base + taken;
			piece->iov_len -= taken;
			n -= (ssize_t)taken;
			link->iov_at += piece->iov_len == 0;
		}
	}
	return true;
}

void kafka_link_send(struct kafka_link *link, uint64_t now_ms)
{
	char *next = link->out.data;

	for (size_t i = 0; i < link->iov_count; i++) {
		if (link->iov[i].iov_base)
			continue;
		link->iov[i].iov_base = next;
		next += link->iov[i].iov_len;
	}
	link->busy = true;
	link->until_ms = now_ms + ANSWER_LIMIT_MS;
	if (flush(link))
		link_watch(link);
}

static void answered(struct kafka_link *link)
{
	struct wire_reader r = {link->in.data + FRAME_HEAD, link->in.data + link->in.len, false};

	if (!link->busy || (int32_t)wire_int(&r, 4) != link->correlation) {
		lost(link, "an answer that nobody asked for");
		return;
	}
	link->busy = false;
	link->ops->on_answer(link->ctx, link, &r);
}

/* How many bytes the frame that is being read still lacks. */
static size_t lacking(const struct kafka_link *link)
{
	struct wire_reader r = {link->in.data, link->in.data + link->in.len, false};
	int64_t len;

	if (link->in.len < FRAME_HEAD)
		return FRAME_HEAD - link->in.len;
	len = wire_int(&r, FRAME_HEAD);
	return len < FRAME_HEAD || len > ANSWER_MAX ? SIZE_MAX
						    : (size_t)len + FRAME_HEAD - link->in.len;
}

static void take_bytes(struct kafka_link *link)
{
	for (;;) {
		size_t more = lacking(link);
		ssize_t n;

		if (more == SIZE_MAX || tg_buf_reserve(&link->in, more)) {
			lost(link, "an answer of an impossible length");
			return;
		}
		n = recv(link->fd, link->in.data + link->in.len, more, MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			lost(link, n ? strerror(errno) : "closed by the broker");
			return;
		}
		link->in.len += (size_t)n;
		if (link->in.len > FRAME_HEAD && lacking(link) == 0) {
			answered(link);
			if (link->state != LINK_UP)
				return;
			tg_buf_reset(&link->in);
			return;
		}
	}
}

void kafka_link_serve(struct kafka_link *link, short events)
{
	if (link->state == LINK_CONNECTING && events & (POLLOUT | POLLERR | POLLHUP)) {
		connected(link);
		return;
	}
	if (link->state == LINK_UP && events & POLLOUT && flush(link))
		link_watch(link);
	if (link->state == LINK_UP && events & (POLLIN | POLLERR | POLLHUP))
		take_bytes(link);
}

int kafka_link_wants(const struct kafka_link *link, short *ret_events)
{
	bool writes = link->state == LINK_CONNECTING || link->iov_at < link->iov_count;

	*ret_events = (short)(POLLIN | (writes ? POLLOUT : 0));
	return link->fd;
}

static void link_watch(struct kafka_link *link)
{
	short events;

	kafka_link_wants(link, &events);
	if (events == link->watched)
		return;
	link->watched = events;
	uv_poll_start(
		link->poll, events & POLLOUT ? UV_READABLE | UV_WRITABLE : UV_READABLE, on_event);
}

void kafka_link_tick(struct kafka_link *link, uint64_t now_ms)
{
	bool awaited = link->state == LINK_RESOLVING || link->state == LINK_CONNECTING ||
		       (link->state == LINK_UP && link->busy);

	if (awaited && now_ms >= link->until_ms)
		lost(link, link->state == LINK_UP ? "no answer in time" : "no connection in time");
}

struct kafka_link *kafka_link_new(uv_loop_t *loop, struct tg_slice host, struct tg_slice port,
	struct tg_slice client_id, const struct kafka_link_ops *ops, void *ctx)
{
	struct kafka_link *link = calloc(1, sizeof(*link));

	if (!link || host.len >= sizeof(link->host) || port.len >= sizeof(link->port)) {
		free(link);
		return NULL;
	}
	memcpy(link->host, host.data, host.len);
	memcpy(link->port, port.data, port.len);
	link->loop = loop;
	link->client_id = client_id;
	link->ops = ops;
	link->ctx = ctx;
	link->fd = -1;
	link->in.max = ANSWER_MAX + FRAME_HEAD;
	return link;
}

void kafka_link_free(struct kafka_link *link)
{
	hang_up(link);
	stop_resolving(link);
	link->state = LINK_CLOSED;
	on_gone(link);
}
