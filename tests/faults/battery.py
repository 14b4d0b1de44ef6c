"""The faults, one method a kind: each strikes while the stream flows, proves that it hit, and waits until work goes on.

What was lost or doubled is for the checker to say, once a group of faults has settled.
"""
import collections
import contextlib
import os
import socket
import subprocess
import time

from confluent_kafka import Consumer, TopicPartition
from harness import ROOT, now_us, wait_for
from checker import AHEAD
from line import ANEW

READY_GOAL_S, DEAD_PEER_GOAL_S, STALL_GROWTH_GOAL_KB, STOP_GOAL_S = 5, 15, 64 << 10, 10


class Battery:
    def __init__(self, line):
        self.line, self.rng = line, line.rng
        self.number, self.hit = collections.Counter(), collections.Counter()
        self.ready_s, self.dead_peer_s, self.stop_s = [], [], []
        self.lost = self.doubled = self.checks = 0
        self.growth_kb = self.replay = self.floor = None
        self.compared = set()  # located events that a check has seen in the table

    # ---- keeping count

    def count(self, kind, hit=True):
        self.number[kind] += 1
        self.hit[kind] += bool(hit)
        assert hit, f"{kind}: the fault did not hit"

    @contextlib.contextmanager
    def group(self, *slots, factor=1, timeout=40):
        """The stream flows into these ingests while the faults come; afterwards everything must be as sent."""
        self.line.up(*slots)
        self.line.stream.go(factor)
        yield [self.line.ingests[i] for i in slots]
        wrong = self.line.check(timeout)
        self.note(wrong)
        assert not wrong, wrong.text()
        self.compared = set(self.line.reader.located)

    def note(self, wrong):
        self.checks += 1
        self.lost += sum(n for name, n in wrong.items() if "lost" in name or "missing" in name or "not located" in name)
        self.doubled += sum(n for name, n in wrong.items() if "doubled" in name)

    def pause(self, most=0.05):
        time.sleep(self.rng.random() * most)

    def restart(self, ingest, **how):
        ingest.start(**how)
        self.ready_s.append(ingest.ready())

    # ---- the process

    def kill(self, ingest):
        self.line.flows(5)
        self.pause(0.1)
        hit = ingest.kill()
        with self.line.pg() as conn:
            ahead = AHEAD(conn)
        assert not ahead, f"{ahead} rows are stored ahead of their offset"
        self.restart(ingest)
        self.count("kill -9", hit)

    def kill_at(self, ingest, point, binary=None):
        """At a named point of the program, after a random number of passages."""
        ingest.stop()
        ingest.start(fault=f"{point}:{self.rng.randint(1, 4)}", binary=binary)
        with contextlib.suppress(subprocess.TimeoutExpired):
            ingest.proc.wait(40)
        with open(ingest.fault_file) if os.path.exists(ingest.fault_file) else contextlib.nullcontext() as said:
            hit = said is not None and said.read() == f"fault {point}\n" and ingest.proc.returncode == -9
        self.restart(ingest, binary=binary)
        self.count(f"kill at {point[7:].replace('_', ' ')}", hit)

    def zombies(self, frozen, others, meanwhile=lambda: None):
        """Stopped until the others have taken over all they had, then woken."""
        before = self.line.offsets()
        for ingest in frozen:
            ingest.freeze()

        def taken_over():
            now = self.line.offsets()
            return all(now[part][2] > before[part][2] for part in before)
        wait_for(taken_over, 60, what="the takeover")
        self.line.flows(20)
        meanwhile()
        for ingest in frozen:
            ingest.wake()
            self.count("zombie woken after a takeover", ingest.alive())
        for ingest in [*frozen, *others]:
            ingest.ready()
        self.line.flows(20)

    def nap(self, ingest):
        """SIGSTOP and SIGCONT before anybody could take over."""
        self.line.flows(1)
        ingest.freeze()
        time.sleep(0.1 + self.rng.random() * 0.4)
        ingest.wake()
        self.count("SIGSTOP, SIGCONT", ingest.alive())

    def usurp(self, ingest, timeout=20):
        """Another owner raises the epochs behind its back; it must notice at its next transaction."""
        before = ingest.metric("fenced_total")
        self.line.rows("""SELECT count(*) FROM (SELECT array_agg(topic) t, array_agg(partition) p, array_agg(next) n
            FROM tongguan.source_offset) o, LATERAL tongguan.offsets_take(o.t, o.p, o.n) AS taken""")
        wait_for(lambda: ingest.metric("fenced_total") > before, timeout, what="the fence")
        ingest.ready()
        self.line.flows(5)
        self.count("another owner in the table")

    def join_and_leave(self, slot):
        """A rebalance by one that comes, and one by its orderly end."""
        ingest = self.line.ingests[slot].start()
        ingest.ready()
        wait_for(lambda: ingest.metric("partitions") > 0, 30, what="its share")
        self.count("rebalance: one joins")
        self.line.flows(20)
        code, seconds = ingest.stop()
        self.stop_s.append(seconds)
        self.count("rebalance: one leaves (SIGTERM)", code == 0)
        self.line.flows(20)

    # ---- PostgreSQL

    def lose_answer(self, ingest):
        self.count("COMMIT answer lost", ingest.pg.ask("lose_answer").result(30) == "committed")

    def lose_request(self, ingest):
        self.count("COMMIT lost before it arrived", ingest.pg.ask("lose_request").result(30) == "aborted")

    def hold_commit(self, ingest, seconds=0.7):
        """What is not yet committed must not be in events.located."""
        held = ingest.pg.ask("hold_request")
        wish = ingest.pg.wish
        hit = held.result(30) == "in progress"
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.05)
        located = [uid for uid in list(self.line.reader.located) if uid not in self.compared]
        stored = {uid.bytes for (uid,) in self.line.rows("SELECT uid FROM tongguan.event WHERE uid = ANY(%s::uuid[])",
                                                         [uid.hex() for uid in located])}
        early = [uid for uid in located if uid not in stored]
        ingest.pg.let_go(wish)
        if early:
            self.line.watch.wrong.note("forwarded before it was committed", early[:1], len(early))
        self.count("COMMIT held up", hit)
        self.line.flows(5)

    def backend(self, ingest):
        n = self.line.value("""SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity
            WHERE application_name = 'tongguan ingest'""")
        self.count("backend terminated", n > 0)
        self.line.flows(5)

    def postgres_stop(self):
        before = self.line.postgres.proc.pid
        self.line.postgres.stop(3)
        self.line.postgres.start()
        self.count("PostgreSQL stopped at once and started", self.line.postgres.proc.pid != before)
        self.line.flows(20)

    def stall_statement(self, seconds=1.5):
        """Another session holds what ingest's transaction wants."""
        with self.line.pg() as conn, conn.transaction():
            conn.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            conn.execute("LOCK TABLE tongguan.source_offset IN ACCESS EXCLUSIVE MODE")
            time.sleep(seconds)
            waiting = self.line.value("""SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                WHERE NOT l.granted AND a.application_name = 'tongguan ingest'""")
        self.count("statement stalled by a lock", waiting > 0)
        self.line.flows(20)

    def disk_full(self, seconds=1.5):
        """The current partition lies on a file system without a free page. Where nothing can be mounted, the server is made
        to say the same by a trigger, and the table of counts says so."""
        disk = self.line.small_disk()
        table = self.line.value("SELECT 'tongguan.' || name FROM tongguan.event_partitions() WHERE from_at <= now() AND now() < to_at")
        kind = "disk full" if disk.mounted else "disk full (no mount here: said by a trigger)"
        with self.line.pg() as conn:
            if disk.mounted and not conn.execute("SELECT count(*) FROM pg_tablespace WHERE spcname = 'small'").fetchone()[0]:
                conn.execute(f"CREATE TABLESPACE small LOCATION '{disk.path}'")
                conn.execute(f"ALTER TABLE {table} SET TABLESPACE small")
            if disk.mounted:
                disk.fill()
            else:
                conn.execute("""CREATE FUNCTION public.full_disk() RETURNS trigger LANGUAGE plpgsql AS
                    $$ BEGIN RAISE EXCEPTION 'no space left on device' USING ERRCODE = '53100'; END $$""")
                conn.execute(f"CREATE TRIGGER full_disk BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION public.full_disk()")
            try:
                said = wait_for(lambda: any("53100" in i.ask("/readyz")[1] for i in self.line.ingests if i.alive()), 60,
                                what="a full disk")
                time.sleep(seconds)
            finally:
                if disk.mounted:
                    disk.empty()
                else:
                    conn.execute(f"DROP TRIGGER full_disk ON {table}")
                    conn.execute("DROP FUNCTION public.full_disk()")
        self.count(kind, said)
        self.line.flows(20)

    # ---- the wire

    def reset(self, ingest, which):
        self.count(f"{which}: TCP reset", getattr(ingest, which).reset() > 0)
        self.line.flows(5)

    def reset_behind(self, ingest):
        """An answer of PostgreSQL and the reset of its connection arrive together: the one must not hide the other."""
        self.count("pg: TCP reset right behind an answer", ingest.pg.ask("reset_behind").result(30) == "reset")
        self.line.flows(5)

    def half_close(self, ingest, which):
        self.count(f"{which}: TCP half-closed", getattr(ingest, which).half_close() > 0)
        ingest.ready()
        self.line.flows(5)

    def stall(self, ingest, which, seconds=1.0):
        proxy = getattr(ingest, which)
        hit = proxy.stall() > 0
        time.sleep(seconds)
        proxy.go()
        self.count(f"{which}: TCP stalled", hit)
        self.line.flows(5)

    def dead_peer(self, ingest, which):
        """The host behind the connection is gone without a word. How long until that is noticed."""
        proxy = getattr(ingest, which)
        self.line.flows(1)
        hit, began = proxy.vanish() > 0, time.monotonic()
        try:
            wait_for(lambda: ingest.ask("/readyz")[0] == 503, 60, what=f"{which} gone unnoticed")
            self.dead_peer_s.append(time.monotonic() - began)
        finally:
            proxy.appear()
        ingest.ready(60)
        self.count(f"{which}: dead peer", hit)
        self.line.flows(5)

    def wire(self, ingest, stall_s, resets_behind, dead_peers):
        """Every way a connection breaks, on both of them; then who else lays claim to what this one owns."""
        for which in ("pg", "kafka"):
            self.reset(ingest, which)
            self.half_close(ingest, which)
            self.stall(ingest, which, stall_s)
            if which in dead_peers:
                self.dead_peer(ingest, which)
        for _ in range(resets_behind):
            self.reset_behind(ingest)
        self.backend(ingest)
        self.usurp(ingest)
        self.namesake(ingest)

    # ---- Kafka

    def namesake(self, ingest):
        """Another member joins the group under the ingest's own name: the group throws it out for good, and it comes back as new."""
        other = Consumer({"bootstrap.servers": self.line.kafka.address, "group.id": "tongguan-ingest", "log_level": 2,
                          "group.instance.id": f"tongguan-ingest@{socket.gethostname()}-{ingest.address}"})
        joined = []
        other.subscribe(list(self.line.topics), on_assign=lambda _, parts: joined.append(parts))
        wait_for(lambda: other.poll(0.1) or joined, 30, what="the namesake's share")
        other.close()
        self.line.flows(20, 60)
        ingest.ready()
        self.count("kafka: another member of that name", bool(joined))

    def kafka_kill(self):
        before = self.line.kafka.proc.pid
        self.line.kafka.kill()
        self.line.kafka.start()
        self.count("Kafka killed and started", self.line.kafka.proc.pid != before)
        for ingest in self.line.ingests:
            if ingest.alive():
                ingest.ready(60)
        self.line.flows(20, 60)

    def cut_log(self, topic, partition, low):
        """Kafka deletes everything below low."""
        part = TopicPartition(topic, partition, low)
        admin = self.line.kafka.admin()  # its answers end with it
        for future in admin.delete_records([part]).values():
            assert future.result(30).low_watermark == low

    def log_truncated(self, ingest):
        """What nobody had stored is gone: it is said, and reading goes on behind it."""
        ingest.stop()
        part = self.rng.choice([p for p in self.line.ledger.ends if p[0] in self.line.topics])
        stored = self.line.offsets()[part][0]
        wait_for(lambda: self.line.ledger.ends[part] > stored + 5, 30, what="records that are not stored")
        low = stored + 3
        self.cut_log(*part, low)
        self.line.ledger.lose(*part, stored, low)
        self.restart(ingest)
        wait_for(lambda: self.line.offsets()[part][0] > low, 30, what="the way round the gap")
        self.count("log truncated under a stored offset")

    def located_gone(self, ingest, binary=None):
        """Stored, not yet published, and Kafka no longer has the records: the table does."""
        ingest.stop()
        ingest.start(fault="ingest_after_commit:1", binary=binary)
        with contextlib.suppress(subprocess.TimeoutExpired):
            ingest.proc.wait(40)
        hit = 0
        for (topic, partition), (next, forwarded, _) in self.line.offsets().items():
            if forwarded < next and topic in self.line.topics:
                self.cut_log(topic, partition, next)
                hit += next - forwarded
        self.restart(ingest, binary=binary)
        self.count("located range gone from Kafka", hit > 0)
        self.line.flows(5)

    def recreated(self, ingest, running=False, before=60, after=25):
        """A topic is deleted and made anew: what is stored of the old one stays, the new one is read from its beginning."""
        line, admin = self.line, self.line.kafka.admin()
        self._fill(before)
        wait_for(lambda: self._anew_stored(), 40, what="the old topic stored")
        ids = {p: i for i, p in line.rows("SELECT id, partition FROM tongguan.source_offset WHERE topic = %s", ANEW)}
        if not running:
            ingest.kill()
        admin.delete_topics([ANEW])[ANEW].result(30)
        line.ledger.bury(ANEW, ids)
        wait_for(lambda: ANEW not in admin.list_topics(timeout=10).topics, 20, what="the topic's end")
        line.make_topic(ANEW)
        self._fill(after)
        if not running:
            self.restart(ingest)
        wait_for(lambda: self._anew_stored(), 60, what="the new topic stored")
        hit = line.value("SELECT count(*) FROM tongguan.source_offset WHERE topic LIKE %s", ANEW + "@%")
        self.count("topic deleted and made anew", hit > 0)
        line.flows(5)

    def _fill(self, n):
        """Into the topic that is made anew, by a producer that knows nothing of the old one."""
        producer = self.line.new_producer()
        for i in range(n):
            if i % 10 == 3:
                value, headers, reason = self.line.ledger.bad()
                self.line.stream.send(ANEW, i % 2, value, headers, reason=reason, producer=producer)
            else:
                self.line.stream.send(ANEW, i % 2, *self.line.ledger.event(), producer=producer)
        assert producer.flush(30) == 0

    def _anew_stored(self):
        now = self.line.offsets()
        return all(now.get(part, (0,))[0] == n for part, n in self.line.ledger.ends.items() if part[0] == ANEW)

    # ---- what comes in

    def crosswise(self, a, b):
        """Two ingests store the same new events in opposite orders. On a slow machine a batch may end between the two that should have
        met: then once more."""
        before = self.deadlocks()
        hit = any(self._cross(before) for _ in range(4))
        self.line.stream.go()
        self.count("crosswise resends: deadlock", hit)
        self.line.flows(5)

    def _cross(self, before, events=600):
        """A third session holds the event in the middle until both wait for it: then each holds what the other wants next, and the
        server ends one of the two transactions. False: they did not meet."""
        line, topic = self.line, "tongguan.citizen.reports"
        line.stream.stop()
        for _ in range(10):  # after a resend they store in one order for some batches
            sent = sum(line.ledger.ends.values())
            for partition in (0, 2):
                line.stream.send(topic, partition, *line.ledger.event())
            line.producer.flush(30)
            line.flows_to(sent + 2)
        made = [line.ledger.event() for _ in range(events)]
        uid = made[events // 2][2]
        try:
            with line.pg() as conn, conn.transaction(force_rollback=True):
                conn.execute("""INSERT INTO tongguan.event (uid, occurred_at, ingested_at, source, source_pos, source_id, event_id,
                    source_kind) VALUES (%s, to_timestamp(%s / 1e6), now(), 1, 0, '', '', 1)""",
                             (uid.hex(), line.ledger.events[uid].event().occurred_at_us))
                for partition, order in ((0, made), (2, made[::-1])):
                    for value, headers, other in order:
                        line.stream.send(topic, partition, value, headers, other)
                line.producer.flush(30)
                wait_for(lambda: line.value("""SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
                    WHERE NOT l.granted AND a.application_name = 'tongguan ingest'""") >= 2, 4, what="both waiting")
            wait_for(lambda: self.deadlocks() > before, 5, what="a deadlock")
        except AssertionError:
            return False
        return True

    def deadlocks(self):
        return self.line.value("SELECT deadlocks FROM pg_stat_database WHERE datname = 'tongguan'")

    def burst(self, seconds=1.0, factor=10):
        before = self.line.ledger.sent
        self.line.stream.go(factor)
        time.sleep(seconds)
        self.line.stream.go()
        self.count("burst of 10 ×", self.line.ledger.sent - before > 4 * seconds * self.line.stream.rate)

    # ---- long ones

    def stall_memory(self, ingest, seconds=58):
        """The database answers nothing for a minute while ten times as much comes in: how far memory grows."""
        self.line.flows(5)
        before = peak = ingest.memory_kb()
        with self.line.pg() as conn, conn.transaction():
            conn.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            conn.execute("LOCK TABLE tongguan.source_offset IN ACCESS EXCLUSIVE MODE")
            self.line.stream.go(10)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                peak = max(peak, ingest.memory_kb())
                time.sleep(0.2)
        self.line.stream.go()
        self.growth_kb = peak - before
        self.count(f"database stalled {seconds} s at 10 × input")
        self.line.flows(1000, 120)

    def replay_all(self, ingest):
        """From offset 0 once more: not a row may change."""
        wrong = self.line.check()
        assert not wrong, wrong.text()
        ingest.stop()
        records, unchanged = self._replay(ingest)
        self.replay = (records, self.line.value("SELECT count(*) FROM tongguan.event"), unchanged)
        self.count("full replay from offset 0", unchanged)

    def _replay(self, ingest):
        """Starts it with all offsets at 0 and waits until they are where they were: (records, did no row change)."""
        sums = "SELECT count(*), sum(hashtextextended(e::text, 0)::numeric) FROM tongguan.%s e"
        before = [self.line.rows(sums % table) for table in ("event", "dead_letter")]
        records = self.line.value("SELECT sum(next) FROM tongguan.source_offset WHERE topic NOT LIKE '%%@%%'")
        self.line.watch.forgiving.set()
        self.line.rows("UPDATE tongguan.source_offset SET next = 0, forwarded = 0 WHERE topic NOT LIKE '%%@%%' RETURNING 1")
        ingest.start().ready()
        wait_for(lambda: self.line.value("""SELECT bool_and(forwarded = next) AND sum(next) = %s FROM tongguan.source_offset
            WHERE topic NOT LIKE '%%@%%'""", records), 300, what="the replay")
        self.line.watch.last = {}
        self.line.watch.forgiving.clear()
        return int(records), before == [self.line.rows(sums % table) for table in ("event", "dead_letter")]

    def replay_below_floor(self, ingest):
        """Partitions that retention has dropped do not come back: their records are counted and skipped. The ledger is of no use after."""
        line = self.line
        line.up()
        dropped = 0
        while line.value("SELECT outcome FROM tongguan.retention_drop(7, 5000)") == "dropped":
            dropped += 1
        floor_us = line.value("SELECT (extract(epoch FROM floor_at) * 1000000)::bigint FROM tongguan.retention")
        below = sum(len(sent.at) for sent in line.ledger.events.values() if sent.event().occurred_at_us < floor_us)
        records, unchanged = self._replay(ingest)
        skipped = ingest.metric("below_floor_total")
        self.floor = (dropped, below, int(skipped), unchanged)
        ingest.stop()
        line.rows("UPDATE tongguan.retention SET floor_at = '-infinity' RETURNING 1")
        line.forget()
        self.count("replay below the retention floor", dropped and unchanged and 0 < skipped <= below)

    # ---- the table of counts

    def table(self):
        lines = [f"{'fault':48} {'number':>7} {'hit':>7}"]
        lines += [f"{kind:48} {self.number[kind]:7} {self.hit[kind]:7}" for kind in sorted(self.number)]
        lines.append(f"{'all':48} {sum(self.number.values()):7} {sum(self.hit.values()):7}")
        lines.append(f"lost {self.lost}, doubled {self.doubled}, checks {self.checks}; %d records, %d events, %d resent, %d poison"
                     % self.line.ledger.totals())
        if self.ready_s:
            sort = sorted(self.ready_s)
            lines.append(f"ready after a kill: p50 {sort[len(sort) // 2]:.2f} s, max {sort[-1]:.2f} s (goal {READY_GOAL_S} s)")
        if self.dead_peer_s:
            lines.append(f"dead peer noticed: max {max(self.dead_peer_s):.1f} s (goal {DEAD_PEER_GOAL_S} s)")
        if self.stop_s:
            lines.append(f"SIGTERM: max {max(self.stop_s):.2f} s (goal {STOP_GOAL_S} s)")
        if self.growth_kb is not None:
            lines.append(f"memory in a stall of the database: +{self.growth_kb / 1024:.1f} MB (goal +64 MB)")
        if self.replay:
            lines.append("replay of %d records from offset 0: %d events, rows unchanged: %s" % self.replay)
        if self.floor:
            lines.append("replay after retention dropped %d partitions: %d records below the floor, %d skipped (the log has no more), "
                         "rows unchanged: %s" % self.floor)
        return "\n".join(lines)


def broken_build(name):
    subprocess.run(["make", "-s", "--no-print-directory", f"-j{os.cpu_count()}", f"BREAK={name}", "program"], cwd=ROOT, check=True)
    return os.path.join(ROOT, f"build/break-{name}/tongguan")
