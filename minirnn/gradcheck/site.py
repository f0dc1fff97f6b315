"""One point of one problem: f and the backward there, and judgements along coordinates and directions."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minirnn.gradcheck.points import Point, cotangents, scales
from minirnn.gradcheck.problem import Fault, Problem, Undefined
from minirnn.gradcheck.verdict import NUDGES, Analytic, State, Verdict, judge

__all__ = ["Finding", "Site"]

Array = NDArray[Any]
SWEEP = 400  # coordinates of an argument that a search looks at one by one
PEEK = 6  # coordinates looked at in a large group that bends
SEARCH = 60  # judgements that one bisection may cost


@dataclass(frozen=True)
class Finding:
    """A judgement about argument j: of one coordinate (`index`) with its unit of step, or of a direction (None)."""

    j: int
    index: tuple[int, ...] | None
    unit: float
    verdict: Verdict


class Site:
    """A point, the outputs (M,) and two random cotangents there, and the backward's gradient for each."""

    def __init__(self, problem: Problem, point: Point, rng: np.random.Generator):
        self.problem, self.point, self.rng = problem, point, rng
        self.values = point.values
        outputs = problem.watched_call(self.values, problem.double)
        self.centre = np.concatenate([o.ravel() for o in outputs]).astype(np.float64)
        self.cotangents = cotangents(rng, outputs)
        self.gradients = [self._backward(self.cotangents[:, c], self.values) for c in range(2)]  # [cotangent][argument]
        again = self._backward(self.cotangents[:, 0], self.values)
        for name, first, second in zip(problem.names, self.gradients[0], again, strict=True):
            if not same(first, second):
                raise Fault(
                    "nondeterministic", name, f"the backward gave two gradients of {name} for the same arguments"
                )

    def _backward(self, flat: Array, values: list[Array]) -> list[Array]:
        ask = self.problem.gradients if self.point.given else self.problem.gradients_beside
        return ask(flat, values, self.problem.double_vjp, strict=self.point.near)

    @property
    def finite(self) -> bool:
        """Whether every gradient is; one at a near point that is not has been a Fault already."""
        return all(np.isfinite(g).all() for gradients in self.gradients for g in gradients)

    @cached_property
    def units(self) -> list[Array]:
        return [scales(v) for v in self.values]

    @cached_property
    def _unsteadiness(self) -> list[list[Array]]:
        signs = [self.rng.choice([-1.0, 1.0], v.shape) for v in self.values]
        for side in (1.0, -1.0):  # at the edge of the domain one of them may be outside
            moved = []
            for v, dtype, sign in zip(self.values, self.problem.dtypes, signs, strict=True):
                kind = np.dtype(np.float64 if self.problem.double_vjp else dtype)
                nudged = np.asarray(v, np.float64) * (1 + float(np.finfo(kind).eps) * side * sign)
                moved.append(np.asarray(nudged, kind))
            try:
                shaken = [
                    self.problem.gradients_beside(self.cotangents[:, c], moved, self.problem.double_vjp, False)
                    for c in range(2)
                ]
            except Undefined:
                continue
            return [
                [np.nan_to_num(np.abs(a - b), nan=0.0) for a, b in zip(*pair, strict=True)]
                for pair in zip(self.gradients, shaken, strict=True)
            ]
        return [[np.zeros_like(g) for g in gradients] for gradients in self.gradients]

    @cached_property
    def _nudges(self) -> list[list[Array]]:
        """Roundings of every coordinate, up or down, in the precision that f is judged in."""
        eps = self.problem.eps
        return [[eps * u * self.rng.choice([-1.0, 1.0], u.shape) for u in self.units] for _ in range(NUDGES)]

    def _judge(self, j: int, where: Any, step: Array, single: bool, quick: bool = False) -> Verdict:
        """Along x[where] + t * step of argument j."""
        value = self._judged_values[j]
        start = value[where]

        def line(t: float) -> list[Array]:
            moved = value.copy()
            moved[where] = start + t * step
            return [moved if k == j else v for k, v in enumerate(self.values)]

        parts = [[gradients[j][where]] for gradients in self.gradients]
        shaken = lambda c: [self._unsteadiness[c][j][where]]
        return self._weigh(line, [j], [start], [step], parts, shaken, single, quick)

    def along(self, steps: list[Array]) -> Verdict:
        """Along x + t * step, of all arguments together."""
        values = self._judged_values
        line = lambda t: [np.asarray(v + t * s, v.dtype) for v, s in zip(values, steps, strict=True)]
        every = list(range(len(values)))
        return self._weigh(line, every, values, steps, self.gradients, lambda c: self._unsteadiness[c], False, False)

    @cached_property
    def _judged_values(self) -> list[Array]:
        return [v.astype(np.float64) if self.problem.double else v for v in self.values]

    def _weigh(
        self,
        line: Callable[[float], list[Array]],
        moved: list[int],
        starts: list[Array],
        steps: list[Array],
        gradients: list[list[Array]],
        shaken: Callable[[int], list[Array]],
        single: bool,
        quick: bool,
    ) -> Verdict:
        """moved: the arguments that `line` makes anew; starts, steps, gradients[c], shaken(c): of them, one by one."""

        def total(parts: list[Array], others: list[Array], signed: bool = False) -> float:
            products = [p * o for p, o in zip(parts, others, strict=True)]
            return float(sum(np.sum(p) if signed else np.sum(np.abs(p)) for p in products))

        def nudged(t: float, k: int) -> Array:
            values = zip(line(t), self._nudges[k], strict=True)
            return self.problem.flat([np.asarray(v + n, v.dtype) for v, n in values])

        analytic = Analytic(
            np.array([total(g, steps, signed=True) for g in gradients]),
            np.array([total(g, steps) for g in gradients]),
            np.array([total(g, starts) for g in gradients]),
            self.problem.vjp_eps,
            lambda: np.array([total(shaken(c), steps) for c in range(2)]),
            nudged,
        )
        inner = [
            np.abs(a[used] / s[used]) for a, s in zip(starts, steps, strict=True) for used in [(a != 0) & (s != 0)]
        ]
        smallest = min((float(np.min(part)) for part in inner if part.size), default=1.0)
        flat = lambda t: self.problem.flat(line(t), moved)
        return judge(
            flat, self.centre, self.cotangents, analytic, self.problem.eps, smallest, single=single, quick=quick
        )

    def coordinate(self, j: int, flat: int, quick: bool = False) -> Finding:
        index = tuple(int(i) for i in np.unravel_index(flat, self.values[j].shape))
        where = tuple(slice(i, i + 1) for i in index) or (...,)
        unit = float(self.units[j][index])
        return Finding(j, index, unit, self._judge(j, where, np.full((1,) * len(index), unit), True, quick))

    def random_direction(self, j: int) -> Array:
        """Every coordinate by 0.5 to 1 of its unit, with random signs: unequal, so that errors do not cancel."""
        shape = self.values[j].shape
        return np.asarray(self.units[j] * self.rng.uniform(0.5, 1, shape) * self.rng.choice([-1.0, 1.0], shape))

    def direction(self, j: int, step: Array, members: Array | None = None) -> Finding:
        """Along `step`, of the given flat coordinates only."""
        if members is not None:
            kept = np.zeros(step.size)
            kept[members] = step.ravel()[members]
            step = kept.reshape(step.shape)
        return Finding(j, None, 1.0, self._judge(j, (...,), step, False))

    def search(self, j: int, step: Array, members: Array, kinked: bool) -> list[Finding]:
        """The coordinates behind a direction that disagrees: one by one if few, else by bisection. Where many
        coordinates may sit at a kink bisection would find every one of them; there a few are looked at."""
        if kinked:
            members = members[:PEEK] if members.size > 100 else members
        if members.size <= SWEEP:
            return [self.coordinate(j, int(i)) for i in members]
        found: list[Finding] = []
        pending, cost = [members], 0
        while pending and cost < SEARCH:
            group = pending.pop()
            halves = [h for h in np.array_split(group, 2) if h.size]
            cost += len(halves)
            judged = [self.coordinate(j, int(h[0])) if h.size == 1 else self.direction(j, step, h) for h in halves]
            found += [f for f in judged if f.index is not None]
            suspects = [
                (severity(f.verdict), h) for f, h in zip(judged, halves, strict=True) if suspect(f) and h.size > 1
            ]
            pending += [h for _, h in sorted(suspects, key=lambda s: s[0])]  # the worst is looked at next
            if any(f.verdict.state is State.DISAGREES for f in found):
                break
        return found


def suspect(finding: Finding) -> bool:
    return finding.verdict.state >= State.KINK or finding.verdict.kinked


def severity(verdict: Verdict) -> float:
    c = verdict.cotangent
    return float(abs(verdict.analytic[c] - verdict.numeric[c]) / max(verdict.allowed[c], 1e-300))


def same(a: Array, b: Array) -> bool:
    """Equal up to the rounding that another memory alignment may bring."""
    size = float(np.max(np.abs(a[np.isfinite(a)]), initial=0.0))
    return bool(np.allclose(a, b, rtol=0, atol=1e4 * float(np.finfo(a.dtype).eps) * size, equal_nan=True))
