/* The correlate bench's own program.
 *
 *   fill BROKERS EVENTS MIX PARTITIONS LON LAT LON LAT REGION_M   the events into
 * tongguan.events.located devices LON LAT LON LAT                                       "id lon
 * lat", one registered device a line engine REDIS PACK EVENTS MIX   one engine from a record's
 * bytes to what Redis has acknowledged, batch by batch zadd REDIS EVENTS              the roofline:
 * one ZADD an event, 500 in a pipeline
 *
 * Figures on stdout, "name value" a line. */
#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <librdkafka/rdkafka.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/io/redis_impl.h"
#include "bench/correlate_events.h"
#include "correlate/engine.h"
#include "correlate/pack.h"
#include "correlate/store.h"

#define BATCH    8192 /* as the role's: TG_BATCH_RECORDS_MAX */
#define PIPELINE 500
#define TOPIC    "tongguan.events.located"

static void die(const char *what)
{
	fprintf(stderr, "correlate: %s\n", what);
	exit(1);
}

static void must(int rc, const char *what)
{
	if (rc) {
		fprintf(stderr, "correlate: %s: %s\n", what, tg_err_text(rc));
		exit(1);
	}
}

static double cpu_s(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double resident_mb(void)
{
	FILE *file = fopen("/proc/self/statm", "r");
	long pages = 0;

	if (!file || fscanf(file, "%*d %ld", &pages) != 1)
		die("no /proc/self/statm");
	fclose(file);
	return (double)pages * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

/* What bench/count_malloc.c has counted of the program's own code, when it is preloaded. */
static uint64_t allocations(void)
{
	const char *path = getenv("COUNT_MALLOC_FILE");
	int fd = path ? open(path, O_RDONLY) : -1;
	uint64_t n = 0;

	if (fd >= 0 && read(fd, &n, sizeof(n)) != sizeof(n))
		n = 0;
	if (fd >= 0)
		close(fd);
	return n;
}

static struct bench_world world_of(char **box, double region_m, int32_t partitions)
{
	struct bench_world w = {
		.min = {strtod(box[0], NULL), strtod(box[1], NULL)},
		.max = {strtod(box[2], NULL), strtod(box[3], NULL)},
		.partitions = partitions,
		.start_us = tg_now_us() - 1800 * TG_US_PER_S,
	};

	tg_regions_init(&w.regions, w.min, w.max, region_m);
	return w;
}

/* ---- into Kafka ---- */

static rd_kafka_t *producer(const char *brokers)
{
	static const char *const options[][2] = {{"linger.ms", "20"},
		{"batch.num.messages", "10000"}, {"queue.buffering.max.messages", "500000"}};
	rd_kafka_conf_t *conf = rd_kafka_conf_new();
	char why[256];
	rd_kafka_t *rk;

	if (rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof(why)))
		die(why);
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
		if (rd_kafka_conf_set(conf, options[i][0], options[i][1], why, sizeof(why)))
			die(why);
	rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof(why));
	if (!rk)
		die(why);
	return rk;
}

static void fill(const char *brokers, const struct bench_world *w, enum bench_mix mix, uint32_t n)
{
	rd_kafka_t *rk = producer(brokers);
	struct tg_buf bytes = {0};

	for (uint32_t i = 0; i < n; i++) {
		struct bench_event e;
		rd_kafka_resp_err_t err;

		bench_event(w, mix, i, &e);
		tg_buf_reset(&bytes);
		must(tg_located_encode(&e.loc, &bytes), "encode");
		do {
			err = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(TOPIC),
				RD_KAFKA_V_PARTITION(e.partition),
				RD_KAFKA_V_VALUE(bytes.data, bytes.len),
				RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
			rd_kafka_poll(rk, err ? 20 : 0);
		} while (err == RD_KAFKA_RESP_ERR__QUEUE_FULL);
		if (err)
			die(rd_kafka_err2str(err));
	}
	if (rd_kafka_flush(rk, 120000))
		die("not all events were acknowledged");
	rd_kafka_destroy(rk);
	tg_buf_release(&bytes);
}

static void devices(const struct bench_world *w)
{
	for (uint32_t d = 0; d < BENCH_DEVICES; d++) {
		struct tg_lonlat at = bench_device_at(w, d);

		printf("device-%05u %.17g %.17g\n", d, at.lon, at.lat);
	}
}

/* ---- one engine ---- */

struct run {
	uv_loop_t loop;
	struct tg_store *store;
	struct tg_ruleset rules;
	struct tg_guard *guard;
	struct tg_registry *registry;
	struct tg_window_budget budget;
	struct tg_engine_counts counts;
	struct tg_engine *engine;
	struct tg_arena arena;
	struct tg_findings found;
	struct tg_buf segment, marks, batch;
	struct tg_buf *pieces;
	int64_t *piece_us;
	size_t pieces_len, pieces_cap;
	char epoch[TG_EPOCH_MAX];
	int64_t committed, next;
	bool waiting;
	uint64_t incidents, redis_bytes;
	double redis_s;
};

static void on_claim(void *ctx, int rc, int64_t offset, const char *epoch, struct tg_slice marks)
{
	struct run *r = ctx;

	(void)offset;
	(void)marks;
	must(rc, "claim");
	snprintf(r->epoch, sizeof(r->epoch), "%s", epoch);
	r->waiting = false;
}

static void on_verdict(void *ctx, enum tg_verdict verdict)
{
	struct run *r = ctx;

	if (verdict != TG_STORE_OK)
		die("Redis has not taken a batch");
	r->waiting = false;
}

static void wait_for(struct run *r)
{
	double began = (double)tg_mono_us();

	while (r->waiting)
		uv_run(&r->loop, UV_RUN_ONCE);
	r->redis_s += ((double)tg_mono_us() - began) / 1e6;
}

/* Empty windows at offset 0. */
static void begin_store(struct run *r, const char *url)
{
	struct tg_rewrite w = {.partition = 0, .epoch = r->epoch, .first = true, .last = true};

	uv_loop_init(&r->loop);
	must(tg_store_open(&r->loop, url, &r->store), "redis");
	while (!tg_store_up(r->store))
		uv_run(&r->loop, UV_RUN_ONCE);
	r->waiting = true;
	must(tg_store_claim(r->store, 0, on_claim, r), "claim");
	wait_for(r);
	r->waiting = true;
	must(tg_store_rewrite(r->store, &w, on_verdict, r), "rewrite");
	wait_for(r);
}

static void begin_engine(struct run *r, const char *pack)
{
	struct tg_engine_shared shared = {
		.rules = &r->rules, .budget = &r->budget, .counts = &r->counts, .here = -1};
	struct tg_pack_limits limits = {0};
	struct tg_buf why = {0};

	if (tg_pack_load(pack, &limits, &r->rules, &why))
		die(tg_buf_cstr(&why));
	must(tg_guard_new(&r->rules, &r->guard), "guard");
	must(tg_registry_new(&r->registry), "registry");
	for (int d = 0; d < BENCH_DEVICES; d++) {
		char id[24];

		snprintf(id, sizeof(id), "device-%05d", d);
		must(tg_registry_add(r->registry, tg_slice_cstr(id), TG_SLICE("02108"),
			     TG_SLICE("25025"), 0, TG_SLICE("{}")),
			"registry");
	}
	must(tg_registry_bind(r->registry, &r->rules), "registry");
	r->budget.max = 10000000;
	shared.guard = r->guard;
	shared.registry = r->registry;
	must(tg_engine_new(&shared, &r->engine), "engine");
	tg_arena_init(&r->arena, 64 << 10, 64 << 20);
}

static int keep_piece(void *ctx, const struct tg_segment *segment)
{
	struct run *r = ctx;

	if (r->pieces_len == r->pieces_cap) {
		r->pieces_cap += 16;
		r->pieces = realloc(r->pieces, r->pieces_cap * sizeof(*r->pieces));
		r->piece_us = realloc(r->piece_us, r->pieces_cap * sizeof(*r->piece_us));
		if (!r->pieces || !r->piece_us)
			die("out of memory");
		memset(r->pieces + r->pieces_cap - 16, 0, 16 * sizeof(*r->pieces));
	}
	tg_buf_reset(&r->pieces[r->pieces_len]);
	r->piece_us[r->pieces_len++] = segment->newest_us;
	return tg_segment_pack(
		segment, r->next, (uint32_t)r->pieces_len, &r->pieces[r->pieces_len - 1]);
}

static void begin_batch(struct run *r)
{
	tg_findings_reset(&r->found);
	tg_segment_reset(tg_engine_segment(r->engine));
	tg_buf_reset(&r->segment);
	tg_buf_reset(&r->marks);
	tg_buf_reset(&r->batch);
	r->pieces_len = 0;
}

/* What the role does at a batch's end, but for PostgreSQL's and Kafka's answers. */
static void end_batch(struct run *r)
{
	const struct tg_segment *segment = tg_engine_segment(r->engine);
	const struct tg_batch_span span = {0, r->committed, r->next,
		tg_watermark_us(tg_engine_watermark(r->engine)), r->epoch};
	struct tg_commit c = {
		.partition = 0, .epoch = r->epoch, .expected = r->committed, .next = r->next};

	must(tg_engine_end(r->engine, r->next, &r->found), "end");
	tg_engine_expire(r->engine);
	must(tg_engine_sweep(r->engine, keep_piece, r), "sweep");
	must(tg_watermark_encode(tg_engine_watermark(r->engine), &r->marks), "marks");
	must(tg_segment_pack(segment, r->next, 0, &r->segment), "pack");
	if (!tg_findings_empty(&r->found)) {
		const struct tg_batch_ends ends = {0};

		must(tg_findings_json(&r->found, &r->rules, &span, &ends, &r->batch), "json");
		r->incidents += r->found.singles_len + r->found.stories_len + r->found.len;
	}
	c.watermarks = (struct tg_slice){r->marks.data, r->marks.len};
	c.trim_us = tg_engine_keep_from_us(r->engine);
	if (c.trim_us == INT64_MAX)
		c.trim_us = INT64_MIN;
	if (!tg_segment_empty(segment)) {
		c.segment = (struct tg_slice){r->segment.data, r->segment.len};
		c.segment_us = segment->newest_us;
		r->redis_bytes += r->segment.len;
	}
	c.pieces = r->pieces;
	c.piece_us = r->piece_us;
	c.pieces_len = r->pieces_len;
	for (size_t i = 0; i < r->pieces_len; i++)
		r->redis_bytes += r->pieces[i].len;
	r->waiting = true;
	must(tg_store_commit(r->store, &c, on_verdict, r), "commit");
	wait_for(r);
	r->committed = r->next;
}

static void judge(struct run *r, struct tg_slice record)
{
	tg_located_pb *loc;

	tg_arena_reset(&r->arena);
	loc = tg_located_decode(&r->arena, record);
	if (!loc)
		die("a record cannot be read");
	must(tg_engine_push(r->engine, loc, false, TG_SLICE(""), &r->found), "push");
	r->next++;
}

static void say_decode(struct run *r, const struct tg_buf *all, const size_t *at, uint32_t n)
{
	double began = cpu_s();

	for (uint32_t i = 0; i < n; i++) {
		tg_arena_reset(&r->arena);
		if (!tg_located_decode(
			    &r->arena, (struct tg_slice){all->data + at[i], at[i + 1] - at[i]}))
			die("a record cannot be read");
	}
	printf("decode_us %f\n", (cpu_s() - began) / n * 1e6);
}

static void say_engine(struct run *r, uint32_t n, double took, double cpu, double memory)
{
	printf("rate %f\ncpu_us %f\nredis_s %f\nseconds %f\n", n / took, cpu / n * 1e6, r->redis_s,
		took);
	printf("resident_mb %f\nwindow_events %zu\nredis_bytes %f\n", resident_mb() - memory,
		tg_engine_window_events(r->engine), (double)r->redis_bytes / n);
	printf("guarded %f\njudged %f\nfull %f\nlate %f\nfound %f\n", (double)r->counts.guarded / n,
		(double)r->counts.judged / n, (double)r->counts.full, (double)r->counts.late,
		(double)r->incidents);
}

static void engine(const char *url, const char *pack, enum bench_mix mix, uint32_t n)
{
	static char *box[] = {"-71.19", "42.23", "-70.99", "42.40"}; /* 16 by 19 km */
	struct bench_world w = world_of(box, 4000, 8);
	static struct run r;
	struct tg_buf all = {0};
	size_t *at = calloc((size_t)n + 1, sizeof(*at));
	uint64_t allocated = 0;
	double began, cpu, memory;

	for (uint32_t i = 0; i < n && at; i++) {
		struct bench_event e;

		bench_event(&w, mix, i, &e);
		must(tg_located_encode(&e.loc, &all), "encode");
		at[i + 1] = all.len;
	}
	begin_store(&r, url);
	begin_engine(&r, pack);
	say_decode(&r, &all, at, n);
	r.redis_s = 0;
	memory = resident_mb();
	began = (double)tg_mono_us();
	cpu = cpu_s();
	for (uint32_t i = 0; i < n;) {
		uint32_t until = n - i > BATCH ? i + BATCH : n;

		if (i >= n / 2 && !allocated)
			allocated = allocations() + 1;
		begin_batch(&r);
		for (; i < until; i++)
			judge(&r, (struct tg_slice){all.data + at[i], at[i + 1] - at[i]});
		end_batch(&r);
	}
	say_engine(&r, n, ((double)tg_mono_us() - began) / 1e6, cpu_s() - cpu, memory);
	printf("allocations %f\n", (double)(allocations() + 1 - allocated) / (n / 2.0));
}

/* ---- the roofline ---- */

static redisContext *connect_to(const char *url)
{
	struct redis_where where;
	redisContext *c;

	must(redis_where_parse(url, &where), "address of Redis");
	c = where.port ? redisConnect(where.host, where.port) : redisConnectUnix(where.host);
	if (!c || c->err)
		die(c ? c->errstr : "out of memory");
	if (where.password[0])
		freeReplyObject(redisCommand(c, "AUTH %s", where.password));
	return c;
}

/* A window each of ten rules, as sorted sets by time; the members are the events' 16 bytes. */
static void zadd(const char *url, uint32_t n)
{
	static char *box[] = {"-71.19", "42.23", "-70.99", "42.40"};
	struct bench_world w = world_of(box, 4000, 8);
	redisContext *c = connect_to(url);
	uint8_t(*uids)[16] = calloc(n, sizeof(*uids));
	double began, cpu;

	if (!uids)
		die("out of memory");
	for (uint32_t i = 0; i < n; i++) {
		struct bench_event e;

		bench_event(&w, BENCH_WANTED, i, &e);
		memcpy(uids[i], e.uid, sizeof(uids[i]));
	}
	freeReplyObject(redisCommand(c, "FLUSHDB"));
	began = (double)tg_mono_us();
	cpu = cpu_s();
	for (uint32_t i = 0; i < n;) {
		uint32_t pending = 0;

		for (; i < n && pending < PIPELINE; i++, pending++) {
			char key[24], score[24];
			const char *args[] = {"ZADD", key, score, (const char *)uids[i]};
			size_t lens[4] = {4, 0, 0, sizeof(uids[i])};

			lens[1] = (size_t)snprintf(key, sizeof(key), "bench:%u", i % 10);
			lens[2] = (size_t)snprintf(score, sizeof(score), "%lld",
				(long long)(w.start_us / 1000 + i / 5));
			redisAppendCommandArgv(c, 4, args, lens);
		}
		while (pending--) {
			void *reply = NULL;

			if (redisGetReply(c, &reply) != REDIS_OK ||
				((redisReply *)reply)->type != REDIS_REPLY_INTEGER)
				die("Redis has refused a ZADD");
			freeReplyObject(reply);
		}
	}
	printf("rate %f\ncpu_us %f\n", n / (((double)tg_mono_us() - began) / 1e6),
		(cpu_s() - cpu) / n * 1e6);
	freeReplyObject(redisCommand(c, "FLUSHDB"));
	redisFree(c);
}

static enum bench_mix mix_of(const char *name)
{
	return strcmp(name, "none") == 0 ? BENCH_NONE : BENCH_WANTED;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "fill") == 0 && argc == 11) {
		struct bench_world w = world_of(argv + 6, strtod(argv[10], NULL), atoi(argv[5]));

		fill(argv[2], &w, mix_of(argv[4]), (uint32_t)atoi(argv[3]));
	} else if (strcmp(what, "devices") == 0 && argc == 6) {
		struct bench_world w = world_of(argv + 2, 4000, 1);

		devices(&w);
	} else if (strcmp(what, "engine") == 0 && argc == 6) {
		engine(argv[2], argv[3], mix_of(argv[5]), (uint32_t)atoi(argv[4]));
	} else if (strcmp(what, "zadd") == 0 && argc == 4) {
		zadd(argv[2], (uint32_t)atoi(argv[3]));
	} else {
		die("usage: see the head of bench/correlate.c");
	}
	return 0;
}
