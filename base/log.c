#include "base/log.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"

#define VALUE_MAX 1024 /* bytes of one text value */
#define SLOTS     64
#define TAIL_MAX  64 /* kept free for "suppressed", "cut" and the end of the line */

/* One remembered (level, message): how many passed in the current second, how many did not. */
struct slot {
	uint64_t hash;
	int64_t window_us;
	unsigned passed, suppressed;
};

static struct {
	pthread_mutex_t lock; /* library threads may log too */
	char role[32];
	enum tg_log_level level;
	bool terminal;
	struct slot slots[SLOTS];
} self = {.lock = PTHREAD_MUTEX_INITIALIZER, .role = "tongguan", .level = TG_INFO};

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void tg_log_init(const char *role, enum tg_log_level level)
{
	pthread_mutex_lock(&self.lock);
	snprintf(self.role, sizeof(self.role), "%s", role);
	self.level = level;
	self.terminal = isatty(STDERR_FILENO) == 1;
	memset(self.slots, 0, sizeof(self.slots));
	pthread_mutex_unlock(&self.lock);
}

int tg_log_level_parse(const char *name, enum tg_log_level *ret)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*ret = (enum tg_log_level)i;
			return 0;
		}
	}
	return -TG_EPARSE;
}

static uint64_t line_hash(enum tg_log_level level, const char *message)
{
	uint64_t h = 1469598103934665603u ^ (uint64_t)level; /* FNV-1a: our own texts, no enemy */

	for (; *message; message++)
		h = (h ^ (uint8_t)*message) * 1099511628211u;
	return h ? h : 1;
}

/* The pair's slot; a new pair takes the place of the one quiet for longest, preferring one that
 * owes no count. */
static struct slot *slot_for(uint64_t hash)
{
	struct slot *best = &self.slots[0];

	for (size_t i = 0; i < SLOTS; i++) {
		struct slot *s = &self.slots[i];

		if (s->hash == hash)
			return s;
		if ((s->suppressed == 0) != (best->suppressed == 0))
			best = s->suppressed == 0 ? s : best;
		else if (s->window_us < best->window_us)
			best = s;
	}
	*best = (struct slot){.hash = hash};
	return best;
}

static bool may_pass(enum tg_log_level level, const char *message, unsigned *ret_suppressed)
{
	struct slot *s = slot_for(line_hash(level, message));
	int64_t now = tg_mono_us();

	if (now - s->window_us >= TG_US_PER_S || now < s->window_us) {
		s->window_us = now;
		s->passed = 0;
	}
	if (s->passed >= TG_LOG_BURST) {
		s->suppressed++;
		return false;
	}
	s->passed++;
	*ret_suppressed = s->suppressed;
	s->suppressed = 0;
	return true;
}

/* Text as far as VALUE_MAX, cut between characters. */
static struct tg_slice shorten(struct tg_slice text, bool *cut)
{
	if (text.len <= VALUE_MAX)
		return text;
	text.len = VALUE_MAX;
	while (text.len > VALUE_MAX - 4 && (text.data[text.len] & 0xc0) == 0x80)
		text.len--;
	*cut = true;
	return text;
}

static struct tg_slice text_of(const struct tg_log_value *v, bool *cut)
{
	return shorten(v->kind == TG_LOG_SLICE ? v->slice : tg_slice_cstr(v->s), cut);
}

static void json_field(struct tg_jw *w, const struct tg_log_field *f, bool *cut)
{
	size_t len = w->out->len;

	switch (f->value.kind) {
	case TG_LOG_INT: tg_jw_int(w, f->name, f->value.i); break;
	case TG_LOG_DBL: tg_jw_dbl(w, f->name, f->value.d); break;
	case TG_LOG_STR:
	case TG_LOG_SLICE: tg_jw_slice(w, f->name, text_of(&f->value, cut)); break;
	case TG_LOG_END: break;
	}
	if (w->rc) { /* no room: leave this field out, keep the line whole */
		w->rc = 0;
		w->out->len = len;
		*cut = true;
	}
}

static int json_line(struct tg_buf *out, enum tg_log_level level, const char *message,
	const struct tg_log_field *fields, size_t n, unsigned suppressed)
{
	struct tg_jw w;
	bool cut = false;

	tg_jw_begin(&w, out);
	tg_jw_object(&w, NULL);
	tg_jw_time(&w, "time", tg_now_us());
	tg_jw_str(&w, "level", level_names[level]);
	tg_jw_str(&w, "role", self.role);
	tg_jw_slice(&w, "message", shorten(tg_slice_cstr(message), &cut));
	for (size_t i = 0; i < n; i++)
		json_field(&w, &fields[i], &cut);
	out->max = TG_LOG_LINE_MAX;
	if (suppressed)
		tg_jw_int(&w, "suppressed", suppressed);
	if (cut)
		tg_jw_bool(&w, "cut", true);
	tg_jw_object_end(&w);
	return tg_jw_end(&w);
}

static bool is_plain(struct tg_slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		if ((uint8_t)text.data[i] <= ' ' || strchr("\"\\=\x7f", text.data[i]))
			return false;
	}
	return text.len > 0 && tg_utf8_valid(text);
}

static int text_value(struct tg_buf *out, const struct tg_log_value *v, bool *cut)
{
	struct tg_slice text;
	struct tg_jw w;

	if (v->kind == TG_LOG_INT)
		return tg_buf_addf(out, "%lld", (long long)v->i);
	if (v->kind == TG_LOG_DBL)
		return tg_buf_add_dbl(out, v->d);
	text = text_of(v, cut);
	if (is_plain(text))
		return tg_buf_add_slice(out, text);
	tg_jw_begin(&w, out);
	tg_jw_slice(&w, NULL, text);
	return tg_jw_end(&w);
}

static int text_line(struct tg_buf *out, enum tg_log_level level, const char *message,
	const struct tg_log_field *fields, size_t n, unsigned suppressed)
{
	char time[TG_RFC3339_MAX];
	bool cut = false;
	struct tg_slice head = shorten(tg_slice_cstr(message), &cut);
	int rc;

	tg_rfc3339_utc(tg_now_us(), time);
	rc = tg_buf_addf(out, "%.8s %-5s %s: %.*s", time + 11, level_names[level], self.role,
		(int)head.len, head.data);
	for (size_t i = 0; i < n && !rc; i++) {
		size_t len = out->len;

		rc = tg_buf_addf(out, "  %s=", fields[i].name);
		if (!rc)
			rc = text_value(out, &fields[i].value, &cut);
		if (rc == -TG_EFULL) {
			rc = 0;
			out->len = len;
			cut = true;
		}
	}
	out->max = TG_LOG_LINE_MAX;
	if (!rc && suppressed)
		rc = tg_buf_addf(out, "  suppressed=%u", suppressed);
	if (!rc && cut)
		rc = tg_buf_add_cstr(out, "  cut=true");
	return rc;
}

void tg_log_fields(
	enum tg_log_level level, const char *message, const struct tg_log_field *fields, size_t n)
{
	static struct tg_buf line; /* guarded by the lock; kept so that logging does not allocate */
	unsigned suppressed = 0;
	int rc;

	pthread_mutex_lock(&self.lock);
	if (level < self.level || !may_pass(level, message, &suppressed)) {
		pthread_mutex_unlock(&self.lock);
		return;
	}
	tg_buf_reset(&line);
	line.max = TG_LOG_LINE_MAX - TAIL_MAX;
	rc = (self.terminal ? text_line : json_line)(&line, level, message, fields, n, suppressed);
	if (!rc)
		rc = tg_buf_add_cstr(&line, "\n");
	/* One write keeps lines of several processes apart; a log that cannot be written has
	 * nowhere to say so. */
	if (!rc && write(STDERR_FILENO, line.data, line.len) < 0)
		rc = -TG_ESYS;
	pthread_mutex_unlock(&self.lock);
}
