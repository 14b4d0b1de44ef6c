#include "bench/correlate_engine.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "correlate/engine.h"
#include "correlate/pack.h"
#include "correlate/store.h"

#define BATCH     8192 /* as the role's: TG_BATCH_RECORDS_MAX */
#define LANES_MAX 64

void bench_die(const char *what)
{
	fprintf(stderr, "correlate: %s\n", what);
	exit(1);
}

void bench_must(int rc, const char *what)
{
	if (rc) {
		fprintf(stderr, "correlate: %s: %s\n", what, tg_err_text(rc));
		exit(1);
	}
}

double bench_cpu_s(void)
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
		bench_die("no /proc/self/statm");
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

struct run;

/* One partition. */
struct lane {
	struct run *run;
	int32_t partition;
	struct tg_engine *engine;
	struct tg_findings found;
	struct tg_buf segment, marks, batch;
	struct tg_buf *pieces;
	int64_t *piece_us;
	size_t pieces_len, pieces_cap;
	char epoch[TG_EPOCH_MAX];
	int64_t committed, next;
	bool waiting;
	struct tg_buf records;
	size_t *ends; /* of its records' bytes */
	int64_t len, cap;
};

struct run {
	uv_loop_t loop;
	struct tg_store *store;
	struct tg_ruleset rules;
	struct tg_guard *guard;
	struct tg_registry *registry;
	struct tg_window_budget budget;
	struct tg_engine_counts counts;
	struct tg_arena arena;
	struct lane lanes[LANES_MAX];
	int32_t lanes_len;
	uint32_t events, judged;
	uint64_t allocated; /* half way */
	uint64_t incidents, redis_bytes;
	double redis_s;
};

static void on_claim(void *ctx, int rc, int64_t offset, const char *epoch, struct tg_slice marks)
{
	struct lane *l = ctx;

	(void)offset;
	(void)marks;
	bench_must(rc, "claim");
	snprintf(l->epoch, sizeof(l->epoch), "%s", epoch);
	l->waiting = false;
}

static void on_verdict(void *ctx, enum tg_verdict verdict)
{
	struct lane *l = ctx;

	if (verdict != TG_STORE_OK)
		bench_die("Redis has not taken a batch");
	l->waiting = false;
}

static void wait_for(struct lane *l)
{
	double began = (double)tg_mono_us();

	while (l->waiting)
		uv_run(&l->run->loop, UV_RUN_ONCE);
	l->run->redis_s += ((double)tg_mono_us() - began) / 1e6;
}

/* Empty windows at offset 0. */
static void begin_store(struct run *r, const char *url)
{
	uv_loop_init(&r->loop);
	bench_must(tg_store_open(&r->loop, url, &r->store), "redis");
	while (!tg_store_up(r->store))
		uv_run(&r->loop, UV_RUN_ONCE);
	for (int32_t p = 0; p < r->lanes_len; p++) {
		struct lane *l = &r->lanes[p];
		struct tg_rewrite w = {
			.partition = p, .epoch = l->epoch, .first = true, .last = true};

		l->waiting = true;
		bench_must(tg_store_claim(r->store, p, on_claim, l), "claim");
		wait_for(l);
		l->waiting = true;
		bench_must(tg_store_rewrite(r->store, &w, on_verdict, l), "rewrite");
		wait_for(l);
	}
}

static void register_devices(struct run *r, const struct bench_world *w)
{
	bench_must(tg_registry_new(&r->registry), "registry");
	for (uint32_t d = 0; d < BENCH_DEVICES; d++) {
		char id[24];

		snprintf(id, sizeof(id), "device-%05u", d);
		bench_must(
			tg_registry_add(r->registry, tg_slice_cstr(id), TG_SLICE("02108"),
				TG_SLICE("25025"),
				tg_regions_of(&w->regions, bench_device_at(w, d)) % w->partitions,
				TG_SLICE("{}")),
			"registry");
	}
	bench_must(tg_registry_bind(r->registry, &r->rules), "registry");
}

static void begin_engines(struct run *r, const char *pack, const struct bench_world *w)
{
	struct tg_engine_shared shared = {
		.rules = &r->rules, .budget = &r->budget, .counts = &r->counts};
	struct tg_pack_limits limits = {0};
	struct tg_buf why = {0};

	if (tg_pack_load(pack, &limits, &r->rules, &why))
		bench_die(tg_buf_cstr(&why));
	bench_must(tg_guard_new(&r->rules, &r->guard), "guard");
	register_devices(r, w);
	r->budget.max = 10000000;
	shared.guard = r->guard;
	shared.registry = r->registry;
	for (int32_t p = 0; p < r->lanes_len; p++) {
		shared.here = p;
		bench_must(tg_engine_new(&shared, &r->lanes[p].engine), "engine");
	}
	tg_arena_init(&r->arena, 64 << 10, 64 << 20);
}

static void deal(struct run *r, const struct bench_world *w, enum bench_mix mix)
{
	for (uint32_t i = 0; i < r->events; i++) {
		struct bench_event e;
		struct lane *l;

		bench_event(w, mix, i, &e);
		l = &r->lanes[e.partition];
		bench_must(tg_located_encode(&e.loc, &l->records), "encode");
		if (l->len == l->cap) {
			l->cap = l->cap ? l->cap * 2 : BATCH;
			l->ends = realloc(l->ends, (size_t)l->cap * sizeof(*l->ends));
			if (!l->ends)
				bench_die("out of memory");
		}
		l->ends[l->len++] = l->records.len;
	}
}

static int keep_piece(void *ctx, const struct tg_segment *segment)
{
	struct lane *l = ctx;

	if (l->pieces_len == l->pieces_cap) {
		l->pieces_cap += 16;
		l->pieces = realloc(l->pieces, l->pieces_cap * sizeof(*l->pieces));
		l->piece_us = realloc(l->piece_us, l->pieces_cap * sizeof(*l->piece_us));
		if (!l->pieces || !l->piece_us)
			bench_die("out of memory");
		memset(l->pieces + l->pieces_cap - 16, 0, 16 * sizeof(*l->pieces));
	}
	tg_buf_reset(&l->pieces[l->pieces_len]);
	l->piece_us[l->pieces_len++] = segment->newest_us;
	return tg_segment_pack(
		segment, l->next, (uint32_t)l->pieces_len, &l->pieces[l->pieces_len - 1]);
}

static void begin_batch(struct lane *l)
{
	tg_findings_reset(&l->found);
	tg_segment_reset(tg_engine_segment(l->engine));
	tg_buf_reset(&l->segment);
	tg_buf_reset(&l->marks);
	tg_buf_reset(&l->batch);
	l->pieces_len = 0;
}

static void tell(struct lane *l)
{
	const struct tg_batch_span span = {l->partition, l->committed, l->next,
		tg_watermark_us(tg_engine_watermark(l->engine)), l->epoch};
	const struct tg_batch_ends ends = {0};

	if (tg_findings_empty(&l->found))
		return;
	bench_must(tg_findings_json(&l->found, &l->run->rules, &span, &ends, &l->batch), "json");
	l->run->incidents += l->found.singles_len + l->found.stories_len + l->found.len;
}

/* What the role does at a batch's end. */
static void end_batch(struct lane *l)
{
	const struct tg_segment *segment = tg_engine_segment(l->engine);
	struct tg_commit c = {.partition = l->partition,
		.epoch = l->epoch,
		.expected = l->committed,
		.next = l->next};

	bench_must(tg_engine_end(l->engine, l->next, &l->found), "end");
	tg_engine_expire(l->engine);
	bench_must(tg_engine_sweep(l->engine, keep_piece, l), "sweep");
	bench_must(tg_watermark_encode(tg_engine_watermark(l->engine), &l->marks), "marks");
	bench_must(tg_segment_pack(segment, l->next, 0, &l->segment), "pack");
	tell(l);
	c.watermarks = (struct tg_slice){l->marks.data, l->marks.len};
	c.trim_us = tg_engine_keep_from_us(l->engine);
	if (c.trim_us == INT64_MAX)
		c.trim_us = INT64_MIN;
	if (!tg_segment_empty(segment)) {
		c.segment = (struct tg_slice){l->segment.data, l->segment.len};
		c.segment_us = segment->newest_us;
		l->run->redis_bytes += l->segment.len;
	}
	c.pieces = l->pieces;
	c.piece_us = l->piece_us;
	c.pieces_len = l->pieces_len;
	for (size_t i = 0; i < l->pieces_len; i++)
		l->run->redis_bytes += l->pieces[i].len;
	l->waiting = true;
	bench_must(tg_store_commit(l->run->store, &c, on_verdict, l), "commit");
	l->committed = l->next;
	uv_run(&l->run->loop, UV_RUN_NOWAIT);
}

static struct tg_slice record(const struct lane *l, int64_t i)
{
	size_t from = i ? l->ends[i - 1] : 0;

	return (struct tg_slice){l->records.data + from, l->ends[i] - from};
}

static tg_located_pb *decode(struct run *r, struct tg_slice bytes)
{
	tg_located_pb *loc;

	tg_arena_reset(&r->arena);
	loc = tg_located_decode(&r->arena, bytes);
	if (!loc)
		bench_die("a record cannot be read");
	return loc;
}

static void judge_batch(struct lane *l)
{
	struct run *r = l->run;
	int64_t until = l->len - l->next > BATCH ? l->next + BATCH : l->len;

	wait_for(l);
	if (r->judged >= r->events / 2 && !r->allocated)
		r->allocated = allocations() + 1;
	begin_batch(l);
	for (; l->next < until; l->next++, r->judged++)
		bench_must(tg_engine_push(l->engine, decode(r, record(l, l->next)), false,
				   TG_SLICE(""), &l->found),
			"push");
	end_batch(l);
}

static void judge_all(struct run *r)
{
	while (r->judged < r->events)
		for (int32_t p = 0; p < r->lanes_len; p++)
			if (r->lanes[p].next < r->lanes[p].len)
				judge_batch(&r->lanes[p]);
	for (int32_t p = 0; p < r->lanes_len; p++)
		wait_for(&r->lanes[p]);
}

static void say_decode(struct run *r)
{
	double began = bench_cpu_s();

	for (int32_t p = 0; p < r->lanes_len; p++)
		for (int64_t i = 0; i < r->lanes[p].len; i++)
			(void)decode(r, record(&r->lanes[p], i));
	printf("decode_us %f\n", (bench_cpu_s() - began) / r->events * 1e6);
}

static void say(const struct run *r, double took, double cpu, double memory)
{
	uint32_t n = r->events;
	size_t held = 0;

	for (int32_t p = 0; p < r->lanes_len; p++)
		held += tg_engine_window_events(r->lanes[p].engine);
	printf("rate %f\ncpu_us %f\nredis_s %f\nseconds %f\n", n / took, cpu / n * 1e6, r->redis_s,
		took);
	printf("resident_mb %f\nwindow_events %zu\nredis_bytes %f\n", memory, held,
		(double)r->redis_bytes / n);
	printf("guarded %f\njudged %f\nfull %f\nlate %f\nfound %f\n", (double)r->counts.guarded / n,
		(double)r->counts.judged / n, (double)r->counts.full, (double)r->counts.late,
		(double)r->incidents);
	printf("allocations %f\n", (double)(allocations() + 1 - r->allocated) / (n / 2.0));
}

void bench_engine(const char *redis, const char *pack, const struct bench_world *w,
	enum bench_mix mix, uint32_t events)
{
	static struct run r;
	double began, cpu, memory;

	r.events = events;
	r.lanes_len = w->partitions;
	for (int32_t p = 0; p < r.lanes_len; p++) {
		r.lanes[p].run = &r;
		r.lanes[p].partition = p;
	}
	deal(&r, w, mix);
	begin_store(&r, redis);
	begin_engines(&r, pack, w);
	say_decode(&r);
	r.redis_s = 0;
	memory = resident_mb();
	began = (double)tg_mono_us();
	cpu = bench_cpu_s();
	judge_all(&r);
	say(&r, ((double)tg_mono_us() - began) / 1e6, bench_cpu_s() - cpu, resident_mb() - memory);
}
