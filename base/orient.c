#include "base/orient.h"

#include <math.h>

/* value + error is the exact result of an operation on doubles. */
struct exact {
	double value, error;
};

static struct exact difference(double a, double b)
{
	double x = a - b, bv = a - x, av = x + bv;

	return (struct exact){x, (a - av) + (bv - b)};
}

static struct exact sum(double a, double b)
{
	double x = a + b, bv = x - a, av = x - bv;

	return (struct exact){x, (a - av) + (b - bv)};
}

static struct exact product(double a, double b)
{
	double x = a * b;

	return (struct exact){x, fma(a, b, -x)};
}

/* A sum of doubles that do not overlap, smallest first; zeros may stand among them. */
struct expansion {
	double parts[16];
	int count;
};

static void add(struct expansion *e, double v)
{
	for (int i = 0; i < e->count; i++) {
		struct exact s = sum(v, e->parts[i]);

		e->parts[i] = s.error;
		v = s.value;
	}
	e->parts[e->count++] = v;
}

static void add_product(struct expansion *e, struct exact a, struct exact b, double sign)
{
	const double pairs[4][2] = {
		{a.error, b.error}, {a.error, b.value}, {a.value, b.error}, {a.value, b.value}};

	for (int i = 0; i < 4; i++) {
		struct exact p = product(pairs[i][0], pairs[i][1]);

		add(e, sign * p.error);
		add(e, sign * p.value);
	}
}

int tg_orient(struct tg_lonlat a, struct tg_lonlat b, struct tg_lonlat c)
{
	struct exact acx = difference(a.lon, c.lon), acy = difference(a.lat, c.lat);
	struct exact bcx = difference(b.lon, c.lon), bcy = difference(b.lat, c.lat);
	double left = acx.value * bcy.value, right = acy.value * bcx.value, det = left - right;
	struct expansion e = {.count = 0};

	/* (3 + 16ε)ε times the sum of magnitudes bounds the rounding error: nearly every call ends
	 * here. */
	if (fabs(det) > 3.4e-16 * (fabs(left) + fabs(right)))
		return det > 0 ? 1 : -1;
	add_product(&e, acx, bcy, 1);
	add_product(&e, acy, bcx, -1);
	for (int i = e.count - 1; i >= 0; i--) {
		if (e.parts[i] != 0)
			return e.parts[i] > 0 ? 1 : -1;
	}
	return 0;
}
