"""What can be wrong before f is differentiated: values, repeatability, precision, and a backward that is not linear."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from minirnn.gradcheck.nesting import is_float_array
from minirnn.gradcheck.points import cotangents
from minirnn.gradcheck.problem import Fault, Problem, Undefined
from minirnn.gradcheck.site import Finding, Site, same
from minirnn.gradcheck.verdict import State, Verdict

__all__ = ["Nonlinear", "inspect_function", "is_nondeterministic", "native_disagreement", "nonlinearity"]

Array = NDArray[Any]
REPEATS = 4  # calls of f with the same arguments; a dropout mask may well be the same twice


class Nonlinear(NamedTuple):
    """A backward that is not linear in its cotangent: the coordinate that shows it, and what to say."""

    finding: Finding
    text: str


def inspect_function(problem: Problem) -> None:
    """Fault: an argument or output is not finite, f writes into an argument, f or the backward varies between equal
    calls, a gradient has a wrong shape or dtype. Afterwards the problem knows its outputs and its judged precision."""
    for name, value in zip(problem.names, problem.values, strict=True):
        _all_finite(value, f"argument {name}", name)
    problem.native_outputs = problem.outputs = outputs = problem.watched_call(problem.values)
    for k, out in enumerate(outputs):
        which = "f" if problem.template.keys is None else f"{problem.output_name(k)} of f"
        _all_finite(out, which, "")
    for _ in range(REPEATS - 1):
        again = problem.watched_call(problem.values)
        if [o.shape for o in again] != [o.shape for o in outputs] or not all(map(same, outputs, again)):
            raise Fault(
                "nondeterministic",
                "",
                "f gives different results for the same arguments: random numbers or state that lives outside them. "
                "Draw the noise before, and pass it as an argument",
            )
    flat = cotangents(np.random.default_rng(0), outputs)[:, 0]
    first = problem.gradients(flat, problem.values, double=False)
    second = problem.gradients(flat, problem.values, double=False)
    for name, a, b in zip(problem.names, first, second, strict=True):
        if not same(a, b):
            raise Fault("nondeterministic", name, f"the backward gives two gradients of {name} for the same arguments")
    _choose_precision(problem, flat)


def _all_finite(value: Array, what: str, name: str) -> None:
    if not np.isfinite(value).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(value))[0])
        raise Fault("non-finite", name, f"{what} is {value[index]} at {list(index)}", index)


def _choose_precision(problem: Problem, flat: Array) -> None:
    """float64 for f and for its backward, each where it accepts that. A function that insists on single precision, by
    whatever exception, is judged in it."""
    held = [leaf.value.dtype for leaf in problem.args.leaves if is_float_array(leaf.value)]
    if all(dtype == np.float64 for dtype in held):
        problem.double = problem.double_vjp = False
        return
    try:
        outputs = problem.call(problem.args.made(problem.values, True))
    except Exception:
        return
    wide = all(o.dtype.itemsize >= 8 for o in outputs)
    if not wide or [o.shape for o in outputs] != [o.shape for o in problem.outputs]:
        return
    problem.double, problem.outputs = True, outputs
    try:
        problem.gradients(flat, problem.values, double=True)
    except Exception:
        return
    problem.double_vjp = True


def is_nondeterministic(problem: Problem) -> bool:
    """Whether eight more calls of f give different results: the cause of a verdict that makes no other sense."""
    first = problem.flat(problem.values)
    return not all(same(first, problem.flat(problem.values)) for _ in range(8))


def native_disagreement(site: Site) -> dict[int, Finding] | None:
    """The backward in the caller's own precision against itself in float64: a kernel chosen by dtype may be another.

    A finding for every argument whose gradients are further apart, at this point, than 5% of the largest entry: coarse,
    as cancellation in single precision gets there too, though hardly at points of every scale. None: single precision
    overflows here.
    """
    problem = site.problem
    if not problem.double_vjp:
        return {}
    found: dict[int, Finding] = {}
    for c in range(2):
        try:
            native = problem.gradients_beside(site.cotangents[:, c], site.values, double=False, strict=False)
        except Undefined:
            return None
        if not all(np.isfinite(single).all() for single in native):
            return None
        for j, (single, double) in enumerate(zip(native, site.gradients[c], strict=True)):
            gap = np.abs(single - double)
            allowed = 0.05 * float(np.max(np.abs(double), initial=0.0))
            if np.any(gap > allowed):
                index = tuple(int(i) for i in np.unravel_index(int(np.argmax(gap)), gap.shape))
                found[j] = _given(j, index, single[index], double[index], allowed)
    return found


def nonlinearity(site: Site) -> Nonlinear | None:
    """vjp(a g) against a vjp(g) for a by which a linear backward scales without rounding (powers of two)."""
    g = site.cotangents[:, 0]
    largest = max((float(np.max(np.abs(v), initial=0.0)) for v in site.gradients[0]), default=0.0)
    to_ten_thousand = int(np.ceil(np.log2(1e4 / largest))) if largest > 0 else 0
    for power in (-10, 10, int(np.clip(to_ten_thousand, -60, 60))):
        factor = 2.0**power
        try:
            scaled = site.problem.gradients(factor * g, site.values, site.problem.double_vjp, strict=False)
        except Fault as fault:
            raise Fault(
                fault.kind, fault.argument, f"{fault.text} (with a cotangent {factor:g} times as large)"
            ) from None
        for j, (once, v) in enumerate(zip(site.gradients[0], scaled, strict=True)):
            if v.size == 0 or not np.isfinite(v).all():
                continue
            allowed = 1e4 * site.problem.vjp_eps * np.max(np.abs(once))
            gap = np.abs(v / factor - once)
            if not np.any(gap > allowed):
                continue
            index = tuple(int(i) for i in np.unravel_index(int(np.argmax(gap)), gap.shape))
            top = float(np.max(np.abs(v)))
            flat_top = np.isclose(np.abs(v), top, rtol=1e-9).sum() > 1 or v.size == 1
            at = f"clipped at {top:.6g}?" if flat_top and factor > 1 else "clipped or normalised inside the backward?"
            if np.allclose(v, once, rtol=1e-9, atol=0):
                text = "does not depend on the cotangent g: multiply by g, which is 1 only where f is the last step"
                return Nonlinear(_given(j, index, v[index], factor * once[index], factor * allowed), text)
            law = f"A cotangent {factor:g} times as large must give {factor:g} times the gradient"
            text = f"not linear in the cotangent: {at} {law}"
            return Nonlinear(_given(j, index, v[index], factor * once[index], factor * allowed), text)
    return None


def _given(j: int, index: tuple[int, ...], analytic: float, expected: float, allowed: float) -> Finding:
    """A finding about a value that is known, and not differentiated numerically."""
    value, known, error, slack = (np.array([x], np.float64) for x in (analytic, expected, allowed / 10, allowed))
    return Finding(j, index, 1.0, Verdict(State.DISAGREES, value, known, error, slack, False, None))
