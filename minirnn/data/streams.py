"""One long sequence of tokens as B parallel streams, cut into chunks for truncated back-propagation through time."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from minirnn.module import Array

__all__ = ["Chunk", "streams"]


class Chunk(NamedTuple):
    """inputs and targets: (T, B) integers, targets[t] the token after inputs[t]. starts: the streams begin here."""

    inputs: Array
    targets: Array
    starts: bool


def streams(tokens: Array, batch: int, seq_length: int, *, epochs: int | None = None) -> Iterator[Chunk]:
    """Chunks of at most seq_length steps of `batch` streams, each stream a contiguous part of the tokens.

    Stream b of a chunk goes on where stream b of the chunk before ended, so that a state can be carried across. After
    the last chunk the streams start again (`starts`), `epochs` times, or for ever. Up to batch - 1 tokens at the end
    are left out.  (Truncated BPTT: Williams & Peng 1990, doi:10.1162/neco.1990.2.4.490.)

    ValueError: fewer than 2 tokens a stream, or sizes that are not positive.
    """
    if batch < 1 or seq_length < 1:
        raise ValueError(f"streams: batch={batch}, seq_length={seq_length} came, positive integers were expected")
    length = (len(tokens) - 1) // batch
    if length < 1:
        raise ValueError(f"streams: {len(tokens)} tokens came, more than {batch} were expected for {batch} streams")
    inputs = np.ascontiguousarray(tokens[: batch * length].reshape(batch, length).T)
    targets = np.ascontiguousarray(tokens[1 : batch * length + 1].reshape(batch, length).T)
    epoch = 0
    while epochs is None or epoch < epochs:
        for start in range(0, length, seq_length):
            yield Chunk(inputs[start : start + seq_length], targets[start : start + seq_length], start == 0)
        epoch += 1
