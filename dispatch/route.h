/* Who is asked first for a case: the departments that the catalogue, the filing condition and the
 * place suggest, each with its reasons; then all others by name. Pure. */
#ifndef TG_DISPATCH_ROUTE_H
#define TG_DISPATCH_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dispatch/city.h"
#include "dispatch/life.h"

/* X(code, weight, zh, en): what speaks for a department, or against it. */
#define TG_ROUTE_REASONS(X)                                                                  \
	X(condition, 100, "立案条件指定的处置单位", "named by the filing condition")         \
	X(unit, 15, "目录主办部门在本街镇的单位", "the catalogue's lead has this unit here") \
	X(catalogue, 80, "目录主办部门", "leads this type in the catalogue")                 \
	X(assist, 40, "目录协办部门", "assists with this type in the catalogue")             \
	X(place, 20, "负责案件所在街镇", "is responsible for the street of the case")        \
	X(returned, -1000, "已退回本案", "has returned this case")                           \
	X(working, -5, "已有本案任务", "has a task of this case already")

enum tg_route_reason {
#define TG_X(code, weight, zh, en) TG_ROUTE_##code,
	TG_ROUTE_REASONS(TG_X)
#undef TG_X
		TG_ROUTE_REASON_COUNT
};
const char *tg_route_reason_code(int reason);
const char *tg_route_reason_zh(int reason);
const char *tg_route_reason_en(int reason);

struct tg_candidate {
	const struct tg_dept *dept;
	bool lead; /* else: as an assistant */
	int score;
	unsigned reasons; /* 1 << enum tg_route_reason */
	const char *limit;
	int64_t due_us; /* if it were dispatched now; INT64_MAX: its calendar never opens */
	int on_duty;    /* 1, 0; -1: no roster is kept */
};

/* Best first. *ret is the caller's to free; one for every department of the city. -TG_ENOMEM. */
TG_MUST int tg_route_rank(const struct tg_city *city, const struct tg_case *kase, int64_t now_us,
	struct tg_candidate **ret, size_t *ret_count);

#endif
