"""Make Kafka's jars ready for a quick start.

    prepare.py FOLDER        FOLDER/libs holds the jars

Writes FOLDER/java.args, the argument file that every start of the broker uses
(`java @FOLDER/java.args kafka.Kafka server.properties`), and FOLDER/broker.jsa, an archive of the
classes that a broker loads, taken from one short life of a broker on loopback. The archive is only
valid for the very class path in java.args, hence the sorted list; Java ignores it when the jars or
the Java changed. Without it a start takes about twice as long.
"""

import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

START_S_MAX = 60
PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=BROKER://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
log.dirs={folder}/log
"""


def java_flags(folder):
    libs = os.path.join(folder, "libs")
    jars = sorted(os.path.join(libs, name) for name in os.listdir(libs) if name.endswith(".jar"))
    # A young generation that holds what is in flight: else it spills over into the old one, and every ten seconds of some
    # thousand records a second all threads stand still for 90 ms.
    return ["-server", "-Xms192m", "-Xmn128m", "-Xmx400m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            "-XX:+ExitOnOutOfMemoryError", "-Xshare:auto", "-Xlog:disable",
            "-Xlog:all=error:stderr:uptime,level", "-Djava.awt.headless=true",
            "-Djava.net.preferIPv4Stack=true", "-Dlog4j2.disable.jmx=true",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
            "-cp", ":".join(jars)]


def write_args(path, flags):
    """Java reads the file word by word; within quotes a backslash escapes."""
    with open(path + ".part", "w", encoding="utf-8") as out:
        for flag in flags:
            out.write('"' + flag.replace("\\", "\\\\").replace('"', '\\"') + '"\n')
    os.replace(path + ".part", path)


def free_ports(count):
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def answers(port):
    """True when the broker answers an ApiVersions request: it serves."""
    request = struct.pack(">hhih", 18, 0, 7, -1)
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as s:
            s.settimeout(5)
            s.sendall(struct.pack(">i", len(request)) + request)
            return len(s.recv(8)) == 8
    except OSError:
        return False


def one_life(args, extra, work):
    """Format, start, await and stop one broker."""
    broker, controller = free_ports(2)
    properties = os.path.join(work, "server.properties")
    with open(properties, "w", encoding="utf-8") as out:
        out.write(PROPERTIES.format(broker=broker, controller=controller, folder=work))
    subprocess.run(["java", "@" + args, "kafka.tools.StorageTool", "format",
                    "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", properties], check=True, cwd=work)
    began = time.monotonic()
    life = subprocess.Popen(["java", "@" + args, *extra, "kafka.Kafka", properties], cwd=work)
    try:
        while not answers(broker):
            if life.poll() is not None:
                raise RuntimeError(f"the broker ended with {life.returncode}")
            if time.monotonic() - began > START_S_MAX:
                raise RuntimeError(f"the broker did not answer within {START_S_MAX} s")
            time.sleep(0.05)        # between probes
        return time.monotonic() - began
    finally:
        life.terminate()
        life.wait(START_S_MAX)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = os.path.abspath(sys.argv[1])
    args = os.path.join(folder, "java.args")
    archive = os.path.join(folder, "broker.jsa")
    flags = java_flags(folder)
    write_args(args, flags)
    work = tempfile.mkdtemp(prefix="tongguan-kafka-")
    try:
        took = one_life(args, ["-XX:ArchiveClassesAtExit=" + archive], work)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if os.path.exists(archive):
        write_args(args, ["-XX:SharedArchiveFile=" + archive] + flags)
    print(f"a broker without the archive answered after {took:.1f} s")


if __name__ == "__main__":
    main()
