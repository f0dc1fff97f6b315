"""What cells with a clock of their own share: a time beside every input."""

from typing import Any, NamedTuple

import autograd.numpy as np
import numpy as onp

from minirnn.module import Array
from minirnn.primitive import is_traced

__all__ = ["TimedInput", "beside", "column", "indices"]


class TimedInput(NamedTuple):
    """x: (B, I), and time: (B, 1); with a leading axis of time before the loop."""

    x: Array
    time: Array


def indices(xs: Any, start: Any) -> Array:
    """The steps' indices: (T,) from the number `start` on, or `start` itself, (T, B)."""
    return onp.asarray(start) if onp.ndim(start) == 2 else onp.arange(start, start + len(xs))


def column(times: Any) -> Any:
    """(T, B), or (T,) for all of a batch, as (T, B, 1) or (T, 1, 1)."""
    return np.reshape(times, (*np.shape(times), 1, 1)[:3])


def beside(name: str, xs: Any, timestamps: bool, time: Any, otherwise: Any) -> TimedInput:
    """xs (T, B, F) and its times: its own last feature with timestamps, or `time` (T, B) or (T,), or `otherwise` (T,).

    ValueError: times of another shape, or two of them.
    """
    if timestamps:
        if time is not None:
            raise ValueError(f"{name}: time came, and timestamps=True takes it from the last feature of xs")
        return TimedInput(xs[..., :-1], xs[..., -1:])
    steps, batch = np.shape(xs)[:2]
    time = otherwise if time is None else time
    if np.shape(time) not in ((steps,), (steps, batch)):
        raise ValueError(f"{name}: time has shape {np.shape(time)}, ({steps}, {batch}) or ({steps},) was expected")
    dtype = np.result_type(xs)
    return TimedInput(
        xs, column(time if is_traced(time) else onp.asarray(time, dtype)) + onp.zeros((steps, batch, 1), dtype)
    )
