/* From a whole request to the handler that answers it. */
#include "base/io/http_impl.h"

#include <stdio.h>
#include <string.h>

static const struct {
	enum tg_method method;
	const char *name;
} method_names[] = {{TG_GET, "GET"}, {TG_POST, "POST"}, {TG_PUT, "PUT"}, {TG_PATCH, "PATCH"},
	{TG_DELETE, "DELETE"}};

#define METHODS (sizeof(method_names) / sizeof(method_names[0]))

/* Walks pattern and path together; params are filled as far as it got. */
static bool match(const char *pattern, struct tg_slice path, struct tg_slice *params, int *count)
{
	const char *at = path.data, *end = path.data + path.len;

	*count = 0;
	while (*pattern) {
		const char *stop;

		if (*pattern != '{') {
			if (at == end || *at != *pattern)
				return false;
			at++;
			pattern++;
			continue;
		}
		if (*count == HTTP_PARAMS_MAX)
			return false;
		stop = strncmp(pattern, "{*}", 3) == 0 ? NULL : memchr(at, '/', (size_t)(end - at));
		if (!stop)
			stop = end;
		if (stop == at)
			return false;
		params[(*count)++] = (struct tg_slice){at, (size_t)(stop - at)};
		at = stop;
		pattern = strchr(pattern, '}') + 1;
	}
	return at == end;
}

static void allow_header(struct tg_request *req, unsigned methods)
{
	char text[64] = "OPTIONS";
	size_t len = strlen(text);

	for (size_t i = 0; i < METHODS; i++)
		if (methods & 1u << method_names[i].method)
			len += (size_t)snprintf(text + len, sizeof(text) - len, ", %s%s",
				method_names[i].name,
				method_names[i].method == TG_GET ? ", HEAD" : "");
	tg_reply_header(req, "Allow", text);
}

static bool wants(const struct tg_request *req, enum tg_method method)
{
	return !req->unsupported && !req->is_options && req->method == method;
}

/* Calls the first route that fits; else returns the methods the path has. */
static unsigned find_route(struct tg_http *http, struct tg_request *req, bool *called)
{
	unsigned methods = 0;

	for (int t = 0; t < http->tables_count; t++) {
		const struct http_table *table = &http->tables[t];

		for (size_t i = 0; i < table->n; i++) {
			const struct tg_route *route = &table->routes[i];

			if (!match(route->pattern, req->path, req->params, &req->params_count))
				continue;
			if (wants(req, route->method)) {
				*called = true;
				route->handler(table->ctx, req);
				return 0;
			}
			methods |= 1u << route->method;
		}
	}
	return methods;
}

void http_dispatch(struct tg_http *http, struct tg_request *req)
{
	bool called = false;
	unsigned methods;

	if (http_target(req)) {
		http_problem(req, 400, "The path or the query of this request is malformed.");
		return;
	}
	methods = find_route(http, req, &called);
	if (called)
		return;
	req->params_count = 0;
	if (!methods && http->fallback && wants(req, TG_GET)) {
		http->fallback(http->fallback_ctx, req);
		return;
	}
	if (!methods && http->fallback)
		methods = 1u << TG_GET;
	if (!methods) {
		http_problem(req, 404, "There is nothing under this path.");
		return;
	}
	allow_header(req, methods);
	if (req->is_options)
		tg_reply(req, 204, NULL, (struct tg_slice){0});
	else
		http_problem(req, 405, "This path does not have this method; see Allow.");
}
