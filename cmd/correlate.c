/* tongguan correlate: run the role that finds incidents. */
#include "cmd/cmd.h"
#include "correlate/role.h"

static const char usage[] = "usage: tongguan correlate [--config FILE]\n\n"
			    "Reads located events, finds incidents over windows, until SIGTERM. "
			    "Rule packs come from correlate.packs.\n";

int cmd_correlate(int argc, char **argv)
{
	struct tg_conf conf;
	int code = tg_cmd_begin(&argc, argv, usage, true, &conf);

	if (code >= 0)
		return code;
	if (argc > 1)
		code = tg_cmd_usage(argv[0], "unknown argument '%s'", argv[1]);
	else if (tg_cmd_as_role("correlate", &conf, conf.postgres_correlate_user,
			 conf.postgres_correlate_password))
		code = TG_EXIT_USAGE;
	else
		code = tg_correlate_run(&conf);
	tg_conf_release(&conf);
	return code;
}
