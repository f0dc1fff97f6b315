"""At a point where f bends: which gradients are right there.

A right one is a limit of gradients just beside the point, or a mean of such (Clarke 1975,
doi:10.1090/S0002-9947-1975-0367131-6). Coordinate by coordinate that leaves much room: of max over equal entries any
may get from nothing to the whole. Moved all alike, though, such an f is smooth, and there the gradient is judged.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minirnn.gradcheck.points import typical
from minirnn.gradcheck.problem import Undefined
from minirnn.gradcheck.site import Finding, Site
from minirnn.gradcheck.verdict import State

__all__ = ["Beside", "off_along_a_smooth_direction"]

Array = NDArray[Any]
PAIRS = 12  # of points beside the given one, opposite to each other: they see both sides of every bend
NEAR = 1e-4  # how far they are, in units of each coordinate
PEEK = 8  # coordinates at a kink that are moved two at a time

Steps = list[Array]  # one a leaf


class Beside:
    """The backward's gradients at points just beside a site: `around[k][c][j]`, one a point, cotangent and leaf."""

    def __init__(self, site: Site):
        self.site = site
        self.around: list[list[list[Array]]] = []
        problem = site.problem
        for _ in range(PAIRS):
            noise = [NEAR * u * site.rng.standard_normal(u.shape) for u in site.units]
            for side in (1.0, -1.0):
                moved = [np.asarray(v + side * n, v.dtype) for v, n in zip(site.values, noise, strict=True)]
                with suppress(Undefined):
                    self.around.append(
                        [problem.gradients_beside(g, moved, problem.double_vjp, False) for g in site.cotangents.T]
                    )

    def enclose(self, finding: Finding) -> bool:
        """Whether the gradient by one coordinate lies among those around.

        Where several kinks meet, one-sided derivatives along a coordinate need not enclose a right subgradient. Zero
        counts too: it is what relu's and clip's conventional derivative gives when all of them are inactive.
        """
        j, index, c = finding.j, finding.index, finding.verdict.cotangent
        if index is None:
            return False
        around = [0.0, *(float(gradients[c][j][index]) for gradients in self.around)]
        slack = 0.01 * (max(around) - min(around))
        return bool(min(around) - slack <= self.site.gradients[c][j][index] <= max(around) + slack)


def off_along_a_smooth_direction(beside: Beside, kinked: Sequence[Finding]) -> tuple[Finding, str] | None:
    """A direction along which all gradients around agree, and the given one does not; and how it moves, in words."""
    if not beside.around:
        return None
    for moves, steps in _directions(beside.site, kinked):
        for c in range(2):
            along = [_along(gradients[c], steps) for gradients in [*beside.around, beside.site.gradients]]
            (own, own_size), sizes = along.pop(), [size for _, size in along]
            values = [value for value, _ in along]
            size, spread = max(own_size, *sizes), max(values) - min(values)
            middle = 0.5 * (max(values) + min(values))
            if spread > 0.01 * size or abs(own - middle) <= 10 * spread + 0.01 * size:
                continue
            verdict = beside.site.along(steps)  # the points around may not be all: f itself must be smooth there
            if verdict.state is State.DISAGREES and not verdict.kinked:
                off = [v - g for v, g in zip(beside.site.gradients[c], beside.around[0][c], strict=True)]
                parts = [abs(float(np.sum(o * s))) for o, s in zip(off, steps, strict=True)]
                return Finding(int(np.argmax(parts)), None, 1.0, verdict._replace(kinked=True)), moves
    return None


def _along(gradients: list[Array], steps: Steps) -> tuple[float, float]:
    terms = [g * s for g, s in zip(gradients, steps, strict=True)]
    return float(sum(np.sum(t) for t in terms)), float(sum(np.sum(np.abs(t)) for t in terms))


def _directions(site: Site, kinked: Sequence[Finding]) -> Iterator[tuple[str, Steps]]:
    """Where f may well be smooth: equal entries moved alike, opposite ones against each other, all scaled."""
    names, values = site.problem.names, site.values
    alike = [np.full(v.shape, typical(v)) for v in values]
    concerned = sorted({f.j for f in kinked})

    def only(*moved: tuple[int, Array]) -> Steps:
        steps = [np.zeros(v.shape) for v in values]
        for j, step in moved:
            steps[j] = steps[j] + step
        return steps

    for j in concerned:
        bent = np.zeros(values[j].shape)
        for finding in kinked:
            if finding.j == j and finding.index is not None:
                bent[finding.index] = typical(values[j])
        yield f"where the entries of {names[j]} at a kink move alike", only((j, bent))
        yield f"where all of {names[j]} moves alike", only((j, alike[j]))
        yield f"where {names[j]} is scaled", only((j, values[j]))
    if len(values) > 1:
        yield "where all arguments are scaled", [np.asarray(v, np.float64) for v in values]
    for a, j in enumerate(concerned):
        for k in concerned[a + 1 :]:
            size = typical(values[j])
            yield (
                f"where {names[j]} and {names[k]} move alike",
                only((j, alike[j]), (k, np.full(values[k].shape, size))),
            )
            yield (
                f"where {names[j]} and {names[k]} move against each other",
                only((j, alike[j]), (k, np.full(values[k].shape, -size))),
            )
    singles = [(f.j, f.index) for f in kinked if f.index is not None][:PEEK]
    for a, (j, index) in enumerate(singles):
        for k, other in singles[a + 1 :]:
            for how, sign in (("alike", 1.0), ("against each other", -1.0)):
                first, second = np.zeros(values[j].shape), np.zeros(values[k].shape)
                first[index] = typical(values[j])
                second[other] = sign * first[index]
                yield (
                    f"where {names[j]}{list(index)} and {names[k]}{list(other)} move {how}",
                    only((j, first), (k, second)),
                )
