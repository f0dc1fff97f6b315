"""Dropout: noise where an rng is given, nothing where none is."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from minirnn import functional
from minirnn.checks import as_generator
from minirnn.module import Array, Module
from minirnn.primitive import is_traced

__all__ = ["Dropout", "check_probability", "noise", "warn_without_noise", "without_noise"]

_meant: ContextVar[bool] = ContextVar("calls without noise are meant", default=False)


def check_probability(name: str, p: float) -> float:
    """p, if it is a probability; ValueError otherwise."""
    if isinstance(p, bool) or not isinstance(p, (int, float, np.number)) or not 0.0 <= p <= 1.0:
        raise ValueError(f"{name}: dropout {p!r} came, a probability from 0 to 1 was expected")
    return float(p)


def noise(
    x: Array,
    p: float,
    rng: np.random.Generator | None,
    drop: Callable[[Array, float, np.random.Generator], Array] = functional.dropout,
) -> Array:
    """drop(x, p, rng) where an rng is given; a warning, once, where a differentiated call has p > 0 and no rng."""
    if not p:
        return x
    if rng is not None:
        return drop(x, p, as_generator("dropout", rng))
    warn_without_noise(x)
    return x


def warn_without_noise(*arrays: Any) -> None:
    """What a call with noise and no rng owes: a warning where one of its arrays is being differentiated."""
    if any(is_traced(array) for array in arrays) and not _meant.get():
        warnings.warn(
            "a model with dropout is being differentiated without noise; when training, call it with "
            "rng=numpy.random.default_rng(seed)",
            stacklevel=3,
        )


@contextmanager
def without_noise() -> Iterator[None]:
    """Within the block a differentiated call of a model with dropout and no rng is meant, and warns of nothing."""
    token = _meant.set(True)
    try:
        yield
    finally:
        _meant.reset(token)


class Dropout(Module):
    """Zeroes each entry with probability p and divides the rest by 1 - p, when called with an rng.

    `dropout(x, rng=rng)` is training; `dropout(x)` returns x as it is.  (Srivastava et al. 2014, JMLR 15:1929.)
    """

    def __init__(self, p: float = 0.5):
        self.p = check_probability("Dropout", p)

    def __call__(self, x: Array, *, rng: np.random.Generator | None = None) -> Array:
        return noise(x, self.p, rng)

    def extra_repr(self) -> str:
        return f"{self.p}"
