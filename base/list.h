/* Intrusive doubly linked ring and container_of. An empty list points at itself. */
#ifndef TG_BASE_LIST_H
#define TG_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct tg_list {
	struct tg_list *prev, *next;
};

#define tg_container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

static inline void tg_list_init(struct tg_list *l)
{
	l->prev = l->next = l;
}

static inline bool tg_list_empty(const struct tg_list *l)
{
	return l->next == l;
}

/* Put item before pos: at the tail when pos is the head. */
static inline void tg_list_push(struct tg_list *pos, struct tg_list *item)
{
	item->prev = pos->prev;
	item->next = pos;
	pos->prev->next = item;
	pos->prev = item;
}

static inline void tg_list_remove(struct tg_list *item)
{
	item->prev->next = item->next;
	item->next->prev = item->prev;
	tg_list_init(item);
}

#define tg_list_foreach(it, head) \
	for (struct tg_list *it = (head)->next; it != (head); it = it->next)
#define tg_list_foreach_safe(it, tmp, head)                                    \
	for (struct tg_list *it = (head)->next, *tmp = it->next; it != (head); \
		it = tmp, tmp = it->next)

#endif
