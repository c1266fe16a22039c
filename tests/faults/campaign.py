"""One seed of the fault campaign from start to verdict."""

from __future__ import annotations

import random
import shutil
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sensor_gateway.status.status import StatusError, bridge_books, gateway_books
from tests.faults.schedule import Strike, schedule
from tests.faults.site import Site, faketime_library
from tests.faults.starved import longest_s
from tests.faults.tape import NS, START_NS, Wearer, set_pace
from tests.faults.verify import Rows, judge

RECOVERY_S = 10.0
FINISH_S = 300.0
PACE_S = 0.1
QUIET_S = 5.0


@dataclass(frozen=True)
class Plan:
    """What every seed of a campaign has in common."""

    tapes: dict[Wearer, Path]
    code: Path
    seconds: float
    want: dict[str, Rows]
    faults: int
    longest_s: float
    speed: float
    disks: bool


@dataclass
class Outcome:
    """A seed's verdict; ``wrong`` is empty where everything held."""

    seed: int
    faults: list[dict[str, Any]] = field(default_factory=list)
    recovery_s: list[float] = field(default_factory=list)
    running_s: list[float] = field(default_factory=list)  # without what one thread stood in line for a processor
    wrong: list[str] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)
    took_s: float = 0.0
    began: float = field(default_factory=time.monotonic)


def without() -> frozenset[str]:
    """Faults this machine cannot have, so that a report can say so."""
    return frozenset(() if faketime_library() else ("clock_step",))


def run_seed(seed: int, plan: Plan, folder: Path, keep: bool = False) -> Outcome:
    outcome = Outcome(seed)
    missing = without() | (frozenset() if plan.disks else frozenset({"disk_full"}))
    strikes = schedule(seed, plan.faults, plan.longest_s, missing)
    began = time.monotonic()
    site = Site(folder, plan.tapes, plan.code, plan.disks, faketime_library())
    try:
        site.start()
        _torture(site, plan, strikes, outcome, random.Random(seed))
        _finish(site, plan, outcome)
        outcome.numbers["supervisor_restarts"] = site.restarts
    except Exception as e:
        outcome.wrong.append(f"{type(e).__name__}: {e}")
    finally:
        if outcome.wrong:
            for name, node in site.nodes.items():
                outcome.numbers[f"{name} said"] = node.said()[-3000:]
        site.close()
    outcome.took_s = time.monotonic() - began
    if not outcome.wrong and not keep:
        shutil.rmtree(folder, ignore_errors=True)
    return outcome


class _Pace(threading.Thread):
    """Lets the tapes run at ``speed``, but never past the share of the strikes that have begun."""

    def __init__(self, site: Site, plan: Plan) -> None:
        super().__init__(daemon=True)
        self._site, self._plan = site, plan
        self.limit = 0.0
        self._at = 0.0
        self.done = threading.Event()

    def run(self) -> None:
        before = time.monotonic()
        while not self.done.wait(PACE_S):
            now = time.monotonic()
            self._at = min(self._at + (now - before) * self._plan.speed, self.limit)
            before = now
            set_pace(self._site.pace, START_NS + round(self._at * NS))


def _torture(site: Site, plan: Plan, strikes: list[Strike], outcome: Outcome, rng: random.Random) -> None:
    total = sum(strike.share for strike in strikes) + 1.0
    passed = 0.0
    pace = _Pace(site, plan)
    pace.start()
    try:
        for strike in strikes:
            passed += strike.share
            pace.limit = plan.seconds * passed / total
            time.sleep(strike.pause_s)
            ends = []
            began = time.monotonic()
            for fault in strike.faults:
                site.begin(fault)
                outcome.faults.append(fault.plain() | {"at_s": round(time.monotonic() - outcome.began, 1)})
                ends.append((began + fault.seconds, fault))
            for due, fault in sorted(ends, key=lambda e: e[0]):
                time.sleep(max(0.0, due - time.monotonic()))
                site.end(fault)
            # A little more tape, so that there is something to deliver by which recovery shows.
            pace.limit += plan.seconds * 0.2 / total
            before = site.waits()
            took = _recovered(site)
            # On a machine that has others to serve too, a process that is ready still waits for its turn: that is no fault of it.
            running = took - longest_s(before, site.waits())
            outcome.recovery_s.append(round(took, 2))
            outcome.running_s.append(round(running, 2))
            for one in outcome.faults[-len(strike.faults) :]:
                one |= {"recovered_s": round(took, 2), "running_s": round(running, 2)}
            if running > RECOVERY_S:
                kinds = ", ".join(f"{f.kind} of {f.target}" for f in strike.faults)
                outcome.wrong.append(
                    f"{running:.1f} s to recover from {kinds} (fault {len(outcome.faults)}; {took:.1f} s with waits)"
                )
            time.sleep(rng.uniform(0.0, 0.2))
    finally:
        pace.done.set()
        pace.join()


def _recovered(site: Site, most_s: float = 60.0) -> float:
    """Seconds until records have come back as durable, all the way round, that were not when the fault ended.

    The tape goes on meanwhile, so there is always something to deliver; only a wearer out of the radio's reach for longer
    than the stretch of tape that is free gives none: then it has to be quiet for a while with every process alive.
    """
    began = time.monotonic()
    first: int | None = None
    while (waited := time.monotonic() - began) < most_s:
        try:
            hop = next(h for h in gateway_books(site.gateway_node.data).hops if h.name == "mqtt")
        except (StatusError, StopIteration):
            time.sleep(0.05)
            continue
        if first is None:
            first = hop.written
        alive = not any(process.ended() for process in site.processes.values())
        if hop.written > first or (waited > QUIET_S and hop.queued == 0 and alive):
            break
        time.sleep(0.05)
    return time.monotonic() - began


def _finish(site: Site, plan: Plan, outcome: Outcome) -> None:
    """Let the tapes run out, wait until everything is delivered, stop in order, judge."""
    set_pace(site.pace, 1 << 62)
    count = sum(map(len, plan.want.values()))
    deadline = time.monotonic() + FINISH_S
    while time.monotonic() < deadline:
        try:
            books = gateway_books(site.gateway_node.data)
            done = all(h.written == count and h.queued == 0 for h in books.hops)
            if done and bridge_books(site.bridge_node.data).hops[0].queued == 0:
                break
        except StatusError:
            pass
        time.sleep(0.1)
    else:
        outcome.wrong.append("not everything was delivered within five minutes of the last fault")
    site.held_down |= {"gateway", "bridge"}
    for node in site.nodes.values():
        node.stop()
    any_study = any(fault["kind"] == "study" for fault in outcome.faults)
    wrong, numbers = judge(site.folder, site.influx, plan.want, any_study)
    outcome.wrong += wrong
    outcome.numbers |= numbers
