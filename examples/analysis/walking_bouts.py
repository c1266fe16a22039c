"""Bouts of walking in what `tiltline process` wrote: python walking_bouts.py FOLDER walking_bouts.csv

Of each bout of four steps or more: cadence, how far the pelvis tips and tilts sideways within a stride, and left against right with the
least difference that can be told from error within one wearing. A difference below it is none; one above it is a hint, no diagnosis.
"""

import json
import sys
from pathlib import Path

import pandas as pd

from processing.features.gait import Step
from processing.features.gait_bouts import MDC_OBLIQUITY_ASYMMETRY_DEG, MDC_STEP_TIME_ASYMMETRY_PERCENT, walking_bouts

if len(sys.argv) != 3:
    sys.exit(__doc__)
folder = Path(sys.argv[1])
rate_hz = json.loads((folder / "manifest.json").read_text())["input"]["rate_hz"]
samples = pd.read_parquet(folder / "samples.parquet")
steps = [Step(*row) for row in pd.read_parquet(folder / "steps.parquet").itertuples(index=False, name=None)]
signal = [samples[c].to_numpy() for c in ("t_utc_ns", "anterior_tilt_deg", "obliquity_deg", "valid")]
bouts = walking_bouts(steps, *signal, rate_hz)
table = pd.DataFrame(
    {
        "start": pd.to_datetime([b.start_utc_ns for b in bouts], utc=True),
        "seconds": [(b.end_utc_ns - b.start_utc_ns) / 1e9 for b in bouts],
        "steps": [b.steps for b in bouts],
        "cadence_per_min": [b.cadence_per_min for b in bouts],
        "tilt_range_deg": [b.tilt_range_deg for b in bouts],
        "obliquity_range_deg": [b.obliquity_range_deg for b in bouts],
        "obliquity_right_less_left_deg": [b.obliquity_asymmetry_deg for b in bouts],
        "its_least_deg": [MDC_OBLIQUITY_ASYMMETRY_DEG * b.mdc_factor() for b in bouts],
        "step_time_right_less_left_percent": [b.step_time_asymmetry_percent for b in bouts],
        "its_least_percent": [MDC_STEP_TIME_ASYMMETRY_PERCENT * b.mdc_factor() for b in bouts],
    }
)
table.to_csv(sys.argv[2], index=False, float_format="%.2f")
print(f"{len(table)} bouts, {table.steps.sum()} steps in them -> {sys.argv[2]}")
