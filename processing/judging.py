"""Judged seconds to records: epochs that close, what the rules say of them, what happened, metrics.

The last stage of `core.py`. The order of records is fixed by the second they belong to: first what closes with it and what was
flagged then, then what happened in it, then its metric.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from processing.alignment.static import Alignment
from processing.changes import ChangeMeter
from processing.epochs import MINUTE_S, RULE_EPOCH_S, MinuteEpochs, RuleEpochs
from processing.features.tilt import SecondTilt
from processing.judged import seconds_of
from processing.metrics import metrics_of
from processing.notices import Notices
from processing.rules.dose import DoseMeter
from processing.rules.engine import RuleEngine
from processing.rules.study import UPRIGHT
from processing.runs import first_rows
from processing.strides import DayDue
from processing.types import (
    NS_PER_S,
    POSTURE_CODE,
    Bool,
    ContextBlock,
    Event,
    Metric,
    Record,
    RuleEpoch,
    SecondBlock,
)

_NOT_WORN: Final = POSTURE_CODE["not_worn"]


class Judging:
    """``rules``, ``dose`` and ``notices`` are the core's own. ``due``: days of strides, for the second in which they end."""

    def __init__(self, rate_hz: float, rules: RuleEngine, dose: DoseMeter, notices: Notices) -> None:
        self.rule_epochs = RuleEpochs(rate_hz, UPRIGHT)
        self.minutes = MinuteEpochs(rate_hz)
        self.changes = ChangeMeter()
        self.due: list[DayDue] = []  # empty between updates
        self._rules, self._dose, self._notices = rules, dose, notices

    def take(
        self,
        block: SecondBlock,
        tilt: SecondTilt,
        context: ContextBlock,
        records: list[Record],
        transfer_seconds: Sequence[int],
        shaken: Bool,
        alignment: Alignment,
    ) -> None:
        """Add what (m,) seconds give to ``records``. ``transfer_seconds`` are those in which a change of posture was found."""
        self.changes.update(block.second, context.posture, tilt.anterior_tilt_deg, tilt.obliquity_deg, transfer_seconds)
        seconds = seconds_of(block, context, tilt.valid, tilt.settling, shaken)
        metrics = metrics_of(block.second, context, tilt)
        begins = first_rows(block.second // RULE_EPOCH_S).tolist()
        told = self._told(self.rule_epochs.take(seconds, begins, *_worn_on(alignment)))
        # Ten seconds never cross a minute. Between these seconds nothing comes but metrics and notices.
        at = seconds.second
        edges = [i for i in begins if not i or i in told or at[i] // MINUTE_S != at[i - 1] // MINUTE_S]
        for a, b in pairwise([*edges, len(metrics)]):
            records += told.get(a, ())
            self._close_minute(at[a], records)
            self.minutes.take(seconds, a, b)
            self._tell(seconds.posture[a:b], metrics[a:b], records)

    def close(self, records: list[Record], alignment: Alignment) -> None:
        """Close epochs and rules; nothing may follow."""
        records += self._notices.until(None)
        epoch = self.rule_epochs.close(*_worn_on(alignment))
        records += self._told([] if epoch is None else [(0, epoch)]).get(0, ())
        self._close_minute(None, records)
        records += self._rules.finish()

    def _told(self, epochs: Sequence[tuple[int, RuleEpoch]]) -> dict[int, list[Event]]:
        """What the rules say to epochs, by the second that closes them, where they say anything."""
        told = {}
        for at, epoch in epochs:
            self._dose.update(epoch)
            if events := self._rules.update([epoch]):
                told[at] = events
        return told

    def _close_minute(self, second: int | None, records: list[Record]) -> None:
        """Close the minute that is over before ``second`` (None: the end of the recording)."""
        minute = self.minutes.closing(second)
        if minute is not None:
            records += self.minutes.close(second, self._dose.take(minute), self.changes.take(minute))

    def _tell(self, postures: list[int], metrics: list[Metric], records: list[Record]) -> None:
        """What happened in each second, then its metric."""
        ends_ns = metrics[-1].t_utc_ns + NS_PER_S
        unworn = postures.count(_NOT_WORN)
        due = bool(self.due) and self.due[0].t_utc_ns < ends_ns
        if unworn in (0, len(postures)) and not due and not self._notices.concern(ends_ns, worn=not unworn):
            records += metrics  # nothing happened
            return
        for code, metric in zip(postures, metrics, strict=True):
            worn = code != _NOT_WORN
            end_ns = metric.t_utc_ns + NS_PER_S
            if self._notices.concern(end_ns, worn=worn):
                self._notices.wear(metric.t_utc_ns, worn=worn)
                records += self._notices.until(end_ns)
            while self.due and self.due[0].t_utc_ns < end_ns:
                records += self._rules.update_strides([self.due.pop(0).day])
            records.append(metric)


def _worn_on(alignment: Alignment) -> tuple[str, str]:
    """Mount and alignment of epochs that close now."""
    # Without a neutral there is nothing a rule could measure from; an empty id pauses them.
    return alignment.mount_id, alignment.id if alignment.has_neutral else ""
