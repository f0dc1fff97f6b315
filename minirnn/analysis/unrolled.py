"""One cell of a layer, step by step: what a step takes at every time, the states between the steps, and its derivative
for many directions at once.

A cell treats the sequences of a batch one by one, so R cotangents of a batch of B are one backward pass of a batch of
R * B: the step is run once on R copies, and not R times.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minirnn import tree
from minirnn.layers import Cell, CellStack, Recurrent, RecurrentLayer
from minirnn.layers.computed import Computed
from minirnn.module import Array, Module
from minirnn.transform import jvp, silent_vjp

__all__ = ["Unrolled", "cell_of", "leaf_names", "pulled_back", "pushed_forward", "unroll"]

ROWS = 4096  # copies of a step that run at once: what bounds the memory


class Unrolled(NamedTuple):
    """states[t] is the state before step t, states[-1] the last one; xs[t] is what step t takes."""

    cell: Cell
    states: list[Any]
    xs: list[Any]


def cell_of(what: str, layer: Module) -> Cell:
    """The one cell that a layer runs forward in time: a Cell itself, Recurrent(cell), an LSTM of one layer, ...

    ValueError: a layer of several cells, or one that runs backward. TypeError: no recurrent layer.
    """
    if isinstance(layer, Cell):
        return layer
    if isinstance(layer, Computed):
        return cell_of(what, layer.bound())
    if isinstance(layer, Recurrent):
        if layer.reverse:
            raise ValueError(f"{what}: the layer runs from the end to the start; give its cell, and xs turned round")
        return layer.cell
    if not isinstance(layer, RecurrentLayer):
        raise TypeError(f"{what}: {type(layer).__name__} came, a Cell or a recurrent layer was expected")
    if isinstance(layer, CellStack) and len(layer.cells()) == 1:
        return layer.cells()[0]
    paths = [path for path, module in layer.named_modules() if isinstance(module, Cell)]
    raise ValueError(
        f"{what}: one cell at a time is looked at, and this {type(layer).__name__} holds {', '.join(paths)}; give one "
        "of them, with the xs that it sees"
    )


def unroll(what: str, layer: Module, xs: Any, state: Any = None) -> Unrolled:
    """Run the layer's one cell over xs (T, B, ...), from a state of the layer or of the cell, zeros by default.

    ValueError: no steps, xs without a batch, a state of another nesting or shape.
    """
    cell = cell_of(what, layer)
    shape, size = np.shape(xs), cell.input_size
    features = size if isinstance(size, tuple) else (size,)
    if len(shape) != 2 + len(features) or shape[2:] != features or 0 in shape[:2]:
        raise ValueError(f"{what}: xs has shape {shape}; (T, B, {', '.join(map(str, features))}) was expected")
    zeros = cell.initial_state(shape[1])
    if state is None:
        state = zeros
    elif isinstance(layer, CellStack):
        state = tree.map(lambda leaf: leaf[0], state)
    came = {path: np.shape(leaf) for path, leaf in tree.named_leaves(state)}
    expected = {path: np.shape(leaf) for path, leaf in tree.named_leaves(zeros)}
    if came != expected:
        raise ValueError(f"{what}: the state has shapes {came}, {expected} were expected")
    columns = cell.inputs(xs)
    each = [tree.map(lambda column, t=t: column[t], columns) for t in range(shape[0])]
    states = [state]
    for x in each:
        states.append(cell.step(states[-1], x)[0])
    return Unrolled(cell, states, each)


def leaf_names(state: Any) -> list[str]:
    """The names of a state's float arrays, in order; "h" for a state that is one array."""
    return [path or "h" for path, leaf in tree.named_leaves(state) if _is_float(leaf)]


def _is_float(leaf: Any) -> bool:
    return np.asarray(leaf).dtype.kind == "f"


def _input_leaves(x: Any) -> list[int]:
    """Which leaves of what a step takes are the layer's input: those under "x" where masks or times stand beside."""
    named = list(tree.named_leaves(x))
    beside = [i for i, (path, _) in enumerate(named) if path.split(".")[0] == "x"]
    return [i for i in beside or range(len(named)) if _is_float(named[i][1])]


class _Split:
    """A step as a function of the arrays that it is differentiated by: the state's and the input's float leaves."""

    def __init__(self, cell: Cell, state: Any, x: Any):
        self.cell = cell
        self.states, self.state_again = tree.flatten(state)
        self.inputs, self.input_again = tree.flatten(x)
        self.float_states = [i for i, leaf in enumerate(self.states) if _is_float(leaf)]
        self.float_inputs = _input_leaves(x)

    def arrays(self, copies: int) -> list[Array]:
        chosen = [self.states[i] for i in self.float_states] + [self.inputs[i] for i in self.float_inputs]
        return [_copied(leaf, copies) for leaf in chosen]

    def function(self, copies: int) -> Any:
        """(*float state leaves, *input leaves) -> the float leaves of the new state, on `copies` of the batch."""
        states, inputs = ([_copied(leaf, copies) for leaf in leaves] for leaves in (self.states, self.inputs))

        def step(*arrays: Any) -> list[Any]:
            now, x, coming = list(states), list(inputs), iter(arrays)
            for i in self.float_states:
                now[i] = next(coming)
            for i in self.float_inputs:
                x[i] = next(coming)
            new, _ = self.cell.step(self.state_again(now), self.input_again(x))
            leaves = tree.leaves(new)
            return [leaves[i] for i in self.float_states]

        return step


def _copied(leaf: Any, copies: int) -> Array:
    """(B, ...) -> (copies * B, ...), copy after copy."""
    array = np.asarray(leaf)
    return np.broadcast_to(array, (copies, *array.shape)).reshape(-1, *array.shape[1:])


def pulled_back(cell: Cell, state: Any, x: Any, rows: Sequence[Array]) -> tuple[list[Array], list[Array]]:
    """R cotangents of the new state through one step: rows, (R, B, ...) a float leaf of the state -> the same of the
    old state, and of the step's input."""
    parts, count = _Split(cell, state, x), len(rows[0])
    at_once = max(1, ROWS // np.shape(rows[0])[1])
    pieces = []
    for start in range(0, count, at_once):
        piece = [row[start : start + at_once] for row in rows]
        copies = len(piece[0])
        _, pullback = silent_vjp(parts.function(copies), *parts.arrays(copies))
        back = pullback([row.reshape(-1, *row.shape[2:]) for row in piece])
        pieces.append([leaf.reshape(copies, -1, *leaf.shape[1:]) for leaf in back])
    joined = pieces[0] if len(pieces) == 1 else [np.concatenate(column) for column in zip(*pieces, strict=True)]
    return joined[: len(rows)], joined[len(rows) :]


def pushed_forward(cell: Cell, state: Any, x: Any, columns: Sequence[Array]) -> list[Array]:
    """R tangents of the state through one step: columns, (R, B, ...) a float leaf -> the same of the new state."""
    parts, copies = _Split(cell, state, x), len(columns[0])
    arrays = parts.arrays(copies)
    tangents = [column.reshape(-1, *column.shape[2:]) for column in columns]
    still = [np.zeros_like(array) for array in arrays[len(columns) :]]
    _, moved = jvp(parts.function(copies), arrays, [*tangents, *still])
    return [leaf.reshape(copies, -1, *leaf.shape[1:]) for leaf in moved]
