/* The console's files, read once at start into memory: what manifest.json lists and nothing else.
 * Names with a content hash (all but the page itself) are immutable; the page is asked for again by
 * its tag. */
#include <dirent.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/conf.h"
#include "base/log.h"
#include "base/map.h"
#include "base/share.h"
#include "dispatch/api.h"

#define FILES_MAX      512
#define FILE_BYTES_MAX ((size_t)8 << 20)

/* No eval, no foreign origin, no inline anything. data: and blob: pictures are the map's icons and
 * photos' previews. */
#define CONSOLE_CSP                                                                             \
	"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src " \
	"'self' data: blob:; "                                                                  \
	"worker-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; "            \
	"frame-ancestors 'none'; "                                                              \
	"form-action 'self'"

struct page {
	char *type;
	struct tg_buf plain, gzip; /* gzip empty: only as it is */
	char etag[40], gzip_etag[40];
	bool immutable;
};

struct tg_console {
	struct tg_map *pages; /* path → struct page */
};

static void page_free(struct page *page)
{
	if (!page)
		return;
	free(page->type);
	tg_buf_release(&page->plain);
	tg_buf_release(&page->gzip);
	free(page);
}

void tg_console_free(struct tg_console *console)
{
	struct tg_slice key;
	struct page *page;
	size_t pos = 0;

	if (!console)
		return;
	while (console->pages && (page = tg_map_next(console->pages, &pos, &key)))
		page_free(page);
	tg_map_free(console->pages);
	free(console);
}

static void make_etag(const struct tg_buf *bytes, char out[40])
{
	unsigned char sum[16];
	char hex[33];

	crypto_generichash(
		sum, sizeof(sum), (const unsigned char *)bytes->data, bytes->len, NULL, 0);
	tg_hex(sum, sizeof(sum), hex);
	snprintf(out, 40, "\"%s\"", hex);
}

/* Does the name end in "-HASH.ext" with at least eight letters or digits of hash? */
static bool is_hashed(const char *file)
{
	const char *dot = strrchr(file, '.'), *dash = dot;
	size_t n;

	if (!dot)
		return false;
	while (dash > file && dash[-1] != '-' && dash[-1] != '/')
		dash--;
	n = (size_t)(dot - dash);
	return dash > file && dash[-1] == '-' && n >= 8 &&
	       strspn(dash, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdef") >= n;
}

static int read_into(const char *dir, const char *file, const char *suffix, struct tg_buf *ret)
{
	char path[4096];

	if (snprintf(path, sizeof(path), "%s/%s%s", dir, file, suffix) >= (int)sizeof(path))
		return -TG_ERANGE;
	if (access(path, R_OK))
		return -TG_ENOENT;
	ret->max = FILE_BYTES_MAX;
	return tg_buf_read_file(ret, path);
}

static int add_page(struct tg_console *console, const char *dir, const json_t *entry)
{
	const char *path, *file, *type;
	struct page *page;
	int rc;

	if (!tg_json_str(entry, "path", &path, NULL) || !tg_json_str(entry, "file", &file, NULL) ||
		!tg_json_str(entry, "type", &type, NULL) || strstr(file, "..") || file[0] == '/')
		return -TG_EPARSE;
	page = calloc(1, sizeof(*page));
	if (!page)
		return -TG_ENOMEM;
	page->type = strdup(type);
	page->immutable = is_hashed(file);
	rc = page->type ? read_into(dir, file, "", &page->plain) : -TG_ENOMEM;
	if (!rc) {
		make_etag(&page->plain, page->etag);
		rc = read_into(dir, file, ".gz", &page->gzip);
		if (rc == -TG_ENOENT)
			rc = 0;
		else if (!rc)
			make_etag(&page->gzip, page->gzip_etag);
	}
	if (!rc)
		rc = tg_map_put(console->pages, tg_slice_cstr(path), page);
	if (rc)
		page_free(page);
	return rc;
}

static int load(struct tg_console *console, const char *dir)
{
	struct tg_buf text = {.max = FILE_BYTES_MAX}, why = {0};
	json_t *list = NULL, *entry;
	size_t i;
	int rc = read_into(dir, "manifest.json", "", &text);

	if (!rc)
		rc = tg_json_parse((struct tg_slice){text.data, text.len}, &list, &why);
	if (!rc && !json_is_array(list))
		rc = -TG_EPARSE;
	json_array_foreach (list, i, entry) {
		if (rc)
			break;
		rc = add_page(console, dir, entry);
	}
	json_decref(list);
	tg_buf_release(&why);
	tg_buf_release(&text);
	return rc;
}

/* Next to the binary, as the build leaves it: build/console or, for a binary one level deeper,
 * build/../console; else where `make install` puts it. */
static bool beside_binary(char *out, size_t out_size)
{
	char self[3800];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	struct tg_buf shared = {0};
	bool found = tg_share_path("console/manifest.json", &shared) == 0;

	if (found)
		snprintf(out, out_size, "%.*s", (int)(strrchr(shared.data, '/') - shared.data),
			shared.data);
	tg_buf_release(&shared);
	if (found)
		return true;

	if (n <= 0)
		return false;
	self[n] = '\0';
	for (int up = 0; up < 2; up++) {
		char *slash = strrchr(self, '/');

		if (!slash)
			return false;
		*slash = '\0';
		snprintf(out, out_size, "%s/console/manifest.json", self);
		if (access(out, R_OK) == 0) {
			*strrchr(out, '/') = '\0';
			return true;
		}
	}
	return false;
}

int tg_console_open(const struct tg_conf *conf, struct tg_console **ret)
{
	struct tg_console *console = calloc(1, sizeof(*console));
	const char *dir = conf->dispatch_console_dir;
	char found[4096];
	int rc;

	if (!console)
		return -TG_ENOMEM;
	rc = tg_map_new(FILES_MAX, &console->pages);
	if (!dir || !*dir)
		dir = beside_binary(found, sizeof(found)) ? found : NULL;
	if (!rc && dir) {
		rc = load(console, dir);
		if (rc)
			tg_log(TG_ERROR, "console not loaded", TG_F("dir", TG_S(dir)),
				TG_F("error", TG_S(tg_err_name(rc))));
	} else if (!rc) {
		tg_log(TG_WARN, "no console was built; the API is served without it");
	}
	if (rc) {
		tg_console_free(console);
		return rc;
	}
	*ret = console;
	return 0;
}

static void page_headers(struct tg_request *req, const struct page *page, const char *etag)
{
	tg_reply_header(req, "x-content-type-options", "nosniff");
	tg_reply_header(req, "referrer-policy", "no-referrer");
	tg_reply_header(req, "content-security-policy", CONSOLE_CSP);
	tg_reply_header(req, "cross-origin-opener-policy", "same-origin");
	tg_reply_header(req, "cross-origin-resource-policy", "same-origin");
	tg_reply_header(req, "permissions-policy", "camera=(), microphone=(), geolocation=(self)");
	tg_reply_header(req, "cache-control",
		page->immutable ? "public, max-age=31536000, immutable" : "no-cache");
	tg_reply_header(req, "etag", etag);
	if (page->gzip.len)
		tg_reply_header(req, "vary", "accept-encoding");
}

static void nothing_here(struct tg_request *req)
{
	tg_reply_header(req, "x-content-type-options", "nosniff");
	tg_reply_header(req, "referrer-policy", "no-referrer");
	tg_reply_header(
		req, "content-security-policy", "default-src 'none'; frame-ancestors 'none'");
	tg_reply_problem(req, 404, NULL, "there is nothing at this address", NULL);
}

void tg_console_serve(struct tg_console *console, struct tg_request *req)
{
	const struct page *page = NULL;
	struct tg_slice header;
	bool gzip;
	const char *etag;

	if (tg_req_method(req) == TG_GET)
		page = tg_map_get(console->pages, tg_req_path(req));
	if (!page) {
		nothing_here(req);
		return;
	}
	gzip = page->gzip.len && tg_req_header(req, "accept-encoding", &header) &&
	       tg_accepts(header, "gzip");
	etag = gzip ? page->gzip_etag : page->etag;
	page_headers(req, page, etag);
	if (tg_req_header(req, "if-none-match", &header) && tg_etag_matches(header, etag)) {
		tg_reply(req, 304, NULL, (struct tg_slice){0});
		return;
	}
	if (gzip)
		tg_reply_header(req, "content-encoding", "gzip");
	tg_reply(req, 200, page->type,
		gzip ? (struct tg_slice){page->gzip.data, page->gzip.len}
		     : (struct tg_slice){page->plain.data, page->plain.len});
}
