"""How each parameter of a cell starts: found by building the cell with a generator that writes down what is drawn.

A parameter, or each block of a stacked one, is a constant, one draw as it came, an exponential or a logarithm of one,
an orthogonal matrix, an identity, or numbers that rise evenly. Anything else is not found, and None.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Law", "Recorder", "law_of"]

_BLOCKS = range(1, 9)


class Law(NamedTuple):
    """kind: constant (value), uniform (low, high), normal (deviation), exp and log (low, high, sign), orthogonal and
    identity (gain), rising (first, last), blocks (laws)."""

    kind: str
    values: tuple[Any, ...]


class Recorder(np.random.Generator):
    """A generator that writes down its draws: (kind, numbers, array)."""

    def __init__(self, seed: int):
        super().__init__(np.random.PCG64(seed))
        self.draws: list[tuple[str, tuple[float, ...], Any]] = []

    def uniform(self, low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        return self._noted("uniform", (low, high), super().uniform(low, high, size))

    def standard_normal(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:
        return self._noted("normal", (1.0,), super().standard_normal(size, dtype, out))

    def normal(self, loc: Any = 0.0, scale: Any = 1.0, size: Any = None) -> Any:
        return self._noted("normal", (scale,), super().normal(loc, scale, size))

    def _noted(self, kind: str, numbers: tuple[float, ...], array: Any) -> Any:
        self.draws.append((kind, numbers, np.array(array)))
        return array


def law_of(value: Any, other: Any, draws: Sequence[tuple[str, tuple[float, ...], Any]]) -> Law | None:
    """The law of a parameter. other: the same of another build, with another seed; draws: of the first build."""
    for blocks in _BLOCKS:
        if blocks > 1 and (not value.ndim or len(value) % blocks):
            continue
        parts = zip(np.split(value, blocks), np.split(other, blocks), strict=True) if blocks > 1 else [(value, other)]
        laws = [next(_laws(a, b, draws), None) for a, b in parts]
        found = [law for law in laws if law is not None]
        if len(found) == len(laws):
            return found[0] if blocks == 1 else Law("blocks", tuple(found))
    return None


def _laws(value: Any, other: Any, draws: Sequence[tuple[str, tuple[float, ...], Any]]) -> Iterator[Law]:
    if np.array_equal(value, other):
        yield from _fixed(value)
        return
    for kind, numbers, draw in draws:
        if draw.size != value.size:
            continue
        draw = draw.reshape(value.shape)
        scale = _scale(value, draw)
        if kind == "normal" and scale is not None:
            yield Law("normal", (scale * numbers[0],))
        elif kind == "uniform" and scale is not None:
            yield Law("uniform", (scale * numbers[0], scale * numbers[1]))
        elif kind == "uniform":
            for name, function in (("exp", np.exp), ("log", np.log)):
                with np.errstate(all="ignore"):
                    made = function(draw)
                for sign in (1, -1):
                    if np.allclose(value, sign * made, rtol=1e-12, atol=0):
                        yield Law(name, (*numbers, sign))
    if any(kind == "normal" and draw.size == value.size for kind, _, draw in draws):
        yield from _orthogonal(value)


def _scale(value: Any, draw: Any) -> float | None:
    """By what a draw was multiplied."""
    at = np.unravel_index(np.abs(draw).argmax(), draw.shape)
    scale = float(value[at] / draw[at])
    if not np.allclose(value, scale * draw, rtol=1e-12, atol=0):
        return None
    return round(scale) if abs(scale - round(scale)) < 1e-12 else scale


def _fixed(value: Any) -> Iterator[Law]:
    flat = value.reshape(-1)
    if value.size and (flat == flat[0]).all():
        yield Law("constant", (flat[0].item(),))
    elif value.ndim == 2 and np.array_equal(value, value[0, 0] * np.eye(*value.shape)):
        yield Law("identity", (value[0, 0].item(),))
    elif value.ndim == 1 and np.allclose(value, np.linspace(value[0], value[-1], len(value)), rtol=1e-12):
        yield Law("rising", (value[0].item(), value[-1].item()))


def _orthogonal(value: Any) -> Iterator[Law]:
    if value.ndim == 2 and value.size > 1:
        square = value @ value.T if len(value) <= len(value.T) else value.T @ value
        if np.allclose(square, square[0, 0] * np.eye(len(square)), atol=1e-9):
            gain = float(square[0, 0] ** 0.5)
            yield Law("orthogonal", (round(gain) if abs(gain - round(gain)) < 1e-9 else gain,))
