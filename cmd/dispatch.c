/* tongguan dispatch: incidents in, cases and deadlines, the API and the console out. */
#include <stdio.h>

#include "cmd/cmd.h"
#include "dispatch/dispatch.h"

static const char usage[] = "usage: tongguan dispatch [--config FILE]\n\n"
			    "Opens cases for incidents, runs their clocks, publishes what happens "
			    "to them and serves the API\n"
			    "and the console, until SIGTERM. Any number may run at once.\n";

int cmd_dispatch(int argc, char **argv)
{
	struct tg_dispatch dispatch;
	struct tg_conf conf;
	int code = tg_cmd_begin(&argc, argv, usage, true, &conf);

	if (code >= 0)
		return code;
	if (argc > 1) {
		tg_conf_release(&conf);
		return tg_cmd_usage("dispatch", "'%s' is not understood", argv[1]);
	}
	if (tg_cmd_as_role("dispatch", &conf, conf.postgres_dispatch_user,
		    conf.postgres_dispatch_password)) {
		tg_conf_release(&conf);
		return TG_EXIT_USAGE;
	}
	tg_dispatch_init(&dispatch, &conf);
	code = tg_service_run(&tg_dispatch_ops, &dispatch, conf.http_listen);
	tg_dispatch_release(&dispatch);
	tg_conf_release(&conf);
	return code;
}
