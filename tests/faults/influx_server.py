"""A `/api/v2/write` server that misbehaves on demand: the faults no healthy database shows. It stands beside the real one
(`tests/integration`), never instead of it.
"""

from __future__ import annotations

import gzip
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Answer:
    """One scripted answer; ``cut`` closes the connection in mid-body, ``stall_s`` keeps the client waiting."""

    status: int
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    stall_s: float = 0.0


class FaultyInflux:
    """Gives the scripted answers first, then judges each line by ``is_bad``: 400 where a batch holds a bad one, else 204."""

    def __init__(self, is_bad: Callable[[str], bool] = lambda _: False) -> None:
        self.script: deque[Answer] = deque()
        self.lines: list[str] = []
        self.requests = 0
        self.reason = '{"code":"invalid","message":"unable to parse line"}'
        self.closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                text = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
                outer.requests += 1
                lines = text.decode().split("\n")
                if outer.script:
                    self._give(outer.script.popleft())
                elif any(map(is_bad, lines)):
                    self._give(Answer(400, outer.reason))
                else:
                    outer.lines += lines
                    self._give(Answer(204))

            def _give(self, answer: Answer) -> None:
                outer.closing.wait(answer.stall_s)
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body) + 100 * answer.cut))
                self.end_headers()
                self.wfile.write(answer.body.encode())
                if answer.cut:
                    self.close_connection = True

            def log_message(self, *args: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)
