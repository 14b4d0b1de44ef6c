"""A made-up city of irregular cells for the index of polygons: neighbours share jagged borders, point for point.

Coordinates lie on a lattice of 2**-22 degrees (a centimetre or two), so that the middle of an edge is a double too and plain arithmetic
decides about it without rounding: where two programs differ, one of them is wrong.
"""
import random
import struct

LATTICE = 1 << 22
WEST, SOUTH, STEP = 121, 31, 1 << 12      # whole degrees; a cell is about 2**-10 degrees, some hundred metres, wide


class Map:
    """side × side cells, `bends` points on each border."""

    def __init__(self, side, bends, seed=1):
        rng = random.Random(seed)
        self.side = side
        jitter = STEP // 4
        corner = [[(x * STEP + rng.randint(-jitter, jitter), y * STEP + rng.randint(-jitter, jitter)) for x in range(side + 1)]
                  for y in range(side + 1)]

        def border(a, b):
            along = []
            for i in range(1, bends + 1):
                along.append(tuple(a[k] + (b[k] - a[k]) * i // (bends + 1) + rng.randint(-STEP // 32, STEP // 32) for k in (0, 1)))
            return along
        across = [[border(corner[y][x], corner[y][x + 1]) for x in range(side)] for y in range(side + 1)]
        up = [[border(corner[y][x], corner[y + 1][x]) for x in range(side + 1)] for y in range(side)]
        self.rings = []
        for y in range(side):
            for x in range(side):
                ring = [corner[y][x], *across[y][x], corner[y][x + 1], *up[y][x + 1], corner[y + 1][x + 1],
                        *reversed(across[y + 1][x]), corner[y + 1][x], *reversed(up[y][x]), corner[y][x]]
                self.rings.append([place(*p) for p in ring])
        rng.shuffle(self.rings)       # an id says nothing about the place

    def wkb(self, i):
        ring = self.rings[i]
        return struct.pack(f"<BIIBIII{2 * len(ring)}d", 1, 6, 1, 1, 3, 1, len(ring), *(v for p in ring for v in p)).hex()

    def border_points(self):
        """Every vertex and the middle of every edge, each once."""
        points = set()
        for ring in self.rings:
            for a, b in zip(ring, ring[1:]):
                points.add(a)
                points.add(((a[0] + b[0]) / 2, (a[1] + b[1]) / 2))
        return sorted(points)

    def random_points(self, n, seed=2):
        """Over the map and a little beyond; any double."""
        rng = random.Random(seed)
        span = self.side * STEP / LATTICE
        return [(WEST + rng.uniform(-0.01, 1.01) * span, SOUTH + rng.uniform(-0.01, 1.01) * span) for _ in range(n)]


def place(x, y):
    return WEST + x / LATTICE, SOUTH + y / LATTICE


def pack_points(points):
    return struct.pack(f"={2 * len(points)}d", *(v for p in points for v in p))
