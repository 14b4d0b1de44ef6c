/* Runs a fuzz target without libFuzzer: every file of a corpus, then so many mutations of them, the
 * same for the same seed. The input at which the process dies is kept.
 *
 *   fuzz_NAME CORPUS [RUNS [SEED]]      prints "NAME: F files, R mutations" */
#include <dirent.h>
#include <fcntl.h>
#include <sanitizer/common_interface_defs.h>
#include <signal.h>

#include "tests/fuzz/fuzz.h"

#define FILES_MAX 4096
#define RUN_S_MAX 20
#define CHANGES   6

static struct file {
	uint8_t *data;
	size_t len;
} files[FILES_MAX];
static size_t file_count;
static uint8_t now[FUZZ_BYTES_MAX];
static size_t now_len;
static char crash_path[256];
static uint64_t seed = 1;

static uint64_t draw(uint64_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (seed >> 33) % below;
}

static void keep_input(void)
{
	int fd = open(crash_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || write(fd, now, now_len) != (ssize_t)now_len)
		return;
	close(fd);
	fprintf(stderr, "the input is kept in %s\n", crash_path);
}

static void on_signal(int number)
{
	if (number == SIGALRM)
		fprintf(stderr, "an input took more than %d s\n", RUN_S_MAX);
	keep_input();
	_exit(1);
}

static void run(void)
{
	/* A copy of its own size: a byte read past the end is then seen. */
	uint8_t *copy = malloc(now_len ? now_len : 1);

	FUZZ_HOLDS(copy);
	memcpy(copy, now, now_len);
	alarm(RUN_S_MAX);
	LLVMFuzzerTestOneInput(copy, now_len);
	alarm(0);
	free(copy);
}

static void load(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	FUZZ_HOLDS(dir);
	while ((entry = readdir(dir)) && file_count < FILES_MAX) {
		struct tg_buf text = {.max = FUZZ_BYTES_MAX};
		char path[512];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
		FUZZ_HOLDS(tg_buf_read_file(&text, path) == 0);
		files[file_count++] = (struct file){(uint8_t *)text.data, text.len};
	}
	closedir(dir);
	FUZZ_HOLDS(file_count > 0);
}

/* The order in which a folder is read is not the same everywhere. */
static int by_bytes(const void *a, const void *b)
{
	const struct file *x = a, *y = b;
	size_t n = x->len < y->len ? x->len : y->len;
	int order = n ? memcmp(x->data, y->data, n) : 0;

	return order ? order : (x->len > y->len) - (x->len < y->len);
}

static void insert(size_t at, const uint8_t *from, size_t n)
{
	if (n > sizeof(now) - now_len)
		n = sizeof(now) - now_len;
	memmove(now + at + n, now + at, now_len - at);
	if (n)
		memcpy(now + at, from, n);
	now_len += n;
}

static void change(void)
{
	static const uint8_t odd[] = {0, 1, 0x7f, 0x80, 0xff, '"', '\\', ',', '\n', '0', '-', ':'};
	const struct file *other = &files[draw(file_count)];
	size_t at = draw(now_len + 1), n = 1 + draw(now_len / 4 + 8);
	uint8_t piece[64];

	switch (draw(5)) {
	case 0:
		if (at < now_len)
			now[at] ^= (uint8_t)(1u << draw(8));
		break;
	case 1:
		if (at < now_len)
			now[at] = odd[draw(sizeof(odd))];
		break;
	case 2:
		n = n < now_len - at ? n : now_len - at;
		memmove(now + at, now + at + n, now_len - at - n);
		now_len -= n;
		break;
	case 3:
		n = n < now_len - at ? n : now_len - at;
		n = n < sizeof(piece) ? n : sizeof(piece);
		memcpy(piece, now + at, n);
		insert(draw(now_len + 1), piece, n);
		break;
	default:
		if (other->len) {
			size_t from = draw(other->len);

			n = n < other->len - from ? n : other->len - from;
			insert(at, other->data + from, n);
		}
	}
}

int main(int argc, char **argv)
{
	const char *slash = strrchr(argv[0], '/'), *name = slash ? slash + 1 : argv[0];
	long runs = argc > 2 ? strtol(argv[2], NULL, 10) : 0;

	if (argc < 2) {
		fprintf(stderr, "usage: %s CORPUS [RUNS [SEED]]\n", name);
		return 2;
	}
	seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
	snprintf(crash_path, sizeof(crash_path), "build/crash-%s", name);
	__sanitizer_set_death_callback(keep_input);
	signal(SIGABRT, on_signal);
	signal(SIGALRM, on_signal);
	load(argv[1]);
	qsort(files, file_count, sizeof(files[0]), by_bytes);
	for (size_t i = 0; i < file_count; i++) {
		memcpy(now, files[i].data, now_len = files[i].len);
		run();
	}
	for (long i = 0; i < runs; i++) {
		const struct file *from = &files[draw(file_count)];

		memcpy(now, from->data, now_len = from->len);
		for (uint64_t n = 1 + draw(CHANGES); n; n--)
			change();
		run();
	}
	for (size_t i = 0; i < file_count; i++)
		free(files[i].data);
	printf("%s: %zu files, %ld mutations\n", name, file_count, runs);
	return 0;
}
