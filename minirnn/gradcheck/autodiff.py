"""autograd's gradient, where no backward is given. Imported late: a hand-written backward needs no autograd."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minirnn.gradcheck.arguments import Arguments, Leaves
from minirnn.gradcheck.nesting import take_apart

__all__ = ["gradient_function", "traced_vjp"]


def _leaves(args: Sequence[Any]) -> list[Any]:
    return [leaf.value for arg in args for leaf in take_apart(arg, "").leaves]


def _weighed(weights: Any, outputs: Any) -> Any:
    """sum of weights * outputs, traceable; both are nested alike."""
    import autograd.numpy as anp

    node = take_apart(weights, "")
    return sum(anp.sum(w.value * out) for w, out in zip(node.leaves, node.matched(outputs), strict=True))


def _gradient(scalar: Callable[[Any], Any], values: Sequence[Any]) -> tuple[Any, ...]:
    from autograd import grad

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Output seems independent of input")
        found = grad(scalar)(tuple(values))
    return tuple(found[k] for k in range(len(values)))


def traced_vjp(f: Callable[..., Any], arguments: Arguments) -> Callable[..., Leaves]:
    """vjp(g, *args) of f by autograd's trace; gradients of the varied leaves, in their dtypes.

    TypeError: f cannot be traced (it calls plain NumPy, or writes into an array).
    """

    def vjp(g: Any, *args: Any) -> Leaves:
        leaves = _leaves(args)
        values = [np.asarray(leaves[k]) for k in arguments.where]
        try:
            found = _gradient(lambda boxes: _weighed(g, f(*arguments.put(list(leaves), boxes))), values)
        except Exception as error:
            raise TypeError(
                f"gradcheck: autograd could not differentiate f ({type(error).__name__}: {error}); write f with "
                "autograd.numpy, or give its backward as vjp="
            ) from error
        return Leaves(np.asarray(d).astype(v.dtype) for d, v in zip(found, values, strict=True))

    return vjp


def gradient_function(f: Callable[..., Any], arguments: Arguments, weights: Any) -> Callable[..., tuple[Any, ...]]:
    """The gradient of sum(weights * f) as a function of f's arguments, which autograd can differentiate once more."""

    def gradient(*args: Any) -> tuple[Any, ...]:
        leaves = _leaves(args)
        values = [leaves[k] for k in arguments.where]
        return _gradient(lambda boxes: _weighed(weights, f(*arguments.put(list(leaves), boxes))), values)

    return gradient
