"""`python -m tests.scale.watched REPORT [--profile] run --config ...`: the command as it is; how old a second is at each place
(`stages.py`) and, with `--profile`, where the CPU time goes.

For that a thread beside the command looks at all others a hundred times a second. A thread that used CPU since the last look is counted
for the function of ours it is in (the innermost one of `processing` or `sensor_gateway`), weighted with the CPU it used.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

from sensor_gateway.cli import main
from tests.scale.stages import Stages

EVERY_S = 0.01
OURS = ("/processing/", "/sensor_gateway/")


class Profile(threading.Thread):
    """CPU by thread and by function since the start."""

    def __init__(self) -> None:
        super().__init__(daemon=True, name="profile")
        self.done = threading.Event()
        self.by_thread: Counter[str] = Counter()
        self.by_place: Counter[str] = Counter()
        self._seen: dict[int, float] = {}

    def run(self) -> None:
        while not self.done.wait(EVERY_S):
            frames = sys._current_frames()
            for thread in threading.enumerate():
                if thread is not self and thread.ident in frames:
                    self._look(thread, frames[thread.ident])

    def rows(self) -> dict[str, list[tuple[str, float]]]:
        return {"threads": self.by_thread.most_common(), "places": self.by_place.most_common(60)}

    def _look(self, thread: threading.Thread, frame: FrameType | None) -> None:
        ident = thread.ident or 0
        try:
            used = time.clock_gettime(time.pthread_getcpuclockid(ident))
        except (OSError, OverflowError):
            return
        spent, self._seen[ident] = used - self._seen.get(ident, used), used
        self.by_thread[thread.name] += spent
        while frame is not None and not any(part in frame.f_code.co_filename for part in OURS):
            frame = frame.f_back
        if frame is not None and spent:
            self.by_place[f"{Path(frame.f_code.co_filename).name}:{frame.f_code.co_name}"] += spent


def watched(report: Path, profiled: bool, command: list[str]) -> int:
    stages, profile = Stages(), Profile()
    stages.begin()
    if profiled:
        profile.start()
    status = main(command)
    if profiled:
        profile.done.set()
        profile.join()
    report.write_text(json.dumps({"ages": stages.summary(), **profile.rows()}))
    return status


if __name__ == "__main__":
    profiled = sys.argv[2] == "--profile"
    sys.exit(watched(Path(sys.argv[1]), profiled, sys.argv[2 + profiled :]))
