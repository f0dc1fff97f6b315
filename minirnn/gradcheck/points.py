"""Where a gradient is checked: the given point, and others that symmetry or a branch cannot hide an error from.

Zeros, equal entries and one sign throughout make wrong gradients look right, and a branch that the given point does not
reach is not seen at all. Every other point is a random variation that respects the scale of each coordinate, and is
used only where f is finite.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Point", "cotangents", "points", "scales"]

Array = NDArray[Any]
UNIT = 1.3719  # of a step, in magnitudes: no power of two, as exact steps would hide the rounding inside f


class Point(NamedTuple):
    """Values of the differentiated arguments, and how the point came about. `near`: f is as well-behaved as at the
    given point; at a far one a backward may overflow where f does not, and that is noted and not held against it.
    `given`: it is the given point itself."""

    label: str
    values: list[Array]
    near: bool
    given: bool = False


def typical(value: Array) -> float:
    """The median magnitude of an array's entries that are not zero; 1 where there are none."""
    size = np.abs(value[value != 0]).astype(np.float64)
    return float(np.median(size)) if size.size else 1.0


def scales(value: Array) -> Array:
    """The unit of every coordinate's step: its magnitude; for a zero the array's; never tiny against that."""
    size = np.abs(value).astype(np.float64)
    own = np.where(size == 0, typical(value), np.maximum(size, 1e-3 * typical(value)))
    return np.asarray(UNIT * own)


def _noise(rng: np.random.Generator, value: Array, attempt: int) -> Array:
    """Standard normal; after a failure positive, for a function defined on one side of zero only."""
    noise = np.asarray(rng.standard_normal(value.shape))
    return np.abs(noise) if attempt % 2 else noise


def _sizes(value: Array) -> Array:
    return np.where(value == 0, typical(value), np.abs(value))


def _filled(rng: np.random.Generator, value: Array, attempt: int) -> Array:
    return np.where(value == 0, typical(value) * _noise(rng, value, attempt), value)


def _beside(rng: np.random.Generator, value: Array, signs: Array, attempt: int) -> Array:
    return value + 0.02 * _sizes(value) * _noise(rng, value, attempt)


def _around(rng: np.random.Generator, value: Array, signs: Array, attempt: int) -> Array:
    return value + 0.5**attempt * 0.7 * typical(value) * _noise(rng, value, attempt)


def _spread(rng: np.random.Generator, value: Array, signs: Array, attempt: int) -> Array:
    return _filled(rng, value, attempt) * 10.0 ** (0.5**attempt * rng.uniform(-1, 1, value.shape))


def _signs(rng: np.random.Generator, value: Array, signs: Array, attempt: int) -> Array:
    return signs * _filled(rng, value, attempt) * rng.uniform(0.5, 1.5, value.shape)


def _opposite(rng: np.random.Generator, value: Array, signs: Array, attempt: int) -> Array:
    return -signs * _spread(rng, value, signs, attempt)


def _large(rng: np.random.Generator, value: Array, signs: Array, attempt: int) -> Array:
    return (1 + 2 * 0.5**attempt) * _around(rng, value, signs, attempt)


def _huge(rng: np.random.Generator, value: Array, signs: Array, attempt: int) -> Array:
    return (1 + 9 * 0.5**attempt) * _around(rng, value, signs, attempt)


_VARIATIONS: list[tuple[str, bool, Callable[[np.random.Generator, Array, Array, int], Array]]] = [
    ("beside the given point (every coordinate moved by about 2%)", True, _beside),
    ("around the given point (moved by about 70% of each array's magnitude)", True, _around),
    ("with the signs of random coordinates changed", False, _signs),
    ("with every coordinate scaled by 0.1 to 10, and the other coordinates' signs changed", False, _opposite),
    ("with every coordinate scaled by 0.1 to 10", False, _spread),
    ("about 3 times as large", False, _large),
    ("about 10 times as large", False, _huge),
]


def points(
    values: Sequence[Array], rng: np.random.Generator, is_finite: Callable[[list[Array]], bool], attempts: int = 4
) -> Iterator[Point]:
    """The given point, then one variation of each kind. Where f is not finite a milder one is tried, then one argument
    alone is varied and the others hardly; if that fails too the variation is left out."""
    yield Point("at the given point", [v.copy() for v in values], True, True)
    signs = [rng.choice([-1.0, 1.0], v.shape) for v in values]  # every coordinate is seen with both, somewhere
    for label, near, vary in _VARIATIONS:
        for attempt in range(attempts + 2 * len(values)):
            alone = (attempt - attempts) % len(values) if attempt >= attempts else None
            moved = [
                np.asarray((vary if alone in (None, i) else _beside)(rng, v, signs[i], attempt % attempts), v.dtype)
                for i, v in enumerate(values)
            ]
            if all(np.isfinite(m).all() for m in moved) and is_finite(moved):
                yield Point(label, moved, near)
                break


def cotangents(rng: np.random.Generator, outputs: Sequence[Array]) -> Array:
    """Two random cotangents (M, 2) for outputs of M entries in all: one of both signs, one of positive entries with a
    third of them zero. Outputs of different magnitudes are weighed to count alike."""
    sizes = [typical(out) for out in outputs if out.size]
    middle = float(np.exp(np.mean(np.log(sizes)))) if sizes else 1.0
    weight = np.concatenate([np.full(out.size, middle / typical(out)) for out in outputs])
    both = rng.standard_normal((weight.size, 2))
    positive = np.abs(both[:, 1]) * (rng.uniform(size=weight.size) > 1 / 3)
    both[:, 1] = positive if positive.any() else np.abs(both[:, 1])
    return np.asarray(both * weight[:, None])
