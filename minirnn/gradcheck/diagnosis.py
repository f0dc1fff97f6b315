"""After a mismatch: which coordinates of which arguments are wrong at that point, and what pattern they make."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minirnn.gradcheck.hints import Evidence, recognise
from minirnn.gradcheck.points import Point
from minirnn.gradcheck.problem import Undefined
from minirnn.gradcheck.site import SWEEP, Finding, Site
from minirnn.gradcheck.verdict import State

__all__ = ["Explained", "explain", "reasons"]

Array = NDArray[Any]
SAMPLE = 150  # coordinates of a large argument that are looked at
ALONG = 40  # coordinates looked at along every axis through one that is known to be wrong
LARGE = 200_000  # numbers in all arguments, above which f is dear and a quarter of that is looked at
COLUMNS = 2_000_000  # numbers kept of the Jacobian


class Explained(NamedTuple):
    findings: list[Finding]
    disagree: int
    hints: list[str]


def explain(site: Site, wrong: Finding, nonlinear: str) -> list[Explained]:
    """One entry an argument. `nonlinear`: what is known about the backward's linearity, or ''."""
    explained = [_explain(site, j, wrong) for j in range(len(site.values))]
    if nonlinear:
        explained = [
            e._replace(hints=[nonlinear]) if e.disagree or j == wrong.j else e for j, e in enumerate(explained)
        ]
    return explained


def _explain(site: Site, j: int, wrong: Finding) -> Explained:
    size = site.values[j].size
    findings = [site.coordinate(j, int(i), quick=True) for i in _chosen(site, j, wrong, size)]
    bad = [f for f in findings if f.verdict.state is State.DISAGREES]
    if not bad:
        return Explained(findings, 0, [])
    excess = np.array([np.abs(f.verdict.analytic - f.verdict.numeric) > f.verdict.allowed for f in bad])
    c = int(np.argmax(excess.sum(0)))  # the cotangent that shows most of it
    columns = None
    if len(findings) * site.centre.size <= COLUMNS and all(f.verdict.column is not None for f in findings):
        columns = np.array([f.verdict.column / f.unit for f in findings if f.verdict.column is not None])
    evidence = Evidence(
        shape=site.values[j].shape,
        index=np.array([f.index for f in findings]).reshape(len(findings), site.values[j].ndim),
        value=np.array([site.values[j][f.index] for f in findings], dtype=np.float64),
        analytic=np.array([f.verdict.analytic[c] / f.unit for f in findings]),
        numeric=np.array([f.verdict.numeric[c] / f.unit for f in findings]),
        allowed=np.array([f.verdict.allowed[c] / f.unit for f in findings]),
        wrong=np.array([f.verdict.state is State.DISAGREES for f in findings]),
        columns=columns,
        cotangent=site.cotangents[:, c],
        outputs=[o.shape for o in site.problem.outputs],
        summed=sorted({n for out in site.problem.outputs for n in out.shape if n > 1} - {*site.values[j].shape}),
    )
    hints = recognise(evidence) or _as_if_transposed(site, j, findings, c)
    return Explained(findings, len(bad), hints)


def _as_if_transposed(site: Site, j: int, findings: list[Finding], c: int) -> list[str]:
    """Whether the gradient would be right, were a square matrix among the other arguments transposed."""
    for k, matrix in enumerate(site.values):
        if k == j or matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(findings) > SWEEP:
            continue
        values = [matrix.T.copy() if i == k else v for i, v in enumerate(site.values)]
        try:
            other = Site(site.problem, Point("", values, near=False), site.rng)
        except Undefined:
            continue
        other.cotangents = site.cotangents
        sizes = site.values[j].shape
        for f in findings:
            flat = int(np.ravel_multi_index(f.index, sizes)) if f.index else 0
            there = other.coordinate(j, flat, quick=True).verdict
            if abs(there.numeric[c] - f.verdict.analytic[c]) > 10 * (there.allowed[c] + f.verdict.allowed[c]):
                break
        else:
            return [f"the gradient is right for a transposed {site.problem.names[k]}: multiply by its transpose"]
    return []


def _chosen(site: Site, j: int, wrong: Finding, size: int) -> Array:
    """All coordinates if few; else a sample, and a cross of them through the one that is known to be wrong."""
    if size <= SWEEP:
        return np.arange(size)
    shape = site.values[j].shape
    sample, longest = (SAMPLE, ALONG) if sum(v.size for v in site.values) <= LARGE else (SAMPLE // 4, ALONG // 4)
    chosen = [site.rng.choice(size, sample, replace=False)]
    if wrong.j == j and wrong.index is not None:
        for axis, length in enumerate(shape):
            along = np.tile(np.array(wrong.index), (min(longest, length), 1))
            along[:, axis] = site.rng.choice(length, min(longest, length), replace=False)
            chosen.append(np.ravel_multi_index(tuple(along.T), shape))
        chosen.append(np.array([np.ravel_multi_index(wrong.index, shape)]))
    return np.unique(np.concatenate(chosen))


def reasons(site: Site, wrong: Finding) -> list[str]:
    """What else to know: a disagreement as small as single precision, or one that only a direction shows."""
    v = wrong.verdict
    c = v.cotangent
    gap = abs(v.analytic[c] - v.numeric[c]) / max(abs(v.analytic[c]), abs(v.numeric[c]), 1e-300)
    notes = []
    if gap < 1e-6:
        notes.append(f"the relative error is only {gap:.0e}: single precision, or a constant with few digits, inside?")
    if wrong.index is None and not v.kinked:
        notes.append("no coordinate disagrees by itself, but along a random direction they do together")
    return notes
