"""autograd's gradient, where no backward is given. Imported late: a hand-written backward needs no autograd."""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = ["gradient_function", "traced_vjp"]


def _spliced(args: Sequence[Any], argnums: Sequence[int], values: Any) -> list[Any]:
    full = list(args)
    for k, i in enumerate(argnums):
        full[i] = values[k]
    return full


def _weighed(weights: Any, outputs: Any) -> Any:
    """sum of weights * outputs, traceable; both an array or tuples of arrays."""
    import autograd.numpy as anp

    if not isinstance(weights, tuple):
        return anp.sum(weights * outputs)
    return sum(anp.sum(w * outputs[k]) for k, w in enumerate(weights))


def _gradient(scalar: Callable[[Any], Any], values: Sequence[Any]) -> tuple[Any, ...]:
    from autograd import grad

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Output seems independent of input")
        found = grad(scalar)(tuple(values))
    return tuple(found[k] for k in range(len(values)))


def traced_vjp(f: Callable[..., Any], argnums: Sequence[int]) -> Callable[..., tuple[Any, ...]]:
    """vjp(g, *args) of f by autograd's trace; gradients in their arguments' dtypes.

    TypeError: f cannot be traced (it calls plain NumPy, or writes into an array).
    """

    def vjp(g: Any, *args: Any) -> tuple[Any, ...]:
        values = [np.asarray(args[i]) for i in argnums]
        try:
            found = _gradient(lambda boxes: _weighed(g, f(*_spliced(args, argnums, boxes))), values)
        except Exception as error:
            raise TypeError(
                f"gradcheck: autograd could not differentiate f ({type(error).__name__}: {error}); write f with "
                "autograd.numpy, or give its backward as vjp="
            ) from error
        return tuple(np.asarray(d).astype(v.dtype) for d, v in zip(found, values, strict=True))

    return vjp


def gradient_function(f: Callable[..., Any], argnums: Sequence[int], weights: Any) -> Callable[..., tuple[Any, ...]]:
    """The gradient of sum(weights * f) as a function of f's arguments, which autograd can differentiate once more."""

    def gradient(*args: Any) -> tuple[Any, ...]:
        values = [args[i] for i in argnums]
        return _gradient(lambda boxes: _weighed(weights, f(*_spliced(args, argnums, boxes))), values)

    return gradient
