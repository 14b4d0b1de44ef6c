/* The same database under another account. */
#include "base/io/pg.h"

#include <string.h>

static int add_value(struct tg_buf *out, const char *key, const char *value)
{
	int rc = tg_buf_addf(out, "%s%s='", out->len ? " " : "", key);

	for (; !rc && *value; value++) {
		if (*value == '\'' || *value == '\\')
			rc = tg_buf_add(out, "\\", 1);
		if (!rc)
			rc = tg_buf_add(out, value, 1);
	}
	return rc ? rc : tg_buf_add(out, "'", 1);
}

int tg_pg_url_as(const char *url, const char *user, const char *password, struct tg_buf *ret)
{
	PQconninfoOption *options = PQconninfoParse(url, NULL);
	int rc = options ? 0 : -TG_EPARSE;

	for (const PQconninfoOption *o = options; !rc && o && o->keyword; o++) {
		if (o->val && o->val[0] && strcmp(o->keyword, "user") != 0 &&
			strcmp(o->keyword, "password") != 0)
			rc = add_value(ret, o->keyword, o->val);
	}
	PQconninfoFree(options);
	if (!rc)
		rc = add_value(ret, "user", user);
	if (!rc && password[0])
		rc = add_value(ret, "password", password);
	return rc;
}
