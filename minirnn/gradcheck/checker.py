"""gradcheck: the call that users make; what comes is put in order, and `check` does the rest."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minirnn.gradcheck.arguments import Arguments, argument_names, held_by
from minirnn.gradcheck.autodiff import gradient_function, traced_vjp
from minirnn.gradcheck.check import METHODS, check
from minirnn.gradcheck.nesting import is_module
from minirnn.gradcheck.problem import Problem
from minirnn.gradcheck.progress import Progress
from minirnn.gradcheck.report import Report

__all__ = ["gradcheck"]


def gradcheck(
    f: Callable[..., Any],
    *args: Any,
    vjp: Callable[..., Any] | None = None,
    argnums: int | Sequence[int] | None = None,
    seed: int = 0,
    method: str = "auto",
    order: int = 1,
    progress: bool = True,
) -> Report:
    """Check the gradient of f at args, and around them, against numerical differentiation of f.

    f(*args) returns a float array, a scalar, or a nesting of them. An argument is a float array, or a nesting of such
    (tuple, list, dict, NamedTuple, dataclass), or a Module (anything with `parameters()` and `bind(values)`): every
    float array in it is varied. `vjp(g, *args)` is the backward to check: g is nested and shaped like f's output, and
    it returns a tuple with one gradient for each argument that holds float arrays (or for each argument: None for the
    others; or the gradient alone where there is one), nested like its argument, each array of the shape and dtype of
    what it belongs to; a dict by parameter path for a Module. Without `vjp`, autograd's is checked, and where f is a
    Module itself, its parameters are varied too.

    argnums: the arguments to differentiate by, a position or several; default: all that hold float arrays (Python
        floats only where there is no array, or where the backward has a gradient for them). All others (integers, None,
        any object) are handed on as they are and never varied, and `report.constants` names them: name in argnums what
        a backward is right for, if it is not right for all.
    seed: of the random points, cotangents and directions; the same seed gives the same report.
    method: "auto" checks every coordinate at the given point where an argument has at most 100, else a sample and
        random directions that together see every coordinate; "coordinates" checks all of them, however many;
        "directions" none, which is the cheapest. Everywhere but at the given point directions are used.
    order: 2 checks autograd's second derivative too, that is the gradient of the gradient; f must be traced.
    progress: a line on standard error every few seconds, once the check has taken some.

    What f raises at the given arguments comes through. Where it raises at others (an assertion, an error of its own),
    it is not defined, as where it is nan; but a TypeError, NameError, AttributeError or ImportError comes through.

    The verdict weighs a disagreement against the estimated error of the numerical derivative, not against a tolerance.
    At a kink (relu at 0, clip, max) any value between the one-sided derivatives is right: `kind` is then "kink", and
    `ok` is True. Single precision functions are judged in float64 if they accept it.

    ValueError, TypeError: the call itself is wrong: no float argument, argnums out of range, an unknown method or
    order, a function that does not return float arrays or that autograd cannot trace.
    """
    if method not in METHODS:
        raise ValueError(f"gradcheck: method {method!r} came, one of {', '.join(METHODS)} was expected")
    if order not in (1, 2):
        raise ValueError(f"gradcheck: order {order!r} came, 1 or 2 was expected")
    if order == 2 and vjp is not None:
        raise ValueError(
            "gradcheck: order=2 differentiates autograd's trace of f once more; it cannot see inside a vjp"
        )
    whose = f"{_name(vjp)}, the backward of {_name(f)}" if vjp is not None else f"autograd's gradient of {_name(f)}"
    names = argument_names(f, len(args))
    held = held_by(f)
    if vjp is None and is_module(f):
        f, args, names, held = _called, (f, *args), ["", *names], held[1:]
        argnums = argnums if argnums is None else [i + 1 for i in np.atleast_1d(argnums).tolist()]
    arguments = Arguments(args, names, argnums)
    if vjp is not None and arguments.floats:
        arguments = Arguments(args, names, argnums, _answered(Problem(f, arguments, vjp)))
    first = Problem(f, arguments, vjp if vjp is not None else traced_vjp(f, arguments))
    first.progress = Progress(quiet=not progress)
    report = check(first, seed, method) if vjp is None else _with_its_order(first, seed, method)
    if order == 2 and report.ok:
        weights = first.cotangent(np.random.default_rng(seed).standard_normal(first.size), first.native_outputs)
        gradient = gradient_function(f, arguments, weights)
        second = Problem(gradient, arguments, traced_vjp(gradient, arguments))
        second.progress = first.progress
        report = check(second, seed, method)
        report.order = 2
    report.checked = whose
    report.constants += held
    return report


def _called(model: Any, *args: Any) -> Any:
    return model(*args)


def _name(f: Any) -> str:
    f = getattr(f, "func", f)  # of a partial
    name = getattr(f, "__name__", type(f).__name__)
    return "a lambda" if name == "<lambda>" else str(name)


def _answered(problem: Problem) -> list[str]:
    """The Python floats that the backward has a gradient for. What goes wrong here will go wrong again, and be told."""
    try:
        outputs = problem.call(problem.args.made(problem.values, False))
        g = problem.cotangent(np.ones(sum(o.size for o in outputs)), outputs)
        return problem.args.answered(problem.vjp(g, *problem.args.made(problem.values, False)))
    except Exception:
        return []


def _with_its_order(problem: Problem, seed: int, method: str) -> Report:
    """`check`, and a word where the backward takes its cotangent last."""
    try:
        report = check(problem, seed, method)
    except Exception:
        if not _is_right_swapped(problem, seed):
            raise
        report = Report("mismatch", text="the backward raises an error, as it is called with its arguments swapped")
    names = ", ".join(node.name for node in problem.args.nodes)
    called = f"the backward is called with the cotangent first, as in backward(g, {names})"
    if report.kind in ("mismatch", "shape", "dtype") and _is_right_swapped(problem, seed):
        for argument in report.arguments:
            argument.hints = []  # of another cause
        report.notes.append(f"{called}; this one is right where g comes last")
    elif report.ok and _takes_it_late(problem):
        report.notes.append(f"{called}; the first parameter of this one is named like an argument of f")
    return report


def _is_right_swapped(problem: Problem, seed: int) -> bool:
    """Whether the backward is right when it is called with its cotangent last."""
    vjp = problem.vjp
    try:
        swapped = Problem(problem.f, problem.args, lambda g, *args: vjp(*args, g))
        return check(swapped, seed, "directions", vary=False).ok
    except Exception:
        return False


def _takes_it_late(problem: Problem) -> bool:
    """Whether the backward's first parameter has the name of f's first argument."""
    names = argument_names(problem.vjp, 1)
    return bool(problem.args.nodes) and names[0] == problem.args.nodes[0].name
