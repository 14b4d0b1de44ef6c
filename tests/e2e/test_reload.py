"""Packs are read anew while correlate runs: a changed folder, SIGHUP, and nothing of it unless every pack is right."""
import os, signal
from harness import Role, wait_for
PACK = """pack: one
version: 1
lateness_s: 60
rules:
  - {id: rl.one, version: 1, kind: single, domain: minsheng, severity: 3, auto_file: false, types: ["01001"]}
"""
def test_reload__by_a_changed_folder_and_by_a_signal(servers, tmp_path):
    os.chmod(tmp_path, 0o755)
    (tmp_path / "a.yaml").write_text(PACK)
    role = Role(servers, "correlate", env={"TONGGUAN_CORRELATE_PACKS": str(tmp_path)}).ready()
    rules = lambda: {r[0] for r in servers.rows("SELECT rule_id FROM tongguan.rule")}
    wait_for(lambda: rules() == {"rl.one"}, 20, what="table")
    (tmp_path / "a.yaml").write_text(PACK + PACK.split("rules:\n")[1].replace("rl.one", "rl.two"))
    wait_for(lambda: rules() == {"rl.one", "rl.two"}, 20, what="changed folder")
    (tmp_path / "b.yaml").write_text("pack: [")
    role.proc.send_signal(signal.SIGHUP)
    def refused():
        import http.client
        c = http.client.HTTPConnection(servers.env["TONGGUAN_CORRELATE_LISTEN"]); c.request("GET", "/metrics")
        t = c.getresponse().read().decode()
        return 'tongguan_correlate_reloads_total{result="refused"} ' in t and 'result="refused"} 0' not in t
    wait_for(refused, 20, what="refused")
    assert rules() == {"rl.one", "rl.two"}
    role.stop()
