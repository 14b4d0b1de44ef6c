#include "ingest/ingest.h"

#include <sodium.h>

#include "base/io/service.h"
#include "base/log.h"
#include "ingest/metrics.h"
#include "ingest/pipeline.h"

struct ingest {
	const struct tg_conf *conf;
	struct tg_service *service;
	struct tg_pipeline *pipeline;
};

static int start(void *role, struct tg_service *svc)
{
	struct ingest *in = role;
	int rc;

	in->service = svc;
	if (sodium_init() < 0)
		return -TG_ESYS;
	rc = tg_metric_register(tg_ingest_metrics, TG_M_COUNT);
	if (!rc)
		rc = tg_pipeline_open(tg_service_loop(svc), in->conf, &in->pipeline);
	if (rc)
		tg_log(TG_ERROR, "ingest cannot start", TG_F("why", TG_S(tg_err_text(rc))));
	return rc;
}

static bool ready(void *role, struct tg_buf *why)
{
	struct ingest *in = role;

	return tg_pipeline_ready(in->pipeline, why);
}

static void on_closed(void *ctx)
{
	struct ingest *in = ctx;

	tg_service_stopped(in->service);
}

static void stop(void *role)
{
	struct ingest *in = role;

	tg_pipeline_close(in->pipeline, on_closed, in);
}

int tg_ingest_run(const struct tg_conf *conf)
{
	static const struct tg_service_ops ops = {"ingest", start, ready, stop};
	struct ingest in = {.conf = conf};

	return tg_service_run(&ops, &in, conf->ingest_listen);
}
