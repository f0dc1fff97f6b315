"""Batches: passes over what holds them, as many at a time as a step accumulates, from a position that can be saved."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from minirnn.parallel import SINGLE, Communicator, Reduction, Share
from minirnn.parallel.shares import next_share
from minirnn.train.checkpoint import CheckpointError, required

__all__ = ["BatchSource"]


class BatchSource:
    """Takes batches, pass after pass.

    What can be iterated again is, until `epochs` passes are over (None: without end); an iterator has one pass. Where
    `batches` has `state_dict` and `load_state_dict`, they find its place again; anything else is run through from its
    beginning up to that place.
    """

    def __init__(
        self, batches: Iterable[Any], epochs: int | None, comm: Communicator = SINGLE, reduction: Reduction = "mean"
    ):
        self.batches, self.epochs, self.comm, self.reduction = batches, epochs, comm, reduction
        self.epoch = self.taken = 0  # passes that are over; batches of this pass
        self._iterator: Iterator[Any] | None = None
        self.over = False

    def __len__(self) -> int:
        """Batches of a pass; TypeError where that is not known."""
        return len(self.batches)  # type: ignore[arg-type]

    def take(self, count: int, *, whole: bool = False) -> list[Share]:
        """This rank's shares of the next `count` batches, fewer where a pass ends; none: all is over.

        whole: make all of each batch, even where a part can be had alone.
        """
        taken: list[Share] = []
        while len(taken) < count and not self.over:
            if self._iterator is None:
                self._iterator = iter(self.batches)
            try:
                taken.append(next_share(self._iterator, self.comm, self.reduction, whole=whole))
                self.taken += 1
            except StopIteration:
                again = self._iterator is not self.batches and self.taken > 0
                self._iterator = None
                if not again or (self.epochs is not None and self.epoch + 1 >= self.epochs):
                    self.over = True
                    break
                self.epoch, self.taken = self.epoch + 1, 0
                if taken:
                    break
        return taken

    def state_dict(self) -> dict[str, Any]:
        own = self.batches.state_dict() if hasattr(self.batches, "load_state_dict") else None  # type: ignore[attr-defined]
        return {"epoch": self.epoch, "taken": self.taken, "over": self.over, "batches": own}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the state was made. ValueError: there are not so many batches, or they are others."""
        epoch, taken, over = required(state, epoch=int, taken=int, over=bool)
        (own,) = required(state, batches=(dict, type(None)))
        self._iterator, self.over, self.epoch, self.taken = None, False, 0, 0
        if own is not None and hasattr(self.batches, "load_state_dict"):
            self.batches.load_state_dict(own)
            self.epoch, self.taken = epoch, taken
        else:
            while (self.epoch, self.taken) < (epoch, taken):
                if not self.take(1):
                    raise CheckpointError(f"it was made at batch {taken} of pass {epoch}; there are not so many")
        self.over = over
