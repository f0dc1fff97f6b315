"""Callbacks: what is told of every step of a training, and may ask it to stop."""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from minirnn.module import Array
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

    needs_validation = False  # whether it goes by what validations say: it is refused where there are none

    def on_start(self, training: "Training") -> None:
        """Before the first step; `training.progress` is the last step's where a checkpoint was taken up."""

    def on_step(self, training: "Training", progress: Progress) -> None:
        """After each update, and the validation if there was one. `training.stop(reason)` makes it the last."""

    def on_save(self, training: "Training") -> None:
        """Before a checkpoint is written: what is kept in files of its own has to reach the disk now."""

    def on_end(self, training: "Training", error: BaseException | None) -> None:
        """After the last step, also when an error ended the training; every callback's is called."""

    def options(self) -> dict[str, Any]:
        """What it was made with, by name, to be compared when a training is resumed."""
        return {}

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
    """Stops when a metric of the validation has not improved by more than min_delta for `patience` validations.

    metric: its name, by default the first one. mode: "min", the lower the better, or "max". What is not finite is no
    improvement. restore_best: put the weights that were best into the model when the training ends, as the validation
    saw them: the average's, where there is one.
    ValueError: an option out of its range, or a metric that the validation does not give.
    """

    needs_validation = True

    def __init__(
        self,
        patience: int = 5,
        *,
        min_delta: float = 0.0,
        metric: str | None = None,
        mode: str = "min",
        restore_best: bool = False,
    ):
        if not isinstance(patience, int) or isinstance(patience, bool) or patience < 1:
            raise ValueError(f"EarlyStopping: patience={patience!r} came, a positive integer was expected")
        if not (math.isfinite(min_delta) and min_delta >= 0):
            raise ValueError(f"EarlyStopping: min_delta={min_delta!r} came, a finite number from 0 was expected")
        if mode not in ("min", "max"):
            raise ValueError(f'EarlyStopping: mode={mode!r} came, "min" or "max" was expected')
        if not isinstance(restore_best, bool):
            raise ValueError(f"EarlyStopping: restore_best={restore_best!r} came, True or False was expected")
        self.patience, self.min_delta, self.metric, self.mode = patience, min_delta, metric, mode
        self.restore_best = restore_best
        self.best: float | None = None
        self.waited = 0
        self.weights: dict[str, Array] | None = None  # of the best, where they are to be restored

    def on_step(self, training: "Training", progress: Progress) -> None:
        if not progress.validation:
            return
        name = next(iter(progress.validation)) if self.metric is None else self.metric
        if name not in progress.validation:
            given = ", ".join(progress.validation)
            raise ValueError(f"EarlyStopping: metric={name!r} came, one of what validate gives was expected: {given}")
        value, sign = progress.validation[name], -1.0 if self.mode == "max" else 1.0
        if math.isfinite(value) and (self.best is None or sign * value < sign * self.best - self.min_delta):
            self.best, self.waited = value, 0
            if self.restore_best:
                self.weights = training.validated.state_dict()
            return
        self.waited += 1
        if self.waited >= self.patience:
            best = "no finite value" if self.best is None else f"{self.best:.4g}"
            way = "risen above" if self.mode == "max" else "fallen below"
            training.stop(f"{name} has not {way} {best} for {self.waited} validations")

    def on_end(self, training: "Training", error: BaseException | None) -> None:
        if error is None and self.weights is not None:
            training.model.load_state_dict(self.weights)

    def options(self) -> dict[str, Any]:
        names = ("patience", "min_delta", "metric", "mode", "restore_best")
        return {name: getattr(self, name) for name in names}

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited, "weights": self.weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        best, waited, weights = required(state, best=(float, int, type(None)), waited=int, weights=(dict, type(None)))
        self.best, self.waited = best, waited
        self.weights = weights if self.restore_best else None
