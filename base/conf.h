/* The option table → a struct. One row per option: section, key, type, default, range, help. From
 * it come the INI reader, the TONGGUAN_<SECTION>_<KEY> overrides, the values of up.env and
 * `--help`.
 *
 * Order: built-in default < up.env of a live `tongguan up` (only where nothing else names a server)
 * < configuration file < environment. */
#ifndef TG_BASE_CONF_H
#define TG_BASE_CONF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

struct tg_conf {
	/* [kafka] */
	char *kafka_brokers;
	char *kafka_topics; /* input topics, comma separated */
	int64_t kafka_located_partitions, kafka_input_partitions;
	char *kafka_framed_topics;
	int64_t kafka_retention_h, kafka_retention_bytes;
	/* [postgres] */
	char *postgres_url;
	char *postgres_ingest_user, *postgres_ingest_password;
	char *postgres_correlate_user, *postgres_correlate_password;
	char *postgres_dispatch_user, *postgres_dispatch_password;
	/* [redis] */
	char *redis_url;
	/* [http] dispatch: API and console */
	char *http_listen;
	int64_t http_rate_limit; /* requests/s per client; 0 = off */
	int64_t http_connections_max, http_body_max, http_header_max;
	int64_t http_photo_max, http_per_peer_max;
	int64_t http_header_timeout_s, http_idle_timeout_s, http_slow_timeout_s, http_rate_min;
	int64_t http_session_hours;
	/* [ingest] */
	char *ingest_listen;
	int64_t ingest_retention_days, ingest_ahead_s, ingest_batch_rows, ingest_batch_bytes,
		ingest_pace_ms, ingest_linger_ms;
	int64_t ingest_partition_days, ingest_partitions_ahead, ingest_retention_every_s,
		ingest_retention_wait_ms;
	int64_t ingest_summarize_every_s;
	char *ingest_group;
	/* [correlate] */
	char *correlate_listen, *correlate_packs, *correlate_group;
	int64_t correlate_window_events_max, correlate_rebuild_h;
	/* [dispatch] */
	char *dispatch_group;
	int64_t dispatch_pg_connections, dispatch_stream_queue_max, dispatch_anchor_s;
	char *dispatch_console_dir;
	/* [log] [state] */
	char *log_level;
	int64_t log_file_bytes_max;
	char *state_dir;
	/* which options the file or the environment named; read it through tg_conf_is_set() */
	uint64_t set_mask;
};

/* path NULL: tongguan.conf if it exists. On failure -TG_ECONF and one line "FILE:LINE: what to
 * mend" in *why. Strings are owned by conf. */
TG_MUST int tg_conf_load(const char *path, struct tg_conf *ret, struct tg_buf *why);
void tg_conf_release(struct tg_conf *conf);
/* Did the configuration file or the environment name this option? (Defaults and up.env do not
 * count.) */
bool tg_conf_is_set(const struct tg_conf *conf, const char *section, const char *key);
/* The table as help text: section, key, environment name, default, meaning. */
TG_MUST int tg_conf_help(struct tg_buf *out);

#endif
