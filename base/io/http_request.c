/* What a handler may ask of a request. */
#include "base/io/http_impl.h"

#include <stdlib.h>
#include <string.h>

enum tg_method tg_req_method(const struct tg_request *req)
{
	return req->method;
}

struct tg_slice tg_req_path(const struct tg_request *req)
{
	return req->path;
}

struct tg_slice tg_req_param(const struct tg_request *req, int i)
{
	return i >= 0 && i < req->params_count ? req->params[i] : (struct tg_slice){"", 0};
}

bool tg_req_query(const struct tg_request *req, const char *name, struct tg_slice *ret)
{
	for (int i = 0; i < req->query_count; i++) {
		if (!tg_slice_is(req->query[i].name, name))
			continue;
		*ret = req->query[i].value;
		return true;
	}
	return false;
}

bool tg_req_query_at(
	const struct tg_request *req, int i, struct tg_slice *name, struct tg_slice *value)
{
	if (i < 0 || i >= req->query_count)
		return false;
	*name = req->query[i].name;
	*value = req->query[i].value;
	return true;
}

bool tg_req_header(const struct tg_request *req, const char *name, struct tg_slice *ret)
{
	for (int i = 0; i < req->headers_count; i++) {
		const struct http_header *h = &req->headers[i];

		if (!tg_slice_is((struct tg_slice){req->head.data + h->name_at, h->name_len}, name))
			continue;
		*ret = (struct tg_slice){
			h->value_len ? req->head.data + h->value_at : "", h->value_len};
		return true;
	}
	return false;
}

bool tg_req_cookie(const struct tg_request *req, const char *name, struct tg_slice *ret)
{
	size_t name_len = strlen(name);
	struct tg_slice all;
	const char *at, *end;

	if (!tg_req_header(req, "cookie", &all))
		return false;
	for (at = all.data, end = all.data + all.len; at < end;) {
		const char *stop = memchr(at, ';', (size_t)(end - at));
		size_t len;

		if (!stop)
			stop = end;
		while (at < stop && (*at == ' ' || *at == '\t'))
			at++;
		len = (size_t)(stop - at);
		if (len > name_len && memcmp(at, name, name_len) == 0 && at[name_len] == '=') {
			*ret = (struct tg_slice){at + name_len + 1, len - name_len - 1};
			return true;
		}
		at = stop + 1;
	}
	return false;
}

struct tg_slice tg_req_body(const struct tg_request *req)
{
	return (struct tg_slice){req->body.len ? req->body.data : "", req->body.len};
}

const char *tg_req_peer(const struct tg_request *req)
{
	return req->conn->peer;
}

bool tg_req_gone(const struct tg_request *req)
{
	return req->conn->peer_done;
}

void *tg_req_user(const struct tg_request *req)
{
	return req->user;
}

void tg_req_set_user(struct tg_request *req, void *user, void (*release)(void *user))
{
	if (req->release && req->user != user)
		req->release(req->user);
	req->user = user;
	req->release = release;
}

void http_request_free(struct tg_request *req)
{
	req->conn->req = NULL;
	req->conn->http->bodies -= req->body.len;
	if (req->release)
		req->release(req->user);
	tg_buf_release(&req->head);
	tg_buf_release(&req->body);
	tg_buf_release(&req->text);
	tg_buf_release(&req->reply);
	free(req->headers);
	free(req);
}
