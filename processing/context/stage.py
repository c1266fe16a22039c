"""Context second by second, causal: posture and wear. The stage the pipeline runs online."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from processing.context.bouts import Tracker
from processing.context.climbing import ClimbStage
from processing.context.holes import HoleStage
from processing.context.params import ContextParams
from processing.context.postures import evident_postures, name_postures
from processing.context.references import References
from processing.context.transfers import Transfer, transfers_of
from processing.context.walking import GaitStage
from processing.context.wear import WearStage
from processing.features.movement import Movement, MovementStage
from processing.types import ContextBlock, SecondBlock

_MOST_TRANSFERS: Final = 1000
"""A stage whose transfers nobody takes must not grow for ever."""


@dataclass(frozen=True, slots=True)
class Begun:
    """Seconds (m) before posture: movement as it came and over short holes, gait codes without stairs, probability that the clip is
    worn, whether it is worn again from here.
    """

    movement: Movement
    unbroken: Movement
    gait: list[int]
    worn: list[float]
    put_on: list[bool]

    def evident(self) -> ContextBlock:
        """Walking, on stairs as well, and a clip that nobody wears: as `ContextStage.judge` will find. All else is `unknown`."""
        return evident_postures(self.gait, self.worn)


class ContextStage:
    """Params / state / update; see the package's modules.

    ``neutral_known`` says that the alignment comes from a pose the wearer stood in: then the direction of upright is known from
    the start. `neutral_taken` says more: the wearer stands in that pose now.
    """

    def __init__(self, *, rate_hz: float, neutral_known: bool = False, params: ContextParams | None = None) -> None:
        self.params = params or ContextParams()
        self._movement = MovementStage(rate_hz)
        self._holes = HoleStage(self.params)
        self._gait, self._climb = GaitStage(), ClimbStage()
        self._wear = WearStage(rate_hz)
        self._tracker = Tracker(self.params, References.known_neutral() if neutral_known else References())
        self._transfers: list[Transfer] = []

    def neutral_taken(self) -> None:
        """The wearer stands in the neutral pose: pelvis axes are new, and up is upright."""
        self._tracker.upright_is_known()

    def update(self, block: SecondBlock) -> ContextBlock:
        """Posture code and confidence of each second of the block."""
        return self.judge(self.begin(block))

    def begin(self, block: SecondBlock) -> Begun:
        """What a second shows by itself and by those just before it. `judge` must follow before the next block, or `restore`."""
        m = self._movement.update(block)
        unbroken = self._holes.update(m)
        return Begun(m, unbroken, self._gait.update(unbroken), *self._wear.update(m))

    def judge(self, begun: Begun) -> ContextBlock:
        """Posture code and confidence of each second: what the rests and movements so far make of it."""
        gait = self._climb.update(begun.movement, begun.gait)
        beliefs = self._tracker.update(begun.unbroken, gait, begun.put_on)
        self._transfers = [*self._transfers, *transfers_of(self._tracker.take_steps())][-_MOST_TRANSFERS:]
        return name_postures(beliefs, gait, begun.worn, self.params)

    def take_transfers(self) -> list[Transfer]:
        """Transfers found since the last call, in order."""
        out, self._transfers = self._transfers, []
        return out

    def snapshot(self) -> dict[str, Any]:
        """Plain data and arrays, for `snapshot.dump`."""
        return {
            "movement": self._movement.snapshot(),
            "holes": self._holes.snapshot(),
            "gait": self._gait.snapshot(),
            "climb": self._climb.snapshot(),
            "wear": self._wear.snapshot(),
            "tracker": self._tracker.snapshot(),
            "transfers": [asdict(t) for t in self._transfers],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `snapshot`, for a stage of the same settings."""
        self._movement.restore(state["movement"])
        self._holes.restore(state["holes"])
        self._gait.restore(state["gait"])
        self._climb.restore(state["climb"])
        self._wear.restore(state["wear"])
        self._tracker.restore(state["tracker"])
        self._transfers = [Transfer(**t) for t in state["transfers"]]
