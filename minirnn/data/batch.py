"""Batch: sequences of different lengths side by side, padded, and what of a model's outputs is compared with what."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import DTypeLike

from minirnn.checks import as_integers
from minirnn.module import Array

__all__ = ["IGNORED", "Batch", "last_step", "pad"]

IGNORED = -1
"""The integer target of a step that does not count: cross_entropy(..., ignore_index=IGNORED)."""


class Batch(NamedTuple):
    """B sequences of up to T steps, each from its own beginning (`starts`).

    inputs: (T, B) tokens or (T, B, F) features, 0 after a sequence's end. lengths: (B,) int64.
    targets, which say by their dtype and shape what the loss is:
        (T, B)    integers  a class at each step, IGNORED after a sequence's end, or where nothing is asked
        (B,)      integers  a class, asked at each sequence's last step
        (T, B, O) floats    values at each step, 0 after a sequence's end
        (B, O)    floats    values, asked at each sequence's last step
    """

    inputs: Array
    targets: Array
    lengths: Array
    starts: bool = True

    @property
    def loss(self) -> str:
        """The name of the loss in minirnn.losses: "cross_entropy" (with ignore_index=IGNORED) or "mse"."""
        return "mse" if self.targets.dtype.kind == "f" else "cross_entropy"

    @property
    def padded(self) -> bool:
        """Whether a sequence is shorter than T: `lengths` matters to a layer only then."""
        return bool((self.lengths < len(self.inputs)).any())

    @property
    def per_step(self) -> bool:
        """Whether there is a target at each step, not one for the whole sequence."""
        return self.targets.ndim == (3 if self.loss == "mse" else 2)

    @property
    def batch_size(self) -> int:
        """B, how many sequences."""
        return len(self.lengths)

    @property
    def scored_targets(self) -> int:
        """How many targets a mean loss is over; of values, each counts."""
        if self.loss == "cross_entropy":
            return int(np.count_nonzero(self.targets != IGNORED))
        return int(self.lengths.sum()) * self.targets.shape[-1] if self.per_step else self.targets.size

    def part(self, sequences: slice) -> Self:
        """These sequences alone, with the padding that they have here."""
        targets = self.targets[:, sequences] if self.per_step else self.targets[sequences]
        return self._replace(inputs=self.inputs[:, sequences], targets=targets, lengths=self.lengths[sequences])

    def scored(self, outputs: Array) -> tuple[Array, Array]:
        """(predictions, targets) as the loss takes them, from a model's outputs (T, B, O). Differentiable.

        ValueError: outputs of other steps or another batch.
        """
        if np.shape(outputs)[:2] != self.inputs.shape[:2] or np.ndim(outputs) != 3:
            raise ValueError(f"scored: outputs are {np.shape(outputs)}, {(*self.inputs.shape[:2], 'O')} were expected")
        if not self.per_step:
            return last_step(outputs, self.lengths), self.targets
        if self.loss == "mse" and self.padded:
            within = np.arange(len(self.inputs))[:, None] < self.lengths
            return outputs[within], self.targets[within]
        return outputs, self.targets

    def astype(self, dtype: DTypeLike) -> Self:
        """The same with float inputs and targets of another dtype; integers stay what they are."""
        inputs, targets = (a.astype(dtype) if a.dtype.kind == "f" else a for a in (self.inputs, self.targets))
        return self._replace(inputs=inputs, targets=targets)


def last_step(outputs: Array, lengths: Array) -> Array:
    """Each sequence's output at its last step: (T, B, ...) and lengths (B,) -> (B, ...). Differentiable."""
    lengths = as_integers("last_step: lengths", lengths)
    if (lengths == len(outputs)).all():
        return outputs[-1]
    return outputs[lengths - 1, np.arange(len(lengths))]


def pad(sequences: Sequence[Array], value: Any = 0) -> tuple[Array, Array]:
    """B arrays (T_b, ...) as one (T, B, ...), T the longest, `value` after each one's end; and the lengths (B,).

    ValueError: no arrays, or arrays that differ in more than their first axis. TypeError: of different dtypes.
    """
    if not len(sequences):
        raise ValueError("pad: no sequences came")
    first = sequences[0]
    for b, sequence in enumerate(sequences):
        if sequence.ndim < 1 or sequence.shape[1:] != first.shape[1:]:
            raise ValueError(f"pad: sequence {b} has shape {sequence.shape}, (steps, *{first.shape[1:]}) was expected")
        if sequence.dtype != first.dtype:
            raise TypeError(f"pad: sequence {b} is {sequence.dtype}, sequence 0 {first.dtype}; use astype")
    lengths = np.array([len(sequence) for sequence in sequences], np.int64)
    padded = np.full((lengths.max(), len(sequences), *first.shape[1:]), value, first.dtype)
    for b, sequence in enumerate(sequences):
        padded[: len(sequence), b] = sequence
    return padded, lengths
