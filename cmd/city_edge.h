/* Which shapes of a level cannot be shown to lie apart by their edges alone. */
#ifndef TG_CMD_CITY_EDGE_H
#define TG_CMD_CITY_EDGE_H

#include <jansson.h>

/* A shape each of whose edges is the edge of exactly one neighbour, walked the other way round,
 * overlaps nothing but a shape that is not of this kind: sets its "loose" to false. features: sound
 * ones; feature i belongs to shapes[first + i]. Without memory all stay loose: more is checked. */
void city_edges_pair(const json_t *features, json_t *shapes, size_t first);

#endif
