/* City folders: the input is one file of a small whole city, named by its first line; the others
 * are as they should be. */
#include "cmd/city.h"
#include "tests/fuzz/fuzz.h"

#define CITY "tests/fuzz/city"

static const char *const names[] = {"city.yaml", "boundary.geojson", "grid.geojson",
	"streets.geojson", "departments.csv", "catalog.csv", "conditions.csv", "calendar.csv",
	"devices.csv", "zones.geojson", NULL};
static struct tg_buf whole[sizeof(names) / sizeof(names[0])];

static void restore(size_t i)
{
	if (whole[i].len)
		fuzz_write(names[i], whole[i].data, whole[i].len);
}

static int read_folder(struct tg_buf *ret_complaints)
{
	struct city city = {.dir = fuzz_folder};
	int rc = city_read(&city);

	FUZZ_HOLDS((rc == 0) == (city.complaints_count == 0));
	FUZZ_HOLDS((rc == 0) == (city.complaints.len == 0));
	FUZZ_HOLDS(tg_buf_add(ret_complaints, city.complaints.data, city.complaints.len) == 0);
	city_release(&city);
	return rc;
}

/* The whole city, which must be right: else nothing behind the first mistake would be reached. */
static void begin(void)
{
	struct tg_buf complaints = {0};
	char path[256];

	fuzz_folder_make(names);
	for (size_t i = 0; names[i]; i++) {
		snprintf(path, sizeof(path), "%s/%s", CITY, names[i]);
		whole[i].max = FUZZ_BYTES_MAX;
		if (access(path, R_OK) == 0)
			FUZZ_HOLDS(tg_buf_read_file(&whole[i], path) == 0);
		restore(i);
	}
	if (read_folder(&complaints))
		fprintf(stderr, "%s", tg_buf_cstr(&complaints));
	FUZZ_HOLDS(complaints.len == 0);
	tg_buf_release(&complaints);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	const uint8_t *end = len ? memchr(data, '\n', len) : NULL;
	struct tg_slice name = {(const char *)data, end ? (size_t)(end - data) : 0};
	struct tg_buf complaints = {0};
	size_t i = 0;

	if (!fuzz_names)
		begin();
	while (names[i] && !tg_slice_is(name, names[i]))
		i++;
	if (!names[i])
		return -1;
	fuzz_write(names[i], end + 1, len - name.len - 1);
	(void)!read_folder(&complaints);
	restore(i);
	tg_buf_release(&complaints);
	return 0;
}
