"""Very many rows of the embedded store as Arrow columns, read by two processes beside the one that asks (for exports).

Python's `sqlite3` makes an object of each cell; the Arrow project's driver does not, and takes a third of the time. It brings an SQLite of
its own, and two of these must not open one file in one process: what closes first drops the other's locks. So it works
in processes that open nothing else (`store_reader.py`). Each takes every other hour, and what they read is put in order here.
"""

from __future__ import annotations

import os
import subprocess
import sys
from bisect import bisect_left
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from processing.dictionary import KINDS
from processing.types import NS_PER_S
from sensor_gateway.sinks.store import StoreError

MANY: Final = 200_000
"""Rows that take longer to read in Python than such processes take to start."""
_READERS: Final = 2
_TURN_NS: Final = 3600 * NS_PER_S
_PIPE: Final = 1 << 19
"""Bytes a reader may be ahead of its turn, beside the batch in its hands."""
_LIKE: Final = {"int64": "0", "float64": "0.0", "string": "''", "json": "''", "bool": "0"}
_BEFORE_ALL: Final = -(2**63) + 1
_Columns = dict[str, Any]


def arrow_columns(path: Path, kind: str, wearer: str, t0_ns: int, t1_ns: int) -> Generator[_Columns]:
    """The same as `Store.columns`, as Arrow arrays; raises `StoreError`. As there, what is written meanwhile may be in it or not."""
    module = f"{__package__}.store_reader"
    # It finds modules where this process does, and not in the folder that happens to be the current one. It multiplies no matrices:
    # threads for that would spin at its start.
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OPENBLAS_NUM_THREADS": "1"}
    with ExitStack() as stack:
        readers = []
        for turn in range(_READERS):  # all of them start before one is heard
            command = [sys.executable, "-P", "-m", module, str(path), _sql(kind, wearer, t0_ns, t1_ns, turn)]
            pipe = subprocess.PIPE
            reader = subprocess.Popen(command, stdout=pipe, stderr=pipe, env=env, pipesize=_PIPE)
            stack.enter_context(reader)
            stack.callback(reader.kill)  # has ended, unless nobody wants the rest
            readers.append(_pages(path, reader))
        yield from _in_order(readers)


def _pages(path: Path, reader: subprocess.Popen[bytes]) -> Iterator[_Columns]:
    """What one process reads, to its end; raises `StoreError` where that is not the end of the rows."""
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
    if not whole:
        reader.kill()
        said = reader.stderr.read().decode(errors="replace").split("\n") if reader.stderr else []
        why = next((text for text in reversed(said) if text), "its reader was ended")
        raise StoreError(f"{path}: cannot be read ({why}); check the file, its disk and free memory")


def _in_order(readers: Sequence[Iterator[_Columns]]) -> Iterator[_Columns]:
    """Pages of several readers, each in the order of time and no moment in two of them, as one such series."""
    heads = [(page, reader) for reader in readers if (page := next(reader, None))]
    while heads:
        heads.sort(key=lambda head: head[0]["t_utc_ns"][0].as_py())
        (page, reader), *others = heads
        ready = count = len(page["t_utc_ns"])
        if others:
            ready = bisect_left(page["t_utc_ns"], others[0][0]["t_utc_ns"][0].as_py(), key=lambda t: t.as_py())
        yield {name: cells[:ready] for name, cells in page.items()}
        rest = {name: cells[ready:] for name, cells in page.items()} if ready < count else next(reader, None)
        heads = [(rest, reader), *others] if rest else others


def _sql(kind: str, wearer: str, t0_ns: int, t1_ns: int, turn: int) -> str:
    """The rows of a reader's hours by time, behind one that lies before all times: the driver takes a column's type from the
    first rows, where a column may be empty. Its parameters would be Arrow arrays, and making these of Python's objects loads pandas where
    that is installed: a third of a second and 50 MB.
    """
    whose = wearer.replace("'", "''")
    types = {"sensor": "string"} | {f.name: f.type for f in KINDS[kind]}
    names = ", ".join(types)
    like = [f"{_BEFORE_ALL if name == 't_utc_ns' else _LIKE[type_]} AS {name}" for name, type_ in types.items()]
    return (
        f"SELECT {', '.join(like)} UNION ALL SELECT {names} FROM {kind} WHERE wearer = '{whose}' "
        f"AND t_utc_ns >= {t0_ns:d} AND t_utc_ns < {t1_ns:d} AND t_utc_ns / {_TURN_NS} % {_READERS} = {turn} "
        f"ORDER BY t_utc_ns, {'event_id' if kind == 'event' else 'sensor'}"
    )
