"""Numerical derivatives that carry an estimate of their own error.

Along a line t -> F(t), F of M outputs, the central difference D(h) = (F(h) - F(-h)) / 2h is F'(0) + c h^2 + d h^4 + ...
A polynomial in h^2 through several steps, read off at h = 0, removes the leading terms (Richardson 1911,
doi:10.1098/rsta.1911.0009); how far neighbouring extrapolations differ estimates what is left, and the best of them is
taken (Ridders 1982, doi:10.1016/S0141-1195(82)80057-0). Two things are added to that estimate. Rounding: an error of
eps |F| in F is one of eps |F| / h in D(h). And noise that is seen and not assumed: when a smaller step k gives a D(h_k)
that is away from the extrapolated value, F was off by |D(h_k) - value| h_k there; were it as far off at h, the error
would be |D(h_k) - value| h_k / h. This finds single precision inside f, cancellation, and a kink nearer than h.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Samples", "bends", "extrapolate", "fine_steps", "jumps", "one_sided", "sample", "steps", "without_absorbed"]

Array = NDArray[Any]
Line = Callable[[float], Array]
ORDER = 4  # terms that an extrapolation removes at most; more would amplify rounding
# Ratios that are not whole: with whole ones an f that rounds to few bits inside is off alike at every step.
_DOUBLE = 0.45 * 7.3 ** -np.arange(30.0)
_SINGLE = 0.5 * 1.93 ** -np.arange(16.0)
CHUNK = 1024  # outputs extrapolated at once, which bounds the memory


class Samples(NamedTuple):
    """F at t = 0 and at t = +h, -h of every step: steps (K,) falling, centre (M,), plus and minus (K, M)."""

    steps: Array
    centre: Array
    plus: Array
    minus: Array

    def of(self, outputs: Array) -> "Samples":
        """Some outputs alone."""
        if outputs.all():
            return self
        return Samples(self.steps, self.centre[outputs], self.plus[:, outputs], self.minus[:, outputs])

    @property
    def size(self) -> Array:
        """(M,) the largest magnitude of every output over all samples."""
        both = np.concatenate([np.abs(self.plus), np.abs(self.minus)])
        return np.max(both, axis=0, initial=0.0, where=np.isfinite(both))


def steps(eps: float) -> Array:
    """Four steps, in units of the argument's scale, where a tame function has little rounding and truncation."""
    return (_SINGLE if eps > 1e-10 else _DOUBLE)[1:5]


def fine_steps(eps: float, smallest: float = 1.0) -> Array:
    """The same range and everything below it down to rounding, in units of the argument's scale.

    `smallest` is the smallest coordinate in the same units: near the edge of a domain (log at 1e-8 in an array of ones)
    steps have to be small against it.
    """
    if eps > 1e-10:
        return _SINGLE
    extra = np.log(min(1.0, max(smallest, 1e-12))) / np.log(_DOUBLE[1] / _DOUBLE[0]) if smallest > 0 else 0.0
    return _DOUBLE[: 15 + int(extra)]


def sample(line: Line, centre: Array, at: Array, known: Samples | None = None) -> Samples:
    """F(+h) and F(-h) for every h of `at` (falling), taking over what `known` has."""
    have = {} if known is None else {h: (known.plus[k], known.minus[k]) for k, h in enumerate(known.steps.tolist())}
    rows = [have.get(h) or (line(h), line(-h)) for h in at.tolist()]
    return Samples(at, centre, np.array([p for p, _ in rows]), np.array([m for _, m in rows]))


def extrapolate(table: Array, at: Array, rounding: Array, power: int) -> tuple[Array, Array]:
    """The limit h -> 0 of table (K, C), whose error is a series in h^power, and an estimate of its error: (C,), (C,).

    at: (K,) the steps, falling; rounding: (C,) error of a difference of F, so that rounding / h is one of the table.
    Rows that are not finite are passed over. Where nothing is finite the value is nan and the error infinite.
    """
    count = table.shape[0]
    h = at[:, None]
    ok = np.isfinite(table)
    table = np.where(ok, table, np.nan)
    best, error = np.full(table.shape[1], np.nan), np.full(table.shape[1], np.inf)
    level, every = table, np.arange(table.shape[1])
    for order in range(min(ORDER, count - 1) + 1):
        if order == 0:
            gap = np.abs(np.diff(table, axis=0))
            edge = np.full((1, table.shape[1]), np.inf)
            spread = np.fmax(np.concatenate([edge, gap]), np.concatenate([gap, gap[-1:]]))
        else:
            ratio = (at[:-order] / at[order:])[:, None] ** power
            higher = level[1:] + (level[1:] - level[:-1]) / (ratio - 1)
            spread = np.maximum(np.abs(higher - level[1:]), np.abs(higher - level[:-1]))
            level = higher
        smallest = h[order:]  # of the steps that each extrapolation rests on
        off = np.abs(table[None] - level[:, None]) * at[None, :, None]
        seen = np.fmax.reduce(np.where(ok[None] & _beyond(order, count), off, 0.0), axis=1)
        total = spread + (rounding + seen) / smallest
        total = np.where(np.isfinite(total), total, np.inf)
        pick = np.argmin(total, axis=0), every
        candidate = total[pick]
        better = candidate < error
        best = np.where(better, level[pick], best)
        error = np.where(better, candidate, error)
    return best, error


@cache
def _beyond(order: int, count: int) -> Array:
    """(count - order, count, 1): which steps are smaller than those that each extrapolation rests on."""
    return (np.arange(count)[None, :] > np.arange(order, count)[:, None])[:, :, None]


def without_absorbed(table: Array, at: Array, size: Array) -> Array:
    """`table` (K, C) of differences, with nan where a step is lost in f's own rounding.

    Differences of exactly zero at small steps say nothing when larger ones changed F by as little as single precision
    would: below its last bit f is a staircase. Steps of a real staircase are larger. size: (C,) magnitude of F.
    """
    change = np.abs(table) * at[:, None]
    smallest = np.where(change > 0, change, np.inf).min(axis=0)
    return np.where((table == 0) & (smallest <= 1e-5 * size), np.nan, table)


def one_sided(samples: Samples, rounding: Array) -> tuple[Array, Array, Array, Array]:
    """Derivatives of every output from the left and from the right, with their errors: four of (M,)."""
    h = samples.steps[:, None]
    left, right = (samples.centre - samples.minus) / h, (samples.plus - samples.centre) / h
    size = samples.size
    found: list[list[Array]] = [[], [], [], []]
    for start in range(0, max(1, left.shape[1]), CHUNK):
        cut = slice(start, start + CHUNK)
        for side, table in enumerate((left, right)):
            kept = without_absorbed(table[:, cut], samples.steps, size[cut])
            value, error = extrapolate(kept, samples.steps, rounding[cut], 1)
            found[2 * side].append(value)
            found[2 * side + 1].append(error)
    left_value, left_error, right_value, right_error = (np.concatenate(parts) for parts in found)
    return left_value, left_error, right_value, right_error


def bends(samples: Samples, weights: Array, rounding: Array) -> bool:
    """Whether F(h) + F(-h) - 2 F(0) shrinks no faster than h over the smallest steps, as it does at a kink.

    weights: (M, C) absolute cotangents; rounding: (C,) what F weighed by them may be off by. A cheap sign, to be
    followed up by `one_sided`.
    """
    last = np.abs(samples.plus[-2:] + samples.minus[-2:] - 2 * samples.centre) @ weights / samples.steps[-2:, None]
    return not bool(np.all((last[1] <= 0.5 * last[0]) | (last[1] * samples.steps[-1] <= 100 * rounding)))


def jumps(samples: Samples, weights: Array) -> bool:
    """Whether F(h) - F(0) or F(0) - F(-h) stays as it is over the nine smallest steps, which is not rounding: that
    changes from step to step."""
    size = samples.size @ weights
    for side in (samples.plus, samples.minus):
        gap = np.abs(side - samples.centre)[-9:] @ weights
        if np.any((gap.min(axis=0) > 0.8 * gap.max(axis=0)) & (gap[-1] > 1e-5 * size)):
            return True
    return False
