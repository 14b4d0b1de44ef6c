/* tongguan token: lasting credentials for programs and departments' own systems. */
#include <stdio.h>
#include <string.h>

#include "cmd/access.h"
#include "dispatch/api_parse.h"
#include "dispatch/secret.h"
#include "queries.h"

#define DAYS_MAX 36500

static const char usage[] =
	"usage: tongguan token create --role ROLE [--department CODE] [--read-only] [--days N] "
	"--name NAME\n"
	"       tongguan token revoke NAME\n"
	"       tongguan token list\n\n"
	"--read-only: it may ask and change nothing; with --department it then also sees that "
	"department's\n"
	"cases alone, whatever its role. --days: it runs out after so many days.\n"
	"The token is printed once, on standard output; only a hash of it is stored.\n";

static int create(struct tg_access *a)
{
	char token[TG_TOKEN_SIZE], text[2 * TG_TOKEN_HASH_BYTES + 3];
	const char *params[] = {
		a->name, text, a->role, a->department, a->read_only ? "true" : "false", a->days};
	uint8_t hash[TG_TOKEN_HASH_BYTES];
	int rc = tg_access_check_role(a);
	int64_t days;

	if (rc < 0 && a->days && tg_number_parse(tg_slice_cstr(a->days), 1, DAYS_MAX, &days))
		rc = tg_cmd_usage("token", "--days is a whole number from 1 to %d", DAYS_MAX);
	if (rc >= 0)
		return rc;
	if (tg_secret_init())
		return tg_cmd_fail("token", "libsodium does not start");
	tg_token_make(false, token);
	tg_token_hash(tg_slice_cstr(token), hash);
	tg_token_hash_text(hash, text);
	rc = tg_access_change(a, tg_sql_token_add, params, 6, "not created:");
	if (rc == TG_EXIT_DONE)
		printf("%s\n", token);
	return rc;
}

static int run(struct tg_access *a)
{
	if (strcmp(a->verb, "create") == 0)
		return create(a);
	if (strcmp(a->verb, "list") == 0)
		return tg_access_print(a, tg_sql_token_list);
	if (strcmp(a->verb, "revoke") != 0)
		return tg_cmd_usage("token", "what is '%s'?", a->verb);
	if (!a->name)
		return tg_cmd_usage("token", "a name is wanted");
	return tg_access_change(a, tg_sql_token_revoke, &a->name, 1, "there is no standing token");
}

int cmd_token(int argc, char **argv)
{
	struct tg_access a;
	int rc = tg_access_begin(&a, argc, argv, usage);

	if (rc >= 0)
		return rc;
	rc = run(&a);
	tg_access_end(&a);
	return rc;
}
