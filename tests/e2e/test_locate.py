"""The index of polygons and PostGIS name the same cell for every point: at random, on every corner and on the middle of every edge."""
import os
import sys

import harness

sys.path.insert(0, os.path.join(harness.ROOT, "bench"))
import locate  # noqa: E402


def test_locate__equals_postgis_on_corners_edges_and_at_random(city):
    locate.build()
    got = locate.compare(city, side=30, bends=4, at_random=20_000)
    assert got["shapes"] == 900 and got["border"] > 15_000
    assert (got["differ"], got["spot"]) == (0, [])
