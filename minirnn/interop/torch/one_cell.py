"""A layer that is one cell over time, called on its own arrays: its compiled forward and backward pass without a trace.

Calls like the one before go the short way (minirnn.compile.steady); others look at what came once more. What is no such
call, or is one with an error in it, is left to the layer itself.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minirnn import late, tree
from minirnn.boxes import dtype_of, shape_of
from minirnn.call import Call
from minirnn.checks import check_lengths, nested_as
from minirnn.engines import chosen
from minirnn.layers import sizes
from minirnn.layers.steady import state_like
from minirnn.module import Array

__all__ = ["Begun", "begin"]

_rule_for = late.late("minirnn.compile.engine", "rule_for")


class Begun(NamedTuple):
    """A call of a cell (rule) within that of a layer: what stands around the cell's arrays. of_state: how many arrays
    the state that came has; packed, batch_first: as the layer's."""

    rule: Any
    arrays: list[Any]
    rebuild: Any
    rebuild_state: Any
    of_state: int
    packed: bool
    batch_first: bool

    def forward(self) -> tuple[list[Array], Any]:
        """The leaves of the outputs and of the final state as the layer returns them, and a cache."""
        results, cache = self.rule.forward(self.arrays, True)
        count = len(results) - len(self.rule.call.states)
        outputs = [np.swapaxes(y, 0, 1) for y in results[:count]] if self.batch_first else list(results[:count])
        return outputs + [h[None] if self.packed else h for h in results[count:]], cache

    def nest(self, leaves: Sequence[Any]) -> tuple[Any, Any]:
        """The leaves of what the layer returns, put together."""
        count = len(leaves) - len(self.rule.call.states)
        return self.rebuild(leaves[:count]), self.rebuild_state(leaves[count:])

    def backward(self, cache: Any, cotangents: Sequence[Any], wanted: Sequence[int]) -> list[Array]:
        """The gradients of the layer's arrays that are wanted: xs, the state that came, then its own."""
        skipped = len(self.rule.call.states) - self.of_state  # a state that did not come
        places = [i if i == 0 else i + skipped for i in wanted]
        count = len(cotangents) - len(self.rule.call.states)
        outputs = [np.swapaxes(g, 0, 1) if self.batch_first and g is not None else g for g in cotangents[:count]]
        finals = [g[0] if self.packed and g is not None else g for g in cotangents[count:]]
        found = self.rule.backward(self.arrays, cache, [*outputs, *finals], places)
        states = range(1, 1 + self.of_state)
        return [self._as_came(g, i in states, i == 0) for i, g in zip(wanted, found, strict=True)]

    def _as_came(self, g: Array, is_state: bool, is_xs: bool) -> Array:
        if is_xs and self.batch_first:
            return np.swapaxes(g, 0, 1)
        return g[None] if is_state and self.packed else g


def begin(layer: Any, xs: Array, state: Any, lengths: Any) -> Begun | None:
    """The cell's call, where the layer's is nothing else and all that came fits; None otherwise."""
    one = layer.one_cell() if hasattr(layer, "one_cell") else None
    if one is None or not late.has_compiler() or chosen() not in ("auto", "compiled"):
        return None
    if any(each.engine not in ("auto", "compiled") for each in one.layers):
        return None
    if xs.ndim != 3 or xs.shape[2] != layer.input_size or xs.dtype != sizes.first_dtype(layer):
        return None
    if not math.isfinite(np.vdot(xs, xs)):
        return None
    of_time = np.swapaxes(xs, 0, 1) if layer.batch_first else xs
    steps, batch = of_time.shape[:2]
    if state is None:
        begins, of_state = one.cell.initial_state(batch, xs.dtype), 0
    else:
        like = state_like(layer, batch, xs.dtype)
        state = nested_as(like, state)
        if not _fits(like, state):
            return None
        begins = tree.map(lambda leaf: leaf[0], state) if one.packed else state
        of_state = len(tree.leaves(state))
    if lengths is not None:
        lengths = check_lengths(lengths, steps, batch)
    call = Call(one.cell, begins, of_time, lengths, False, None)
    found = _rule_for(call) if call.steps and call.batch else None
    if found is None or not all(dtype_of(leaf).kind == "f" for leaf in call.states):
        return None
    rule, arrays, rebuild = found
    if any(leaf.dtype.kind != "f" for leaf in rule.program.layout.outputs):
        return None
    return Begun(rule, arrays, rebuild, call.rebuild_state, of_state, one.packed, layer.batch_first)


def _fits(like: Any, state: Any) -> bool:
    expected, came = list(tree.named_leaves(like)), list(tree.named_leaves(state))
    return [path for path, _ in expected] == [path for path, _ in came] and all(
        isinstance(b, np.ndarray) and (shape_of(a), dtype_of(a)) == (b.shape, b.dtype)
        for (_, a), (_, b) in zip(expected, came, strict=True)
    )
