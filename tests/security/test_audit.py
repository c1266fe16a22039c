"""The audit of the pinned packages: a known vulnerability fails it, silence of the index is said and only fails when it must not be."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

AUDIT = Path(__file__).parents[2] / "scripts" / "audit.py"


class Advisories(http.server.BaseHTTPRequestHandler):
    """An advisory service in OSV's form that knows one vulnerable package."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        package = {"name": asked["package"]["name"], "ecosystem": "PyPI"}
        known = {
            "id": "PYSEC-0000-1",
            "modified": "2026-01-01T00:00:00Z",
            "published": "2026-01-01T00:00:00Z",
            "summary": "planted",
            "affected": [
                {"package": package, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "9"}]}]}
            ],
        }
        body = json.dumps({"vulns": [known]} if package["name"] == "planted" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def service() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Advisories)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/query"
    server.shutdown()


def audit(folder: Path, pins: str, url: str, *options: str) -> tuple[int, str]:
    (folder / "pins.txt").write_text(pins)
    command = [sys.executable, str(AUDIT), "--file", str(folder / "pins.txt"), *options, "--"]
    command += ["-s", "osv", "--osv-url", url, "--cache-dir", str(folder / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, done.stdout


@pytest.mark.slow
def test_a_known_vulnerability_fails_the_audit(tmp_path: Path, service: str) -> None:
    assert audit(tmp_path, "sound==1.0\n", service, "--must") == (
        0,
        "Dependencies audited: 1 of 1, 0 with known vulnerabilities\n",
    )
    status, said = audit(tmp_path, "sound==1.0\nplanted==1.0\n", service)
    assert status == 1
    assert "planted 1.0: PYSEC-0000-1" in said


@pytest.mark.slow
def test_silence_is_said_and_fails_only_where_an_answer_must_come(tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9/v1/query"
    status, said = audit(tmp_path, "sound==1.0\n", nobody)
    assert status == 0
    assert said.startswith("Dependencies NOT audited")
    assert audit(tmp_path, "sound==1.0\n", nobody, "--must")[0] == 1
