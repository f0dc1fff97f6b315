"""The reference time loop: the step, once per time step. Knows no engine, no layer and no gradient.

    for t in time:  state, output[t] = step(state, x[t])

Everything faster is held equal to this.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as onp

from minirnn import functional, tree, untraced
from minirnn.boxes import dtype_of, shape_of
from minirnn.checks import check_step
from minirnn.padding import begin, only_where, over_time, where

__all__ = ["read_only", "run"]

Step = Callable[[Any, Any], tuple[Any, Any]]


def run(
    step: Step, state: Any, xs: Any, lengths: Any = None, reverse: bool = False, safe: Any = None, anew: Any = None
) -> tuple[Any, Any]:
    """(final state, outputs) of a step applied to every time step.

    state: a nesting of (B, ...) arrays; xs: a nesting of (T, B, ...) arrays; outputs: a nesting of (T, B, ...) arrays.
    Past the end of a sequence (`lengths`: (B,) integers) its state is held and its outputs are zero. `reverse` goes
    from the last step to the first, and outputs[t] still belongs to xs[t]. `anew`, resets.Anew or None, says before
    which steps a row's state becomes another.

    The step is computed there too, and what it is given is `safe`, as begin(...) makes it and by default does: a step
    that is undefined somewhere (log x, x / dt) must not meet padding, for 0 * nan, in a derivative, is nan.
    """
    columns, rebuild = tree.flatten(xs)
    steps = shape_of(columns[0])[0]
    idle = steps == 0 or (lengths is not None and safe is None and not lengths.any())
    inside: Any = None
    if lengths is not None and not idle and lengths.min() < steps:
        inside = onp.arange(steps)[:, None] < lengths
        first = state if anew is None else anew.first(state, reverse)
        safe = begin(first, columns, lengths, reverse) if safe is None else safe
        columns = [where(inside, column, over_time(x, steps)) for column, x in zip(columns, safe[1], strict=True)]
    outputs: list[Any] = [None] * steps
    try:
        if idle:
            return tree.map(_copied, state), _no_outputs(step, state, rebuild, columns)
        for t in reversed(range(steps)) if reverse else range(steps):
            state = state if anew is None else anew.before(t, state)
            before, over = state, inside is not None and not inside[t].all()
            if over:
                before = tree.map(partial(where, inside[t]), state, safe[0])
            result = step(tree.map(read_only, before), rebuild([read_only(column[t]) for column in columns]))
            if not any(output is not None for output in outputs):
                check_step(state, result)
            new, outputs[t] = result
            if over:
                new = tree.map(partial(where, inside[t]), new, state)
                outputs[t] = tree.map(partial(only_where, inside[t]), outputs[t])
            state = new
    except (ValueError, TypeError, AttributeError) as error:
        if isinstance(error, ValueError) and "read-only" in str(error):
            raise ValueError(
                "the step writes in place into its state, its input or a parameter; make a new array instead "
                "(h = h + x, not h += x)"
            ) from error
        clearer = untraced.differentiable(error)
        if clearer is None:
            raise
        raise clearer from error
    return tree.map(_copied, state), tree.map(lambda *leaves: functional.stack(leaves), outputs[0], *outputs[1:])


def _no_outputs(step: Step, state: Any, rebuild: Callable[..., Any], columns: Any) -> Any:
    """Outputs where no sequence has a step: zeros, shaped as one step on zeros shapes them."""
    zeros = [onp.zeros(shape_of(column)[1:], dtype_of(column)) for column in columns]
    steps = shape_of(columns[0])[0]
    with onp.errstate(all="ignore"):
        result = step(tree.map(read_only, state), rebuild(zeros))
    check_step(state, result)
    return tree.map(lambda leaf: onp.zeros((steps, *shape_of(leaf)), dtype_of(leaf)), result[1])


def read_only(array: Any) -> Any:
    """A view that cannot be written to."""
    if type(array) is not onp.ndarray:
        return array
    view = array.view()
    view.flags.writeable = False
    return view


def _copied(array: Any) -> Any:
    """What leaves the loop is the caller's own: a view that is read-only is copied."""
    return array.copy() if type(array) is onp.ndarray and not array.flags.writeable else array
