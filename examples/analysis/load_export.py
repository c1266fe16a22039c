"""Load an export with pandas, polars and DuckDB: python load_export.py EXPORT_FOLDER"""

import sys
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl

if len(sys.argv) != 2:
    sys.exit(__doc__)
folder = Path(sys.argv[1])
epochs = pd.read_parquet(folder / "epochs.parquet")
epochs["time"] = pd.to_datetime(epochs["t_utc_ns"], unit="ns", utc=True)
print("pandas, mean tilt [deg]:", epochs.groupby("wearer")["tilt_mean_deg"].mean().round(2).to_dict())

minutes = pl.scan_parquet(folder / "epochs.parquet")
walked = minutes.group_by("wearer").agg(pl.col("walking_s").sum() / 3600).sort("wearer").collect()
print("polars, hours walked:", {w: round(h, 2) for w, h in walked.iter_rows()})

path = str(folder / "events.parquet")
found = duckdb.execute(
    "SELECT rule, count(*) FROM read_parquet(?) WHERE type = 'flag' GROUP BY rule ORDER BY rule", [path]
)
print("DuckDB, flags by rule:", dict(found.fetchall()))
