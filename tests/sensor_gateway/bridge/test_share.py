"""Which of several bridges carries which gateway: bridges that hear each other only by what gateways say."""

from __future__ import annotations

from sensor_gateway.bridge.share import BALANCE_S, FIRST_LOOK_S, Part, Share
from sensor_gateway.bridge.states import State
from sensor_gateway.clock import SystemClock
from sensor_gateway.wire.messages import Status

SPOOL = "0123456789abcdef"


class HandClock(SystemClock):
    """Monotonic time moved by hand."""

    def __init__(self) -> None:
        self.s = 1000.0

    def mono_ns(self) -> int:
        return round(self.s * 1e9)


def state(gateway: str, bridge: str | None = None, online: bool = True) -> State:
    return State("home", gateway, Status(1, online, 5, SPOOL, 0, 7, bridge=bridge), 0, live=True)


def test_only_the_bridge_to_which_the_status_was_dealt_carries_the_gateway() -> None:
    one, two = Share("b-1", HandClock()), Share("b-2", HandClock())
    assert (one.hear(state("gw-1"), dealt=False), two.hear(state("gw-1"), dealt=False)) == (Part.NOTHING, Part.NOTHING)
    assert two.hear(state("gw-1"), dealt=True) is Part.CARRY
    assert two.carry("home", "gw-1") == (SPOOL, 7)
    assert two.carried == {("home", "gw-1")}
    assert two.hear(state("gw-1", "b-2"), dealt=True) is Part.NOTHING
    assert two.hear(state("gw-1", "b-1"), dealt=False) is Part.RELEASE
    assert two.carried == set()
    assert two.hear(state("gw-1", "b-1"), dealt=True) is Part.NOTHING


def test_a_gateway_that_went_or_says_no_spool_is_not_carried() -> None:
    share = Share("b-1", HandClock())
    assert share.hear(state("gw-1", online=False), dealt=True) is Part.NOTHING
    assert share.carry("home", "gw-2") is None
    assert share.hear(State("home", "gw-3", Status(1, True), 0, live=True), dealt=True) is Part.CARRY
    assert share.carry("home", "gw-3") is None
    assert share.carried == set()


def test_a_bridge_started_again_takes_up_what_still_names_it() -> None:
    assert Share("b-1", HandClock()).hear(state("gw-1", "b-1"), dealt=False) is Part.CARRY


def test_a_gateway_that_nobody_took_is_taken_at_the_next_look() -> None:
    clock = HandClock()
    share = Share("b-1", clock)
    share.hear(state("gw-1"), dealt=False)
    share.hear(state("gw-2", online=False), dealt=False)
    clock.s += FIRST_LOOK_S
    assert share.due() == []
    clock.s += BALANCE_S
    assert share.due() == [("home", "gw-1")]
    assert share.due() == [], "looked at once per period"


def test_a_new_bridge_takes_its_share_from_the_busiest_and_then_all_rest() -> None:
    """Any start ends, by looks alone, with shares that differ by one at most, and then nothing moves any more."""
    for owners in (["b-1"] * 9, ["b-1"] * 5 + ["b-2"] * 1, ["b-1", "b-2", "b-2", "b-2", "b-2"], ["b-1"]):
        clock = HandClock()
        carrier = {f"gw-{i}": owner for i, owner in enumerate(owners)}
        bridges = {name: Share(name, clock) for name in ("b-1", "b-2", "b-3")}
        moves = [0]
        for _ in range(6):
            moves.append(0)
            for name, share in bridges.items():
                for gateway, owner in carrier.items():
                    share.hear(state(gateway, owner), dealt=False)
                    if owner == name:
                        share.carry("home", gateway)
                clock.s += BALANCE_S
                for _, gateway in share.due():
                    moves[-1] += 1
                    carrier[gateway] = name
        loads = [list(carrier.values()).count(name) for name in bridges]
        assert sum(loads) == len(owners)
        if len(owners) >= len(bridges):
            assert max(loads) - min(loads) <= 1, loads
        assert moves[-2:] == [0, 0], moves
