#include "base/io/redis_impl.h"

#include <stdlib.h>
#include <string.h>

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int decode(struct tg_slice in, char *out, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < in.len; i++) {
		char c = in.data[i];

		if (c == '%') {
			int hi = in.len - i > 2 ? hex(in.data[i + 1]) : -1;
			int lo = in.len - i > 2 ? hex(in.data[i + 2]) : -1;

			if (hi < 0 || lo < 0 || (hi == 0 && lo == 0))
				return -TG_EPARSE;
			c = (char)(hi << 4 | lo);
			i += 2;
		}
		if (n + 1 >= size)
			return -TG_EPARSE;
		out[n++] = c;
	}
	out[n] = '\0';
	return 0;
}

static struct tg_slice until(const char *from, const char *to)
{
	return (struct tg_slice){from, (size_t)(to - from)};
}

static int number(const char *text, int max, int *ret)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (end == text || *end || n < 0 || n > max)
		return -TG_EPARSE;
	*ret = (int)n;
	return 0;
}

static int parse_login(struct tg_slice login, struct redis_where *w)
{
	const char *colon = memchr(login.data, ':', login.len);
	const char *end = login.data + login.len;
	int rc = decode(until(login.data, colon ? colon : end), w->user, sizeof(w->user));

	if (!rc && colon)
		rc = decode(until(colon + 1, end), w->password, sizeof(w->password));
	return rc;
}

static int parse_place(const char *at, struct redis_where *w)
{
	char place[300];
	const char *slash = strchr(at, '/'), *end = slash ? slash : at + strlen(at);
	char *colon;
	size_t len;

	if (slash && slash[1] && number(slash + 1, 1 << 20, &w->db))
		return -TG_EPARSE;
	if ((size_t)(end - at) >= sizeof(place))
		return -TG_EPARSE;
	memcpy(place, at, (size_t)(end - at));
	place[end - at] = '\0';
	w->port = 6379;
	colon = strrchr(place, ':');
	if (colon && !strchr(colon, ']')) {
		if (number(colon + 1, 65535, &w->port) || w->port == 0)
			return -TG_EPARSE;
		*colon = '\0';
	}
	len = strlen(place);
	if (len >= 2 && place[0] == '[' && place[len - 1] == ']')
		return decode((struct tg_slice){place + 1, len - 2}, w->host, sizeof(w->host));
	return len ? decode((struct tg_slice){place, len}, w->host, sizeof(w->host)) : -TG_EPARSE;
}

int redis_where_parse(const char *url, struct redis_where *ret)
{
	static const char tcp[] = "redis://", local[] = "unix://";
	struct redis_where w = {0};
	const char *at, *sign;
	int rc = 0;

	if (strncmp(url, local, sizeof(local) - 1) == 0) {
		at = url + sizeof(local) - 1;
		rc = *at == '/' ? decode(tg_slice_cstr(at), w.host, sizeof(w.host)) : -TG_EPARSE;
	} else if (strncmp(url, tcp, sizeof(tcp) - 1) == 0) {
		at = url + sizeof(tcp) - 1;
		sign = strrchr(at, '@');
		if (sign)
			rc = parse_login(until(at, sign), &w);
		if (!rc)
			rc = parse_place(sign ? sign + 1 : at, &w);
	} else {
		rc = -TG_EPARSE;
	}
	if (!rc)
		*ret = w;
	return rc;
}
