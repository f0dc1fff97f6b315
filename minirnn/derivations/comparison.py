"""The derivations, one entry of METHODS each, and the table of what they find."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minirnn import bptt, tree
from minirnn.derivations.analytic import what_is_not_analytic
from minirnn.derivations.influences import gradient_by_influences
from minirnn.derivations.problem import BOUND, Arrays, Finding, NotApplicable, Problem
from minirnn.engines import engine_names
from minirnn.layers import Cell, GRUCell, LSTMCell, RNNCell, cells
from minirnn.transform import jvp

__all__ = ["METHODS", "Comparison", "builtin_cells", "compare", "methods", "registered_cells"]

Method = Callable[[Problem], Finding]
MOST_COORDINATES = 3000  # for RTRL, whose cost grows with their square


@dataclass(frozen=True)
class Comparison:
    """All derivations of one cell's gradient. zero: arrays whose gradient is zero throughout, where agreement says
    little (a parameter that the step never reads is one)."""

    cell: str
    findings: dict[str, Finding]
    zero: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing failed, and at least one derivation applied."""
        verdicts = [finding.verdict for finding in self.findings.values()]
        return "FAIL" not in verdicts and "PASS" in verdicts

    def as_dict(self) -> dict[str, Any]:
        """Strings, numbers, lists and dicts, for JSON; a number that is not finite becomes a string."""
        plain = lambda value: str(value) if isinstance(value, float) and not np.isfinite(value) else value
        findings = {name: tree.map(plain, found._asdict()) for name, found in self.findings.items()}
        return {"cell": self.cell, "ok": self.ok, "findings": findings, "zero": list(self.zero)}

    def __str__(self) -> str:
        lines = [f"{self.cell}: {'PASS' if self.ok else 'FAIL'}"]
        for name, (verdict, error, bound, worst, reason) in self.findings.items():
            numbers = "" if error is None else f"{error:.1e} (bound {bound:.0e}), worst in {worst}"
            lines.append(f"  {name:20s} {verdict:5s} {'; '.join(part for part in (numbers, reason) if part)}")
        return "\n".join([*lines, *([f"  zero throughout: {', '.join(self.zero)}"] if self.zero else [])])


def builtin_cells() -> dict[str, Cell]:
    """The cells that minirnn itself vouches for, by name: small, and in float64."""
    rng = np.random.default_rng(0)
    return {
        "RNN tanh": RNNCell(3, 4, rng=rng, dtype=np.float64),
        "RNN relu": RNNCell(3, 4, nonlinearity="relu", rng=rng, dtype=np.float64),
        "LSTM": LSTMCell(3, 4, rng=rng, dtype=np.float64),
        "LSTM projected": LSTMCell(3, 4, proj_size=2, rng=rng, dtype=np.float64),
        "GRU": GRUCell(3, 4, rng=rng, dtype=np.float64),
    }


def registered_cells() -> dict[str, Cell]:
    """Every cell that `minirnn check --all` covers: the built-in ones, each without its biases, and all of the zoo."""
    rng = np.random.default_rng(0)
    without = {
        "RNN tanh, no bias": RNNCell(3, 4, bias=False, rng=rng, dtype=np.float64),
        "LSTM, no bias": LSTMCell(3, 4, bias=False, rng=rng, dtype=np.float64),
        "GRU, no bias": GRUCell(3, 4, bias=False, rng=rng, dtype=np.float64),
    }
    return builtin_cells() | without | {name: cells.small(name, rng=rng) for name in cells.names()}


def compare(cell: Cell, *, seed: int = 0, steps: int = 5, batch: int = 3) -> Comparison:
    """Derive the gradient of a random objective of the cell in every way that applies, and compare.

    The objective is described in minirnn.derivations. The cell is taken to float64 and keeps its sizes; small ones do,
    and every coordinate costs time. TypeError: not a Cell, or a state that is no float array. ValueError: steps or
    batch below 1. What the cell itself raises in its step comes through.
    """
    if not isinstance(cell, Cell):
        came = f"the class {cell.__name__}" if isinstance(cell, type) else type(cell).__name__
        raise TypeError(f"compare: {came} came, a Cell was expected, built small, as in LSTMCell(3, 4)")
    if steps < 1 or batch < 1:
        raise ValueError(f"compare: steps={steps} and batch={batch} came, at least 1 of both was expected")
    problem = Problem(cell.astype(np.float64), seed, steps, batch)
    findings = {}
    for name, method in methods().items():
        try:
            findings[name] = method(problem)
        except (NotApplicable, NotImplementedError) as reason:
            findings[name] = Finding("n/a", reason=str(reason))
    zero = tuple(name for name, g in problem.reference.items() if not g.any())
    return Comparison(f"{type(cell).__name__}({cell.extra_repr()})", findings, zero)


# ---------------------------------------------------------------- by hand, backward and forward in time
_BY_HAND: dict[type[Cell], tuple[Any, Callable[..., bptt.rtrl.Result], Callable[[Any], dict[str, Any]]]] = {
    RNNCell: (bptt.rnn, bptt.rtrl.rnn, lambda cell: {"nonlinearity": cell.nonlinearity}),
    LSTMCell: (bptt.lstm, bptt.rtrl.lstm, lambda cell: {}),
    GRUCell: (bptt.gru, bptt.rtrl.gru, lambda cell: {}),
}


def _given(problem: Problem) -> tuple[Any, Any, Any]:
    """params, xs and state, as the hand-written passes take them."""
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
    params = {name: getattr(problem.cell, name, None) for name in names}
    return (
        params,
        problem.arrays["input"],
        problem.rebuild_state([problem.arrays[name] for name in problem.state_names]),
    )


def _with_state(problem: Problem, grads: Arrays, d_state0: Any) -> Arrays:
    return grads | dict(zip(problem.state_names, tree.leaves(d_state0), strict=True))


def _bptt_by_hand(problem: Problem) -> Finding:
    if type(problem.cell) not in _BY_HAND:
        raise NotApplicable(f"nobody has written out {type(problem.cell).__name__} by hand")
    module, _, options = _BY_HAND[type(problem.cell)]
    _, _, cache = module.forward(*_given(problem), problem.lengths, **options(problem.cell))
    grads, d_xs, d_state0 = module.backward(cache, *problem.cotangents)
    return problem.judge({**_with_state(problem, grads, d_state0), "input": d_xs})


def _rtrl(problem: Problem) -> Finding:
    coordinates = sum(array.size for name, array in problem.arrays.items() if name != "input")
    if coordinates > MOST_COORDINATES:
        raise NotApplicable(f"{coordinates} coordinates, {MOST_COORDINATES} are feasible; build the cell smaller")
    if type(problem.cell) not in _BY_HAND:
        return problem.judge(gradient_by_influences(problem))
    _, by_hand, options = _BY_HAND[type(problem.cell)]
    result = by_hand(*_given(problem), *problem.cotangents, problem.lengths, **options(problem.cell))
    return problem.judge(_with_state(problem, result.grads, result.d_state0))


# ---------------------------------------------------------------- along directions
def _forward_mode(problem: Problem) -> Finding:
    def derivative(v: Arrays) -> float:
        moved = jvp(problem.run, (problem.arrays,), (v,))[1]
        pairs = zip(tree.leaves(moved), tree.leaves(problem.cotangents), strict=True)
        return float(sum(np.sum(tangent * cotangent) for tangent, cotangent in pairs))

    return problem.judge_along_directions(derivative)


def _complex_step(problem: Problem) -> Finding:
    h = 1e-30

    def derivative(v: Arrays) -> float:
        return float(problem.value({name: array + 1j * h * v[name] for name, array in problem.arrays.items()}).imag / h)

    try:
        found = what_is_not_analytic(problem)
        if found:
            raise NotApplicable(f"not known to be analytic: {', '.join(found)}")
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)  # an imaginary part was thrown away
            return problem.judge_along_directions(derivative)
    except NotApplicable:
        raise
    except Exception as error:  # a step may refuse complex numbers with an error of its own
        raise NotApplicable(f"does not run on complex numbers ({type(error).__name__}: {error})") from error


# ---------------------------------------------------------------- numerically
def _finite_differences(problem: Problem) -> Finding:
    """minirnn.gradcheck, with autograd's gradient as the backward that it checks."""
    from minirnn.gradcheck import gradcheck

    names = list(problem.arrays)

    def objective(*arrays: Any) -> Any:
        return problem.value(dict(zip(names, arrays, strict=True)))

    def backward(g: Any, *arrays: Any) -> tuple[Any, ...]:
        gradient = problem.gradient(dict(zip(names, arrays, strict=True)))
        return tuple(g * gradient[name] for name in names)

    report = gradcheck(objective, *problem.arrays.values(), vjp=backward, seed=problem.seed, progress=False)
    verdict, told = "PASS" if report.ok else "FAIL", ""
    if report.kind not in ("ok", "mismatch"):
        told = f"{report.kind}: {report.text}".strip(": ")
        for i, name in enumerate(names):
            told = told.replace(f"arrays[{i}]", name)
    differences = []
    for name, argument in zip(names, report.arguments, strict=False):
        if argument.worst is not None:
            gap, size = abs(argument.worst.analytic - argument.worst.numeric), problem.scales[name]
            differences.append((gap / size, 10 * argument.worst.error / size, name))
    if not differences:  # the check ended before it compared a number
        return Finding(verdict, 0.0 if report.ok else np.inf, BOUND, "the objective", told)
    error, bound, worst = max(differences)
    return Finding(verdict, error, bound, worst, told)


# ---------------------------------------------------------------- the table
METHODS: dict[str, Method] = {
    "BPTT by hand": _bptt_by_hand,
    "RTRL": _rtrl,
    "forward mode": _forward_mode,
    "complex step": _complex_step,
    "finite differences": _finite_differences,
}


def methods() -> dict[str, Method]:
    """METHODS, and reverse mode through every registered engine that is not the reference itself."""
    others = [name for name in engine_names() if name not in ("auto", "python")]
    return METHODS | {f"engine {name}": _through(name) for name in others}


def _through(engine: str) -> Method:
    def method(problem: Problem) -> Finding:
        try:
            return problem.judge(problem.gradient(problem.arrays, engine))
        except ValueError as error:
            if "cannot run" in str(error):
                raise NotApplicable(str(error)) from error
            raise

    return method
