#include "dispatch/api_ring.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

void tg_frame_release(struct tg_frame *frame)
{
	free(frame->bytes);
	free(frame->departments);
	*frame = (struct tg_frame){0};
}

/* Copies a member as it is; null when it is absent. */
static void copy(struct tg_jw *w, const json_t *doc, const char *name, const char *as)
{
	const json_t *v = json_object_get(doc, name);

	if (json_is_string(v))
		tg_jw_str(w, as, json_string_value(v));
	else if (json_is_integer(v))
		tg_jw_int(w, as, json_integer_value(v));
	else
		tg_jw_null(w, as);
}

static void write_data(struct tg_jw *w, int64_t pos, struct tg_slice kind, const json_t *doc)
{
	bool task = tg_slice_is(kind, "task");

	tg_jw_object(w, NULL);
	tg_jw_int(w, "pos", pos);
	if (tg_slice_is(kind, "incident"))
		copy(w, doc, "incident_id", "incident_id");
	if (task)
		copy(w, doc, "task_id", "task_id");
	copy(w, doc, "case_id", "case_id");
	copy(w, doc, "case_no", "case_no");
	copy(w, doc, task ? "task_version" : "version", "version");
	copy(w, doc, task ? "task_state" : "state", "state");
	if (task) {
		copy(w, doc, "department", "department");
		copy(w, doc, "version", "case_version");
		copy(w, doc, "state", "case_state");
	}
	copy(w, doc, "action", "action");
	copy(w, doc, "seq", "seq");
	copy(w, doc, "at", "at");
	tg_jw_object_end(w);
}

/* ",A,B,": one search tells whether a department is in it. */
static char *department_list(const json_t *doc)
{
	const json_t *list = json_object_get(doc, "departments"), *one;
	struct tg_buf text = {0};
	int rc = tg_buf_add_cstr(&text, ",");
	char *ret = NULL;
	size_t i;

	json_array_foreach (list, i, one)
		if (json_is_string(one) && !rc)
			rc = tg_buf_addf(&text, "%s,", json_string_value(one));
	if (!rc && tg_buf_cstr(&text))
		ret = strdup(text.data);
	tg_buf_release(&text);
	return ret;
}

int tg_frame_make(int64_t pos, struct tg_slice kind, struct tg_slice doc, struct tg_frame *ret)
{
	struct tg_frame frame = {.pos = pos};
	struct tg_buf text = {0}, why = {0};
	json_t *tree = NULL;
	struct tg_jw w;
	int rc = tg_json_parse(doc, &tree, &why);

	if (rc)
		goto out;
	rc = tg_buf_addf(
		&text, "id: %lld\nevent: %.*s\ndata: ", (long long)pos, (int)kind.len, kind.data);
	if (rc)
		goto out;
	tg_jw_begin(&w, &text);
	write_data(&w, pos, kind, tree);
	rc = tg_jw_end(&w);
	if (!rc)
		rc = tg_buf_add_cstr(&text, "\n\n");
	if (rc)
		goto out;
	frame.departments = department_list(tree);
	if (!frame.departments) {
		rc = -TG_ENOMEM;
		goto out;
	}
	frame.bytes = text.data;
	frame.len = text.len;
	text = (struct tg_buf){0}; /* the frame owns it now */
	*ret = frame;
out:
	json_decref(tree);
	tg_buf_release(&why);
	tg_buf_release(&text);
	return rc;
}

bool tg_frame_visible(const struct tg_frame *frame, const char *department)
{
	char want[40];

	if (!department[0])
		return true;
	snprintf(want, sizeof(want), ",%s,", department);
	return strstr(frame->departments, want) != NULL;
}

void tg_ring_push(struct tg_ring *ring, struct tg_frame *frame)
{
	size_t at = (ring->first + ring->count) % TG_RING_FRAMES;

	assert(ring->count == 0 ||
		ring->frames[(at + TG_RING_FRAMES - 1) % TG_RING_FRAMES].pos < frame->pos);
	if (ring->count == TG_RING_FRAMES) {
		tg_frame_release(&ring->frames[ring->first]);
		ring->first = (ring->first + 1) % TG_RING_FRAMES;
		ring->count--;
	}
	ring->frames[at] = *frame;
	ring->count++;
	*frame = (struct tg_frame){0};
}

void tg_ring_release(struct tg_ring *ring)
{
	for (size_t i = 0; i < TG_RING_FRAMES; i++)
		tg_frame_release(&ring->frames[i]);
	ring->first = ring->count = 0;
}

bool tg_ring_covers(const struct tg_ring *ring, int64_t pos)
{
	return ring->count > 0 && pos >= ring->frames[ring->first].pos - 1;
}

const struct tg_frame *tg_ring_after(const struct tg_ring *ring, int64_t pos, size_t i)
{
	size_t low = 0, high = ring->count;

	while (low < high) { /* the first frame with a greater position */
		size_t mid = (low + high) / 2;

		if (ring->frames[(ring->first + mid) % TG_RING_FRAMES].pos > pos)
			high = mid;
		else
			low = mid + 1;
	}
	low += i;
	return low < ring->count ? &ring->frames[(ring->first + low) % TG_RING_FRAMES] : NULL;
}
