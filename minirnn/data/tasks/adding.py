"""The adding problem: remember two of T numbers, and where they were marked."""

from dataclasses import dataclass

import numpy as np

from minirnn.data.batch import Batch
from minirnn.data.tasks.task import Task, check_at_least
from minirnn.module import Array

__all__ = ["AddingProblem"]


@dataclass(frozen=True)
class AddingProblem(Task):
    """The sum of the two marked numbers, asked at the end. inputs: (T, B, 2), T = length; targets: (B, 1).

    Feature 0 is drawn evenly from 0 .. 1; feature 1 is 1 at one step of the first half and one of the second, else 0.

    Hochreiter & Schmidhuber 1997, experiment 4 (doi:10.1162/neco.1997.9.8.1735), as Arjovsky et al. 2016 pose it
    (arXiv:1511.06464). Predicting 1 always has the mean squared error Var(u + v) = 2 / 12 = 0.1667 whatever the length
    (Le et al. 2015, arXiv:1504.00941, print 0.1767).
    """

    length: int = 200

    name = "adding"
    loss = "mse"
    metric_name = "sums within 0.04"
    baseline_is = "predicts the best constant"
    input_size = 2
    output_size = 1
    baseline = 1 / 6

    def __post_init__(self) -> None:
        check_at_least(2, length=self.length)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        check_at_least(1, size=size)
        inputs = np.zeros((self.length, size, 2), np.float32)
        inputs[..., 0] = rng.random((self.length, size), np.float32)
        half = self.length // 2
        each = np.arange(size)
        marked = np.stack([rng.integers(0, half, size), rng.integers(half, self.length, size)])
        inputs[marked, each, 1] = 1.0
        return Batch(inputs, inputs[marked, each, 0].sum(axis=0)[:, None], np.full(size, self.length))

    def metric(self, outputs: Array, batch: Batch) -> float:
        """The share of sums that are less than 0.04 off, Hochreiter & Schmidhuber's criterion."""
        predictions, targets = batch.scored(outputs)
        return float(np.mean(np.abs(predictions - targets) < 0.04))
