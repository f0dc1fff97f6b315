"""A dataset's sequences in batches, shuffled anew each epoch, those of like length together."""

import zlib
from collections.abc import Sequence
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from minirnn.data.batch import Batch
from minirnn.data.resumable import Resumable
from minirnn.module import Array

__all__ = ["Batches", "Dataset", "split"]

_PIECE = 64  # sequences that are read at a time


class Dataset(Protocol):
    """N sequences. lengths: (N,), the steps of each."""

    lengths: Array

    def batch(self, indices: Sequence[int] | Array) -> Batch:
        """The sequences of these indices, in this order."""

    def subset(self, indices: Sequence[int] | Array) -> Self:
        """A dataset of these sequences alone."""


class Batches(Resumable[Batch]):
    """Iterate over a dataset: every sequence once an epoch, in batches of `batch` (the last one may be smaller).

    rng: shuffles each epoch anew; left out, every epoch is in the dataset's order. pool: the sequences of so many
    batches at a time are sorted by length before they are cut into batches, so that little is padding; the order of
    the batches is then shuffled. pool=1 leaves the order as it is. epochs: None goes on for ever.

    ValueError: an empty dataset, or sizes that are not positive.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch: int,
        *,
        rng: np.random.Generator | None = None,
        epochs: int | None = None,
        pool: int = 50,
    ):
        if batch < 1 or pool < 1:
            raise ValueError(f"Batches: batch={batch}, pool={pool} came, positive integers were expected")
        if epochs is not None and epochs < 0:
            raise ValueError(f"Batches: epochs={epochs} came, 0 or more (or None: for ever) was expected")
        count = len(dataset.lengths)
        if not count:
            raise ValueError("Batches: the dataset is empty")
        self.dataset, self.batch, self.pool = dataset, batch, pool
        self.batches_per_epoch = -(-count // batch)
        self._plan: tuple[tuple[int, int | None], list[Array]] | None = None
        super().__init__(
            end=None if epochs is None else epochs * self.batches_per_epoch,
            rng=rng,
            settings={
                "batch": batch,
                "pool": pool,
                "sequences": count,
                "steps": int(dataset.lengths.sum()),
                "checksum": lambda: _checksum(dataset),
            },
            per_epoch=self.batches_per_epoch,
        )

    def item(self, n: int) -> Batch:
        epoch, k = divmod(n, self.batches_per_epoch)
        key = (epoch, self.seed)
        if self._plan is None or self._plan[0] != key:
            self._plan = key, self._planned(epoch)
        return self.dataset.batch(self._plan[1][k])

    def _planned(self, epoch: int) -> list[Array]:
        """The indices of each batch of an epoch."""
        lengths = self.dataset.lengths
        rng = None if self.seed is None else np.random.default_rng([self.seed, epoch])
        order = np.arange(len(lengths)) if rng is None else rng.permutation(len(lengths))
        if self.pool > 1:
            step = self.pool * self.batch
            pools = [order[start : start + step] for start in range(0, len(order), step)]
            order = np.concatenate([pool[np.argsort(lengths[pool], kind="stable")] for pool in pools])
        batches = [order[start : start + self.batch] for start in range(0, len(order), self.batch)]
        return batches if rng is None else [batches[k] for k in rng.permutation(len(batches))]


def _checksum(dataset: Dataset) -> int:
    """CRC-32 of all its sequences, once, when a state is asked for."""
    crc, count = 0, len(dataset.lengths)
    for start in range(0, count, _PIECE):
        batch = dataset.batch(np.arange(start, min(start + _PIECE, count)))
        for array in (batch.inputs, batch.targets, batch.lengths):
            crc = zlib.crc32(np.ascontiguousarray(array).tobytes(), crc)
    return crc


_Dataset = TypeVar("_Dataset", bound=Any)


def split(dataset: _Dataset, share: float, rng: np.random.Generator) -> tuple[_Dataset, _Dataset]:
    """(the rest, the share held out) of a dataset, drawn by rng: disjoint, together all of it, each in its old order.

    ValueError: a share that is not within 0 .. 1, or that leaves one of the two empty.
    """
    count = len(dataset.lengths)
    held_out = round(share * count) if 0 < share < 1 else 0
    if not 0 < held_out < count:
        raise ValueError(
            f"split: share={share} of {count} sequences came; a share within 0 .. 1 that leaves neither part empty was "
            "expected"
        )
    order = rng.permutation(count)
    return dataset.subset(np.sort(order[held_out:])), dataset.subset(np.sort(order[:held_out]))
