/* The index of polygons alone: shapes (hexadecimal WKB, one a line; the line's number is the id)
 * and points (pairs of doubles) in, one id a point out (int32, -1: nowhere); figures on stdout. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/geo.h"

#define ROUNDS 5

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
	fprintf(stderr, "locate: %s\n", what);
	exit(1);
}

static struct tg_polyindex *read_shapes(const char *path, int32_t *ret_count)
{
	FILE *file = fopen(path, "r");
	struct tg_polyindex *ix;
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	int32_t id = 0;

	if (!file || tg_polyindex_new(&ix))
		die("no shapes");
	while ((len = getline(&line, &cap, file)) > 1) {
		const char *why = NULL;

		if (tg_polyindex_add_wkb(ix, id++, (struct tg_slice){line, (size_t)len - 1}, &why))
			die(why);
	}
	free(line);
	fclose(file);
	*ret_count = id;
	return ix;
}

static struct tg_lonlat *read_points(const char *path, size_t *ret_count)
{
	FILE *file = fopen(path, "rb");
	struct tg_lonlat *points;
	long bytes;

	if (!file || fseek(file, 0, SEEK_END) || (bytes = ftell(file)) <= 0)
		die("no points");
	rewind(file);
	points = malloc((size_t)bytes);
	*ret_count = (size_t)bytes / sizeof(*points);
	if (!points || fread(points, sizeof(*points), *ret_count, file) != *ret_count)
		die("points cannot be read");
	fclose(file);
	return points;
}

int main(int argc, char **argv)
{
	struct tg_polyindex *ix;
	struct tg_lonlat *points;
	int32_t *found, shapes;
	size_t n;
	double began, built;
	FILE *out;

	if (argc != 4)
		die("usage: locate SHAPES POINTS IDS");
	began = now_s();
	ix = read_shapes(argv[1], &shapes);
	if (tg_polyindex_build(ix))
		die("the index cannot be built");
	built = now_s() - began;
	points = read_points(argv[2], &n);
	found = malloc(n * sizeof(*found));
	if (!found)
		die("out of memory");
	printf("shapes %d\nbuild_s %.3f\nbytes %zu\n", shapes, built, tg_polyindex_bytes(ix));
	for (int round = 0; round < ROUNDS; round++) {
		began = now_s();
		for (size_t i = 0; i < n; i++)
			found[i] = tg_polyindex_find(ix, points[i]);
		printf("points_s %.0f\n", (double)n / (now_s() - began));
	}
	out = fopen(argv[3], "wb");
	if (!out || fwrite(found, sizeof(*found), n, out) != n || fclose(out))
		die("ids cannot be written");
	tg_polyindex_free(ix);
	free(points);
	free(found);
	return 0;
}
