#include "correlate/names.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define SLOTS_MIN 256

/* Linear probing, never more than half full; nothing is ever taken out. */
struct slot {
	uint64_t hash;
	struct tg_name *name;
};

struct tg_names {
	struct slot *slots;
	size_t slots_len, len; /* slots_len: a power of two */
	struct tg_hash_key key;
	uint64_t stamp; /* the last one given */
};

int tg_names_new(struct tg_names **ret)
{
	struct tg_names *names = calloc(1, sizeof(*names));

	if (!names)
		return -TG_ENOMEM;
	names->slots_len = SLOTS_MIN;
	names->slots = calloc(SLOTS_MIN, sizeof(*names->slots));
	if (!names->slots) {
		free(names);
		return -TG_ENOMEM;
	}
	randombytes_buf(&names->key, sizeof(names->key));
	*ret = names;
	return 0;
}

void tg_names_free(struct tg_names *names)
{
	if (!names)
		return;
	for (size_t i = 0; i < names->slots_len; i++)
		free(names->slots[i].name);
	free(names->slots);
	free(names);
}

/* The text's slot, or the empty one where it is missing. */
static struct slot *find(const struct tg_names *names, const char *text, uint64_t hash)
{
	size_t mask = names->slots_len - 1, i = hash & mask;

	while (names->slots[i].name &&
		(names->slots[i].hash != hash || strcmp(names->slots[i].name->text, text) != 0))
		i = (i + 1) & mask;
	return &names->slots[i];
}

static int grow(struct tg_names *names)
{
	struct slot *old = names->slots, *slots;
	size_t n = names->slots_len * 2;

	slots = calloc(n, sizeof(*slots));
	if (!slots)
		return -TG_ENOMEM;
	for (size_t k = 0; k < names->slots_len; k++) {
		size_t i = old[k].hash & (n - 1);

		if (!old[k].name)
			continue;
		while (slots[i].name)
			i = (i + 1) & (n - 1);
		slots[i] = old[k];
	}
	free(old);
	names->slots = slots;
	names->slots_len = n;
	return 0;
}

struct tg_name *tg_names_find(const struct tg_names *names, const char *text)
{
	size_t len = strlen(text);

	return find(names, text, tg_hash_bytes(text, len, 0, &names->key))->name;
}

struct tg_name *tg_names_get(struct tg_names *names, const char *text)
{
	size_t len = strlen(text);
	uint64_t hash = tg_hash_bytes(text, len, 0, &names->key);
	struct slot *slot = find(names, text, hash);
	struct tg_name *name;

	if (slot->name)
		return slot->name;
	if ((names->len + 1) * 2 > names->slots_len) {
		if (grow(names))
			return NULL;
		slot = find(names, text, hash);
	}
	name = calloc(1, sizeof(*name) + len + 1);
	if (!name)
		return NULL;
	memcpy(name->text, text, len);
	*slot = (struct slot){hash, name};
	names->len++;
	return name;
}

const char *tg_names_text(struct tg_names *names, const char *text)
{
	struct tg_name *name = text && text[0] ? tg_names_get(names, text) : NULL;

	return name ? name->text : NULL;
}

uint64_t tg_names_stamp(struct tg_names *names)
{
	return ++names->stamp;
}
