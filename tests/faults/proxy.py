"""A TCP proxy that can be told to cut a connection in mid-message, hold it, slow it down, or refuse new ones."""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import suppress

CHUNK = 16_384


class Proxy:
    """Listens on a port of its own and forwards to ``target``; faults apply to every connection at once."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._flow = threading.Event()
        self._flow.set()
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._cut_after: int | None = None
        self._chunk, self._pause_s = CHUNK, 0.0
        self._closing = False
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, after_bytes: int) -> None:
        """Break all connections once this many more bytes have gone through, wherever in a message that is."""
        with self._lock:
            self._cut_after = after_bytes

    def hold(self) -> None:
        """Forward nothing, close nothing: what a pulled cable looks like from both sides."""
        self._flow.clear()

    def slow(self, chunk: int, pause_s: float) -> None:
        self._chunk, self._pause_s = chunk, pause_s

    def heal(self) -> None:
        with self._lock:
            self._cut_after = None
        self._chunk, self._pause_s = CHUNK, 0.0
        self._flow.set()

    def close(self) -> None:
        self._closing = True
        self._listener.close()
        self._flow.set()
        self.break_all()

    def break_all(self) -> None:
        """Reset every connection."""
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            self.cuts += 1
            for one in pair:
                with suppress(OSError):
                    # Zero linger: a reset instead of an orderly end, as when a machine dies.
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    one.shutdown(socket.SHUT_RDWR)
                with suppress(OSError):
                    one.close()

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                with suppress(OSError, UnboundLocalError):
                    client.close()
                continue
            server.settimeout(None)
            with self._lock:
                self._pairs.append((client, server))
            for a, b in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(self._chunk):
                self._flow.wait()
                if self._pause_s:
                    time.sleep(self._pause_s)
                with self._lock:
                    left = self._cut_after
                    if left is not None:
                        self._cut_after = max(0, left - len(data))
                if left is not None and left < len(data):
                    with suppress(OSError):
                        sink.sendall(data[:left])
                    with self._lock:
                        self._cut_after = None
                    self.break_all()
                    return
                sink.sendall(data)
        with self._lock:
            self._pairs = [pair for pair in self._pairs if source not in pair]
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            with suppress(OSError):
                one.close()
