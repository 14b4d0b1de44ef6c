/* The bytes of a packed segment, for who writes and who reads them. */
#ifndef TG_CORRELATE_SEGMENT_IMPL_H
#define TG_CORRELATE_SEGMENT_IMPL_H

#include "correlate/segment.h"

#define SEGMENT_FORM        2
#define SEGMENT_FORM_EVENTS 1 /* of a version without series: events alone */
#define SEGMENT_HALO        1
#define SEGMENT_WAITING     2
#define SEGMENT_SETTLED     128 /* beside the flags of a word */
#define SEGMENT_NAME_NONE   UINT16_MAX
#define SEGMENT_RULES_MAX   255 /* windows that one event may be in */

#endif
