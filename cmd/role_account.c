/* Which database account a role works under. */
#include <stdlib.h>
#include <string.h>

#include "base/io/pg.h"
#include "cmd/cmd.h"

int tg_cmd_as_role(const char *name, struct tg_conf *conf, const char *user, const char *password)
{
	struct tg_buf url = {0};
	char *copy;
	int rc;

	if (!user[0])
		return 0;
	rc = tg_pg_url_as(conf->postgres_url, user, password, &url);
	copy = rc ? NULL : strdup(tg_buf_cstr(&url));
	tg_buf_release(&url);
	if (!copy) {
		tg_cmd_fail(
			name, "postgres.url cannot be read: %s", tg_err_text(rc ? rc : -TG_ENOMEM));
		return rc ? rc : -TG_ENOMEM;
	}
	free(conf->postgres_url);
	conf->postgres_url = copy;
	return 0;
}
