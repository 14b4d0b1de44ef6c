"""Clusters by brute force, from the published definition alone.

An event is a core if, among the events with t - W <= t' <= t within R metres of it (itself included), there are at least N with
at least D distinct reporters; its members are the events within R of it with |t - t'| <= W; cores that share any member are one
incident.
"""
import math

EARTH_M = 6371008.8


def haversine_m(a, b):
    lon1, lat1, lon2, lat2 = map(math.radians, (a["lon"], a["lat"], b["lon"], b["lat"]))
    h = math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    return 2 * EARTH_M * math.asin(math.sqrt(min(1.0, h)))


def clusters(events, min_events, min_reporters, radius_m, window_us):
    """events: dicts id, t (µs), lon, lat, reporter. Returns the member sets, each a frozenset of ids."""
    events = sorted(events, key=lambda e: e["t"])
    near = []
    for i, event in enumerate(events):
        found = [i]
        for j in range(i - 1, -1, -1):
            if event["t"] - events[j]["t"] > window_us:
                break
            if haversine_m(event, events[j]) <= radius_m:
                found.append(j)
        near.append(found)
    members = {}
    for i, found in enumerate(near):
        if len(found) >= min_events and len({events[j]["reporter"] for j in found}) >= min_reporters:
            members[i] = set(found)
    for core in list(members):
        for j in range(core + 1, len(events)):
            if events[j]["t"] - events[core]["t"] > window_us:
                break
            if core in near[j]:
                members[core].add(j)
    parent = {core: core for core in members}

    def root(x):
        while parent[x] != x:
            parent[x] = parent[parent[x]]
            x = parent[x]
        return x
    owner = {}
    for core, found in members.items():
        for member in found:
            if member in owner:
                parent[root(core)] = root(owner[member])
            else:
                owner[member] = core
    incidents = {}
    for core, found in members.items():
        incidents.setdefault(root(core), set()).update(events[j]["id"] for j in found)
    return {frozenset(found) for found in incidents.values()}
