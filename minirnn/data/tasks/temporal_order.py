"""Temporal order: in which order did the symbols come that matter, among many that do not?"""

import math
from dataclasses import dataclass

import numpy as np

from minirnn.data.batch import Batch, pad
from minirnn.data.tasks.task import Task, check_at_least, one_hot
from minirnn.module import Array

__all__ = ["TemporalOrder"]

_PLACES = {2: ((10, 20), (50, 60)), 3: ((10, 20), (33, 43), (66, 76))}  # where marks come, in percent of the length
_E, _B, _X = 0, 1, 6


@dataclass(frozen=True)
class TemporalOrder(Task):
    """Which of X and Y came at each of two (three) places, 4 (8) classes, asked at the end.

    inputs: (T, B, 8) one-hot of "EBabcdXY": E first, B last, a to d between, but for the X or Y at `marks` places.
    Sequences are `length` to 1.1 `length` steps long; the places are drawn evenly from 10-20 % and 50-60 % of length
    (10-20, 33-43 and 66-76 % for three). targets: (B,), the binary number of the marks, X = 0, the first one leading.

    Hochreiter & Schmidhuber 1997, experiments 6a and 6b (doi:10.1162/neco.1997.9.8.1735). A guess: marks x log 2 nats.
    """

    length: int = 100
    marks: int = 2

    name = "temporal-order"
    loss = "cross_entropy"
    metric_name = "accuracy"
    baseline_is = "guesses the class"
    input_size = 8

    def __post_init__(self) -> None:
        check_at_least(10, length=self.length)
        if self.marks not in _PLACES:
            raise ValueError(f"marks={self.marks!r} came, 2 or 3 was expected")

    @property
    def output_size(self) -> int:
        return int(2**self.marks)

    @property
    def baseline(self) -> float:
        return self.marks * math.log(2)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        check_at_least(1, size=size)
        marks = rng.integers(0, 2, (size, self.marks))
        words = [self._word(rng, own) for own in marks]
        inputs, lengths = pad([one_hot(word, self.input_size) for word in words])
        return Batch(inputs, marks @ (2 ** np.arange(self.marks)[::-1]), lengths)

    def _word(self, rng: np.random.Generator, marks: Array) -> Array:
        word = rng.integers(2, 6, rng.integers(self.length, self.length * 11 // 10 + 1))
        word[0], word[-1] = _E, _B
        for (low, high), mark in zip(_PLACES[self.marks], marks, strict=True):
            word[rng.integers(self.length * low // 100, self.length * high // 100 + 1)] = _X + mark
        return word

    def metric(self, outputs: Array, batch: Batch) -> float:
        """The share of sequences whose likeliest class is right."""
        logits, classes = batch.scored(outputs)
        return float(np.mean(np.argmax(logits, axis=-1) == classes))
