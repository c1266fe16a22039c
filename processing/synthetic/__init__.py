"""A simulated wearer and sensor, deterministic from a seed: for the demo, the bench and tests with a known truth.

`day_script` writes a day, `render` gives its truth at any times, `SensorModel` measures it, `RadioModel` delivers it.
No stage of the pipeline imports this package.
"""

from processing.synthetic.day import NEUTRAL_S, ORDINARY_REST_S, day_script
from processing.synthetic.motion import Truth, quaternion_ep, render, sample_times
from processing.synthetic.radio import RadioModel
from processing.synthetic.script import Activity, Script, Transition, Wearer
from processing.synthetic.sensor import SensorModel, bmi270, mount_rows

__all__ = [
    "NEUTRAL_S",
    "ORDINARY_REST_S",
    "Activity",
    "RadioModel",
    "Script",
    "SensorModel",
    "Transition",
    "Truth",
    "Wearer",
    "bmi270",
    "day_script",
    "mount_rows",
    "quaternion_ep",
    "render",
    "sample_times",
]
