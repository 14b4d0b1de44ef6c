#include "base/share.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INSTALLED_ROOT "/usr/share/tongguan"

#define INSTALLED_BELOW "/share/tongguan"

/* The first ancestor of the binary that holds a schema folder, as the source tree does (also right
 * for build/san/tongguan), or one below share/tongguan, as `make install` leaves it. */
static bool find_tree(char root[PATH_MAX])
{
	char probe[PATH_MAX + 64];
	ssize_t n = readlink("/proc/self/exe", root, PATH_MAX - 1);

	if (n <= 0)
		return false;
	root[n] = '\0';
	for (char *slash = strrchr(root, '/'); slash && slash != root; slash = strrchr(root, '/')) {
		*slash = '\0';
		strcpy(stpcpy(probe, root), "/schema/cities");
		if (access(probe, R_OK) == 0)
			return true;
		strcpy(stpcpy(probe, root), INSTALLED_BELOW "/schema/cities");
		if (access(probe, R_OK) == 0 && strlen(root) + sizeof(INSTALLED_BELOW) < PATH_MAX) {
			strcpy(root + strlen(root), INSTALLED_BELOW);
			return true;
		}
	}
	return false;
}

int tg_share_path(const char *relative, struct tg_buf *out)
{
	char root[PATH_MAX];
	const char *set = getenv("TONGGUAN_SHARE_DIR");
	const char *text;
	int rc;

	if (!set)
		set = find_tree(root) ? root : INSTALLED_ROOT;
	rc = tg_buf_addf(out, "%s/%s", set, relative);
	if (rc)
		return rc;
	text = tg_buf_cstr(out);
	if (!text)
		return -TG_ENOMEM;
	return access(text, R_OK) == 0 ? 0 : -TG_ENOENT;
}
