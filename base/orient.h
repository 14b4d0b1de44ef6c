/* On which side of a line a point lies, exactly. Private to base/polyindex. */
#ifndef TG_BASE_ORIENT_H
#define TG_BASE_ORIENT_H

#include "base/geo.h"

/* The sign (-1, 0, 1) of the area a, b, c without rounding error: 1 when c is left of a → b, 0
 * exactly on the line. Swapping a and b turns the sign, so two polygons that share an edge never
 * disagree about a point. Source: the expansion arithmetic of Dekker (1971) and Shewchuk (1997).
 * Coordinates as on the globe: no overflow. */
int tg_orient(struct tg_lonlat a, struct tg_lonlat b, struct tg_lonlat c);

#endif
