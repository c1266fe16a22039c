"""What a driver made of payloads in which nothing is wrong."""

from __future__ import annotations

from processing.types import ImuBatch
from sensor_gateway.drivers.base import Decoded, Rejected


def one_batch(items: list[Decoded]) -> ImuBatch:
    """The one batch that came, and nothing else."""
    (batch,) = items
    assert isinstance(batch, ImuBatch)
    return batch


def batches(items: list[Decoded]) -> list[ImuBatch]:
    """The batches among what came; nothing was refused."""
    assert not [i for i in items if isinstance(i, Rejected)]
    return [i for i in items if isinstance(i, ImuBatch)]
