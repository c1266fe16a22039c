"""The rows for a person: what each took, beside its peer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

Row: TypeAlias = Mapping[str, Any]


def lines(name: str, found: Any) -> list[str]:
    """Lines of one row of `tiltline bench`, as its module gives it."""
    return _TABLES[name](found)


def _core(found: list[Row]) -> list[str]:
    out = []
    for r in found:
        out += [
            f"core: {r['hours']:g} h at {r['rate_hz']:g} Hz, {r['mode']}: {r['samples']} samples, {r['records']} records",
            f"  core        {r['core_cpu_s']:8.2f} CPU s   {r['core_us_per_sample']:.3f} us a sample",
            f"  plain VQF   {r['plain_vqf_cpu_s']:8.2f} CPU s   the core takes {r['ratio_to_plain_vqf']:.1f} times as long",
            f"  peak memory {r['peak_above_start_mb']:8.1f} MB above the start, {r['peak_mb']:.1f} MB in all",
            f"  (making the signal took {r['signal_cpu_s']:.1f} CPU s more, left out above)",
        ]
    return out


def _growth(found: Row) -> list[str]:
    head = f"growth at {found['rate_hz']:g} Hz, online; CPU seconds a day, beside plain VQF, peak of the process so far"
    return [head] + [
        f"  {r['days']:4g} days {r['core_cpu_s_per_day']:8.2f} CPU s a day   "
        f"{r['ratio_to_plain_vqf']:.2f} times plain VQF   {r['peak_mb']:.1f} MB"
        for r in found["growth"]
    ]


def _day(found: Row) -> list[str]:
    return [
        f"day: {found['hours']:g} h at 100 Hz, {found['samples']} samples; its journal {found['journal_mb_per_day']:.1f} MB a day",
        f"  journal to store     {_cost(found['journal_to_store'], 'plain VQF')}   {found['records']} records",
        f"  plain VQF            {found['plain_vqf_cpu_s']:8.2f} CPU s",
        f"  journal to raw       {_cost(found['journal_to_raw'], 'bare Parquet')}",
        f"  bare Parquet         {found['bare_parquet_cpu_s']:8.2f} CPU s",
        f"  journal to angles    {_cost(found['journal_to_angles'], 'plain VQF')}   samples, steps, transfers, bouts",
    ]


def _month(found: Row) -> list[str]:
    view = found["view"]
    times = f"{view['ratio_to_bare_select']:.1f} times a bare SELECT"
    return [
        f"month: {found['days']} days of one wearer, {found['seconds']} seconds",
        f"  the page's {view['days_with_data']} days    {view['cpu_ms']:8.1f} CPU ms, {view['wall_ms']:.1f} ms in all, {times}",
        f"  metrics to Parquet   {_cost(found['metrics_to_parquet'], 'bare Parquet')}",
        f"  bare Parquet         {found['bare_parquet_cpu_s']:8.2f} CPU s",
    ]


def _journal(found: Row) -> list[str]:
    minutes = found["minutes_of_samples"]
    out = ["journal: MB a day at 100 Hz, if all day were like"]
    out += [f"  {name:<20} {mb:6.1f} MB   ({minutes[name]:g} min)" for name, mb in found["mb_per_day"].items()]
    if "mixed_mb" in found:
        hours = ", ".join(f"{h:g} h {name}" for name, h in found["mixed_hours"].items())
        out.append(f"  {'mixed':<20} {found['mixed_mb']:6.1f} MB   ({hours})")
    return out


def _peers(found: Row) -> list[str]:
    out = []
    for name, row in found.items():
        out.append(f"peers: {name}: {row['recordings']} recordings, {row['minutes']} min, {row['records']} records")
        out.append(f"  tiltline {row['core_cpu_s']:8.2f} CPU s")
        for peer, r in row["peers"].items():
            parts = ", ".join(f"{part} {s:g}" for part, s in r["parts_cpu_s"].items())
            took = f"{r['cpu_s']:8.2f} CPU s   {r['ratio_to_ours']:.1f} times as long ({parts})"
            out.append(f"  {peer} {r['version']} {took}")
    return out


def _cost(r: Row, peer: str) -> str:
    (ratio,) = (v for k, v in r.items() if k.startswith("ratio"))
    return f"{r['cpu_s']:8.2f} CPU s, {r['wall_s']:.2f} s in all, {r['peak_mb']:.0f} MB, {ratio:.1f} times {peer}"


_TABLES: Final[Mapping[str, Callable[[Any], list[str]]]] = {
    "core": _core,
    "growth": _growth,
    "day": _day,
    "month": _month,
    "journal": _journal,
    "peers": _peers,
}
