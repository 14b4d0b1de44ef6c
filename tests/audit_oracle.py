"""Walks the hash chain of every case and the anchors over them, written from the published definition alone and reading nothing
but a plain dump.

The dump is one JSON object, as dump() makes it: for each name of DUMPS the rows of its statement, times in whole microseconds, bytes
in hex; and under `topic` the messages of tongguan.audit.anchors. Usage: audit_oracle.py DUMP — prints `N entries of M cases and K
anchors verify` or the first break, exit status 1.
"""
import hashlib
import json
import struct
import sys


def part(value):
    """4-byte big-endian length and the bytes; NULL is ffffffff."""
    if value is None:
        return b"\xff\xff\xff\xff"
    data = value if isinstance(value, bytes) else str(value).encode()
    return struct.pack(">I", len(data)) + data


def entry_hash(row):
    note = bytes.fromhex(row["note_hash"]) if row["note_hash"] is not None else None
    if row["note"] is not None and hashlib.sha256(row["note"].encode()).digest() != note:  # an erased one leaves its hash
        raise ValueError(f"case {row['case_id']} seq {row['seq']}: the note does not fit its hash")
    fields = [row["seq"], row["case_id"], row["task_id"], row["at_us"], row["actor"], row["actor_role"], row["action"],
              row["from_state"], row["to_state"], note, row["detail"], row["prev_hash"]]
    digest = hashlib.sha256()
    for field in fields:
        digest.update(part(field))
    return digest.digest()


def verify(rows):
    """(entries, cases); raises ValueError naming the first break."""
    cases, count = {}, 0
    for row in sorted(rows, key=lambda r: (str(r["case_id"]), r["seq"])):
        row = dict(row)
        row["prev_hash"] = bytes.fromhex(row["prev_hash"]) if row["prev_hash"] is not None else None
        seq, head = cases.get(row["case_id"], (0, None))
        where = f"case {row['case_id']} seq {row['seq']}"
        if row["seq"] != seq + 1:
            raise ValueError(f"{where}: expected seq {seq + 1}")
        if seq and row["prev_hash"] != head:
            raise ValueError(f"{where}: prev_hash is not the hash before it")
        if entry_hash(row) != bytes.fromhex(row["hash"]):
            raise ValueError(f"{where}: the hash does not fit the entry")
        cases[row["case_id"]] = (row["seq"], bytes.fromhex(row["hash"]))
        count += 1
    return count, len(cases)


def verify_heads(rows, heads):
    """Every chain ends where its case says, and every case has one."""
    ends = {}
    for row in rows:
        ends[row["case_id"]] = max(ends.get(row["case_id"], (0, "")), (row["seq"], row["hash"]))
    for head in heads:
        if ends.pop(head["case_id"], None) != (head["log_seq"], head["log_hash"]):
            raise ValueError(f"case {head['case_id']} seq {head['log_seq']}: the chain does not end at the case's head")
    for case, (seq, _) in ends.items():
        raise ValueError(f"case {case} seq {seq}: entries without a case")


def leaf_hash(leaf):
    return hashlib.sha256(b"\0" + part(leaf["case_id"]) + part(leaf["seq"]) + part(bytes.fromhex(leaf["head"]))).digest()


def merkle_root(level):
    while len(level) > 1:
        level = [hashlib.sha256(b"\1" + level[i] + level[i + 1]).digest() if i + 1 < len(level) else level[i]
                 for i in range(0, len(level), 2)]
    return level[0]


def anchor_hash(anchor):
    prev = bytes.fromhex(anchor["prev_hash"]) if anchor["prev_hash"] is not None else None
    return hashlib.sha256(b"".join(part(anchor[name]) for name in ("number", "at_us", "from_pos", "to_pos", "cases", "entries"))
                          + part(bytes.fromhex(anchor["root"])) + part(prev)).digest()


def verify_anchors(dump):
    """Anchors among themselves, against the log, and against the topic; how many."""
    log = {(row["case_id"], row["seq"]): row["hash"] for row in dump["entries"]}
    leaves, covered, before, number = {}, {}, {"hash": None, "to_pos": 0}, 0
    for leaf in dump["leaves"]:
        leaves.setdefault(leaf["anchor"], []).append(leaf)
        covered[leaf["case_id"]] = max(covered.get(leaf["case_id"], 0), leaf["seq"])
    for number, anchor in enumerate(sorted(dump["anchors"], key=lambda a: a["number"]), 1):
        mine = sorted(leaves.pop(number, []), key=lambda leaf: leaf["case_id"])
        if anchor["number"] != number:
            raise ValueError(f"anchor {number}: missing")
        if anchor["prev_hash"] != before["hash"] or anchor["from_pos"] != before["to_pos"]:
            raise ValueError(f"anchor {number}: does not follow the one before it")
        if anchor_hash(anchor).hex() != anchor["hash"]:
            raise ValueError(f"anchor {number}: the hash does not fit")
        for leaf in mine:
            if log.get((leaf["case_id"], leaf["seq"])) != leaf["head"]:
                raise ValueError(f"case {leaf['case_id']} seq {leaf['seq']}: anchor {number} saw another entry")
        if len(mine) != anchor["cases"] or merkle_root([leaf_hash(leaf) for leaf in mine]).hex() != anchor["root"]:
            raise ValueError(f"anchor {number}: the leaves do not give the root")
        before = anchor
    if leaves:
        raise ValueError(f"anchor {min(leaves)}: missing")
    waiting = {(row["case_id"], row["seq"], row["hash"]) for row in dump["waiting"] if row["pos"] is None or row["pos"] > before["to_pos"]}
    for (case, seq), head in log.items():
        if number and seq > covered.get(case, 0) and (case, seq, head) not in waiting:
            raise ValueError(f"case {case} seq {seq}: neither anchored nor waiting for it")
    for case, seq, head in waiting:
        if log.get((case, seq)) != head:
            raise ValueError(f"case {case} seq {seq}: told, and not there")
    verify_topic(dump)
    return number


def verify_topic(dump):
    known = {a["number"]: a["hash"] for a in dump["anchors"]}
    for message in dump["topic"]:
        if known.get(message["number"]) != message["hash"]:
            raise ValueError(f"anchor {message['number']}: the topic has another one")


DUMPS = {
    "entries": """SELECT seq, case_id::text, task_id::text, (extract(epoch FROM at) * 1000000)::bigint AS at_us, actor, actor_role, action,
        from_state, to_state, note, encode(note_hash, 'hex') AS note_hash, detail::text AS detail, encode(prev_hash, 'hex') AS prev_hash, encode(hash, 'hex') AS hash
        FROM tongguan.case_log ORDER BY case_id, seq""",
    "heads": "SELECT case_id::text, log_seq, encode(log_hash, 'hex') AS log_hash FROM tongguan.case_file",
    "anchors": """SELECT number, (extract(epoch FROM at) * 1000000)::bigint AS at_us, from_pos, to_pos, cases, entries,
        encode(root, 'hex') AS root, encode(prev_hash, 'hex') AS prev_hash, encode(hash, 'hex') AS hash FROM tongguan.audit_anchor""",
    "leaves": "SELECT anchor, case_id::text, seq, encode(head, 'hex') AS head FROM tongguan.audit_leaf",
    "waiting": """SELECT case_id::text, (doc ->> 'seq')::bigint AS seq, doc ->> 'hash' AS hash, pos FROM tongguan.outbox
        WHERE case_id IS NOT NULL""",
}


def dump(conn, topic=()):
    """Of a psycopg connection; one snapshot. `topic`: the values of the topic, read before."""
    made = {"topic": [json.loads(value) for value in topic]}
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        for name, sql in DUMPS.items():
            cursor = conn.execute(sql)
            names = [c.name for c in cursor.description]
            made[name] = [dict(zip(names, row)) for row in cursor]
    return made


def verify_dump(made):
    """(entries, cases, anchors)."""
    count, cases = verify(made["entries"])
    verify_heads(made["entries"], made["heads"])
    return count, cases, verify_anchors(made)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        try:
            print("%d entries of %d cases and %d anchors verify" % verify_dump(json.load(file)))
        except ValueError as broken:
            print(broken)
            sys.exit(1)
