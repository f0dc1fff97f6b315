"""Copy memory: say again, after a long pause, what was said at the beginning."""

import math
from dataclasses import dataclass

import numpy as np

from minirnn.data.batch import Batch
from minirnn.data.tasks.task import Task, check_at_least, one_hot
from minirnn.module import Array

__all__ = ["CopyMemory"]


@dataclass(frozen=True)
class CopyMemory(Task):
    """`length` symbols, a pause of `delay` steps whose last is the call to repeat them, and `length` steps for that.

    inputs: (T, B, symbols + 2) one-hot, T = delay + 2 length: the symbols 0 .. symbols - 1, drawn evenly, then blanks
    (`symbols`), one call (`symbols + 1`), blanks. targets: (T, B): blanks, in the last `length` steps the symbols.

    Hochreiter & Schmidhuber 1997, as Arjovsky et al. 2016 pose it (arXiv:1511.06464, section 5.1). Without memory,
    blanks are predicted until the call and any of the symbols after it: length log(symbols) / (delay + 2 length)
    nats a step, which is 10 log 8 / (T + 20) in the paper, whose T is the delay.
    """

    delay: int = 100
    symbols: int = 8
    length: int = 10

    name = "copy"
    loss = "cross_entropy"
    metric_name = "symbols recalled"
    baseline_is = "predicts blanks, then any of the symbols"

    def __post_init__(self) -> None:
        check_at_least(1, delay=self.delay, length=self.length)
        check_at_least(2, symbols=self.symbols)

    @property
    def input_size(self) -> int:
        return self.symbols + 2

    @property
    def output_size(self) -> int:
        return self.symbols + 1

    @property
    def baseline(self) -> float:
        return self.length * math.log(self.symbols) / (self.delay + 2 * self.length)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        check_at_least(1, size=size)
        steps = self.delay + 2 * self.length
        said = rng.integers(0, self.symbols, (self.length, size))
        inputs = np.full((steps, size), self.symbols)
        inputs[: self.length] = said
        inputs[-self.length - 1] = self.symbols + 1
        targets = np.full((steps, size), self.symbols)
        targets[-self.length :] = said
        return Batch(one_hot(inputs, self.input_size), targets, np.full(size, steps))

    def metric(self, outputs: Array, batch: Batch) -> float:
        """The share of the last `length` steps whose likeliest symbol is right; 1 / symbols by chance."""
        recalled = np.argmax(outputs[-self.length :], axis=-1)
        return float(np.mean(recalled == batch.targets[-self.length :]))
