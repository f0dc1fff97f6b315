"""A layer that is called again and again with the same shapes, as one that is run step by step: the short way.

What a layer's call needs beside numbers is found by its second call of a kind, and held against what it was at every
further one (minirnn.compile.steady), which then takes a fifth of the time.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from minirnn import late, tree
from minirnn.boxes import dtype_of, shape_of
from minirnn.engines import chosen
from minirnn.module import Array

__all__ = ["OneCell", "by_short_way", "look_for", "runs_as", "short_way", "state_like"]


class OneCell(NamedTuple):
    """What a layer does is to run this cell over time, and no more. layers: it, and those within it; packed: its states
    have an axis of length 1 in front of the cell's."""

    layers: tuple[Any, ...]
    cell: Any
    packed: bool


def runs_as(layer: Any, kind: type) -> bool:
    """Whether a layer runs, and begins, as this class says, whatever subclass it is of and whatever was set on it."""
    own = type(layer).run is kind.run and type(layer).initial_state is kind.initial_state  # type: ignore[attr-defined]
    return own and vars(layer).keys().isdisjoint(("run", "initial_state"))


class _Kind(NamedTuple):
    """Calls of xs of this shape and dtype; run: the short way, None where there is none, or none is known."""

    of_xs: tuple[Any, Any]
    run: Any
    tried: bool


def by_short_way(kind: _Kind, xs: Any, state: Any, *others: Any) -> Any:
    """A layer's results, where there is a short way for these arguments; None otherwise."""
    if kind.run is None or any(other is not None for other in others):
        return None
    return kind.run(xs, state)


def look_for(layer: Any, xs: Any) -> None:
    """After a layer's second call of a kind that came the long way: what runs the next."""
    of_xs, known = (shape_of(xs), dtype_of(xs)), layer._steady
    if known is None or known.of_xs != of_xs or known.run is not None:
        layer.__dict__["_steady"] = _Kind(of_xs, None, False)
    elif not known.tried:
        layer.__dict__["_steady"] = _Kind(of_xs, short_way(layer, xs), True)


def short_way(layer: Any, xs: Any) -> Any:
    """What runs calls of this layer like that with xs (T, B, ...); None where there is no short way."""
    found = layer.one_cell()
    if found is None or any(each.engine != "auto" for each in found.layers) or not late.has_compiler():
        return None
    state = found.cell.initial_state(shape_of(xs)[1], dtype_of(xs))
    return _steady([*found.layers, found.cell], found.cell, xs, state, found.packed, chosen)


_steady = late.late("minirnn.compile.steady", "steady")


def state_like(layer: Any, batch_size: int, dtype: DTypeLike) -> Any:
    """What a layer's state looks like: arrays of its shapes and dtypes without memory, kept from call to call."""
    of, like = layer._memo.get("state", (None, None))
    if of != (batch_size, dtype):
        like = tree.map(_without_memory, layer.initial_state(batch_size, dtype))
        layer._memo["state"] = (batch_size, dtype), like
    return like


def _without_memory(leaf: Any) -> Array:
    return np.broadcast_to(np.zeros((), dtype_of(leaf)), shape_of(leaf))
