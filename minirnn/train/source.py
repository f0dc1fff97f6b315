"""Batches: passes over what holds them, as many at a time as a step accumulates, from a position that can be saved."""

import math
import zlib
from collections.abc import Iterable, Iterator, Mapping
from types import FunctionType
from typing import Any

import numpy as np

from minirnn import tree
from minirnn.data.resumable import Resumable
from minirnn.parallel import SINGLE, Communicator, Reduction, Share
from minirnn.parallel.shares import next_share
from minirnn.train.checkpoint import CheckpointError, required

__all__ = ["BatchSource", "fingerprint"]

_LOOKED_AT = 1 << 10  # entries of an array that tell it from another


class BatchSource:
    """Takes batches, pass after pass.

    What can be iterated again is, until `epochs` passes are over (None: without end); an iterator has one pass, but for
    a Resumable that knows how many batches make one. Where `batches` has `state_dict` and `load_state_dict`, they find
    its place again; anything else is run through from its beginning up to that place, and told from other batches by a
    fingerprint, where it is `watched`.

    ValueError: more passes than the batches can have, or batches without an end where nothing else ends them (ends).
    """

    def __init__(
        self,
        batches: Iterable[Any],
        epochs: int | None,
        comm: Communicator = SINGLE,
        reduction: Reduction = "mean",
        *,
        ends: bool = False,
        watched: bool = False,
    ):
        own = batches if isinstance(batches, Resumable) else None
        if ends and epochs is None and (own is None or own.end is None):
            epochs = 1
        self.batches, self.epochs, self.comm, self.reduction = batches, epochs, comm, reduction
        self.epoch = self.taken = 0  # the pass that the last batch was of; batches of it
        self.start = 0 if own is None else own.position
        self._own, self._pass_size = own, None if own is None else own.per_epoch
        self._pass_over = False
        self._iterator: Iterator[Any] | None = None
        self._watched = watched and not hasattr(batches, "load_state_dict")
        self._fingerprint = 0
        self._check()

    def _check(self) -> None:
        if not hasattr(self.batches, "__iter__"):
            raise TypeError(f"fit: batches is a {type(self.batches).__name__}, what can be iterated over was expected")
        wanted = self.epochs
        if wanted is None:
            return
        if self._own is not None and self._pass_size is None and (wanted > 1 or self._own.end is None):
            what = "come without end" if self._own.end is None else "have one pass"
            raise ValueError(f"fit: these {type(self.batches).__name__} {what}; give steps or minutes, not epochs")
        if self._own is not None and self._pass_size is not None and self._own.end is not None:
            there = math.ceil(self._own.end / self._pass_size) - self.start // self._pass_size
            if wanted > max(there, 1):
                raise ValueError(f"fit: epochs={wanted} came, these batches end after {there}; make them with more")
        if self._own is None and wanted > 1 and hasattr(self.batches, "__next__") and not self._made_anew():
            raise ValueError(
                f"fit: epochs={wanted} came with a {type(self.batches).__name__}, which can be gone through once; give "
                "a list, or what makes its batches anew each time it is iterated over"
            )

    def _made_anew(self) -> bool:
        """Whether iter() of an iterator may begin it again: only a class of one's own can do that."""
        return isinstance(getattr(type(self.batches), "__iter__", None), FunctionType)

    def steps(self, accumulate: int) -> int | None:
        """How many times `accumulate` batches can be taken, from the start; None where that is not known."""
        if self._own is None:
            try:
                size = len(self.batches)  # type: ignore[arg-type]
            except TypeError:
                return None
            return None if self.epochs is None else self.epochs * math.ceil(size / accumulate) or None
        if self.epochs is not None and self._pass_size is not None:
            first = self._pass_size - self.start % self._pass_size
            return math.ceil(first / accumulate) + (self.epochs - 1) * math.ceil(self._pass_size / accumulate)
        return None if self._own.end is None else math.ceil((self._own.end - self.start) / accumulate) or None

    @property
    def over(self) -> bool:
        """Whether no batch is left, as far as is known before one is asked for."""
        if self._own is not None and self._own.end is not None and self._own.position >= self._own.end:
            return True
        return self._pass_over and not self._another

    @property
    def _another(self) -> bool:
        """Whether a pass comes after this one."""
        if self.epochs is not None:
            return self.epoch + 1 < self.epochs and self.taken > 0
        return self.taken > 0 and (self._pass_size is not None or not hasattr(self.batches, "__next__"))

    def take(self, count: int, *, whole: bool = False) -> list[Share]:
        """This rank's shares of the next `count` batches, fewer where a pass ends; none: all is over.

        whole: make all of each batch, even where a part can be had alone.
        """
        taken: list[Share] = []
        while len(taken) < count and not self.over:
            if (share := self._next(whole)) is not None:
                taken.append(share)
            # Streams and the like go on into the next pass, where they are not counted in passes
            if self._pass_over and taken and (self._pass_size is None or self.epochs is not None):
                break
        return taken

    def _next(self, whole: bool = False) -> Share | None:
        """The next batch; None where there was none left in this pass, which is over then."""
        if self._pass_over:
            self.epoch, self.taken, self._pass_over = self.epoch + 1, 0, False
        if self._iterator is None:
            self._iterator = iter(self.batches)
        try:
            share = next_share(self._iterator, self.comm, self.reduction, whole=whole)
        except StopIteration:
            if not self.taken and self.epoch and self.epochs is not None:
                raise ValueError(
                    f"fit: epochs={self.epochs} came, and the batches gave none in pass {self.epoch + 1}; give a list, "
                    "or what makes its batches anew each time it is iterated over"
                ) from None
            self._pass_over, self._iterator = True, None
            return None
        self.taken += 1
        if self._watched:
            self._fingerprint = fingerprint(share.batch if share.whole is None else share.whole, self._fingerprint)
        if self._pass_size is not None and self._own is not None:
            self._pass_over = self._own.position % self._pass_size == 0
        return share

    def state_dict(self) -> dict[str, Any]:
        own = self.batches.state_dict() if hasattr(self.batches, "load_state_dict") else None  # type: ignore[attr-defined]
        return {
            "epoch": self.epoch,
            "taken": self.taken,
            "pass_over": self._pass_over,
            "start": self.start,
            "fingerprint": self._fingerprint if self._watched else None,
            "batches": own,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the state was made. ValueError: there are not so many batches, or they are others."""
        epoch, taken, over, start = required(state, epoch=int, taken=int, pass_over=bool, start=int)
        own, seen = required(state, batches=(dict, type(None)), fingerprint=(int, type(None)))
        if (own is None) == hasattr(self.batches, "load_state_dict"):
            without, has = ("without", "has one") if own is None else ("with", "has none")
            raise CheckpointError(f"it was made {without} a place in the batches; {type(self.batches).__name__} {has}")
        self._iterator, self._pass_over, self.epoch, self.taken, self._fingerprint = None, False, 0, 0, 0
        if own is not None:
            self.batches.load_state_dict(own)  # type: ignore[attr-defined]
            self.epoch, self.taken, self._pass_over, self.start = epoch, taken, over, start
            return
        while (self.epoch, self.taken, self._pass_over) != (epoch, taken, over):
            if (self.epoch, self.taken) > (epoch, taken) or (self._pass_over and self.epoch >= epoch):
                raise CheckpointError(f"it was made at batch {taken} of pass {epoch}; there are not so many, or more")
            self._next()
        if self._watched and seen is not None and seen != self._fingerprint:
            raise CheckpointError(
                f"it was made with other batches than these up to batch {taken} of pass {epoch}; give the same again, "
                "or batches with state_dict and load_state_dict"
            )


def fingerprint(batch: Any, before: int = 0) -> int:
    """CRC-32 of a batch's names, dtypes, shapes and some of its entries, spread over each array."""
    for path, leaf in tree.named_leaves(batch):
        if isinstance(leaf, np.ndarray) and not leaf.dtype.hasobject:
            before = zlib.crc32(f"{path} {leaf.dtype.str} {leaf.shape} ".encode(), before)
            flat = leaf.reshape(-1) if leaf.flags.c_contiguous else leaf.flat
            chosen = flat[:: max(1, leaf.size // _LOOKED_AT)]
            before = zlib.crc32(np.ascontiguousarray(chosen).tobytes(), before)
        elif isinstance(leaf, (bool, int, float, str, bytes, np.generic)):
            before = zlib.crc32(f"{path} {leaf!r} ".encode("utf-8", "surrogatepass"), before)
        else:  # what it holds may be written otherwise in another process
            before = zlib.crc32(f"{path} {type(leaf).__name__} ".encode(), before)
    return before
