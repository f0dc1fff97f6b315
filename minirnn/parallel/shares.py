"""A batch's streams divided over the ranks, and what each part counts."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

import numpy as np

from minirnn import tree
from minirnn.parallel.communicator import Communicator

__all__ = ["Divisible", "Reduction", "Share", "count_of", "divide", "next_share", "share_of", "step_weights"]

Reduction = str | Callable[[Any], float]
"""How the losses of parts make that of the whole: "mean" over scored targets, "sum", or a mean weighted by a function
of the part; "batches": of whole batches alone, each counting as much as the other."""


@runtime_checkable
class Divisible(Protocol):
    """A batch that can be divided: minirnn.data's Chunk and Batch are."""

    @property
    def batch_size(self) -> int:
        """B, how many streams or sequences."""

    @property
    def scored_targets(self) -> int:
        """How many targets the mean loss is over."""

    def part(self, streams: slice) -> Self:
        """These streams alone, each with all its steps."""


class Share(NamedTuple):
    """What one rank works on: streams of a batch of `of`, and the weight of their loss in that of all of it.

    counts: what the whole batch counts in the mean over a step's batches; None: nothing says.
    A rank for which there is no stream, or none with a target, works on another's with weight 0: what it computes
    counts for nothing, and it draws as much noise as the others.
    """

    batch: Any
    streams: slice
    of: int
    weight: float
    whole: Any = None  # the batch, where it was made
    counts: float | None = None


def share_of(count: int, rank: int, size: int) -> slice:
    """Which of `count` streams are a rank's: as even as can be, the first ranks one more."""
    each, more = divmod(count, size)
    start = rank * each + min(rank, more)
    return slice(start, start + each + (rank < more))


def count_of(batch: Any, reduction: Reduction = "mean") -> float | None:
    """What a batch, or a part of one, counts in a mean; None: nothing says. ValueError: below 0, or infinite."""
    if reduction in ("sum", "batches"):
        return 1.0
    count = reduction(batch) if callable(reduction) else getattr(batch, "scored_targets", None)
    if count is not None and not (math.isfinite(count) and count >= 0):
        raise ValueError(f"fit: reduction gives {count} for a batch; a finite number from 0 was expected")
    return None if count is None else float(count)


def divide(batch: Any, comm: Communicator, reduction: Reduction = "mean") -> Share:
    """The rank's share of a batch. TypeError: a batch that cannot be divided."""
    if comm.size == 1:
        return Share(batch, slice(None), 0, 1.0, batch, count_of(batch, reduction))
    needed = ["batch_size", "part", *(["scored_targets"] if reduction == "mean" else [])]
    if not all(hasattr(batch, name) for name in needed):
        raise TypeError(
            f"fit: a batch of {comm.size} ranks is a {type(batch).__name__}, which cannot be divided; one with "
            "batch_size, scored_targets and part(slice), as minirnn.data makes them, was expected"
        )
    count, streams = batch.batch_size, share_of(batch.batch_size, comm.rank, comm.size)
    if streams.start == streams.stop:
        return _stand_in(batch, reduction)
    mine, total = batch.part(streams), count_of(batch, reduction) or 0.0
    counted = count_of(mine, reduction)
    if not counted:
        if not getattr(batch, "starts", False):
            raise ValueError(
                f"fit: no stream of rank {comm.rank} has a target in a batch that goes on from another; take fewer "
                "ranks"
            )
        return _stand_in(batch, reduction)
    return Share(mine, streams, count, counted / total, batch, total)


def _stand_in(batch: Any, reduction: Reduction) -> Share:
    parts = (slice(b, b + 1) for b in range(batch.batch_size))
    one = next((part for part in parts if count_of(batch.part(part), reduction)), slice(0, 1))
    return Share(batch.part(one), one, batch.batch_size, 0.0, batch, count_of(batch, reduction))


def next_share(iterator: Any, comm: Communicator, reduction: Reduction = "mean", *, whole: bool = False) -> Share:
    """The rank's share of an iterator's next batch; one with `next_part` makes no more of it, unless told to."""
    if comm.size == 1 or whole or callable(reduction) or not hasattr(iterator, "next_part"):
        return divide(next(iterator), comm, reduction)
    count = iterator.batch_size
    streams = share_of(count, comm.rank, comm.size)
    width = streams.stop - streams.start
    batch = iterator.next_part(streams if width else slice(0, 1))
    if reduction == "sum":
        return Share(batch, streams if width else slice(0, 1), count, float(width > 0), None, 1.0)
    total = batch.scored_targets * count / max(width, 1)  # of such an iterator all streams have as many
    return Share(batch, streams if width else slice(0, 1), count, width / count, None, total)


def step_weights(shares: Sequence[Share], reduction: Reduction) -> tuple[list[float], int]:
    """The weight of each share's loss in a step, and by what their sum is to be divided.

    ValueError: several batches of different shapes, of which nothing says what they count.
    """
    if len(shares) == 1 or reduction == "sum":
        return [share.weight for share in shares], 1
    counts = [share.counts for share in shares]
    known = [count for count in counts if count is not None]
    if len(known) < len(counts):
        shapes = {tuple(np.shape(leaf) for _, leaf in tree.named_leaves(share.batch)) for share in shares}
        if len(shapes) > 1:
            raise ValueError(
                "fit: the batches of a step (accumulate) have different shapes, and nothing says how much each counts: "
                "give them scored_targets, or fit reduction=a function of a batch (how many targets its mean is over), "
                '"sum" where the loss is a sum, "batches" where each is to count as much'
            )
        return [share.weight for share in shares], len(shares)
    mean = sum(known) / len(known)
    return [share.weight * (count / mean if mean else 1.0) for share, count in zip(shares, known, strict=True)], len(
        shares
    )
