/* Where the program's own files lie (city folders, rule packs, the console): $TONGGUAN_SHARE_DIR
 * when set, else the source tree the binary was built in (two levels above build/tongguan), else
 * /usr/share/tongguan. */
#ifndef TG_BASE_SHARE_H
#define TG_BASE_SHARE_H

#include "base/buf.h"

/* Appends "ROOT/relative" to out, which must be empty. -TG_ENOENT when it does not exist there. */
TG_MUST int tg_share_path(const char *relative, struct tg_buf *out);

#endif
