"""Threshold and silence by brute force, from the published definitions alone.

threshold: of the last n readings of a source in event time since the last clearing k lie beyond the limit (or: an unbroken run beyond
it has lasted for_s from its first to this reading). Those k readings (the run's first and this one) are its members. It clears at
the first reading past the clearing value.

silence: a device heard at a and then not for after_s, counted in the time in which it is expected, is silent from then until it is
heard again. Its member is what was heard last. A horizon that has not passed that instant says nothing.

Spans of one area (the source, or what folds sources) that overlap, or follow each other within the cool-down, are one incident;
it stands while one of them does.

Words are dicts: id, t (µs), source, value. Answers: {(frozenset of ids, "open" or "cleared")}.
"""
from datetime import datetime, timedelta

FOREVER = 1 << 62
MINUTE = 60_000_000


def by_source(words):
    found = {}
    for word in {w["id"]: w for w in words}.values():
        found.setdefault(word["source"], []).append(word)
    for own in found.values():
        own.sort(key=lambda w: (w["t"], w["id"]))
    return found


def threshold_spans(own, beyond, past, k=None, n=None, for_us=None):
    """[(raised, cleared, members)] of one source's words in order."""
    spans, since, standing = [], 0, False
    for i, word in enumerate(own):
        if standing:
            if past(word):
                spans[-1][1] = word["t"]
                standing, since = False, i + 1
            continue
        if not beyond(word):
            continue
        if for_us is not None:
            first = i
            while first > since and beyond(own[first - 1]):
                first -= 1
            if word["t"] - own[first]["t"] < for_us:
                continue
            members = {own[first]["id"], word["id"]}
        else:
            counted = [w["id"] for w in own[max(since, i - n + 1):i + 1] if beyond(w)]
            if len(counted) < k:
                continue
            members = set(counted)
        spans.append([word["t"], FOREVER, members])
        standing = True
    return spans


def due(start, after_us, expected, zone):
    """The instant by which after_us of expected time has passed; expected: local datetime -> bool, whole minutes, or None."""
    if expected is None:
        return start + after_us
    at, left = start, after_us
    while True:
        step = MINUTE - at % MINUTE
        if expected(datetime.fromtimestamp(at // 1_000_000, zone)):
            if left <= step:
                return at + left
            left -= step
        at += step
        if at - start > timedelta(days=30) // timedelta(microseconds=1):
            return FOREVER


def silence_spans(own, after_us, horizon, expected=None, zone=None):
    spans = []
    for word, later in zip(own, own[1:] + [None]):
        until = later["t"] if later else FOREVER
        at = due(word["t"], after_us, expected, zone)
        if until > at and horizon > at:
            spans.append([at, until, {word["id"]}])
    return spans


def incidents(spans, cooldown_us=0):
    """spans: [(area, raised, cleared, members)]."""
    found, last = set(), None
    for area, raised, cleared, members in sorted(spans, key=lambda s: (s[0], s[1])):
        if last and last[0] == area and (raised < last[1] or (cooldown_us and raised - last[1] <= cooldown_us)):
            last[1] = max(last[1], cleared)
            last[2] |= members
            continue
        if last:
            found.add(last)
        last = Incident([area, cleared, set(members)])
    if last:
        found.add(last)
    return {(frozenset(i[2]), "open" if i[1] == FOREVER else "cleared") for i in found}


class Incident(list):
    """A list that is itself only."""
    __hash__ = object.__hash__

    def __eq__(self, other):
        return self is other
