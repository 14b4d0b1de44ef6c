"""Benchmarks: ingest beside psql's binary \\copy, the polygon index beside PostGIS, correlate beside ZADD, produced to visible,
event to case, what each role costs, and what a page asks for among many cases.

usage: bench.py [PART[,PART…]]   parts: ingest locate correlate visible latency transitions clocks lists (default: all)
"""
import os
import sys

from common import line


def bench_locate():
    import locate
    locate.bench(line)


def bench_ingest():
    import ingest
    ingest.bench()


def bench_correlate():
    import correlate
    correlate.bench()


def bench_visible():
    import visible
    visible.bench()


def bench_latency():
    import latency
    latency.bench()


def bench_transitions():
    import transitions
    transitions.bench()


def bench_clocks():
    import clocks
    clocks.bench()


def bench_lists():
    import lists
    lists.bench()


PARTS = {"ingest": bench_ingest, "locate": bench_locate, "correlate": bench_correlate, "visible": bench_visible, "latency": bench_latency,
         "transitions": bench_transitions, "clocks": bench_clocks, "lists": bench_lists}


def main():
    wanted = sys.argv[1].split(",") if len(sys.argv) > 1 and sys.argv[1] else list(PARTS)
    unknown = set(wanted) - set(PARTS)
    if unknown:
        raise SystemExit(f"bench: there is no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    print(f"# {os.cpu_count()} cores, {os.uname().release}")
    for part in wanted:
        PARTS[part]()


if __name__ == "__main__":
    main()
