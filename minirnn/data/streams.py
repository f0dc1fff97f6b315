"""One long sequence of tokens as B parallel streams, cut into chunks for truncated back-propagation through time."""

import zlib
from typing import NamedTuple, Self

import numpy as np

from minirnn.data.batch import IGNORED
from minirnn.data.resumable import Resumable
from minirnn.module import Array

__all__ = ["Chunk", "Streams", "streams"]

_PIECE = 1 << 17  # tokens that are read at a time


class Chunk(NamedTuple):
    """inputs and targets: (T, B) int64, targets[t] the token after inputs[t]. starts: the streams begin here."""

    inputs: Array
    targets: Array
    starts: bool

    @property
    def batch_size(self) -> int:
        """B, how many streams."""
        return self.inputs.shape[1]

    @property
    def scored_targets(self) -> int:
        """How many targets a mean loss is over: all but IGNORED ones."""
        return int(np.count_nonzero(self.targets != IGNORED))

    def part(self, streams: slice) -> Self:
        """These streams alone."""
        return self._replace(inputs=self.inputs[:, streams], targets=self.targets[:, streams])


class Streams(Resumable[Chunk]):
    """The iterator that `streams` makes. Only the chunk at hand is copied: tokens may be a memory-mapped file's."""

    def __init__(self, tokens: Array, batch: int, seq_length: int, *, epochs: int | None = None):
        tokens = np.asarray(tokens)
        if tokens.ndim != 1 or tokens.dtype.kind not in "iu":
            raise TypeError(f"streams: tokens of {tokens.dtype}, {tokens.shape} came, (N,) integers were expected")
        if batch < 1 or seq_length < 1:
            raise ValueError(f"streams: batch={batch}, seq_length={seq_length} came, positive integers were expected")
        if epochs is not None and epochs < 0:
            raise ValueError(f"streams: epochs={epochs} came, 0 or more (or None: for ever) was expected")
        length = (len(tokens) - 1) // batch
        if length < 1:
            raise ValueError(f"streams: {len(tokens)} tokens came, more than {batch} were expected for {batch} streams")
        self.seq_length = seq_length
        self.chunks_per_epoch = -(-length // seq_length)
        self._inputs = tokens[: batch * length].reshape(batch, length)
        self._targets = tokens[1 : batch * length + 1].reshape(batch, length)
        super().__init__(
            end=None if epochs is None else epochs * self.chunks_per_epoch,
            rng=None,
            settings={
                "batch": batch,
                "seq_length": seq_length,
                "tokens": len(tokens),
                "checksum": lambda: _checksum(tokens),
            },
            per_epoch=self.chunks_per_epoch,
        )

    @property
    def batch_size(self) -> int:
        """How many streams there are."""
        return len(self._inputs)

    def item(self, n: int) -> Chunk:
        return self._chunk(n, slice(None))

    def next_part(self, streams: slice) -> Chunk:
        """The next chunk, of these streams alone; the others are not even copied."""
        self.check_end()
        self.position += 1
        return self._chunk(self.position - 1, streams)

    def _chunk(self, n: int, streams: slice) -> Chunk:
        k = n % self.chunks_per_epoch
        part = slice(k * self.seq_length, (k + 1) * self.seq_length)
        return Chunk(_time_major(self._inputs[streams, part]), _time_major(self._targets[streams, part]), k == 0)


def streams(tokens: Array, batch: int, seq_length: int, *, epochs: int | None = None) -> Streams:
    """Chunks of at most seq_length steps of `batch` streams, each stream a contiguous part of the tokens (N,).

    Stream b of a chunk goes on where stream b of the chunk before ended, so that a state can be carried across. After
    the last chunk the streams start again (`starts`), `epochs` times, or for ever. Up to batch - 1 tokens at the end
    are left out.  (Truncated BPTT: Williams & Peng 1990, doi:10.1162/neco.1990.2.4.490.)

    `position` chunks have been given; start_at, state_dict and load_state_dict go on from any of them.

    ValueError: fewer than 2 tokens a stream, or sizes that are not positive. TypeError: tokens that are no integers.
    """
    return Streams(tokens, batch, seq_length, epochs=epochs)


def _time_major(part: Array) -> Array:
    return np.ascontiguousarray(part.T, np.int64)


def _checksum(tokens: Array) -> int:
    """CRC-32 of all tokens, whatever their dtype: a second for 10^8 of them, once, when a state is asked for."""
    crc = 0
    for start in range(0, len(tokens), _PIECE):
        crc = zlib.crc32(tokens[start : start + _PIECE].astype("<i8").tobytes(), crc)
    return crc
