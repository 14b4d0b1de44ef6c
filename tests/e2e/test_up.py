"""What `tongguan up` promises beyond starting: a role that dies comes back, data survive a stop, everything it started ends with it."""
import http.client
import os
import re
import signal
import subprocess
import tempfile

import pytest

from harness import BINARY, ROOT, wait_for

pytestmark = pytest.mark.apart


def children(pid):
    done = subprocess.run(["pgrep", "-P", str(pid), "-a"], capture_output=True, text=True)
    return {int(line.split()[0]): line for line in done.stdout.splitlines()}


def dispatch_of(up):
    return next((pid for pid, line in children(up.pid).items() if line.endswith("tongguan dispatch")), None)


class Up:
    """One run of `up` over a state folder that outlives it."""

    def __init__(self, state):
        env = dict(os.environ, TONGGUAN_STATE_DIR=state, TONGGUAN_HTTP_LISTEN="127.0.0.1:0")
        self.proc = subprocess.Popen([BINARY, "up", "--feed", "none"], cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
        self.passwords, self.address = {}, None
        for line in self.proc.stdout:
            if match := re.match(r"console http://(\S+)", line):
                self.address = match[1]
            if match := re.match(r"\s*sign in as (\S+) / (\S+)", line):
                self.passwords[match[1]] = match[2]
            if line.startswith("Ctrl-C"):
                break
        assert self.address, "up did not become ready"

    def ready(self):
        try:
            conn = http.client.HTTPConnection(self.address, timeout=2)
            conn.request("GET", "/readyz")
            return conn.getresponse().status == 200
        except OSError:
            return False

    def stop(self):
        mine = list(children(self.proc.pid))
        self.proc.send_signal(signal.SIGTERM)
        self.proc.communicate(timeout=90)
        return mine


def test_up__a_dead_role_comes_back_and_data_survive_a_stop():
    with tempfile.TemporaryDirectory(prefix="tongguan-test-") as state:
        os.chmod(state, 0o755)
        first = Up(state)
        try:
            assert set(first.passwords) == {"operator", "shift_lead", "leader", "department", "inspector", "supervisor", "auditor",
                                            "admin"}
            before = dispatch_of(first.proc)
            os.kill(before, signal.SIGKILL)
            after = wait_for(lambda: (pid := dispatch_of(first.proc)) and pid != before and pid, 20, what="a new dispatch")
            wait_for(first.ready, 20, what="dispatch ready again")
            assert after != before
        finally:
            mine = first.stop()
        assert first.proc.returncode == 0
        assert len(mine) == 6 and not any(os.path.exists(f"/proc/{pid}") for pid in mine)
        assert not os.path.exists(os.path.join(state, "up.env"))

        second = Up(state)
        try:
            assert second.passwords == {}, "the accounts of the first run are still there"
            conn = http.client.HTTPConnection(second.address, timeout=10)
            conn.request("POST", "/api/v1/sessions", headers={"Content-Type": "application/json"},
                         body='{"username": "operator", "password": "%s"}' % first.passwords["operator"])
            assert conn.getresponse().status in (200, 201)
        finally:
            second.stop()
        assert second.proc.returncode == 0


def test_up__a_log_that_grows_past_its_limit_is_put_aside(city):
    path = os.path.join(city.dir, "log/dispatch.log")
    with open(path, "a") as log:
        log.write("x" * 1000 + "\n")
        while log.tell() <= 16 << 20:
            log.write(("y" * 1000 + "\n") * 1000)
    wait_for(lambda: os.path.getsize(path) < 1 << 20 and os.path.exists(path + ".1"), 20, what="the log put aside")
    assert os.path.getsize(path + ".1") > 16 << 20
    # The role goes on writing at the new file's beginning: a hole of zero bytes would show that it did not.
    with open(path, "rb") as log:
        assert b"\0" not in log.read()
    assert not os.path.exists(path + ".new")
