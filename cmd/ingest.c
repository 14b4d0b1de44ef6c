#include "ingest/ingest.h"

#include "cmd/cmd.h"

static const char usage[] =
	"usage: tongguan ingest [--config FILE]\n\n"
	"Stores what arrives on the input topics, once, and publishes it with its place.\n"
	"Runs until SIGTERM: then it finishes the batch in flight.\n";

int cmd_ingest(int argc, char **argv)
{
	struct tg_conf conf;
	int exit_code = tg_cmd_begin(&argc, argv, usage, /* with_options= */ true, &conf);

	if (exit_code >= 0)
		return exit_code;
	if (argc > 1)
		return tg_cmd_usage("ingest", "unexpected argument: %s", argv[1]);
	if (tg_cmd_as_role(
		    "ingest", &conf, conf.postgres_ingest_user, conf.postgres_ingest_password))
		exit_code = TG_EXIT_USAGE;
	else
		exit_code = tg_ingest_run(&conf);
	tg_conf_release(&conf);
	return exit_code;
}
