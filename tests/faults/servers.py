"""The servers of the fault battery: PostgreSQL and Kafka that it may stop, kill and fill, unlike those of `tongguan up`.

Kafka listens once for the driver and once for each ingest; the address it advertises to an ingest is that of a proxy.
"""
import os
import pwd
import secrets
import signal
import socket
import subprocess
import time

import psycopg
from confluent_kafka.admin import AdminClient
from harness import ROOT, wait_for

PG_BIN = "/usr/lib/postgresql/15/bin"
PG_SETTINGS = ("listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=60", "shared_buffers=128MB",
               "max_wal_size=2GB", "wal_compression=on", "timezone=UTC", "jit=off", "log_min_messages=warning",
               "tcp_keepalives_idle=10", "tcp_keepalives_interval=5", "tcp_keepalives_count=2", "tcp_user_timeout=15000",
               "idle_in_transaction_session_timeout=30000")
KAFKA_FIXED = """process.roles=broker,controller
node.id=1
inter.broker.listener.name=DRIVER
controller.listener.names=CONTROLLER
auto.create.topics.enable=false
default.replication.factor=1
min.insync.replicas=1
log.message.timestamp.type=LogAppendTime
message.max.bytes=8388608
replica.fetch.max.bytes=8388608
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=300
num.network.threads=2
num.io.threads=2
background.threads=2
num.recovery.threads.per.data.dir=1
log.segment.bytes=67108864
log.cleaner.dedupe.buffer.size=16777216
file.delete.delay.ms=1000
"""


def free_port():
    """Below the range from which the kernel takes the ports of outgoing connections."""
    while True:
        port = 12000 + secrets.randbelow(8000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def server_user():
    """Who runs the servers: PostgreSQL refuses root."""
    return pwd.getpwnam("postgres") if os.geteuid() == 0 else None


def spawn(argv, log, user=None, **more):
    """A child that does not outlive us."""
    command = ["setpriv", "--pdeathsig", "KILL"]
    if user:
        command += ["--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--clear-groups"]
    with open(log, "ab") as out:
        return subprocess.Popen([*command, *argv], stdout=out, stderr=out, stdin=subprocess.DEVNULL, **more)


class Postgres:
    def __init__(self, folder, user):
        self.data, self.log, self.user, self.port = os.path.join(folder, "pg"), os.path.join(folder, "pg.log"), user, free_port()
        self.password = secrets.token_hex(12)
        secret = os.path.join(folder, "password")
        with open(secret, "w") as f:
            f.write(self.password)
        os.makedirs(self.data, 0o700)
        if user:
            os.chown(self.data, user.pw_uid, user.pw_gid)
            os.chown(secret, user.pw_uid, user.pw_gid)
        done = spawn([f"{PG_BIN}/initdb", f"--pgdata={self.data}", "--username=tongguan", f"--pwfile={secret}",
                      "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"], self.log, user, cwd=folder)
        assert done.wait(60) == 0, f"initdb: see {self.log}"
        self.proc = None
        self.start()
        with psycopg.connect(self.url("postgres"), autocommit=True) as conn:
            conn.execute("CREATE DATABASE tongguan TEMPLATE template0")

    def url(self, database="tongguan", port=None):
        return f"postgresql://tongguan:{self.password}@127.0.0.1:{port or self.port}/{database}?sslmode=disable"

    def start(self):
        argv = [f"{PG_BIN}/postgres", "-D", self.data, "-p", str(self.port)]
        for setting in PG_SETTINGS:
            argv += ["-c", setting]
        self.proc = spawn(argv, self.log, self.user, cwd=self.data)
        wait_for(self.answers, 60, what="PostgreSQL")

    def answers(self):
        assert self.proc.poll() is None, f"PostgreSQL ended: see {self.log}"
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
            return True
        except psycopg.OperationalError:
            return False

    def stop(self, sig=signal.SIGINT):
        """SIGINT: fast. SIGQUIT: immediate, as if the power went."""
        if self.proc and self.proc.poll() is None:
            self.proc.send_signal(sig)
            try:
                self.proc.wait(60)
            except subprocess.TimeoutExpired:  # it may be recovering from a crash of its own
                self.proc.kill()
                self.proc.wait(10)


class Kafka:
    def __init__(self, folder, user, proxy_ports):
        self.folder, self.user, self.log = os.path.join(folder, "kafka"), user, os.path.join(folder, "kafka.log")
        self.port, self.controller = free_port(), free_port()
        self.ports = [free_port() for _ in proxy_ports]
        self.properties = os.path.join(folder, "kafka.properties")
        os.makedirs(self.folder)
        if user:
            os.chown(self.folder, user.pw_uid, user.pw_gid)
        names = [f"INGEST{i}" for i in range(len(proxy_ports))]
        listeners = [f"DRIVER://127.0.0.1:{self.port}", f"CONTROLLER://127.0.0.1:{self.controller}"]
        listeners += [f"{name}://127.0.0.1:{port}" for name, port in zip(names, self.ports)]
        advertised = [f"DRIVER://127.0.0.1:{self.port}"] + [f"{n}://127.0.0.1:{p}" for n, p in zip(names, proxy_ports)]
        plain = ",".join(f"{name}:PLAINTEXT" for name in ["DRIVER", "CONTROLLER", *names])
        with open(self.properties, "w") as f:
            f.write(KAFKA_FIXED + f"controller.quorum.voters=1@127.0.0.1:{self.controller}\nlisteners={','.join(listeners)}\n"
                    f"advertised.listeners={','.join(advertised)}\nlistener.security.protocol.map={plain}\n"
                    f"log.dirs={self.folder}\n")
        self.java = ["/usr/bin/java", "@" + os.path.join(ROOT, "build/deps/kafka/java.args")]
        done = spawn([*self.java, "kafka.tools.StorageTool", "format", "-t", "t" + secrets.token_urlsafe(15)[1:] + "Ag", "-c",
                      self.properties], self.log, user, cwd=folder)
        assert done.wait(60) == 0, f"Kafka's format: see {self.log}"
        self.proc = None
        self.start()

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def start(self):
        self.proc = spawn([*self.java, "kafka.Kafka", self.properties], self.log, self.user, cwd=self.folder)
        wait_for(self.answers, 90, what="Kafka")

    def answers(self):
        """An ApiVersions request: a TCP connection alone may come before the broker serves."""
        assert self.proc.poll() is None, f"Kafka ended: see {self.log}"
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as conn:
                conn.sendall(bytes([0, 0, 0, 12, 0, 18, 0, 0, 0, 0, 0, 1, 0, 2]) + b"up")
                return len(conn.recv(64)) > 8
        except OSError:
            return False

    def admin(self):
        return AdminClient({"bootstrap.servers": self.address})

    def kill(self):
        if self.proc and self.proc.poll() is None:
            self.proc.kill()
            self.proc.wait(30)


def mounted(path):
    with open("/proc/self/mounts") as mounts:
        return any(line.split()[1] == path for line in mounts)


class SmallDisk:
    """A file system of its own for one tablespace; .mounted tells whether this machine lets us make one."""

    def __init__(self, folder, user, megabytes=96):
        self.path, self.user = os.path.join(folder, "disk"), user
        os.makedirs(self.path)
        size = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", self.path]
        self.mounted = os.geteuid() == 0 and subprocess.run(size, capture_output=True).returncode == 0
        if self.mounted and user:
            os.chown(self.path, user.pw_uid, user.pw_gid)

    def fill(self):
        """Leaves no page free."""
        with open(os.path.join(self.path, "filler"), "wb", buffering=0) as f:
            try:
                while True:
                    f.write(b"\0" * 4096)
            except OSError:
                pass

    def empty(self):
        os.unlink(os.path.join(self.path, "filler"))

    def close(self):
        for _ in range(20):
            if not self.mounted or not mounted(self.path):
                return
            subprocess.run(["umount", self.path], capture_output=True)
            time.sleep(0.1)
