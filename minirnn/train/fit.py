"""fit: the training loop. Gradient, clip, update, with a recurrent state carried from chunk to chunk."""

import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from minirnn.module import Module
from minirnn.optim import Optimizer, clip_by_global_norm
from minirnn.transform import value_and_grad

__all__ = ["DivergedError", "Progress", "fit"]

WARM_UP_STEPS = 10  # not timed: caches fill, kernels are made
TIMED_STEPS = 20  # from these the number of steps that fit into `minutes` is worked out


class DivergedError(ValueError):
    """The loss is no longer finite."""


class Progress(NamedTuple):
    """After a step: how many are done, of how many (None: not known yet), the loss, the gradient's norm before
    clipping, the learning rate, and the seconds since the start."""

    step: int
    steps: int | None
    loss: float
    grad_norm: float
    lr: float
    seconds: float


def fit(
    model: Module,
    loss: Callable[..., tuple[Any, Any]],
    batches: Iterable[Any],
    optimizer: Optimizer,
    *,
    steps: int | None = None,
    minutes: float | None = None,
    clip_norm: float | None = None,
    schedule: Callable[[int], Callable[[int], float]] | None = None,
    rng: np.random.Generator | None = None,
    on_step: Callable[[Progress], None] = lambda progress: None,
) -> Progress:
    """Train the model in place: one update a batch, until the batches, the steps or the minutes are over.

    loss(model, batch, state, rng) -> (scalar, state) is differentiated with respect to the model. The state that it
    returns comes in with the next batch as plain arrays, so that the gradient ends where a batch begins (truncated
    BPTT); None comes in where a batch says `starts`, and with the first. rng, where given, makes the noise.

    minutes: after a warm-up the time of a step is measured once, and sets the number of steps from then on. schedule:
    steps -> (step -> lr), made once the number of steps is known. clip_norm: the largest global norm of a gradient.

    Returns the last progress. DivergedError: a loss that is nan or infinite, before any update is made from it.
    ValueError: a gradient that is not finite, named by the optimiser; no batches, or both or neither of steps and
    minutes, where `batches` does not end by itself.
    """
    if steps is not None and minutes is not None:
        raise ValueError("fit: steps and minutes came; give one of them")
    for name, limit in {"steps": steps, "minutes": minutes}.items():
        if limit is not None and not limit > 0:
            raise ValueError(f"fit: {name}={limit} came, a positive number was expected")
    if minutes is None and schedule is not None and steps is None:
        raise ValueError("fit: a schedule needs steps or minutes")
    gradient = value_and_grad(loss, has_aux=True)
    state, start, progress = None, time.perf_counter(), None
    timed_from = start
    for done, batch in enumerate(batches):
        if steps is not None and done >= steps:
            break
        if minutes is not None and steps is None:
            if done == WARM_UP_STEPS:
                timed_from = time.perf_counter()
            steps = _steps_within(minutes, done, start, timed_from)
        if schedule is not None and steps is not None:
            optimizer.lr = schedule(steps)
            schedule = None
        if getattr(batch, "starts", False):
            state = None
        (value, state), grads = gradient(model, batch, state, rng)
        if not np.isfinite(value):
            raise DivergedError(
                f"the loss is {float(value)} at step {done + 1}; the model is as it was before that step. A smaller "
                "learning rate, or a smaller clip_norm, is what usually helps"
            )
        grads, norm = clip_by_global_norm(grads, np.inf if clip_norm is None else clip_norm)
        lr = optimizer.lr
        optimizer.step(grads)
        progress = Progress(done + 1, steps, float(value), norm, lr, time.perf_counter() - start)
        on_step(progress)
    if progress is None:
        raise ValueError("fit: no batches came")
    return progress


def _steps_within(minutes: float, done: int, start: float, timed_from: float) -> int | None:
    """How many steps fit into the minutes, once that can be told; None before."""
    now, timed = time.perf_counter(), done - WARM_UP_STEPS
    spent = now - start
    if timed < TIMED_STEPS and spent < 0.25 * 60 * minutes:
        return None
    per_step = (now - timed_from) / timed if timed > 0 else spent / max(done, 1)
    return max(done + int((60 * minutes - spent) / max(per_step, 1e-9)), done, 1)
