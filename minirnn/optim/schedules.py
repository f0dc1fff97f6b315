"""Learning-rate schedules: functions step -> lr, steps counted from 0. `Adam(model, lr=cosine(1e-3, 10_000))`.

They pickle, and so does an optimiser that holds one.
"""

import math
from collections.abc import Callable
from functools import partial

__all__ = ["Schedule", "constant", "cosine"]

Schedule = Callable[[int], float]


def constant(lr: float) -> Schedule:
    """lr at every step."""
    return partial(_constant, lr)


def _constant(lr: float, step: int) -> float:
    return lr


def cosine(lr: float, steps: int, *, final: float = 0.0, warmup: int = 0) -> Schedule:
    """From lr down to `final` along half a cosine over `steps` steps, and `final` from then on; before that, a linear
    rise from lr / warmup to lr over the first `warmup` of them (Loshchilov & Hutter 2017, arXiv:1608.03983).

    ValueError: steps is not positive, or warmup not within 0 .. steps.
    """
    if not steps > 0 or not 0 <= warmup <= steps:
        raise ValueError(f"cosine: steps={steps}, warmup={warmup} came; 0 <= warmup <= steps, steps > 0 was expected")
    return partial(_cosine, lr, steps, final, warmup)


def _cosine(lr: float, steps: int, final: float, warmup: int, step: int) -> float:
    if step < warmup:
        return lr * (step + 1) / warmup
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return final + (lr - final) * 0.5 * (1.0 + math.cos(math.pi * progress))
