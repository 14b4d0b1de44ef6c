/* The request target: path and query, percent-decoded once and checked. What survives has no "." or
 * ".." segment, no empty one, no NUL or control character, no encoded slash, and is UTF-8: handlers
 * and the database get nothing that means one thing here and another there. */
#include "base/io/http_impl.h"

#include <string.h>
#include <strings.h>

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Appends the decoded text. Query values may hold any character but NUL; paths no control ones. */
static int decode(struct tg_buf *out, struct tg_slice in, bool query)
{
	size_t start = out->len;

	for (size_t i = 0; i < in.len; i++) {
		char c = in.data[i];

		if (c == '%') {
			int hi = in.len - i > 2 ? hex(in.data[i + 1]) : -1;
			int lo = in.len - i > 2 ? hex(in.data[i + 2]) : -1;

			if (hi < 0 || lo < 0)
				return -TG_EHTTP;
			c = (char)(hi << 4 | lo);
			i += 2;
			if (!c || (!query && (c == '/' || c == '\\')))
				return -TG_EHTTP;
		} else if (c == '+' && query) {
			c = ' ';
		}
		if (!query && ((unsigned char)c < 0x20 || c == 0x7f))
			return -TG_EHTTP;
		if (tg_buf_add(out, &c, 1))
			return -TG_ENOMEM;
	}
	return tg_utf8_valid((struct tg_slice){out->data + start, out->len - start}) ? 0
										     : -TG_EHTTP;
}

static bool segment_bad(const char *data, size_t len, bool last)
{
	return (len == 0 && !last) || (len == 1 && data[0] == '.') ||
	       (len == 2 && data[0] == '.' && data[1] == '.');
}

/* path starts with a slash; a slash at the end is allowed. */
static bool segments_ok(struct tg_slice path)
{
	size_t at = 1;

	while (at <= path.len) {
		const char *slash = memchr(path.data + at, '/', path.len - at);
		size_t end = slash ? (size_t)(slash - path.data) : path.len;

		if (segment_bad(path.data + at, end - at, !slash))
			return false;
		at = end + 1;
	}
	return true;
}

static int take_pair(struct tg_request *req, struct tg_slice pair)
{
	const char *eq = memchr(pair.data, '=', pair.len);
	size_t name_len = eq ? (size_t)(eq - pair.data) : pair.len;
	struct tg_slice value = {pair.data + name_len, 0};
	size_t name_at = req->text.len, value_at;
	int rc;

	if (req->query_count == HTTP_QUERY_MAX)
		return -TG_EHTTP;
	if (eq)
		value = (struct tg_slice){eq + 1, pair.len - name_len - 1};
	rc = decode(&req->text, (struct tg_slice){pair.data, name_len}, true);
	value_at = req->text.len;
	if (!rc)
		rc = decode(&req->text, value, true);
	if (rc)
		return rc;
	req->query[req->query_count++] =
		(struct http_pair){{req->text.data + name_at, value_at - name_at},
			{req->text.data + value_at, req->text.len - value_at}};
	return 0;
}

static int take_query(struct tg_request *req, struct tg_slice query)
{
	size_t at = 0;

	while (at < query.len) {
		const char *amp = memchr(query.data + at, '&', query.len - at);
		size_t end = amp ? (size_t)(amp - query.data) : query.len;
		int rc =
			end > at ? take_pair(req, (struct tg_slice){query.data + at, end - at}) : 0;

		if (rc)
			return rc;
		at = end + 1;
	}
	return 0;
}

/* "http://host/path" asks for the same as "/path". */
static struct tg_slice origin_form(struct tg_slice target)
{
	static const char scheme[] = "http://";
	const char *slash;

	if (target.len < sizeof(scheme) - 1 ||
		strncasecmp(target.data, scheme, sizeof(scheme) - 1) != 0)
		return target;
	slash = memchr(target.data + sizeof(scheme) - 1, '/', target.len - (sizeof(scheme) - 1));
	if (!slash)
		return TG_SLICE("/");
	return (struct tg_slice){slash, target.len - (size_t)(slash - target.data)};
}

int http_target(struct tg_request *req)
{
	struct tg_slice target = origin_form((struct tg_slice){req->head.data, req->target_len});
	const char *mark;
	struct tg_slice query = {0};
	int rc;

	if (req->is_options && tg_slice_is(target, "*"))
		target = TG_SLICE("/");
	if (target.len == 0 || target.data[0] != '/' || memchr(target.data, '#', target.len))
		return -TG_EHTTP;
	mark = memchr(target.data, '?', target.len);
	if (mark) {
		query = (struct tg_slice){mark + 1, target.len - (size_t)(mark + 1 - target.data)};
		target.len = (size_t)(mark - target.data);
	}
	/* Decoding never lengthens: with the room taken here, slices into text stay where they are.
	 */
	rc = tg_buf_reserve(&req->text, target.len + query.len + 1);
	if (!rc)
		rc = decode(&req->text, target, false);
	if (rc)
		return rc;
	req->path = (struct tg_slice){req->text.data, req->text.len};
	if (!segments_ok(req->path))
		return -TG_EHTTP;
	return take_query(req, query);
}
