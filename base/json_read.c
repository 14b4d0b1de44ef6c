#include <string.h>

#include "base/json.h"

#define DEPTH_MAX 32

/* jansson's own limit of depth is fixed at its build (2048); ours is checked before it sees the
 * text. */
static int check_depth(struct tg_slice text, struct tg_buf *why)
{
	size_t line = 1, line_at = 0;
	int depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];

		if (c == '\n') {
			line++;
			line_at = i + 1;
		} else if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == ']' || c == '}') {
			depth--;
		} else if ((c == '[' || c == '{') && ++depth > DEPTH_MAX) {
			int rc = tg_buf_addf(why, "line %zu, column %zu: nested deeper than %d",
				line, i - line_at + 1, DEPTH_MAX);

			return rc ? rc : -TG_EPARSE;
		}
	}
	return 0;
}

/* The message keeps away from the text itself, which may hold personal data. */
int tg_json_parse(struct tg_slice text, json_t **ret, struct tg_buf *why)
{
	struct tg_buf unused = {.max = 256};
	json_error_t error;
	json_t *root;
	char *near;
	int rc;

	rc = check_depth(text, why ? why : &unused);
	tg_buf_release(&unused);
	if (rc)
		return rc;
	root = json_loadb(text.len ? text.data : "", text.len, JSON_REJECT_DUPLICATES, &error);
	if (root) {
		*ret = root;
		return 0;
	}
	if (json_error_code(&error) == json_error_out_of_memory)
		return -TG_ENOMEM;
	near = strstr(error.text, " near ");
	if (near)
		*near = '\0';
	if (why)
		rc = tg_buf_addf(
			why, "line %d, column %d: %s", error.line, error.column, error.text);
	return rc ? rc : -TG_EPARSE;
}

static json_t *member(const json_t *obj, const char *key)
{
	json_t *v = json_object_get(obj, key);

	return v && !json_is_null(v) ? v : NULL;
}

static bool mismatch(bool *wrong)
{
	if (wrong)
		*wrong = true;
	return false;
}

bool tg_json_str(const json_t *obj, const char *key, const char **ret, bool *wrong)
{
	const json_t *v = member(obj, key);

	if (!v)
		return false;
	if (!json_is_string(v))
		return mismatch(wrong);
	*ret = json_string_value(v);
	return true;
}

bool tg_json_int(const json_t *obj, const char *key, int64_t *ret, bool *wrong)
{
	const json_t *v = member(obj, key);

	if (!v)
		return false;
	if (!json_is_integer(v))
		return mismatch(wrong);
	*ret = json_integer_value(v);
	return true;
}

bool tg_json_dbl(const json_t *obj, const char *key, double *ret, bool *wrong)
{
	const json_t *v = member(obj, key);

	if (!v)
		return false;
	if (!json_is_number(v))
		return mismatch(wrong);
	*ret = json_number_value(v);
	return true;
}

bool tg_json_bool(const json_t *obj, const char *key, bool *ret, bool *wrong)
{
	const json_t *v = member(obj, key);

	if (!v)
		return false;
	if (!json_is_boolean(v))
		return mismatch(wrong);
	*ret = json_is_true(v);
	return true;
}
