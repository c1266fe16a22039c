"""What the benchmarks should reach on two cores, and how each row's report is held against it. Pure: reports in, verdicts out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

Report: TypeAlias = Mapping[str, Any]

LINEAR_WITHIN = 0.10
FLAT_WITHIN_MB = 20.0
"""The least and the most memory of the lengths differ by no more than this."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """One figure beside its aim. ``better`` is "less" or "more"; ``aim`` itself is still met."""

    what: str
    reached: float
    better: str
    aim: float
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether the figure is at its aim or beyond; what is not a number is not."""
        return self.reached <= self.aim if self.better == "less" else self.reached >= self.aim


def verdicts(row: str, report: Report) -> list[Verdict]:
    """The figures of one row's report that have an aim. Raises `KeyError` where the report is not one of that row."""
    return list(_JUDGES[row](report))


def _core(report: Report) -> Iterator[Verdict]:
    for r in report["core"]:
        yield Verdict(f"24 h, {r['mode']}", r["core_cpu_s"], "less", 4.0 if r["mode"] == "online" else 10.0, "CPU s")
        if r["mode"] == "online":
            yield Verdict("24 h, online, to plain VQF", r["ratio_to_plain_vqf"], "less", 2.0, "x")
        yield Verdict(f"24 h, {r['mode']}, memory", r["peak_mb"], "less", 400.0, "MB")


def _peers(report: Report) -> Iterator[Verdict]:
    for name, row in report["peers"].items():
        for peer, r in row["peers"].items():
            yield Verdict(f"{peer} to ours, {name}", r["ratio_to_ours"], "more", 10.0, "x")


def _day(report: Report) -> Iterator[Verdict]:
    store, raw = report["day"]["journal_to_store"], report["day"]["journal_to_raw"]
    yield Verdict("a day from its journal into a store", store["wall_s"], "less", 12.0, "s")
    yield Verdict("a raw day exported", raw["wall_s"], "less", 5.0, "s")
    yield Verdict("a raw day exported, memory", raw["peak_mb"], "less", 300.0, "MB")


def _growth(report: Report) -> Iterator[Verdict]:
    per_day = [r["core_cpu_s_per_day"] for r in report["growth"]["growth"]]
    peaks = [r["peak_mb"] for r in report["growth"]["growth"]]
    yield Verdict("growth: days differ by", round(max(per_day) / min(per_day) - 1, 3), "less", LINEAR_WITHIN)
    yield Verdict("growth: memory differs by", round(max(peaks) - min(peaks), 1), "less", FLAT_WITHIN_MB, "MB")


def _month(report: Report) -> Iterator[Verdict]:
    view, parquet = report["month"]["view"], report["month"]["metrics_to_parquet"]
    yield Verdict("30 days on the page", view["wall_ms"], "less", 100.0, "ms")
    yield Verdict("30 days of seconds to Parquet", parquet["wall_s"], "less", 3.0, "s")
    yield Verdict("30 days of seconds to Parquet, memory", parquet["peak_mb"], "less", 300.0, "MB")


def _journal(report: Report) -> Iterator[Verdict]:
    yield Verdict("journal of a real, mixed day", report["journal"]["mixed_mb"], "less", 60.0, "MB")


def _live(report: Report) -> Iterator[Verdict]:
    yield Verdict("live wearers", report["wearers"], "more", 500)
    yield Verdict("live, minutes", report["seconds"] / 60, "more", 5)
    yield Verdict("live, lost", report["lost"], "less", 0, "records")
    yield Verdict("live, lag p95", report["lag_s"]["0.95"], "less", 1.5, "s")
    yield _faults("live", report["wrong"])


def _shared(report: Report) -> Iterator[Verdict]:
    yield _faults("three bridges, one killed, one added", report["wrong"])


def _dask(report: Report) -> Iterator[Verdict]:
    yield Verdict("two Dask workers to one", report["ratio"], "more", 1.8, "x")
    yield _faults("two Dask workers to one", report["wrong"])


def _identity(report: Report) -> Iterator[Verdict]:
    yield _faults(f"identity of {report['recordings']} recordings", report["differences"])


def _faults(what: str, found: list[str]) -> Verdict:
    return Verdict(f"{what}, faults found", len(found), "less", 0)


_JUDGES: Final[Mapping[str, Callable[[Report], Iterator[Verdict]]]] = {
    "core": _core,
    "day": _day,
    "month": _month,
    "journal": _journal,
    "peers": _peers,
    "growth": _growth,
    "shared": _shared,
    "live": _live,
    "dask": _dask,
    "identity": _identity,
}
