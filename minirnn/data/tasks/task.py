"""Task: an endless supply of sequences to be learned from, and the loss that has to be beaten."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import numpy as np

from minirnn.checks import as_integers
from minirnn.data.batch import IGNORED, Batch, pad
from minirnn.data.resumable import Resumable
from minirnn.module import Array

__all__ = ["Task", "TaskBatches", "check_at_least", "next_symbol_batch", "one_hot"]


class Task(ABC):
    """A task is a frozen dataclass: its fields are its options. Inputs are float32 features (T, B, input_size).

    name: as in TASKS. loss: as Batch.loss says for its batches. metric_name: what `metric` measures, 0 to 1, 1 best.
    baseline_is: what the predictor does whose expected loss is `baseline`.
    """

    name: ClassVar[str]
    loss: ClassVar[str]
    metric_name: ClassVar[str]
    baseline_is: ClassVar[str]

    @property
    @abstractmethod
    def input_size(self) -> int:
        """Features a step."""

    @property
    @abstractmethod
    def output_size(self) -> int:
        """Classes, or values to be predicted."""

    @property
    @abstractmethod
    def baseline(self) -> float:
        """The expected mean loss without the memory that the task asks for; cross-entropies in nats."""

    def baseline_of(self, batch: Batch) -> float:
        """What has to be beaten on these sequences: where each has one target, the loss of the constant that is best on
        them (on 500 sums, 1 is off 1/6 by a tenth now and then); else `baseline`."""
        if batch.per_step:
            return self.baseline
        if batch.loss == "mse":
            return float(np.mean(np.var(batch.targets, axis=0, dtype=np.float64)))
        share = np.bincount(batch.targets) / batch.batch_size
        return float(-np.sum(share * np.log(np.where(share > 0, share, 1.0))))

    @property
    def optimum(self) -> float:
        """The lowest expected mean loss that there is; 0 where the targets follow from the inputs."""
        return 0.0

    @abstractmethod
    def batch(self, rng: np.random.Generator, size: int) -> Batch:
        """`size` sequences drawn by rng: the same rng, the same batch. ValueError: a size that is not positive."""

    def held_out(self, rng: np.random.Generator, size: int) -> Batch:
        """As `batch`, of sequences to be scored; where the sequences are drawn afresh, no more than another batch."""
        return self.batch(rng, size)

    @abstractmethod
    def metric(self, outputs: Array, batch: Batch) -> float:
        """metric_name of a model's outputs (T, B, output_size) for the batch."""

    def batches(self, rng: np.random.Generator, size: int, *, count: int | None = None) -> "TaskBatches":
        """An iterator over batches of `size`, `count` of them or without end, that goes on from any saved position."""
        return TaskBatches(self, rng, size, count)


class TaskBatches(Resumable[Batch]):
    """The iterator that Task.batches makes: batch n is drawn by default_rng([seed, n])."""

    def __init__(self, task: Task, rng: np.random.Generator, size: int, count: int | None = None):
        check_at_least(1, size=size)
        self.task, self.size = task, size
        options = {name: int(value) for name, value in asdict(task).items()}  # type: ignore[call-overload]
        super().__init__(end=count, rng=rng, settings={"task": task.name, "size": size, **options})

    def item(self, n: int) -> Batch:
        assert self.seed is not None  # rng is not optional here
        return self.task.batch(np.random.default_rng([self.seed, n]), self.size)


def one_hot(symbols: Any, count: int) -> Array:
    """(...) integers -> (..., count) float32. ValueError: a symbol outside 0 .. count - 1. TypeError: no integers."""
    symbols = as_integers("one_hot: symbols", symbols)
    if symbols.size and not (symbols.min() >= 0 and symbols.max() < count):
        raise ValueError(f"one_hot: {symbols.min()} to {symbols.max()} came, 0 to {count - 1} were expected")
    return np.eye(count, dtype=np.float32)[symbols]


def next_symbol_batch(words: Sequence[Array], inputs: int) -> Batch:
    """Each word's symbols, all but the last, one-hot of `inputs`; the target is the symbol that comes next."""
    xs, lengths = pad([one_hot(word[:-1], inputs) for word in words])
    return Batch(xs, pad([word[1:] for word in words], IGNORED)[0], lengths)


def check_at_least(least: int, **options: int) -> None:
    """ValueError, which names the option, where one is no integer from `least` on."""
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"{name}={value!r} came, an integer from {least} on was expected")
