"""A batch's streams divided over the ranks."""

from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

from minirnn.parallel.communicator import Communicator

__all__ = ["Divisible", "Share", "divide", "next_share", "share_of"]


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
    """What one rank works on: streams of a batch of `of`, and their weight in the mean over all of it.

    A rank for which there is no stream, or none with a target, works on another's with weight 0: what it computes
    counts for nothing, and it draws as much noise as the others.
    """

    batch: Any
    streams: slice
    of: int
    weight: float
    whole: Any = None  # the batch, where it was made


def share_of(count: int, rank: int, size: int) -> slice:
    """Which of `count` streams are a rank's: as even as can be, the first ranks one more."""
    each, more = divmod(count, size)
    start = rank * each + min(rank, more)
    return slice(start, start + each + (rank < more))


def divide(batch: Any, comm: Communicator) -> Share:
    """The rank's share of a batch. TypeError: a batch that cannot be divided."""
    if comm.size == 1:
        return Share(batch, slice(None), 0, 1.0)
    if not isinstance(batch, Divisible):
        raise TypeError(
            f"fit: a batch of {comm.size} ranks is a {type(batch).__name__}, which cannot be divided; one with "
            "batch_size, scored_targets and part(slice), as minirnn.data makes them, was expected"
        )
    count = batch.batch_size
    streams = share_of(count, comm.rank, comm.size)
    mine = batch.part(streams)
    if not mine.scored_targets:
        return _stand_in(batch, comm, idle=streams.start == streams.stop)
    return Share(mine, streams, count, mine.scored_targets / batch.scored_targets, batch)


def _stand_in(batch: Any, comm: Communicator, idle: bool) -> Share:
    if not idle and not getattr(batch, "starts", False):
        raise ValueError(
            f"fit: no stream of rank {comm.rank} has a target in a batch that goes on from another; take fewer ranks"
        )
    one = next((b for b in range(batch.batch_size) if batch.part(slice(b, b + 1)).scored_targets), 0)
    return Share(batch.part(slice(one, one + 1)), slice(one, one + 1), batch.batch_size, 0.0, batch)


def next_share(iterator: Any, comm: Communicator, *, whole: bool = False) -> Share:
    """The rank's share of an iterator's next batch; one with `next_part` makes no more of it, unless told to."""
    if comm.size == 1 or whole or not hasattr(iterator, "next_part"):
        return divide(next(iterator), comm)
    count = iterator.batch_size
    streams = share_of(count, comm.rank, comm.size)
    weight = (streams.stop - streams.start) / count
    streams = streams if weight else slice(0, 1)
    return Share(iterator.next_part(streams), streams, count, weight)
