"""autograd's boxes: what is inside one, how long it may be used, and the traces that they belong to.

autograd numbers traces by depth, so that a box kept from a finished trace looks alive in the next one, and a state
carried out of one gradient into the next would silently undo truncated back-propagation. Here every trace has a number
of its own, and a dead box that comes into a transform or a scan is an error.
"""

import itertools
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from autograd.tracer import box_types, isbox, trace_stack

from minirnn import tree
from minirnn.locks import Lock
from minirnn.module import Module

__all__ = ["StaleBoxError", "are_alive", "check_alive", "dtype_of", "new_trace", "shape_of", "tracing", "unboxed"]


class StaleBoxError(ValueError):
    """An array that belongs to a finished gradient came into another."""


# ---------------------------------------------------------------- inside
def unboxed(value: Any) -> Any:
    """The plain value inside autograd's boxes."""
    while type(value) in box_types:
        value = value._value
    return value


def shape_of(value: Any) -> tuple[int, ...]:
    """np.shape, without the detour that a box's own `shape` makes."""
    value = unboxed(value)
    return value.shape if isinstance(value, np.ndarray) else np.shape(value)


def dtype_of(value: Any) -> Any:
    """np.result_type of one value, likewise."""
    value = unboxed(value)
    return value.dtype if isinstance(value, np.ndarray) else np.result_type(value)


# ---------------------------------------------------------------- traces
class _Trace(NamedTuple):
    number: int
    top_before: int


_SPAN = 1 << 20  # numbers between two traces of ours, for autograd's own traces inside the first
_numbers = itertools.count(1)
_alive: list[_Trace] = []


def _end_all() -> None:
    if _alive:
        trace_stack.top = _alive[0].top_before
        _alive.clear()


tracing = Lock(abandoned=_end_all)  # autograd's trace stack is one for all threads


@contextmanager
def new_trace() -> Iterator[int]:
    """A trace number never used before; autograd's stack is put back as it was, also when the function raises."""
    with tracing:
        before = trace_stack.top
        trace = _Trace(next(_numbers) * _SPAN, before)
        while trace.number <= before:
            trace = _Trace(next(_numbers) * _SPAN, before)
        _alive.append(trace)
        trace_stack.top = trace.number
        try:
            yield trace.number
        finally:
            trace_stack.top = before
            _alive.pop()


def _is_alive(number: int) -> bool:
    top = trace_stack.top
    for trace in reversed(_alive):
        if number >= trace.number:
            return bool(number <= top)
        top = trace.top_before
    return bool(number <= top)


def check_alive(nesting: Any, where: str) -> None:
    """StaleBoxError if an array of the nesting belongs to a gradient that is finished."""
    if _all_alive(nesting):
        return
    for path, leaf in tree.named_leaves(nesting):
        if not _all_alive(leaf):
            raise StaleBoxError(
                f"{where}{': ' + path if path else ''} is an array kept from a gradient that is finished. Return "
                "what you carry from the loss (has_aux=True), which gives plain arrays, or use stop_gradient on it"
            )


def are_alive(arrays: Iterable[Any]) -> bool:
    """Whether check_alive passes for each of these arrays."""
    numbers = set()
    for array in arrays:
        while type(array) in box_types:
            numbers.add(array._trace)
            array = array._value
    return all(map(_is_alive, numbers))


def _all_alive(nesting: Any) -> bool:
    """The answer alone, without the names that an error needs: every call of a layer asks."""
    while isbox(nesting):
        if not _is_alive(nesting._trace):
            return False
        nesting = nesting._value
    if type(nesting) is np.ndarray or nesting is None:
        return True
    if isinstance(nesting, Module):
        return all(map(_all_alive, nesting._arrays()))
    if isinstance(nesting, (dict, tuple, list)):
        return all(map(_all_alive, nesting.values() if isinstance(nesting, dict) else nesting))
    return True
