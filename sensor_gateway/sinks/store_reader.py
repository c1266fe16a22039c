"""The process beside an export: a query's rows as an Arrow stream on standard output (`store_arrow.py` starts and hears it).

It loads nothing else of Tiltline: it would only start later.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import adbc_driver_sqlite
import pyarrow as pa
from adbc_driver_manager import AdbcConnection, AdbcStatement

_BATCH: Final = 4000
"""Rows on their way at a time: some 300 kB."""


def main(path: Path, sql: str) -> None:
    """Write the rows, in batches."""
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
    main(Path(sys.argv[1]), sys.argv[2])
