#include "base/conf.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define FILE_MAX     ((size_t)1 << 20)
#define DEFAULT_FILE "tongguan.conf"
#define ENV_MAX      64

enum kind { INT, TEXT, LISTEN, LEVEL };

/* Who set an option: a later source overrides an earlier one, within one source twice is a mistake.
 */
enum source { FROM_DEFAULT, FROM_UP, FROM_FILE, FROM_ENV };

struct option {
	const char *section, *key, *def, *help;
	enum kind kind;
	int64_t min, max;
	size_t offset;
};

static const struct option options[] = {
#define ROW(section, key, kind, def, min, max, help) \
	{#section, #key, def, help, kind, min, max, offsetof(struct tg_conf, section##_##key)},
#include "base/conf_table.inc"
#undef ROW
};

#define OPTIONS (sizeof(options) / sizeof(options[0]))

/* Every field of the struct has its row: all are 8 bytes wide. */
_Static_assert(sizeof(struct tg_conf) == OPTIONS * 8 + sizeof(uint64_t),
	"an option lacks its row or its field");
_Static_assert(OPTIONS <= 64, "set_mask has a bit an option");

struct loader {
	struct tg_conf *conf;
	struct tg_buf *why;
	enum source from[OPTIONS];
	int line_set[OPTIONS]; /* line of the file that set it, 0 none */
};

static void env_name(const struct option *o, char out[ENV_MAX])
{
	int n = snprintf(out, ENV_MAX, "TONGGUAN_%s_%s", o->section, o->key);

	assert(n > 0 && n < ENV_MAX);
	for (; *out; out++)
		*out = (char)toupper((unsigned char)*out);
}

static int64_t *int_at(struct tg_conf *conf, const struct option *o)
{
	return (int64_t *)(void *)((char *)conf + o->offset);
}

static char **text_at(struct tg_conf *conf, const struct option *o)
{
	return (char **)(void *)((char *)conf + o->offset);
}

static int complain(struct loader *l, const char *where, const char *what)
{
	int rc = tg_buf_addf(l->why, "%s: %s", where, what);

	return rc == -TG_ENOMEM ? rc : -TG_ECONF;
}

static bool is_listen(const char *text)
{
	const char *colon = strrchr(text, ':');
	size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;

	if (!colon || colon == text || digits == 0 || digits > 5 || colon[1 + digits])
		return false;
	return atoi(colon + 1) <= 65535;
}

static int set_int(struct loader *l, const struct option *o, const char *text, const char *where)
{
	char why[160], *end;
	long long v;

	errno = 0;
	v = strtoll(text, &end, 10);
	if (end == text || *end || isspace((unsigned char)*text) || *text == '+') {
		snprintf(why, sizeof(why), "%s.%s must be a whole number, not \"%.40s\"",
			o->section, o->key, text);
		return complain(l, where, why);
	}
	if (errno == ERANGE || v < o->min || v > o->max) {
		snprintf(why, sizeof(why), "%s.%s must be between %lld and %lld", o->section,
			o->key, (long long)o->min, (long long)o->max);
		return complain(l, where, why);
	}
	*int_at(l->conf, o) = v;
	return 0;
}

static int set_text(struct loader *l, const struct option *o, const char *text, const char *where)
{
	enum tg_log_level level;
	size_t len = strlen(text);
	char why[160] = "", *copy;

	if (len < (size_t)o->min)
		snprintf(why, sizeof(why), "%s.%s must not be empty", o->section, o->key);
	else if (len > (size_t)o->max)
		snprintf(why, sizeof(why), "%s.%s is longer than %lld bytes", o->section, o->key,
			(long long)o->max);
	else if (o->kind == LISTEN && !is_listen(text))
		snprintf(why, sizeof(why), "%s.%s must be HOST:PORT, not \"%.40s\"", o->section,
			o->key, text);
	else if (o->kind == LEVEL && tg_log_level_parse(text, &level))
		snprintf(why, sizeof(why),
			"%s.%s must be debug, info, warn or error, not \"%.40s\"", o->section,
			o->key, text);
	if (*why)
		return complain(l, where, why);
	copy = strdup(text);
	if (!copy)
		return -TG_ENOMEM;
	free(*text_at(l->conf, o));
	*text_at(l->conf, o) = copy;
	return 0;
}

static int set(struct loader *l, size_t i, const char *text, const char *where, enum source from)
{
	const struct option *o = &options[i];
	int rc = (o->kind == INT ? set_int : set_text)(l, o, text, where);

	if (!rc)
		l->from[i] = from;
	if (!rc && from > FROM_UP)
		l->conf->set_mask |= UINT64_C(1) << i;
	return rc;
}

static char *trim(char *text)
{
	char *end;

	while (isspace((unsigned char)*text))
		text++;
	end = text + strlen(text);
	while (end > text && isspace((unsigned char)end[-1]))
		end--;
	*end = '\0';
	return text;
}

/* A comment starts a line, or follows a blank: "a#b" is a value. */
static void cut_comment(char *text)
{
	for (char *p = text; *p; p++) {
		if ((*p == '#' || *p == ';') && (p == text || isspace((unsigned char)p[-1]))) {
			*p = '\0';
			return;
		}
	}
}

static size_t find(const char *section, const char *key)
{
	for (size_t i = 0; i < OPTIONS; i++) {
		if (strcmp(options[i].section, section) == 0 && strcmp(options[i].key, key) == 0)
			return i;
	}
	return OPTIONS;
}

static bool has_section(const char *name)
{
	for (size_t i = 0; i < OPTIONS; i++) {
		if (strcmp(options[i].section, name) == 0)
			return true;
	}
	return false;
}

static int file_section(struct loader *l, char *text, char section[ENV_MAX], const char *where)
{
	char *close = strchr(text, ']');
	char why[160], *name;

	if (!close || close[1])
		return complain(l, where, "a section is written [name]");
	*close = '\0';
	name = trim(text + 1);
	if (!has_section(name)) {
		snprintf(why, sizeof(why),
			"there is no section [%.40s]; `tongguan --help` lists them", name);
		return complain(l, where, why);
	}
	snprintf(section, ENV_MAX, "%s", name);
	return 0;
}

static int file_option(
	struct loader *l, char *text, const char *section, const char *where, int line)
{
	char *equals = strchr(text, '=');
	char why[160], *key;
	size_t i;

	if (!equals)
		return complain(l, where, "write key = value");
	if (!*section)
		return complain(l, where, "a key needs a [section] above it");
	*equals = '\0';
	key = trim(text);
	i = find(section, key);
	if (i == OPTIONS) {
		snprintf(why, sizeof(why), "there is no key \"%.40s\" in section [%s]", key,
			section);
		return complain(l, where, why);
	}
	if (l->line_set[i]) {
		snprintf(why, sizeof(why), "%s.%s is set already on line %d", section, key,
			l->line_set[i]);
		return complain(l, where, why);
	}
	l->line_set[i] = line;
	return set(l, i, trim(equals + 1), where, FROM_FILE);
}

static int file_line(
	struct loader *l, char *text, char section[ENV_MAX], const char *path, int line)
{
	char where[512];

	snprintf(where, sizeof(where), "%s:%d", path, line);
	if (!tg_utf8_valid(tg_slice_cstr(text)))
		return complain(l, where, "this line is not UTF-8 text");
	cut_comment(text);
	text = trim(text);
	if (!*text)
		return 0;
	return *text == '[' ? file_section(l, text, section, where)
			    : file_option(l, text, section, where, line);
}

/* The file's text, without NUL bytes and NUL-terminated. */
static int read_text(struct loader *l, const char *path, struct tg_buf *text)
{
	int rc = tg_buf_read_file(text, path);
	char why[256];

	if (rc == -TG_ENOMEM)
		return rc;
	if (rc) {
		snprintf(why, sizeof(why), "cannot be read: %s",
			rc == -TG_EFULL ? "it is larger than 1 MiB" : strerror(errno));
		return complain(l, path, why);
	}
	if (!tg_buf_cstr(text))
		return -TG_ENOMEM;
	if (text->len && strlen(text->data) != text->len)
		return complain(l, path, "is not a text file");
	return 0;
}

static int load_file(struct loader *l, const char *path)
{
	struct tg_buf text = {.max = FILE_MAX};
	char section[ENV_MAX] = "", *next = NULL;
	int line = 0, rc;

	rc = read_text(l, path, &text);
	for (char *p = text.len ? text.data : NULL; p && !rc; p = next) {
		next = strchr(p, '\n');
		if (next)
			*next++ = '\0';
		rc = file_line(l, p, section, path, ++line);
	}
	tg_buf_release(&text);
	return rc;
}

/* Only names of the table are looked up: others that begin with TONGGUAN_ belong to tests or to a
 * container platform, which makes up names such as TONGGUAN_DISPATCH_PORT. */
static int load_env(struct loader *l)
{
	char name[ENV_MAX];
	int rc = 0;

	for (size_t i = 0; i < OPTIONS && !rc; i++) {
		const char *v;

		env_name(&options[i], name);
		v = getenv(name);
		if (v)
			rc = set(l, i, v, name, FROM_ENV);
	}
	return rc;
}

static bool names_a_server(const struct loader *l)
{
	static const char *const servers[][2] = {
		{"kafka", "brokers"}, {"postgres", "url"}, {"redis", "url"}};

	for (size_t s = 0; s < sizeof(servers) / sizeof(servers[0]); s++) {
		if (l->from[find(servers[s][0], servers[s][1])] != FROM_DEFAULT)
			return true;
	}
	return false;
}

/* "NAME=value" of up.env. It never overrides what the file or the environment says; names that are
 * not options (addresses for people) are passed over. */
static int up_line(struct loader *l, char *text, const char *where)
{
	char name[ENV_MAX], *equals = strchr(text, '=');

	if (!equals)
		return 0;
	*equals = '\0';
	for (size_t i = 0; i < OPTIONS; i++) {
		env_name(&options[i], name);
		if (strcmp(name, text) == 0)
			return l->from[i] > FROM_UP ? 0 : set(l, i, equals + 1, where, FROM_UP);
	}
	return 0;
}

/* A line TONGGUAN_UP_PID=N lets us see an up.env that a killed `tongguan up` left behind. */
static bool is_live(const char *text)
{
	const char *at = strstr(text, "TONGGUAN_UP_PID=");
	long pid = at ? strtol(at + strlen("TONGGUAN_UP_PID="), NULL, 10) : 0;

	return !at || (pid > 0 && (kill((pid_t)pid, 0) == 0 || errno == EPERM));
}

static int load_up(struct loader *l)
{
	struct tg_buf path = {0}, text = {.max = FILE_MAX};
	const char *name;
	char *next;
	int rc;

	rc = tg_buf_addf(&path, "%s/up.env", l->conf->state_dir);
	name = tg_buf_cstr(&path);
	if (rc || !name) {
		tg_buf_release(&path);
		return rc ? rc : -TG_ENOMEM;
	}
	/* Someone else's, or gone: then there is none. */
	if (tg_buf_read_file(&text, name) == 0 && tg_buf_cstr(&text) &&
		is_live(tg_buf_cstr(&text))) {
		for (char *p = text.len ? text.data : NULL; p && !rc; p = next) {
			next = strchr(p, '\n');
			if (next)
				*next++ = '\0';
			rc = up_line(l, p, name);
		}
	}
	tg_buf_release(&text);
	tg_buf_release(&path);
	return rc;
}

static int load_defaults(struct loader *l)
{
	int rc = 0;

	for (size_t i = 0; i < OPTIONS && !rc; i++)
		rc = set(l, i, options[i].def, "built-in default", FROM_DEFAULT);
	assert(rc != -TG_ECONF);
	return rc;
}

int tg_conf_load(const char *path, struct tg_conf *ret, struct tg_buf *why)
{
	struct tg_conf conf = {0};
	struct tg_buf probe = {.max = FILE_MAX};
	struct loader l = {.conf = &conf, .why = why};
	int rc = load_defaults(&l);

	if (!rc && path)
		rc = load_file(&l, path);
	else if (!rc && tg_buf_read_file(&probe, DEFAULT_FILE) != -TG_ENOENT)
		rc = load_file(&l, DEFAULT_FILE);
	if (!rc)
		rc = load_env(&l);
	if (!rc && !names_a_server(&l))
		rc = load_up(&l);
	tg_buf_release(&probe);
	if (rc)
		tg_conf_release(&conf);
	else
		*ret = conf;
	return rc;
}

bool tg_conf_is_set(const struct tg_conf *conf, const char *section, const char *key)
{
	size_t i = find(section, key);

	assert(i < OPTIONS);
	return conf->set_mask >> i & 1;
}

void tg_conf_release(struct tg_conf *conf)
{
	for (size_t i = 0; i < OPTIONS; i++) {
		if (options[i].kind != INT)
			free(*text_at(conf, &options[i]));
	}
	*conf = (struct tg_conf){0};
}

int tg_conf_help(struct tg_buf *out)
{
	const char *section = "";
	char name[ENV_MAX];
	int rc = 0;

	for (size_t i = 0; i < OPTIONS && !rc; i++) {
		const struct option *o = &options[i];

		if (strcmp(section, o->section) != 0)
			rc = tg_buf_addf(out, "%s[%s]\n", i ? "\n" : "", o->section);
		section = o->section;
		env_name(o, name);
		if (!rc)
			rc = tg_buf_addf(out, "  %s = %s\n      %s", o->key, o->def, o->help);
		if (!rc && o->kind == INT)
			rc = tg_buf_addf(
				out, " (%lld to %lld)", (long long)o->min, (long long)o->max);
		if (!rc)
			rc = tg_buf_addf(out, "\n      environment: %s\n", name);
	}
	return rc;
}
