"""The gradient of a whole model, parameter by parameter; and checks that raise."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minirnn.gradcheck.arguments import Arguments, argument_names
from minirnn.gradcheck.autodiff import traced_vjp
from minirnn.gradcheck.check import METHODS, check
from minirnn.gradcheck.checker import gradcheck
from minirnn.gradcheck.problem import Problem
from minirnn.gradcheck.progress import Progress
from minirnn.gradcheck.report import Report

__all__ = ["assert_gradients", "gradcheck_module"]

Gradients = Mapping[str, Any] | Callable[..., Mapping[str, Any]]


def gradcheck_module(
    model: Any,
    loss: Callable[..., Any],
    *args: Any,
    grads: Gradients | None = None,
    seed: int = 0,
    method: str = "auto",
    progress: bool = True,
) -> Report:
    """Check the gradient of loss(model, *args), a scalar, by every trainable parameter; the report names them by path.

    model: anything with `parameters()`, a dict from path to array, and `bind(values)`, a copy with other arrays.
    grads: the gradient to check, keyed like `model.parameters()`: a function grads(model, *args), for a backward
        written by hand, or a dict, which is known at the model's own parameters alone and checked only there. Left out:
        autograd's gradient, through `model.bind`.
    seed, method, progress: as `gradcheck` has them.

    ValueError, TypeError: a model without parameters, a loss that is not a scalar, gradients of other names.
    """
    for needed in ("parameters", "bind"):
        if not callable(getattr(model, needed, None)):
            raise TypeError(f"gradcheck_module: {type(model).__name__} has no method {needed}()")
    if method not in METHODS:
        raise ValueError(f"gradcheck_module: method {method!r} came, one of {', '.join(METHODS)} was expected")
    paths = list(model.parameters())
    if not paths:
        raise ValueError(f"gradcheck_module: {type(model).__name__} has no trainable parameter")

    def function(model: Any, *args: Any) -> Any:
        value = loss(model, *args)
        if np.shape(value) != ():
            raise ValueError(f"gradcheck_module: the loss has shape {np.shape(value)}, a scalar was expected")
        return value

    def backward(g: Any, model: Any, *args: Any) -> tuple[Any, ...]:
        found = grads(model, *args) if callable(grads) else grads
        if not isinstance(found, Mapping) or set(found) != set(paths):
            came = sorted(found) if isinstance(found, Mapping) else type(found).__name__
            raise ValueError(f"gradcheck_module: gradients {came} came, one for each of {sorted(paths)} was expected")
        return ({path: _scaled(g, found[path]) for path in paths},)

    names = argument_names(loss, 1 + len(args))[1:]
    arguments = Arguments([model, *args], ["", *names], 0)
    vjp = traced_vjp(function, arguments) if grads is None else backward
    problem = Problem(function, arguments, vjp)
    problem.progress = Progress(quiet=not progress)
    report = check(problem, seed, method, vary=grads is None or callable(grads))
    whose = "autograd's gradient" if grads is None else "the gradient that was given"
    report.checked = f"{whose}, of {type(model).__name__} by parameter"
    return report


def _scaled(g: Any, gradient: Any) -> Any:
    """The chain rule for a scalar loss; what is not a real float array goes on to the check of dtypes as it is."""
    array = np.asarray(gradient)
    return array * array.dtype.type(g) if array.dtype.kind == "f" else gradient


def assert_gradients(f: Any, *args: Any, **options: Any) -> Report:
    """`gradcheck(f, *args, **options)`, or `gradcheck_module` where f is a model (has `parameters` and `bind`).

    Returns the report. AssertionError, with the report as its message: the gradient is not right.
    """
    is_model = hasattr(f, "parameters") and hasattr(f, "bind")
    report = (gradcheck_module if is_model else gradcheck)(f, *args, **options)
    if not report.ok:
        raise AssertionError(str(report))
    return report
