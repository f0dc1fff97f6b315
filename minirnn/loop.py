"""The reference time loop: the step, once per time step. Knows no engine, no layer and no gradient.

    for t in time:  state, output[t] = step(state, x[t])

Everything faster is held equal to this.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import autograd.numpy as np
import numpy as onp

from minirnn import functional, tree
from minirnn.boxes import dtype_of, shape_of
from minirnn.module import Array

__all__ = ["only_where", "read_only", "run"]

Step = Callable[[Any, Any], tuple[Any, Any]]


def run(step: Step, state: Any, xs: Any, lengths: Array | None = None, reverse: bool = False) -> tuple[Any, Any]:
    """(final state, outputs) of a step applied to every time step.

    state: a nesting of (B, ...) arrays; xs: a nesting of (T, B, ...) arrays; outputs: a nesting of (T, B, ...) arrays.
    Past the end of a sequence (`lengths`: (B,) integers) its state is held, its outputs are zero, and the step sees
    zeros. `reverse` goes from the last step to the first, and outputs[t] still belongs to xs[t].
    """
    columns, rebuild = tree.flatten(xs)
    steps = shape_of(columns[0])[0]
    inside = None if lengths is None else onp.arange(steps)[:, None] < lengths
    if inside is not None:
        columns = [only_where(inside, column) for column in columns]
    outputs: list[Any] = [None] * steps
    try:
        for t in reversed(range(steps)) if reverse else range(steps):
            x = rebuild([read_only(column[t]) for column in columns])
            result = step(tree.map(read_only, state), x)
            if not any(output is not None for output in outputs):
                _check(state, result)
            new, outputs[t] = result
            if inside is not None and not inside[t].all():
                new = tree.map(partial(_where, inside[t]), new, state)
                outputs[t] = tree.map(partial(only_where, inside[t]), outputs[t])
            state = new
        if steps == 0:
            return tree.map(_copied, state), _no_outputs(step, state, rebuild, columns)
    except ValueError as error:
        if "read-only" in str(error):
            raise ValueError(
                "the step writes in place into its state, its input or a parameter; make a new array instead "
                "(h = h + x, not h += x)"
            ) from error
        raise
    return tree.map(_copied, state), tree.map(lambda *leaves: functional.stack(leaves), outputs[0], *outputs[1:])


def _no_outputs(step: Step, state: Any, rebuild: Callable[..., Any], columns: Any) -> Any:
    """Outputs of length 0, shaped as one step on zeros shapes them."""
    zeros = [onp.zeros(shape_of(column)[1:], dtype_of(column)) for column in columns]
    result = step(tree.map(read_only, state), rebuild(zeros))
    _check(state, result)
    return tree.map(lambda leaf: onp.zeros((0, *shape_of(leaf)), dtype_of(leaf)), result[1])


def read_only(array: Any) -> Any:
    """A view that cannot be written to."""
    if type(array) is not onp.ndarray:
        return array
    view = array.view()
    view.flags.writeable = False
    return view


def _check(state: Any, result: Any) -> None:
    """The first step's result, held to the contract: a pair, the state keeping its nesting, shapes and dtypes."""
    if not isinstance(result, tuple) or len(result) != 2:
        raise TypeError(f"the step returned {type(result).__name__}, the pair (state, output) was expected")
    before, after = list(tree.named_leaves(state)), list(tree.named_leaves(result[0]))
    if [path for path, _ in before] != [path for path, _ in after]:
        names = [path for path, _ in after], [path for path, _ in before]
        raise TypeError(f"the step returned a state with leaves {names[0]}, {names[1]} came in")
    for (path, old), (_, new) in zip(before, after, strict=True):
        what = f"the step's state{' ' + path if path else ''}"
        if shape_of(new) != shape_of(old):
            raise ValueError(f"{what} came in with shape {shape_of(old)} and left with {shape_of(new)}")
        if dtype_of(new) != dtype_of(old):
            raise TypeError(
                f"{what} came in as {dtype_of(old)} and left as {dtype_of(new)}: an input, a parameter or "
                "a NumPy scalar in the step has another dtype (np.sqrt(4) is a float64; use Python numbers, 4**0.5)"
            )


def _beside(mask: Array, array: Any) -> Array:
    """The mask with axes of length 1 behind its own, to stand beside the array."""
    return mask.reshape(mask.shape + (1,) * (np.ndim(array) - mask.ndim))


def _where(mask: Array, array: Any, other: Any) -> Any:
    return np.where(_beside(mask, array), array, other)


def only_where(mask: Array, array: Any) -> Any:
    """The array with zeros where the mask is False, whatever stands there (also nan)."""
    return _where(mask, array, onp.zeros((), dtype_of(array)))


def _copied(array: Any) -> Any:
    """What leaves the loop is the caller's own: a view that is read-only is copied."""
    return array.copy() if type(array) is onp.ndarray and not array.flags.writeable else array
