#include <stdlib.h>

#include "base/json.h"
#include "correlate/watch.h"

struct watched {
	int64_t last_us, window_us, lateness_us;
};

int tg_watch_init(struct tg_watch *w)
{
	w->due_us = INT64_MAX;
	return tg_map_new(0, &w->open);
}

void tg_watch_release(struct tg_watch *w)
{
	size_t pos = 0;
	void *v;

	while (w->open && (v = tg_map_next(w->open, &pos, NULL)))
		free(v);
	tg_map_free(w->open);
	*w = (struct tg_watch){.due_us = INT64_MAX};
}

static int64_t due_of(const struct watched *v)
{
	return v->last_us + v->window_us + v->lateness_us;
}

int tg_watch_put(struct tg_watch *w, struct tg_slice id, int64_t last_us, int64_t window_us,
	int64_t lateness_us)
{
	struct watched *v = tg_map_get(w->open, id);
	int rc = 0;

	if (!v) {
		v = malloc(sizeof(*v));
		rc = v ? tg_map_put(w->open, id, v) : -TG_ENOMEM;
		if (rc) {
			free(v);
			return rc;
		}
	}
	*v = (struct watched){last_us, window_us, lateness_us};
	if (due_of(v) < w->due_us)
		w->due_us = due_of(v);
	return 0;
}

void tg_watch_drop(struct tg_watch *w, struct tg_slice id)
{
	free(tg_map_remove(w->open, id));
}

static void write_due(struct tg_jw *jw, struct tg_slice id, int64_t before_us)
{
	tg_jw_object(jw, NULL);
	tg_jw_slice(jw, "id", id);
	tg_jw_int(jw, "before_us", before_us);
	tg_jw_object_end(jw);
}

int tg_watch_due(struct tg_watch *w, int64_t watermark_us, struct tg_buf *out)
{
	struct tg_slice id;
	struct tg_jw jw;
	struct watched *v;
	size_t pos = 0;
	int n = 0, rc;

	if (watermark_us == TG_WATERMARK_NONE || watermark_us <= w->due_us)
		return 0;
	w->due_us = INT64_MAX;
	tg_jw_begin(&jw, out);
	tg_jw_array(&jw, NULL);
	while ((v = tg_map_next(w->open, &pos, &id))) {
		if (due_of(v) < watermark_us) {
			write_due(&jw, id, watermark_us - v->lateness_us);
			n++;
			free(tg_map_remove(w->open, id));
		} else if (due_of(v) < w->due_us) {
			w->due_us = due_of(v);
		}
	}
	tg_jw_array_end(&jw);
	rc = tg_jw_end(&jw);
	if (n == 0)
		tg_buf_reset(out);
	return rc ? rc : n;
}
