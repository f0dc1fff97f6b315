"""Learning-rate schedules: functions step -> lr, steps counted from 0. `Adam(model, lr=cosine(1e-3, 10_000))`.

They pickle, and so does an optimiser that holds one. ReduceOnPlateau alone is more than a function of the step: it is
told the validation's metric, and has a state.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

__all__ = [
    "ReduceOnPlateau",
    "Schedule",
    "constant",
    "cosine",
    "exponential",
    "linear",
    "one_cycle",
    "step_decay",
    "warmed_up",
]

Schedule = Callable[[int], float]


def constant(lr: float) -> Schedule:
    """lr at every step."""
    return partial(_constant, lr)


def _constant(lr: float, step: int) -> float:
    return lr


def linear(lr: float, steps: int, *, final: float = 0.0) -> Schedule:
    """From lr down (or up) to `final` along a line over `steps` steps, and `final` from then on.

    ValueError: steps is not positive.
    """
    _check_steps("linear", steps)
    return partial(_linear, lr, steps, final)


def _linear(lr: float, steps: int, final: float, step: int) -> float:
    return lr + (final - lr) * min(1.0, step / steps)


def warmed_up(schedule: Schedule, warmup: int) -> Schedule:
    """A linear rise over the first `warmup` steps to where the schedule begins; then the schedule, from its step 0.

    lr(step) = schedule(0) (step + 1) / warmup while step < warmup.  (Goyal et al. 2017, arXiv:1706.02677.)
    ValueError: a negative warmup.
    """
    if warmup < 0:
        raise ValueError(f"warmed_up: warmup={warmup} came, an integer from 0 was expected")
    return partial(_warmed_up, schedule, warmup)


def _warmed_up(schedule: Schedule, warmup: int, step: int) -> float:
    return schedule(0) * (step + 1) / warmup if step < warmup else schedule(step - warmup)


def cosine(lr: float, steps: int, *, final: float = 0.0, warmup: int = 0) -> Schedule:
    """From lr down to `final` along half a cosine over `steps` steps, and `final` from then on; before that, a linear
    rise from lr / warmup to lr over the first `warmup` of them (Loshchilov & Hutter 2017, arXiv:1608.03983).

    ValueError: steps is not positive, or warmup not within 0 .. steps.
    """
    if not steps > 0 or not 0 <= warmup <= steps:
        raise ValueError(f"cosine: steps={steps}, warmup={warmup} came; 0 <= warmup <= steps, steps > 0 was expected")
    return warmed_up(partial(_cosine, lr, max(1, steps - warmup), final), warmup)


def _cosine(lr: float, steps: float, final: float, step: float) -> float:
    return final + (lr - final) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, step / steps)))


def step_decay(lr: float, every: int, *, factor: float = 0.1) -> Schedule:
    """lr, multiplied by `factor` after each `every` steps. ValueError: every or factor is not positive."""
    _check_steps("step_decay", every)
    _check_factor("step_decay", factor)
    return partial(_step_decay, lr, every, factor)


def _step_decay(lr: float, every: int, factor: float, step: int) -> float:
    return lr * factor ** (step // every)


def exponential(lr: float, steps: int, *, final: float) -> Schedule:
    """lr (final / lr)^(step / steps): from lr to `final` over `steps` steps, by the same factor each, and `final` from
    then on. ValueError: steps, lr or final is not positive."""
    _check_steps("exponential", steps)
    if not (lr > 0 and final > 0):
        raise ValueError(f"exponential: lr={lr}, final={final} came, positive numbers were expected")
    return partial(_exponential, lr, steps, final)


def _exponential(lr: float, steps: int, final: float, step: int) -> float:
    return float(lr * (final / lr) ** min(1.0, step / steps))


def one_cycle(
    lr: float, steps: int, *, rise: float = 0.3, start_factor: float = 1 / 25, final_factor: float = 1e-4
) -> Schedule:
    """Along half a cosine up from start_factor lr to lr over the share `rise` of the steps, then along half a cosine
    down to final_factor start_factor lr at the last.  (Smith & Topin 2018, arXiv:1708.07120; PyTorch's defaults.)

    ValueError: steps is not positive, rise not within 0 .. 1, or a factor not positive.
    """
    _check_steps("one_cycle", steps)
    if not 0 <= rise <= 1:
        raise ValueError(f"one_cycle: rise={rise} came, a share from 0 to 1 was expected")
    _check_factor("one_cycle", start_factor)
    _check_factor("one_cycle", final_factor)
    return partial(_one_cycle, lr, steps, rise, start_factor * lr, start_factor * final_factor * lr)


def _one_cycle(lr: float, steps: int, rise: float, first: float, last: float, step: int) -> float:
    top = rise * steps - 1
    if step <= top:
        return _cosine(first, top, lr, step) if top > 0 else lr
    return _cosine(lr, max(steps - 1 - top, 1e-9), last, step - top)


class ReduceOnPlateau:
    """lr, multiplied by `factor` whenever the metric has not fallen below (1 - threshold) of its best for more than
    `patience` validations in a row, down to `minimum`; before that a linear rise over the first `warmup` steps.

    `fit` tells it the metric of each validation (`observe`), and saves its state with the checkpoint.
    ValueError: an option out of range.
    """

    def __init__(
        self,
        lr: float,
        *,
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        minimum: float = 0.0,
        warmup: int = 0,
    ):
        if not 0 < factor < 1:
            raise ValueError(f"ReduceOnPlateau: factor={factor} came, a number between 0 and 1 was expected")
        from_zero = all(math.isfinite(value) and value >= 0 for value in (patience, warmup, minimum))
        if not from_zero or not 0 <= threshold < 1 or not 0 < lr < math.inf:
            raise ValueError(
                f"ReduceOnPlateau: lr={lr}, patience={patience}, threshold={threshold}, minimum={minimum}, "
                f"warmup={warmup} came; lr > 0, 0 <= threshold < 1 and the others >= 0 were expected"
            )
        self.warmup = warmup
        self.factor, self.patience, self.threshold, self.minimum = factor, patience, threshold, minimum
        self.lr = lr
        self.best: float | None = None
        self.waited = 0

    def __call__(self, step: int) -> float:
        return self.lr * (step + 1) / self.warmup if step < self.warmup else self.lr

    def observe(self, metric: float) -> None:
        """After a validation; one that is not finite is no improvement."""
        if math.isfinite(metric) and (self.best is None or metric < self.best - self.threshold * abs(self.best)):
            self.best, self.waited = metric, 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.lr, self.waited = max(self.lr * self.factor, self.minimum), 0

    def state_dict(self) -> dict[str, Any]:
        return {"lr": self.lr, "best": self.best, "waited": self.waited}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up a state. ValueError: it is none of such a schedule; then nothing has changed."""
        lr, best, waited = (state.get(name) for name in ("lr", "best", "waited"))
        if not isinstance(lr, float | int) or not isinstance(best, float | int | None) or not isinstance(waited, int):
            raise ValueError(f"ReduceOnPlateau: the state {dict(state)} came; numbers lr, best, waited were expected")
        self.lr, self.best, self.waited = lr, best, waited


def _check_steps(name: str, steps: int) -> None:
    if not steps > 0:
        raise ValueError(f"{name}: {steps} steps came, a positive integer was expected")


def _check_factor(name: str, factor: float) -> None:
    if not factor > 0:
        raise ValueError(f"{name}: factor {factor} came, a positive number was expected")
