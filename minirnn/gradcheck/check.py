"""The check itself: inspect f and its backward, compare them at several points, explain what disagrees."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from minirnn.gradcheck.diagnosis import explain, reasons
from minirnn.gradcheck.inspection import inspect_function, is_nondeterministic, native_disagreement, nonlinearity
from minirnn.gradcheck.kinks import Beside, off_along_a_smooth_direction
from minirnn.gradcheck.points import points
from minirnn.gradcheck.problem import Fault, Problem, Undefined
from minirnn.gradcheck.report import ArgumentReport, Report, Worst
from minirnn.gradcheck.site import Finding, Site, severity, suspect
from minirnn.gradcheck.verdict import State

__all__ = ["METHODS", "check"]

Array = NDArray[Any]
METHODS = ("auto", "coordinates", "directions")
FEW = 100  # coordinates of one argument that "auto" checks one by one at the given point
SAMPLE = 24  # coordinates of a larger argument that it does
GROUPS = 8  # random directions that together see every coordinate of a larger argument


def check(problem: Problem, seed: int, method: str, vary: bool = True) -> Report:
    """The check itself. vary=False: only at the given point, for a gradient that is known there alone."""
    rng = np.random.default_rng(seed)
    report = Report("ok", [ArgumentReport(n, v.shape) for n, v in zip(problem.names, problem.values, strict=True)])
    report.constants = list(problem.args.constants)
    problem.progress.doing = "at the given point"
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
        problem.progress.doing = point.label
        try:
            site = Site(problem, point, rng)
        except Undefined as raised:
            if point.near:
                raise Fault("non-finite", "", f"{point.label} f is defined, and the backward raises {raised}") from None
            report.notes.append(f"{point.label}: f is defined, and the backward raises {raised}")
            continue
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
    kinked = [f for f in undecided if f.verdict.kinked or f.verdict.state is State.DISAGREES]
    if kinked:
        problem.progress.doing = "beside the given point, where f bends"
        beside = Beside(given)
        outside = [f for f in kinked if f.verdict.state is State.DISAGREES and not beside.enclose(f)]
        found = (outside[0], "") if outside else off_along_a_smooth_direction(beside, kinked)
        if found is not None:
            _mismatch(report, given, found[0], given, nonlinear.text if nonlinear else "")
            report.notes += [f"{found[1]}, f does not bend, and there the gradient is wrong"] if found[1] else []
            return
    if nonlinear is not None and not kinked:
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
    single: list[Finding] = []  # of arguments whose every coordinate was checked
    for j, argument in enumerate(report.arguments):
        size = site.values[j].size
        every = method == "coordinates" or (method == "auto" and size <= FEW)
        if every or method == "auto":
            chosen = range(size) if every else np.sort(site.rng.choice(size, min(SAMPLE, size), replace=False))
            findings = [site.coordinate(j, int(i)) for i in chosen]
            for finding in findings:
                _note(argument, finding, site)
            single += findings if every else []
            undecided += [f for f in findings if f.verdict.state in (State.KINK, State.JUMP)]
            wrong += [f for f in findings if f.verdict.state is State.DISAGREES]
        if not every and size:
            wrong += _along_directions(site, argument, j, GROUPS)
    if not wrong:
        return None, undecided
    bent = {j for j in {f.j for f in wrong} if _bends_between_the_axes(site, j, [f for f in single if f.j == j])}
    settled = [f for f in wrong if f.j not in bent]
    return (max(settled, key=lambda f: severity(f.verdict)) if settled else None), [*undecided, *wrong]


def _bends_between_the_axes(site: Site, j: int, single: list[Finding]) -> bool:
    """Whether f has a kink that a random direction shows; or its derivatives along the axes (all of them, or none
    given) do not add up to the one along that direction, as with the median of equal entries."""
    step = site.random_direction(j)
    along = site.direction(j, step).verdict
    if along.kinked or len(single) < 2:
        return along.kinked
    steps = np.array([step[f.index] / f.unit for f in single if f.index is not None])
    total = steps @ np.array([f.verdict.numeric for f in single])
    error = np.abs(steps) @ np.array([f.verdict.error for f in single]) + along.error
    return bool(np.any(np.abs(total - along.numeric) > 10 * error + 1e-6 * np.abs(along.numeric)))


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
