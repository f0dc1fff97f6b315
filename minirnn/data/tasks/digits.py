"""Sequential digits: which digit is it, seen one pixel, or one row, at a time?"""

import importlib
import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from minirnn.data.batch import Batch
from minirnn.data.batches import split
from minirnn.data.sequences import Sequences
from minirnn.data.tasks.task import Task, check_at_least
from minirnn.module import Array

__all__ = ["SequentialDigits"]

HELD_OUT_SHARE = 0.2


@dataclass(frozen=True)
class SequentialDigits(Task):
    """The digit on a picture of 8 x 8 pixels, asked at the end. inputs: (64, B, 1), or with rows=True (8, B, 8), each
    0 .. 1; targets: (B,).

    permuted: all pictures' pixels in one order that was drawn once, so that neighbours are far apart.

    The pictures are scikit-learn's (Alpaydin & Kaynak 1998, doi:10.24432/C50P49), 1,797 of them, a fifth held out; the
    task is that of Le et al. 2015 (arXiv:1504.00941) on smaller pictures. A guess: log 10 nats, an accuracy of 10 %.

    ImportError: scikit-learn is not installed.
    """

    rows: bool = False
    permuted: bool = False

    name = "digits"
    loss = "cross_entropy"
    metric_name = "accuracy"
    baseline_is = "guesses the digit"
    output_size = 10
    baseline = math.log(10)

    def __post_init__(self) -> None:
        for name, value in (("rows", self.rows), ("permuted", self.permuted)):
            if not isinstance(value, int) or value not in (0, 1):
                raise ValueError(f"{name}={value!r} came, True or False (1 or 0) was expected")
        self.datasets()  # so that what is missing is said when the task is made

    @property
    def input_size(self) -> int:
        return 8 if self.rows else 1

    def datasets(self) -> tuple[Sequences, Sequences]:
        """(training, held-out) pictures."""
        return _sequences(self.rows, self.permuted)

    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        check_at_least(1, size=size)
        training, _ = self.datasets()
        return training.batch(rng.integers(len(training), size=size))

    def held_out(self, rng: np.random.Generator, size: int) -> Batch:
        """`size` of the held-out pictures, no picture twice; all of them where there are no more than that."""
        check_at_least(1, size=size)
        _, held_out = self.datasets()
        return held_out.batch(rng.permutation(len(held_out))[:size])

    def metric(self, outputs: Array, batch: Batch) -> float:
        """The share of pictures whose likeliest digit is right."""
        logits, digits = batch.scored(outputs)
        return float(np.mean(np.argmax(logits, axis=-1) == digits))


@cache
def _sequences(rows: bool, permuted: bool) -> tuple[Sequences, Sequences]:
    try:
        datasets = importlib.import_module("sklearn.datasets")
    except ImportError as error:
        raise ImportError(
            "sequential digits are scikit-learn's, which is not installed: pip install 'minirnn[digits]'"
        ) from error
    pictures, digits = datasets.load_digits(return_X_y=True)
    pixels = (pictures / 16.0).astype(np.float32)
    rng = np.random.default_rng(0)
    order = rng.permutation(64)
    if permuted:
        pixels = pixels[:, order]
    xs = pixels.reshape(-1, 8, 8) if rows else pixels[:, :, None]
    return split(Sequences(xs, digits, classes=10), HELD_OUT_SHARE, rng)
