"""`make peers`: the other methods of `tiltline validate` run here on a simulated walk and give what they should; no recordings needed.

Run in the environment of the extra ``validation``, which has no pytest: a gigabyte of packages that the tests do not need otherwise.
Exit status 1 with a sentence where a method is absent or gives nothing.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from processing.synthetic import Wearer, bmi270, day_script, render, sample_times
from processing.types import NS_PER_S
from sensor_gateway.recording.recording import Recording
from sensor_gateway.validation import peers
from sensor_gateway.validation.truth import Contacts

MOUNT = "up=+x,anterior=-z"
RATE = 100.0
T0_NS = 1_789_999_980 * NS_PER_S


def simulated() -> tuple[Recording, Contacts, float]:
    """The walk of a simulated wearer with five seconds around it, and its steps a minute; the peers are told where it is, not its steps."""
    script = day_script(T0_NS, 216.0, Wearer(seed=2))
    (bout,) = script.bouts
    first, last = (round(s * RATE) for s in (bout.start_s - 5.0, bout.stop_s + 5.0))
    t = sample_times(T0_NS, last - first, RATE, first)
    truth = render(script, t)
    acc, gyr = bmi270(2, MOUNT).measure(t, first, truth.acc_p_mps2, truth.gyr_p_rps)
    begin, end = (T0_NS / NS_PER_S + s for s in (bout.start_s, bout.stop_s))
    recording = Recording(t, acc, gyr, RATE, T0_NS, True, "simulated", "", {}, ())
    return recording, Contacts(np.array([begin, end]), ("unknown",) * 2, ((begin, end),)), 60.0 * bout.step_hz


def main() -> int:
    """Check each method."""
    here = peers.installed()
    missing = sorted(set(peers.OPTIONAL) - set(here))
    if missing:
        print(f"peers: {', '.join(missing)} not installed; pip install 'tiltline[validation]'", file=sys.stderr)
        return 1
    recording, contacts, true_pace = simulated()
    failed = 0
    for name in peers.DETECTORS:
        began = time.process_time()
        found = peers.mobgap_steps(name, recording, MOUNT, contacts)
        pace = 60.0 / float(np.median(np.diff(found))) if len(found) > 2 else 0.0
        failed += abs(pace - true_pace) > 0.05 * true_pace
        print(
            f"{name}: {len(found)} steps, {pace:.0f} a minute of {true_pace:.0f}, {time.process_time() - began:.1f} CPU s"
        )
    ups = peers.skdh_stand_ups(recording)
    print(f"scikit-digital-health: {len(ups)} stand-ups in a recording without any")
    failed += bool(ups)
    if failed:
        print(
            f"peers: {failed} methods give something else than they did; see sensor_gateway/validation/peers.py",
            file=sys.stderr,
        )
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
