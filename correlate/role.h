/* The role `correlate`: located events in, incidents out. */
#ifndef TG_CORRELATE_ROLE_H
#define TG_CORRELATE_ROLE_H

#include "base/conf.h"

/* Runs until SIGTERM; returns the exit code. */
int tg_correlate_run(const struct tg_conf *conf);

#endif
