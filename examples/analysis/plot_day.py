"""Draw a wearer's newest UTC day, tilt by minute and flags: python plot_day.py EXPORT_FOLDER WEARER day.png"""

import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")  # draws into a file, without a screen
import matplotlib.pyplot as plt
import pandas as pd

if len(sys.argv) != 4:
    sys.exit(__doc__)
folder, wearer, out = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
epochs, events = (
    pd.read_parquet(folder / f"{name}.parquet").query("wearer == @wearer") for name in ("epochs", "events")
)
if epochs.empty:
    sys.exit(f"{folder / 'epochs.parquet'}: holds no minute of {wearer}")
for table in (epochs, events):
    table["time"] = pd.to_datetime(table["t_utc_ns"], unit="ns", utc=True)
day = epochs["time"].max().normalize()
epochs, events = epochs[epochs["time"] >= day], events[events["time"] >= day]

figure, axes = plt.subplots(figsize=(11, 4), layout="constrained")
axes.fill_between(
    epochs["time"], epochs["tilt_p5_deg"], epochs["tilt_p95_deg"], alpha=0.25, label="5th to 95th percentile"
)
axes.plot(epochs["time"], epochs["tilt_median_deg"], linewidth=1, label="median of the minute")
for time in events.loc[events["type"] == "flag", "time"]:
    axes.axvline(time, color="tab:orange", alpha=0.6)
axes.set(xlabel="UTC", ylabel="anterior tilt from neutral [deg]", title=f"{wearer}, {day:%Y-%m-%d}")
axes.legend()
figure.savefig(out, dpi=120)
print(f"{out}: {len(epochs)} minutes, {(events['type'] == 'flag').sum()} flags")
