"""Work every flag out again from nothing but its own row: python recompute_flag.py EXPORT_FOLDER

What a flag states is set against what its listed inputs give, by a reading of the rules apart from the one that raised it.
`tiltline explain EVENT_ID --store store.db` says the same in words and as a picture.
"""

import json
import sys
from pathlib import Path

import pandas as pd

from processing.types import Event
from sensor_gateway.explain.recompute import recompute

if len(sys.argv) != 2:
    sys.exit(__doc__)
events = pd.read_parquet(Path(sys.argv[1]) / "events.parquet")
flags = events[events["type"] == "flag"]
wrong = checked = 0
for row in flags.itertuples():
    for check in recompute(Event(row.t_utc_ns, row.event_id, row.type, row.rule, json.loads(row.data))):
        checked += 1
        if not check.agrees:
            wrong += 1
            print(
                f"{row.event_id} {row.rule}: {check.what} is stated as {check.stated}, its inputs give {check.recomputed}"
            )
print(f"{len(flags)} flags, {checked} statements worked out again, {wrong} differ")
sys.exit(1 if wrong else 0)
