"""A gateway that has lived recordings, and its journal in blocks of a few seconds, for tests that take a part of it away."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sensor_gateway import cli
from sensor_gateway.gateway import SPOOL_FILE
from sensor_gateway.spool import block
from tests.scale.identity import Case


@dataclass(frozen=True)
class Lived:
    """Where such a gateway keeps what."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "gateway.toml"

    @property
    def spool(self) -> Path:
        return self.folder / "data" / SPOOL_FILE

    def live(self, cases: Iterable[Case]) -> None:
        """Run it over the recordings, at once and to their end."""
        sensors = "".join(case.toml().replace("options = {", "options = { speed = 0.0,") for case in cases)
        self.config.write_text(f'[site]\ndata_dir = "data"\n{sensors}[web]\nenabled = false\n')
        assert cli.main(["run", "--config", str(self.config), "--until-done"]) == 0
        in_small_blocks(self.spool)


def in_small_blocks(spool: Path, entries: int = 20) -> None:
    """As a gateway of the real time writes its journal, which takes minutes for what a file gives at once."""
    with closing(sqlite3.connect(spool)) as db, db:
        rows = db.execute("SELECT sensor, first_seq, block FROM journal ORDER BY sensor, first_seq").fetchall()
        db.execute("DELETE FROM journal")
        for sensor, first, body in rows:
            held = block.decode(body, first)
            for i in range(0, len(held), entries):
                part = held[i : i + entries]
                packed = block.encode([(e.source, e.received) for e in part])
                last = part[-1]
                db.execute(
                    "INSERT INTO journal (sensor, first_seq, last_seq, small, last_rx_utc_ns, size, block) VALUES (?, ?, ?, 0, ?, ?, ?)",
                    (sensor, part[0].seq, last.seq, last.received.rx_utc_ns, len(packed), packed),
                )
