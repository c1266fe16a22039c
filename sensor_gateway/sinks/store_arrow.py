"""Very many rows of the embedded store as Arrow columns, read by a process beside the one that asks (for exports).

Python's `sqlite3` makes an object of each cell; the Arrow project's driver does not, and takes a third of the time. It brings an SQLite of
its own, and two of these must not open one file in one process: what closes first drops the other's locks. So it works
in a process that opens nothing else.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import adbc_driver_sqlite
import pyarrow as pa
from adbc_driver_manager import AdbcConnection, AdbcStatement

from processing.dictionary import KINDS
from sensor_gateway.sinks.store import StoreError

MANY: Final = 200_000
"""Rows that take longer to read in Python than such a process takes to start."""
_BATCH: Final = 4000
"""Rows on their way at a time: some 300 kB."""
_LIKE: Final = {"int64": "0", "float64": "0.0", "string": "''", "json": "''", "bool": "0"}
_BEFORE_ALL: Final = -(2**63) + 1


def arrow_columns(path: Path, kind: str, wearer: str, t0_ns: int, t1_ns: int) -> Generator[dict[str, Any]]:
    """The same as `Store.columns`, as Arrow arrays and all of one moment; raises `StoreError`."""
    command = [sys.executable, "-P", "-m", __name__, str(path), _sql(kind, wearer, t0_ns, t1_ns)]
    # It finds modules where this process does, and not in the folder that happens to be the current one.
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env) as reader:
        try:
            with pa.ipc.open_stream(reader.stdout) as batches:
                first = 1  # the row that tells the types
                for batch in batches:
                    rows = batch.slice(first)
                    first = 0
                    if rows.num_rows:
                        yield dict(zip(rows.schema.names, rows.columns, strict=True))
            whole = reader.wait() == 0  # a stream ends in order where reading failed, too
        except (pa.ArrowException, OSError):
            whole = False
        finally:
            reader.kill()  # has ended, unless nobody wants the rest
        if not whole:
            said = reader.stderr.read().decode(errors="replace").split("\n") if reader.stderr else []
            why = next((text for text in reversed(said) if text), "its reader was ended")
            raise StoreError(f"{path}: cannot be read ({why}); check the file, its disk and free memory")


def _sql(kind: str, wearer: str, t0_ns: int, t1_ns: int) -> str:
    """The rows by time, behind one that lies before all times: the driver takes a column's type from the first rows, where a
    column may be empty. Its parameters would be Arrow arrays, and making these of Python's objects loads pandas where that is
    installed: a third of a second and 50 MB.
    """
    whose = wearer.replace("'", "''")
    types = {"sensor": "string"} | {f.name: f.type for f in KINDS[kind]}
    names = ", ".join(types)
    like = [f"{_BEFORE_ALL if name == 't_utc_ns' else _LIKE[type_]} AS {name}" for name, type_ in types.items()]
    return (
        f"SELECT {', '.join(like)} UNION ALL SELECT {names} FROM {kind} WHERE wearer = '{whose}' "
        f"AND t_utc_ns >= {t0_ns:d} AND t_utc_ns < {t1_ns:d} "
        f"ORDER BY t_utc_ns, {'event_id' if kind == 'event' else 'sensor'}"
    )


def _main(path: Path, sql: str) -> None:
    """The process beside: the rows as an Arrow stream on standard output."""
    with (
        adbc_driver_sqlite.connect(f"{path.absolute().as_uri()}?mode=ro") as db,
        AdbcConnection(db) as connection,
        AdbcStatement(connection) as statement,
    ):
        statement.set_options(**{"adbc.sqlite.query.batch_rows": str(_BATCH)})
        statement.set_sql_query(sql)
        rows = pa.RecordBatchReader.from_stream(statement.execute_query()[0])
        with pa.ipc.new_stream(sys.stdout.buffer, rows.schema) as out:
            for batch in rows:
                out.write_batch(batch)


if __name__ == "__main__":
    _main(Path(sys.argv[1]), sys.argv[2])
