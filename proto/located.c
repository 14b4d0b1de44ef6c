/* What several rooms ask of an event: who reported it, how its contact may be shown, what its
 * source is called. */
#include <stdio.h>
#include <string.h>

#include "proto/codec.h"

#define CONTACT_TAIL 4

static const char *const source_kinds[] = {
	[TONGGUAN__V1__SOURCE_KIND__SENSOR] = "sensor",
	[TONGGUAN__V1__SOURCE_KIND__VEHICLE] = "vehicle",
	[TONGGUAN__V1__SOURCE_KIND__INSPECTOR] = "inspector",
	[TONGGUAN__V1__SOURCE_KIND__CITIZEN] = "citizen",
	[TONGGUAN__V1__SOURCE_KIND__VIDEO] = "video",
	[TONGGUAN__V1__SOURCE_KIND__SYSTEM] = "system",
};

#define SOURCE_KINDS ((int)(sizeof(source_kinds) / sizeof(source_kinds[0])))

const char *tg_event_reporter(const tg_event_pb *ev)
{
	if (ev->payload_case == TONGGUAN__V1__EVENT__PAYLOAD_REPORT && ev->report->reporter_id &&
		ev->report->reporter_id[0])
		return ev->report->reporter_id;
	return ev->source_id ? ev->source_id : "";
}

void tg_mask_contact(const char *contact, char out[32])
{
	size_t chars = 0;
	const char *tail = contact + strlen(contact);

	/* Whole characters, not bytes: half of one would be no text. */
	while (tail > contact && chars < CONTACT_TAIL) {
		tail--;
		if (((unsigned char)*tail & 0xc0) != 0x80)
			chars++;
	}
	if (tail == contact)
		tail = "";
	snprintf(out, 32, "***%s", tail);
}

const char *tg_source_kind_name(int kind)
{
	return kind > 0 && kind < SOURCE_KINDS ? source_kinds[kind] : "";
}

bool tg_source_kind_parse(struct tg_slice name, int *ret_kind)
{
	for (int kind = 1; kind < SOURCE_KINDS; kind++) {
		if (tg_slice_is(name, source_kinds[kind])) {
			*ret_kind = kind;
			return true;
		}
	}
	return false;
}
