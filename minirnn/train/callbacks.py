"""Callbacks: what is told of every step of a training, and may ask it to stop."""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from minirnn.train.checkpoint import required

if TYPE_CHECKING:
    from minirnn.train.training import Training

__all__ = ["Callback", "EarlyStopping", "Progress"]


class Progress(NamedTuple):
    """After a step: how many are done, of how many (None: not known yet), the loss, the gradient's norm before
    clipping, the learning rate, the seconds since the start, the pass over the batches (from 0), how many steps were
    skipped, and the validation's metrics where there was one after this step."""

    step: int
    steps: int | None
    loss: float
    grad_norm: float
    lr: float
    seconds: float
    epoch: int = 0
    skipped: int = 0
    validation: Mapping[str, float] = {}


class Callback:
    """Told of a training; every method here does nothing. All callbacks hear of an event before anything follows from
    it, and each is told the same, so their order does not matter."""

    def on_start(self, training: "Training") -> None:
        """Before the first step; `training.progress` is the last step's where a checkpoint was taken up."""

    def on_step(self, training: "Training", progress: Progress) -> None:
        """After each update, and the validation if there was one. `training.stop(reason)` makes it the last."""

    def on_save(self, training: "Training") -> None:
        """Before a checkpoint is written: what is kept in files of its own has to reach the disk now."""

    def on_end(self, training: "Training", error: BaseException | None) -> None:
        """After the last step, also when an error ended the training; every callback's is called."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs: numbers, strings and arrays, nested."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up such a state. ValueError: it is none of this callback's; then nothing has changed."""


class Function(Callback):
    """A function of the progress, called after each step."""

    def __init__(self, function: Callable[[Progress], Any]):
        self.function = function

    def on_step(self, training: "Training", progress: Progress) -> None:
        self.function(progress)


class EarlyStopping(Callback):
    """Stops when the validation's first metric has not fallen by more than min_delta for `patience` validations."""

    def __init__(self, patience: int = 5, *, min_delta: float = 0.0):
        if not isinstance(patience, int) or isinstance(patience, bool) or patience < 1:
            raise ValueError(f"EarlyStopping: patience={patience!r} came, a positive integer was expected")
        if not (math.isfinite(min_delta) and min_delta >= 0):
            raise ValueError(f"EarlyStopping: min_delta={min_delta!r} came, a finite number from 0 was expected")
        self.patience, self.min_delta = patience, min_delta
        self.best: float | None = None
        self.waited = 0

    def on_step(self, training: "Training", progress: Progress) -> None:
        if not progress.validation:
            return
        name, value = next(iter(progress.validation.items()))
        if math.isfinite(value) and (self.best is None or value < self.best - self.min_delta):
            self.best, self.waited = value, 0
            return
        self.waited += 1
        if self.waited >= self.patience:
            best = "no finite value" if self.best is None else f"{self.best:.4g}"
            training.stop(f"{name} has not fallen below {best} for {self.waited} validations")

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best, self.waited = required(state, best=(float, int, type(None)), waited=int)
