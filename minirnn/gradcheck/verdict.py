"""Does a gradient agree with f along one line? The judgement that everything else is built from.

Quick first: four steps. Agreement within the estimated error, if that is small, settles it. Else steps go down to
rounding; and if the two still differ, derivatives from the left and from the right are taken, output by output: at a
kink every value between them is a subgradient, and outside them the gradient is wrong.
"""

from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minirnn.gradcheck.differences import (
    Line,
    Samples,
    bends,
    extrapolate,
    fine_steps,
    jumps,
    one_sided,
    sample,
    steps,
    without_absorbed,
)

__all__ = ["Analytic", "State", "Verdict", "judge"]

Array = NDArray[Any]
Nudged = Callable[[float, int], Array]  # F (M,) at t along the line, the arguments rounded in the k-th other way
NUDGES = 4
SAFETY = 10.0  # disagreement in units of the estimated error that is still put down to that error


class State(IntEnum):
    """Worse is larger."""

    AGREES = 0
    UNRESOLVED = 1  # agrees, but only because the numerical error is as large as the derivative
    KINK = 2
    JUMP = 3
    DISAGREES = 4


class Analytic(NamedTuple):
    """The backward's directional derivative, one a cotangent: value (C,), terms (C,) the sum of its absolute terms,
    moved (C,) the same weighed by each coordinate's size in units of its step; eps of the backward's own arithmetic."""

    value: Array
    terms: Array
    moved: Array
    eps: float
    unsteadiness: Callable[[], Array]  # (C,) how far rounding the arguments moves the value; dear, so asked late
    nudged: Nudged


class Verdict(NamedTuple):
    """State, and one entry a cotangent (C,): analytic, numeric, its estimated error, the disagreement allowed.
    `kinked`: f bends here, whatever the gradient. `column` (M,): derivative of every output, where it was kept."""

    state: State
    analytic: Array
    numeric: Array
    error: Array
    allowed: Array
    kinked: bool
    column: Array | None

    @property
    def cotangent(self) -> int:
        """Where analytic and numeric differ most, in units of what is allowed."""
        excess = np.abs(self.analytic - self.numeric) / np.maximum(self.allowed, np.finfo(float).tiny)
        return int(np.argmax(np.nan_to_num(excess, nan=0.0, posinf=np.inf)))


class _Central(NamedTuple):
    numeric: Array
    error: Array
    rounding: Array  # (C,) error of F weighed by the cotangent
    reach: Array  # (C,) F weighed by it: the scale against which a derivative counts as zero


def _central(samples: Samples, cotangents: Array, moved: Array, eps: float) -> _Central:
    h = samples.steps[:, None]
    table = (samples.plus - samples.minus) @ cotangents / (2 * h)
    changed = ~np.all(samples.plus == samples.minus, axis=0)
    weighed = np.abs(samples.centre)[:, None] * np.abs(cotangents)
    rounding = eps * (weighed[changed].sum(0) + moved)
    table = without_absorbed(table, samples.steps, samples.size @ np.abs(cotangents))
    numeric, error = extrapolate(table, samples.steps, rounding, 2)
    absorbed = eps * weighed[~changed].sum(0) / samples.steps[0]  # what moves by less than its last bit looks constant
    return _Central(numeric, error + absorbed, rounding, weighed.sum(0))


def judge(
    line: Line,
    centre: Array,
    cotangents: Array,
    analytic: Analytic,
    eps: float,
    smallest: float,
    *,
    single: bool,
    quick: bool = False,
) -> Verdict:
    """Compare `analytic` with f along `line`, t -> F (M,), for every cotangent (M, C). centre: (M,) is F at 0.

    eps: unit roundoff of f; smallest: see `fine_steps`; single: a coordinate, where a gradient may be a subgradient
    (along a direction through several kinks it need not lie between the one-sided derivatives); quick: a disagreement
    that four steps resolve needs no more.
    """
    weights = np.abs(cotangents)
    samples = sample(line, centre, steps(eps))
    central = _central(samples, cotangents, analytic.moved, eps)
    allowed = SAFETY * central.error + 1e3 * analytic.eps * analytic.terms
    gap = np.abs(analytic.value - central.numeric)
    size = np.maximum(np.abs(analytic.value), np.abs(central.numeric))
    bent = bends(samples, weights, central.rounding)
    sharp = bool(np.all(SAFETY * central.error <= np.maximum(eps ** (1 / 3) * size, 1e4 * eps * central.reach)))
    if sharp and not bent and not np.all(gap <= allowed):
        allowed = allowed + _cancelled(analytic.nudged, samples, weights, gap)
    if sharp and not bent and (quick or bool(np.all(gap <= allowed))):
        state = State.AGREES if np.all(gap <= allowed) else State.DISAGREES
        column = (samples.plus[-2] - samples.minus[-2]) / (2 * samples.steps[-2])
        return Verdict(state, analytic.value, central.numeric, central.error, allowed, False, column)
    samples = sample(line, centre, fine_steps(eps, smallest), samples)
    return _judge_finely(samples, cotangents, analytic, eps, single)


def _judge_finely(samples: Samples, cotangents: Array, analytic: Analytic, eps: float, single: bool) -> Verdict:
    moves = np.any((samples.plus != samples.centre) | (samples.minus != samples.centre), axis=0)
    still = np.abs(samples.centre[~moves]) @ np.abs(cotangents[~moves])
    samples, cotangents = samples.of(moves), cotangents[moves]
    central = _central(samples, cotangents, analytic.moved, eps)
    numeric, error = central.numeric, central.error + eps * still / samples.steps[0]
    own = 1e3 * analytic.eps * analytic.terms  # the backward's rounding
    allowed = SAFETY * error + own
    agrees = _within(analytic.value, numeric, allowed)
    if not agrees.all():
        unsteady = 10 * analytic.unsteadiness()
        allowed = allowed + np.where(unsteady <= 1e-3 * analytic.terms, unsteady, 0.0)
        agrees = _within(analytic.value, numeric, allowed)
    if not agrees.all():
        gap = np.abs(analytic.value - numeric)
        allowed = allowed + _cancelled(analytic.nudged, samples, np.abs(cotangents), gap, moves)
        agrees = _within(analytic.value, numeric, allowed)
    if jumps(samples, np.abs(cotangents)):
        return Verdict(State.JUMP, analytic.value, numeric, error, allowed, False, None)
    sides = _sides(samples, cotangents, central.rounding, eps, analytic.moved, single)
    width = sides.high - sides.low
    if sides.bent.any() and np.any(width > _cancelled(analytic.nudged, samples, np.abs(cotangents), width, moves)):
        if not single:
            return Verdict(State.DISAGREES, analytic.value, numeric, error, allowed, True, None)
        allowed = SAFETY * sides.error + own
        numeric = np.clip(analytic.value, sides.low, sides.high)
        state = State.KINK if _within(analytic.value, numeric, allowed).all() else State.DISAGREES
        return Verdict(state, analytic.value, numeric, allowed / SAFETY, allowed, True, None)
    if np.isinf(error).all() and sides.edge is not None:  # on the edge of f's domain only one side is there
        numeric, error = sides.edge, sides.error
        allowed = SAFETY * error + own
        agrees = _within(analytic.value, numeric, allowed)
    if not agrees.all():
        return Verdict(State.DISAGREES, analytic.value, numeric, error, allowed, False, None)
    size = np.maximum(np.abs(analytic.value), np.abs(numeric))
    blunt = allowed > np.maximum(0.05 * size, eps ** (1 / 3) * (central.reach + still))
    state = State.UNRESOLVED if np.any(blunt | np.isnan(numeric)) else State.AGREES
    return Verdict(state, analytic.value, numeric, error, allowed, False, None)


def _cancelled(nudged: Nudged, samples: Samples, weights: Array, gap: Array, moves: Any = slice(None)) -> Array:
    """(C,) what numbers that cancelled inside F bring into every difference quotient, however long its step.

    At an exact fit, sum((x w - y)^2) with x w = y, F(h) is (a h + d)^2, where d is the rounding of x w: the quotient is
    off by a d at any h, so no comparison of steps shows it, and F near 0 does not tell how large x w was. Nudging the
    arguments by a rounding does. It is done at the largest step, where other noise, which is known, counts least.
    gap: (C,) what is to be explained; where two looks cannot explain a thousandth of it there is no other.
    """
    noise = np.zeros(len(gap))
    finite = np.isfinite(samples.plus).all(axis=1) & np.isfinite(samples.minus).all(axis=1)
    if not finite.any():
        return noise
    at = int(np.argmax(finite))
    h = float(samples.steps[at])
    for k in range(NUDGES):
        moved = np.fmax(
            np.abs(nudged(h, k)[moves] - samples.plus[at]), np.abs(nudged(-h, k)[moves] - samples.minus[at])
        )
        noise = np.fmax(noise, moved @ weights / h)
        if k and np.any(gap > 1e3 * SAFETY * noise):
            break
    return SAFETY * noise


def _within(analytic: Array, numeric: Array, allowed: Array) -> Array:
    """Where nothing could be resolved nothing disagrees."""
    return (np.abs(analytic - numeric) <= allowed) | np.isinf(allowed)


class _Sides(NamedTuple):
    """Derivatives from the left and the right: bent, one an output, whether they differ; the range (C,) that a right
    directional derivative lies in, and its error (C,); edge (C,): the derivative from the one side that is there."""

    bent: Array
    low: Array
    high: Array
    error: Array
    edge: Array | None


def _sides(samples: Samples, cotangents: Array, rounding: Array, eps: float, moved: Array, single: bool) -> _Sides:
    if single:
        heaviest = np.fmax(np.abs(cotangents).max(axis=0, initial=0.0), np.finfo(float).tiny)
        rounding = eps * (np.abs(samples.centre) + np.max(moved / heaviest))
    else:  # many outputs move: whether what the cotangents make of them bends is all that is asked
        sums = (side @ cotangents for side in (samples.centre, samples.plus, samples.minus))
        samples, cotangents = Samples(samples.steps, *sums), np.eye(cotangents.shape[1])
    left, left_error, right, right_error = one_sided(samples, rounding)
    both = left_error + right_error
    bent = np.isfinite(both) & (np.abs(right - left) > 5 * both)
    ends = np.sort(np.stack([left, right])[:, bent, None] * cotangents[bent], axis=0)
    smooth = 0.5 * (left + right)[~bent] @ cotangents[~bent]
    error = both @ np.abs(cotangents)
    edge = None
    for value, its_error, other in ((right, right_error, left_error), (left, left_error, right_error)):
        if np.isfinite(its_error).all() and np.isinf(other).any():
            edge, error = value @ cotangents, its_error @ np.abs(cotangents)
    return _Sides(bent, smooth + ends[0].sum(0), smooth + ends[1].sum(0), error, edge)
