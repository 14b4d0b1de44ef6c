"""Walks the hash chain of every case, written from the published definition alone and reading nothing but a plain dump.

The dump is JSON lines of the view case_log with the columns of the contract; `at_us` is `at` in whole microseconds. Usage:
audit_oracle.py DUMP — prints `N entries of M cases verify` or the first break, exit status 1.
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
    note = None if row["note"] is None else hashlib.sha256(row["note"].encode()).digest()
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


DUMP_SQL = """
SELECT seq, case_id::text, task_id::text, (extract(epoch FROM at) * 1000000)::bigint AS at_us, actor, actor_role, action,
       from_state, to_state, note, detail::text AS detail, encode(prev_hash, 'hex') AS prev_hash, encode(hash, 'hex') AS hash
FROM tongguan.case_log ORDER BY case_id, seq
"""

if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as dump:
        try:
            print("%d entries of %d cases verify" % verify(json.loads(line) for line in dump))
        except ValueError as broken:
            print(broken)
            sys.exit(1)
