/* What a photo's bytes are, whatever anybody says they are. Pure. */
#ifndef TG_DISPATCH_IMAGE_H
#define TG_DISPATCH_IMAGE_H

#include <stdint.h>

#include "base/buf.h"

#define TG_IMAGE_SIDE_MAX 30000 /* pixels of a side */

struct tg_image {
	const char *type; /* image/jpeg, image/png, image/webp */
	uint32_t width, height;
};

/* Reads the headers up to the size. -TG_EPARSE: none of the three, cut short, or without an end;
 * -TG_ERANGE: a side is 0 or larger than TG_IMAGE_SIDE_MAX. */
TG_MUST int tg_image_look(struct tg_slice bytes, struct tg_image *ret);

#endif
