"""gradcheck: inspect the function and its backward, compare them at several points, explain what disagrees."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minirnn.gradcheck.autodiff import gradient_function, traced_vjp
from minirnn.gradcheck.diagnosis import explain, reasons
from minirnn.gradcheck.inspection import inspect_function, is_nondeterministic, native_disagreement, nonlinearity
from minirnn.gradcheck.points import points
from minirnn.gradcheck.problem import Fault, Problem, argument_names, differentiable
from minirnn.gradcheck.report import ArgumentReport, Report, Worst
from minirnn.gradcheck.site import Finding, Site, severity, suspect
from minirnn.gradcheck.verdict import State

__all__ = ["METHODS", "check", "gradcheck"]

Array = NDArray[Any]
METHODS = ("auto", "coordinates", "directions")
FEW = 100  # coordinates of one argument that "auto" checks one by one at the given point
SAMPLE = 24  # coordinates of a larger argument that it does
GROUPS = 8  # random directions that together see every coordinate of a larger argument


def gradcheck(
    f: Callable[..., Any],
    *args: Any,
    vjp: Callable[..., Any] | None = None,
    argnums: int | Sequence[int] | None = None,
    seed: int = 0,
    method: str = "auto",
    order: int = 1,
) -> Report:
    """Check the gradient of f at args, and around them, against numerical differentiation of f.

    f(*args) returns a float array, a scalar, or a tuple of them. `vjp(g, *args)` is the backward to check: g has the
    shape of f's output (a tuple if that is one), and it returns a tuple with one gradient an argument (an array alone
    where there is one argument), each of its argument's shape and dtype. Without `vjp`, autograd's is checked.

    argnums: the arguments to differentiate by, a position or several; default: every float array (Python floats only
        where there is no array). All others (integers, None, any object) are handed on as they are and never varied:
        name in argnums what a backward is right for, if it is not right for all.
    seed: of the random points, cotangents and directions; the same seed gives the same report.
    method: "auto" checks every coordinate at the given point where an argument has at most 100, else a sample and
        random directions that together see every coordinate; "coordinates" checks all of them, however many;
        "directions" none, which is the cheapest. Everywhere but at the given point directions are used.
    order: 2 checks autograd's second derivative too, that is the gradient of the gradient; f must be traced.

    The verdict weighs a disagreement against the estimated error of the numerical derivative, not against a tolerance.
    At a kink (relu at 0, clip, max) any value between the one-sided derivatives is right: `kind` is then "kink", and
    `ok` is True. Single precision functions are judged in float64 if they accept it.

    ValueError, TypeError: the call itself is wrong: no float argument, argnums out of range, an unknown method or
    order, a function that does not return float arrays or that autograd cannot trace.
    """
    names = argument_names(f, len(args))
    chosen = differentiable(args, argnums, names)
    if method not in METHODS:
        raise ValueError(f"gradcheck: method {method!r} came, one of {', '.join(METHODS)} was expected")
    if order not in (1, 2):
        raise ValueError(f"gradcheck: order {order!r} came, 1 or 2 was expected")
    if order == 2 and vjp is not None:
        raise ValueError(
            "gradcheck: order=2 differentiates autograd's trace of f once more; it cannot see inside a vjp"
        )
    chosen_names = [names[i] for i in chosen]
    backward = vjp if vjp is not None else traced_vjp(f, chosen)
    first = Problem(f, args, chosen, backward, chosen_names)
    report = check(first, seed, method)
    if order == 1 or not report.ok:
        return report
    weights = first.cotangent(np.random.default_rng(seed).standard_normal(first.size), first.native_outputs)
    gradient = gradient_function(f, chosen, weights)
    second = check(Problem(gradient, args, chosen, traced_vjp(gradient, chosen), chosen_names), seed, method)
    second.order = 2
    return second


def check(problem: Problem, seed: int, method: str, vary: bool = True) -> Report:
    """The check itself. vary=False: only at the given point, for a gradient that is known there alone."""
    rng = np.random.default_rng(seed)
    report = Report("ok", [ArgumentReport(n, v.shape) for n, v in zip(problem.names, problem.values, strict=True)])
    try:
        with np.errstate(all="ignore"):  # overflow and 0/0 are looked for by value
            inspect_function(problem)
            _run(problem, report, rng, method, vary)
            if not report.ok and is_nondeterministic(problem):
                raise Fault("nondeterministic", "", "f gives different results for the same arguments, now and then")
    except Fault as fault:
        report.kind, report.text = fault.kind, fault.text
        if fault.argument in problem.names and fault.index is not None:
            report.worst = Worst(fault.argument, fault.index, float("nan"), float("nan"), float("inf"), float("inf"))
    report.precision = "float64" if problem.eps < 1e-10 else "single precision"
    report.evaluations = problem.calls
    return report


def _run(problem: Problem, report: Report, rng: np.random.Generator, method: str, vary: bool) -> None:
    undecided: list[Finding] = []
    natively: dict[int, Finding] = {}  # arguments whose gradient is another in the caller's precision, at every point
    given: Site | None = None
    sites = points(problem.values, rng, lambda values: bool(np.isfinite(problem.flat(values)).all()))
    for point in sites if vary else [next(sites)]:
        site = Site(problem, point, rng)
        if not site.finite:
            report.notes.append(f"{point.label}: f is finite, the gradient is not")
            continue
        report.points += 1
        if given is None:
            given = site
            nonlinear = nonlinearity(site) if vary else None
            wrong, undecided = _check_given(site, report, method)
        else:
            wrong = _check_elsewhere(site, report)
        native = native_disagreement(site)
        if native is not None:
            natively = {j: natively.get(j, f) for j, f in native.items() if site is given or j in natively}
        if wrong is None and site is given and nonlinear is not None and not undecided:
            wrong = nonlinear.finding
        if wrong is not None:
            _mismatch(report, site, wrong, given, nonlinear.text if nonlinear else "")
            return
    assert given is not None
    if natively:
        _mismatch(report, given, max(natively.values(), key=lambda f: severity(f.verdict)), given, "")
        report.notes.append("the gradient is right in float64, and another in the arguments' own dtype")
        return
    for finding in undecided:
        if finding.verdict.state is State.DISAGREES and not _is_subgradient(given, finding):
            _mismatch(report, given, finding, given, nonlinear.text if nonlinear else "")
            return
    if nonlinear is not None and not any(f.verdict.kinked or f.verdict.state is State.DISAGREES for f in undecided):
        _mismatch(report, given, nonlinear.finding, given, nonlinear.text)
    elif any(f.verdict.state is State.JUMP for f in undecided):
        jump = next(f for f in undecided if f.verdict.state is State.JUMP)
        report.kind = "discontinuous"
        report.worst = _worst(given, jump)
        report.text = f"f jumps as {problem.names[jump.j]}{list(jump.index or ())} passes its given value"
    elif undecided:
        report.kind = "kink"
    _finish(report)


def _finish(report: Report) -> None:
    measured = [a.worst for a in report.arguments if a.worst is not None]
    if report.worst is None and measured:
        report.worst = max(measured, key=lambda w: w.relative)
    for argument in report.arguments:
        if argument.coordinates and argument.unresolved == argument.coordinates:
            report.notes.append(f"{argument.name}: f is too noisy here for its derivative to be resolved")


def _check_given(site: Site, report: Report, method: str) -> tuple[Finding | None, list[Finding]]:
    """A finding that settles it, and those that the other points must help to judge: at a kink, a jump."""
    undecided: list[Finding] = []
    wrong: list[Finding] = []
    for j, argument in enumerate(report.arguments):
        size = site.values[j].size
        every = method == "coordinates" or (method == "auto" and size <= FEW)
        if every or method == "auto":
            chosen = range(size) if every else np.sort(site.rng.choice(size, min(SAMPLE, size), replace=False))
            findings = [site.coordinate(j, int(i)) for i in chosen]
            for finding in findings:
                _note(argument, finding, site)
            undecided += [f for f in findings if f.verdict.state in (State.KINK, State.JUMP)]
            wrong += [f for f in findings if f.verdict.state is State.DISAGREES]
        if not every and size:
            wrong += _along_directions(site, argument, j, GROUPS)
    if not wrong:
        return None, undecided
    bent = {j for j in {f.j for f in wrong} if site.direction(j, site.random_direction(j)).verdict.kinked}
    settled = [f for f in wrong if f.j not in bent]
    return (max(settled, key=lambda f: severity(f.verdict)) if settled else None), [*undecided, *wrong]


def _check_elsewhere(site: Site, report: Report) -> Finding | None:
    for j, argument in enumerate(report.arguments):
        size = site.values[j].size
        if size:
            wrong = _along_directions(site, argument, j, 1 if size == 1 else 2 if size <= FEW else 3)
            if wrong:
                return max(wrong, key=lambda f: severity(f.verdict))
    return None


def _along_directions(site: Site, argument: ArgumentReport, j: int, count: int) -> list[Finding]:
    """Directions that see every coordinate: a random partition of a large argument, else each all of it."""
    size = site.values[j].size
    shuffled = site.rng.permutation(size)
    groups = [g for g in np.array_split(shuffled, count) if g.size] if size > FEW else [shuffled] * min(count, size)
    for group in groups:
        step = site.random_direction(j)
        found = site.direction(j, step, group)
        _note(argument, found, site)
        if suspect(found):
            singles = site.search(j, step, group, found.verdict.kinked)
            wrong = [f for f in singles if f.verdict.state is State.DISAGREES]
            if not wrong and found.verdict.state is State.DISAGREES and not found.verdict.kinked:
                # No coordinate stands out, but together they do: believed where the gap is beyond doubt.
                wrong = [found] if severity(found.verdict) > 10 and not any(map(suspect, singles)) else []
            if wrong:
                return wrong
    return []


def _is_subgradient(given: Site, finding: Finding) -> bool:
    """Whether the gradient at a point where f bends lies among the gradients just beside it.

    Where several kinks meet, one-sided derivatives along a coordinate need not enclose a right subgradient; the convex
    hull of the gradients around does (Clarke 1975, doi:10.1090/S0002-9947-1975-0367131-6). Zero counts too: it is what
    relu's and clip's conventional derivative gives when all of them are inactive.
    """
    j, index = finding.j, finding.index
    if index is None:
        return False
    c = finding.verdict.cotangent
    value = given.gradients[c][j][index]
    around = [0.0]
    for _ in range(12):
        moved = [
            np.asarray(v + 1e-4 * u * given.rng.standard_normal(v.shape), v.dtype)
            for v, u in zip(given.values, given.units, strict=True)
        ]
        problem = given.problem
        around.append(problem.gradients(given.cotangents[:, c], moved, problem.double_vjp, strict=False)[j][index])
    slack = 0.01 * (max(around) - min(around))
    return bool(min(around) - slack <= value <= max(around) + slack)


def _worst(site: Site, finding: Finding) -> Worst:
    v, unit = finding.verdict, finding.unit
    c = v.cotangent
    analytic, numeric, error = (float(x[c]) / unit for x in (v.analytic, v.numeric, v.error))
    size = max(abs(analytic), abs(numeric))
    relative = abs(analytic - numeric) / size if size > 0 else 0.0
    return Worst(site.problem.names[finding.j], finding.index, analytic, numeric, error, relative)


def _note(argument: ArgumentReport, finding: Finding, site: Site) -> None:
    """Count a finding, and keep the largest relative error among those that are resolved."""
    state = finding.verdict.state
    if finding.index is None:
        argument.directions += 1
    else:
        argument.coordinates += 1
        argument.kinks += finding.verdict.kinked
        argument.unresolved += state is State.UNRESOLVED
    if state is not State.AGREES:
        return
    worst = _worst(site, finding)
    floor = float(np.max(finding.verdict.allowed)) / finding.unit
    if max(abs(worst.analytic), abs(worst.numeric)) > 100 * floor and (
        argument.worst is None or worst.relative > argument.worst.relative
    ):
        argument.worst = worst


def _mismatch(report: Report, site: Site, wrong: Finding, given: Site, nonlinear: str) -> None:
    report.kind, report.where = "mismatch", site.point.label
    if site is not given:
        report.text = "at the given point it does not show;"
    for j, (argument, explained) in enumerate(zip(report.arguments, explain(site, wrong, nonlinear), strict=True)):
        argument.coordinates, argument.disagree = len(explained.findings), explained.disagree
        argument.kinks = sum(f.verdict.kinked for f in explained.findings)
        argument.unresolved = sum(f.verdict.state is State.UNRESOLVED for f in explained.findings)
        argument.hints = explained.hints
        bad = [f for f in explained.findings if f.verdict.state is State.DISAGREES]
        if wrong.j == j and not bad:
            bad = [wrong]
        if bad:
            argument.worst = _worst(site, max(bad, key=lambda f: severity(f.verdict)))
    shown = [a.worst for a in report.arguments if a.disagree and a.worst is not None]
    report.worst = max(shown, key=lambda w: w.relative) if shown else _worst(site, wrong)
    report.notes += reasons(site, wrong)
