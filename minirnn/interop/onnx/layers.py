"""Recurrent layers and Sequential as ONNX nodes: what stands around the cells."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minirnn import tree
from minirnn.interop.onnx.graph import CannotExport, Graph, Value
from minirnn.interop.onnx.native import is_native, native
from minirnn.interop.onnx.plain import PLAIN, linear, under
from minirnn.interop.onnx.scan import scan_cell
from minirnn.layers.bidirectional import Bidirectional
from minirnn.layers.computed import Computed
from minirnn.layers.counted import Counted, CountedState
from minirnn.layers.dense import DenselyConnected
from minirnn.layers.gru import GRUCell
from minirnn.layers.highway import Highway
from minirnn.layers.initial_state import LearnedInitialState
from minirnn.layers.recurrent import Recurrent, RecurrentLayer
from minirnn.layers.sequential import Sequential
from minirnn.layers.stack import CellStack, Stacked
from minirnn.layers.time_reversed import TimeReversed
from minirnn.module import Module

__all__ = ["Writer"]

Names = Any  # a nesting of names, as the layer's state
_MERGES = {"sum": "Add", "mean": "Add", "mul": "Mul"}


class Writer:
    """Writes layer after layer into a graph. lengths: the name of the model's (B,) int32 lengths, or "".

    `leading` are the names of the axes before the features, as the layers change them.
    """

    def __init__(self, g: Graph, leading: tuple[str, ...], batch_first: bool, lengths: str = ""):
        self.g, self.leading, self.batch_first, self.lengths = g, leading, batch_first, lengths
        self._inside, self._begun, self._counts = "", "", ""
        self._alive: list[Module] = []

    def write(self, layer: Any, xs: Value, state: Names, path: str) -> tuple[Value, Names]:
        """The layer's outputs and final state, None where it has none. CannotExport: names a layer that has no form."""
        if isinstance(layer, RecurrentLayer):
            return self._turned(layer, xs, state, path)
        if isinstance(layer, Sequential):
            return self._sequential(layer, xs, state, path)
        if isinstance(layer, Computed):
            return self.write(self._bound(layer), xs, state, f"{path}.layer")
        found = kind_of(layer, PLAIN)
        if found is None:
            raise CannotExport(
                f"to_onnx: {path or 'the model'} is a {type(layer).__name__}; what can be written is Sequential, "
                f"recurrent layers, {', '.join(kind.__name__ for kind in PLAIN)}"
            )
        return found(self, layer, xs, path), None

    def _sequential(self, model: Sequential, xs: Value, state: Names, path: str) -> tuple[Value, Names]:
        coming, finals = iter(state or ()), []
        for k, (layer, takes) in enumerate(zip(model.layers, model._takes, strict=True)):
            within = under(path, f"layers.{k}")
            xs, final = self.write(layer, xs, next(coming) if "state" in takes else None, within)
            finals += [final] if "state" in takes else []
        return xs, tuple(finals)

    def _turned(self, layer: Any, xs: Value, state: Names, path: str) -> tuple[Value, Names]:
        if layer.batch_first != self.batch_first:
            raise CannotExport("to_onnx: some of the layers have batch_first and some have not")
        swap = [1, 0, *range(2, xs.rank)]
        outputs, final = self.run(layer, self.g.transposed(xs, swap) if layer.batch_first else xs, state, path)
        return self.g.transposed(outputs, [1, 0, *range(2, outputs.rank)]) if layer.batch_first else outputs, final

    def run(self, layer: Any, xs: Value, state: Names, path: str) -> tuple[Value, Names]:
        """A recurrent layer over (T, B, ...)."""
        found = kind_of(layer, _RECURRENT)
        if found is None:
            raise CannotExport(f"to_onnx: {path or 'the model'} is a {type(layer).__name__}, which has no form in ONNX")
        return found(self, layer, xs, state, path)

    def _bound(self, layer: Any) -> Any:
        bound = layer.bound()
        self._alive.append(bound)  # its arrays are known by their ids
        return bound

    # ---------------------------------------------------------------- what lengths mean
    def inside(self) -> str:
        """(T, B): whether a step is within its sequence; "" without lengths."""
        if self.lengths and not self._inside:
            g = self.g
            counted = g.op("Range", g.constant(0, np.int64), g.op("Squeeze", g.steps), g.constant(1, np.int64))
            lengths = g.op("Unsqueeze", g.cast(self.lengths, np.int64), g.ints(0))
            self._inside = g.op("Less", g.op("Unsqueeze", counted, g.ints(1)), lengths, hint="inside")
        return self._inside

    def only_inside(self, xs: Value, otherwise: float = 0.0) -> Value:
        """xs (T, B, ...), and past each sequence's end a number."""
        if not self.lengths:
            return xs
        inside = self.inside()
        if xs.rank > 2:
            inside = self.g.op("Unsqueeze", inside, self.g.ints(*range(2, xs.rank)))
        return xs._replace(name=self.g.op("Where", inside, xs.name, self.g.constant(otherwise, xs.dtype)))

    def begun(self) -> str:
        """(B, 1), or (1,) without lengths: whether a sequence has a first step."""
        if not self._begun:
            counts = self.g.op("Unsqueeze", self.lengths, self.g.ints(1)) if self.lengths else self.g.steps
            zero = self.g.constant(0, np.int32 if self.lengths else np.int64)
            self._begun = self.g.op("Greater", counts, zero, hint="begun")
        return self._begun

    def counts(self) -> str:
        """(B,) int32: the lengths, or T for each."""
        if not self.lengths and not self._counts:
            self._counts = self.g.cast(self.lengths_or_steps(), np.int32)
        return self.lengths or self._counts

    def operator(
        self, cells: Sequence[Any], xs: Value, initial: Sequence[str], **options: Any
    ) -> tuple[str, list[str]]:
        """`native`, and the initial state is the final one where there is no step: onnxruntime gives zeros, and its GRU
        ends the process where T is 0 and no lengths are given."""
        lengths = self.counts() if isinstance(cells[0], GRUCell) else self.lengths
        ys, finals = native(self.g, cells, xs, initial, lengths, **options)
        return ys, [self.g.op("Where", self.begun(), *both) for both in zip(finals, initial, strict=True)]

    def lengths_or_steps(self) -> str:
        """(B,) int64."""
        return self.g.cast(self.lengths, np.int64) if self.lengths else self.g.op("Expand", self.g.steps, self.g.batch)


def kind_of(layer: Any, table: dict[Any, Any]) -> Any:
    """What the table says of the layer's class, or of the nearest one that it inherits from."""
    return next((table[kind] for kind in type(layer).__mro__ if kind in table), None)


# ---------------------------------------------------------------- recurrent layers
def _recurrent(w: Writer, layer: Any, xs: Value, state: Names, path: str) -> tuple[Value, Names]:
    g, cell = w.g, layer.cell
    if not is_native(cell):
        return scan_cell(g, cell, xs, state, w.inside(), reverse=layer.reverse, hint=under(path, "cell"))
    names, rebuild = tree.flatten(state)
    initial = [g.op("Unsqueeze", name, g.ints(0)) for name in names]
    ys, finals = w.operator([cell], xs, initial, reverse=layer.reverse, hint=under(path, "cell"))
    return xs._replace(name=g.op("Squeeze", ys, g.ints(1))), rebuild([g.op("Squeeze", y, g.ints(0)) for y in finals])


def _counted(w: Writer, layer: Any, xs: Value, state: CountedState, path: str) -> tuple[Value, Names]:
    hint = under(path, "cell")
    start: Any = state.steps
    outputs, final = scan_cell(w.g, layer.cell, xs, state.cell, w.inside(), start=start, hint=hint)
    return outputs, CountedState(final, w.g.op("Add", start, w.lengths_or_steps()))  # type: ignore[arg-type]


def _cells_of(layer: Any) -> list[Any]:
    """The cells that one operator runs, one a direction; none where it takes more."""
    if type(layer) is Recurrent and not layer.reverse:
        cells = [layer.cell]
    elif type(layer) is Bidirectional and all(type(part) is Recurrent for part in layer.parts()):
        turned = [part.reverse for part in layer.parts()]  # type: ignore[attr-defined]
        cells = [part.cell for part in layer.parts()] if turned == [False, True] else []  # type: ignore[attr-defined]
    else:
        cells = []
    return cells if cells and is_native(*cells) else []


def _merged(w: Writer, ys: str, merge: str, like: Value, features: int) -> Value:
    """(T, directions, B, H) as a Bidirectional gives it."""
    g = w.g
    if merge == "concat":
        beside = g.op("Transpose", ys, perm=[0, 2, 1, 3])
        return like._replace(name=g.op("Reshape", beside, g.ints(0, 0, 2 * features)))  # T may be 0: no -1
    ahead, back = (g.op("Gather", ys, g.constant(k, np.int64), axis=1) for k in range(2))
    return _merge_two(w, like._replace(name=ahead), like._replace(name=back), merge)


def _merge_two(w: Writer, ahead: Value, back: Value, merge: str) -> Value:
    if merge == "concat":
        return ahead._replace(name=w.g.op("Concat", ahead.name, back.name, axis=2))
    found = w.g.op(_MERGES[merge], ahead.name, back.name)
    return ahead._replace(name=w.g.op("Mul", found, w.g.constant(0.5, ahead.dtype)) if merge == "mean" else found)


def _bidirectional(w: Writer, layer: Any, xs: Value, state: Names, path: str) -> tuple[Value, Names]:
    g, cells = w.g, _cells_of(layer)
    if not cells:
        ahead, final_ahead = w.run(layer.forward, xs, state[0], under(path, "forward"))
        back, final_back = w.run(layer.backward, xs, state[1], under(path, "backward"))
        return _merge_two(w, ahead, back, layer.merge), (final_ahead, final_back)
    pairs, rebuild = list(zip(*map(tree.leaves, state), strict=True)), tree.flatten(state[0])[1]
    initial = [g.op("Concat", *[g.op("Unsqueeze", one, g.ints(0)) for one in pair], axis=0) for pair in pairs]
    ys, finals = w.operator(cells, xs, initial, hint=path or "layer")
    each = [rebuild([g.op("Gather", one, g.constant(k, np.int64), axis=0) for one in finals]) for k in range(2)]
    return _merged(w, ys, layer.merge, xs, cells[0].hidden_size), tuple(each)


def _cell_stack(w: Writer, layer: Any, xs: Value, state: Names, path: str) -> tuple[Value, Names]:
    """RNN, LSTM, GRU: one operator a layer, the packed states cut layer by layer."""
    g, directions = w.g, 1 + layer.bidirectional
    packed, rebuild = tree.flatten(state)
    if not all(_cells_of(part) for part in layer.layers):
        each = [rebuild([_row(g, leaf, k) for leaf in packed]) for k in range(layer.num_layers * directions)]
        nested = list(zip(each[::2], each[1::2], strict=True)) if directions == 2 else each
        xs, ends = _stacked(w, layer, xs, nested, path)
        flat = [one for pair in ends for one in pair] if directions == 2 else list(ends)
        rows = zip(*map(tree.leaves, flat), strict=True)
        beside = [[g.op("Unsqueeze", one, g.ints(0)) for one in row] for row in rows]
        return xs, rebuild([g.op("Concat", *row, axis=0) for row in beside])
    finals: Any = []
    for k, part in enumerate(layer.layers):
        initial = packed if layer.num_layers == 1 else [_rows(g, leaf, k * directions, directions) for leaf in packed]
        ys, final = w.operator(_cells_of(part), xs, initial, hint=under(path, f"layers.{k}"))
        xs = (
            _merged(w, ys, "concat", xs, _cells_of(part)[0].hidden_size)
            if directions == 2
            else xs._replace(name=g.op("Squeeze", ys, g.ints(1)))
        )
        finals.append(final)
    columns = list(zip(*finals, strict=True))
    return xs, rebuild([one[0] if len(one) == 1 else g.op("Concat", *one, axis=0) for one in columns])


def _row(g: Graph, packed: str, k: int) -> str:
    return g.op("Gather", packed, g.constant(k, np.int64), axis=0)


def _rows(g: Graph, packed: str, first: int, count: int) -> str:
    return g.op("Slice", packed, g.ints(first), g.ints(first + count), g.ints(0))


def _stacked(w: Writer, layer: Any, xs: Value, state: Names, path: str) -> tuple[Value, Names]:
    finals = []
    for i, (part, begun) in enumerate(zip(layer.layers, state, strict=True)):
        below = xs
        if i and layer.norms:
            xs, _ = w.write(layer.norms[i - 1], xs, None, under(path, f"norms.{i - 1}"))
        xs, final = w.run(part, xs, begun, under(path, f"layers.{i}"))
        if i and layer.residual:
            xs = xs._replace(name=w.g.op("Add", xs.name, below.name))
        finals.append(final)
    return xs, tuple(finals)


def _time_reversed(w: Writer, layer: Any, xs: Value, state: Names, path: str) -> tuple[Value, Names]:
    def turned(value: Value) -> Value:
        lengths = w.lengths_or_steps()
        return value._replace(name=w.g.op("ReverseSequence", value.name, lengths, time_axis=0, batch_axis=1))

    outputs, final = w.run(layer.layer, turned(xs), state, under(path, "layer"))
    return turned(outputs), final


def _highway(w: Writer, layer: Any, xs: Value, state: Names, path: str) -> tuple[Value, Names]:
    g, xs = w.g, w.only_inside(xs)
    outputs, final = w.run(layer.layer, xs, state, under(path, "layer"))
    t = g.op("Sigmoid", linear(w, layer.transform, xs, under(path, "transform")).name)
    carried = g.op("Mul", g.op("Sub", g.constant(1.0, xs.dtype), t), xs.name)
    return outputs._replace(name=g.op("Add", g.op("Mul", t, outputs.name), carried)), final


def _densely_connected(w: Writer, layer: Any, xs: Value, state: Names, path: str) -> tuple[Value, Names]:
    seen, finals = w.only_inside(xs), []
    for k, (part, begun) in enumerate(zip(layer.layers, state, strict=True)):
        outputs, final = w.run(part, seen, begun, under(path, f"layers.{k}"))
        seen = seen._replace(name=w.g.op("Concat", seen.name, outputs.name, axis=2))
        finals.append(final)
    return seen, tuple(finals)


def _inner(w: Writer, layer: Any, xs: Value, state: Names, path: str) -> tuple[Value, Names]:
    return w.run(layer.layer, xs, state, under(path, "layer"))


def _computed(w: Writer, layer: Any, xs: Value, state: Names, path: str) -> tuple[Value, Names]:
    return w.run(w._bound(layer), xs, state, under(path, "layer"))


_RECURRENT: dict[Any, Callable[..., tuple[Value, Names]]] = {
    Recurrent: _recurrent,
    Counted: _counted,
    Bidirectional: _bidirectional,
    CellStack: _cell_stack,
    Stacked: _stacked,
    TimeReversed: _time_reversed,
    Highway: _highway,
    DenselyConnected: _densely_connected,
    LearnedInitialState: _inner,  # the state comes from outside, theta as its default
    Computed: _computed,
}
