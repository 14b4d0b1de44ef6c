/* What the fuzz targets share. A target is LLVMFuzzerTestOneInput() in a file of its own: libFuzzer
 * drives it (make fuzz), or driver.c without coverage (make test). A target aborts when an
 * invariant does not hold. */
#ifndef TG_TESTS_FUZZ_H
#define TG_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"

#define FUZZ_BYTES_MAX 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define FUZZ_HOLDS(fact)                                                                         \
	do {                                                                                     \
		if (!(fact)) {                                                                   \
			fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #fact); \
			abort();                                                                 \
		}                                                                                \
	} while (0)

/* A folder of this process in memory where there is one; removed at exit, with what names name. */
static char fuzz_folder[64];
static const char *const *fuzz_names;

static inline void fuzz_path(const char *name, char out[256])
{
	snprintf(out, 256, "%s/%s", fuzz_folder, name);
}

static inline void fuzz_folder_remove(void)
{
	char path[256];

	for (const char *const *name = fuzz_names; *name; name++) {
		fuzz_path(*name, path);
		unlink(path);
	}
	rmdir(fuzz_folder);
}

/* names: every file that will be written there, NULL-terminated. */
static inline void fuzz_folder_make(const char *const *names)
{
	snprintf(fuzz_folder, sizeof(fuzz_folder), "%s/tongguan-fuzz-XXXXXX",
		access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	FUZZ_HOLDS(mkdtemp(fuzz_folder));
	fuzz_names = names;
	FUZZ_HOLDS(atexit(fuzz_folder_remove) == 0);
}

static inline void fuzz_write(const char *name, const void *data, size_t len)
{
	char path[256];
	FILE *f;

	fuzz_path(name, path);
	f = fopen(path, "we");
	FUZZ_HOLDS(f);
	FUZZ_HOLDS(fwrite(data, 1, len, f) == len);
	FUZZ_HOLDS(fclose(f) == 0);
}

#endif
