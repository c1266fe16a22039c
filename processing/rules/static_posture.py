"""`static_posture`: the wearer has been sitting or standing for long, with no change of posture and no walk.

Needs the posture of an epoch and nothing of its tilt. Epochs that are missing or unsure neither count nor break the
stretch, until nobody can know any more whether the wearer moved. One sure epoch of anything else breaks it: a rule that
is about variation errs on the side of having seen some.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from processing.rules.base import EPOCH_S, is_known
from processing.rules.explain import window
from processing.rules.study import Study
from processing.types import Json, RuleEpoch

STATIC: Final = "static_posture"
_VERBS: Final = {"sitting": "sitting", "standing": "standing in one place"}


class StaticPosture:
    """The current stretch: posture, its first epoch, the time counted [s], and the epochs since the last flag."""

    def __init__(self, study: Study) -> None:
        self._rule = study.static_posture
        self._confidence_permille = round(study.tilt.min_confidence * 1000)
        self._posture = ""
        self._mount_id = ""
        self._start_k = 0
        self._last_k = 0
        self._still_s = 0
        self._due_s = self._rule.after_s
        self._absent_s = 0
        self._before: list[int] = [0, 0]  # time counted before the first run, and the epoch that was counted last
        self._runs: list[list[int]] = []  # counted epochs since then, as [first k, count]
        self._coverage: list[int] = [0, 0, 1000]  # of the same epochs: count, sum and least [permille]

    def skip(self, n: int) -> None:
        """Pass n epochs that never came or are unsure."""
        self._absent_s += n * EPOCH_S
        if self._absent_s >= self._rule.max_unknown_s:
            self._posture = ""

    def step(self, epoch: RuleEpoch) -> dict[str, Json] | None:
        """One epoch, in order; the flag's data where the stretch has become too long."""
        if not self._rule.enabled:
            return None
        if self._posture and epoch.mount_id != self._mount_id:
            self._posture = ""  # put on anew: whoever does that has moved
        if not is_known(epoch) or epoch.confidence_permille < self._confidence_permille:
            self.skip(1)
            return None
        if epoch.posture != self._posture:
            self._begin(epoch)
        if not self._posture:
            return None
        self._absent_s = 0
        self._last_k = epoch.k
        self._still_s += EPOCH_S
        run = self._runs[-1] if self._runs else None
        if run is not None and run[0] + run[1] == epoch.k:
            run[1] += 1
        else:
            self._runs.append([epoch.k, 1])
        n, total, least = self._coverage
        self._coverage = [n + 1, total + epoch.coverage_permille, min(least, epoch.coverage_permille)]
        if self._still_s < self._due_s:
            return None
        found = self._evidence()
        self._due_s += self._rule.after_s
        self._list_from_here()
        return found

    def _begin(self, epoch: RuleEpoch) -> None:
        self._posture = epoch.posture if epoch.posture in self._rule.postures else ""
        self._mount_id = epoch.mount_id
        self._start_k = epoch.k
        self._last_k = epoch.k - 1
        self._still_s = 0
        self._due_s = self._rule.after_s
        self._list_from_here()

    def _list_from_here(self) -> None:
        self._before = [self._still_s, self._last_k]
        self._runs = []
        self._coverage = [0, 0, 1000]

    def _evidence(self) -> dict[str, Json]:
        n, total, least = self._coverage
        still_s, last_k = self._before
        minutes = self._due_s / 60
        return {
            "value": self._still_s,
            "limit": self._due_s,
            "unit": "s",
            "text": f"You have been {_VERBS[self._posture]} for {minutes:g} minutes; a change of position may help.",
            "posture": self._posture,
            "window": window(self._start_k, self._last_k),
            "quality": {"counted_epochs": n, "least_coverage_permille": least, "mean_coverage_permille": total // n},
            "limits": {
                "after_s": self._rule.after_s,
                "max_unknown_s": self._rule.max_unknown_s,
                "postures": list(self._rule.postures),
                "confidence_permille": self._confidence_permille,
            },
            "before": {"still_s": still_s, "last_k": last_k},
            "epochs": {"k": [[first, count] for first, count in self._runs], "posture": [[self._posture, n]]},
        }

    def snapshot(self) -> dict[str, Any]:
        """State as plain JSON."""
        return {
            "posture": self._posture,
            "mount_id": self._mount_id,
            "timers": [self._start_k, self._last_k, self._still_s, self._due_s, self._absent_s],
            "listed": [list(self._before), [list(run) for run in self._runs], list(self._coverage)],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back a `snapshot`. Under another study the stretch goes on and is due when the new one says."""
        self._posture, self._mount_id = state["posture"], state["mount_id"]
        self._start_k, self._last_k, self._still_s, self._due_s, self._absent_s = state["timers"]
        before, runs, coverage = state["listed"]
        self._before, self._runs, self._coverage = list(before), [list(run) for run in runs], list(coverage)
        if self._posture not in self._rule.postures:
            self._posture = ""
        every = self._rule.after_s
        if self._due_s % every:
            self._due_s = (self._still_s // every + 1) * every
