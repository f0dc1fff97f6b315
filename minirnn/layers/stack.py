"""Layers made of layers: Bidirectional, Stacked, CellStack (what RNN, LSTM and GRU are) and Sequential."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import autograd.numpy as np
import numpy as onp
from numpy.typing import DTypeLike

from minirnn import functional, tree
from minirnn.checks import check_positive
from minirnn.engines import check_engine_name
from minirnn.layers.dropout import check_probability, noise
from minirnn.layers.recurrent import Cell, Recurrent, RecurrentLayer, State
from minirnn.module import Array, Module
from minirnn.primitive import primitive

__all__ = ["Bidirectional", "CellStack", "Function", "Sequential", "Stacked"]


class Bidirectional(RecurrentLayer):
    """Two recurrent layers over the same input, the second from each sequence's end; outputs side by side (T, B, 2H).

    Its state is the pair of theirs. Cells may be given in place of layers.  (Schuster & Paliwal 1997.)
    """

    def __init__(
        self,
        forward: Cell | RecurrentLayer,
        backward: Cell | RecurrentLayer,
        *,
        batch_first: bool = False,
        engine: str = "auto",
    ):
        self.forward = _inner("Bidirectional", forward)
        self.backward = Recurrent(backward, reverse=True) if isinstance(backward, Cell) else backward
        if not (isinstance(self.backward, Recurrent) and self.backward.reverse):
            raise ValueError("Bidirectional: backward must be a Cell, or Recurrent(cell, reverse=True)")
        if self.forward.input_size != self.backward.input_size:
            sizes = self.forward.input_size, self.backward.input_size
            raise ValueError(f"Bidirectional: input sizes {sizes[0]} and {sizes[1]} came, one was expected")
        self.batch_first, self.engine = batch_first, check_engine_name(engine)

    @property
    def input_size(self) -> int | tuple[int, ...]:  # type: ignore[override]
        return self.forward.input_size

    def initial_state(self, batch_size: int, dtype: DTypeLike | None = None) -> State:
        return self.forward.initial_state(batch_size, dtype), self.backward.initial_state(batch_size, dtype)

    def batch_axes(self) -> Any:
        return self.forward.batch_axes(), self.backward.batch_axes()

    def run(self, xs: Any, state: State, lengths: Array | None, rng: Any, engine: str) -> tuple[Any, State]:
        chosen = self.engine if self.engine != "auto" else engine
        ahead, final_ahead = self.forward.run(xs, state[0], lengths, rng, chosen)
        back, final_back = self.backward.run(xs, state[1], lengths, rng, chosen)
        return np.concatenate([ahead, back], axis=-1), (final_ahead, final_back)


class Stacked(RecurrentLayer):
    """Recurrent layers on top of each other, with dropout between them where an rng is given.

    Its state is the tuple of theirs. Cells may be given in place of layers.
    """

    def __init__(
        self,
        layers: Sequence[Cell | RecurrentLayer],
        *,
        dropout: float = 0.0,
        batch_first: bool = False,
        engine: str = "auto",
    ):
        if not layers:
            raise ValueError("Stacked: no layers came, at least one was expected")
        self.layers = [_inner("Stacked", layer) for layer in layers]
        self.dropout = check_probability("Stacked", dropout)
        if dropout and len(layers) == 1:
            raise ValueError(
                f"{type(self).__name__}: dropout={dropout} acts between layers, and there is one; use Dropout"
            )
        self.batch_first, self.engine = batch_first, check_engine_name(engine)

    @property
    def input_size(self) -> int | tuple[int, ...]:  # type: ignore[override]
        return self.layers[0].input_size

    def initial_state(self, batch_size: int, dtype: DTypeLike | None = None) -> State:
        return tuple([layer.initial_state(batch_size, dtype) for layer in self.layers])

    def batch_axes(self) -> Any:
        return tuple([layer.batch_axes() for layer in self.layers])

    def run(self, xs: Any, state: State, lengths: Array | None, rng: Any, engine: str) -> tuple[Any, State]:
        chosen = self.engine if self.engine != "auto" else engine
        finals = []
        for i, layer in enumerate(self.layers):
            if i:
                xs = noise(xs, self.dropout, rng)
                layer._check(xs)
            xs, final = layer.run(xs, state[i], lengths, rng, chosen)
            finals.append(final)
        return xs, tuple(finals)

    def extra_repr(self) -> str:
        return f"dropout={self.dropout}" if self.dropout else ""


def _inner(name: str, layer: Cell | RecurrentLayer) -> RecurrentLayer:
    if isinstance(layer, Cell):
        return Recurrent(layer)
    if not isinstance(layer, RecurrentLayer):
        raise TypeError(f"{name}: {type(layer).__name__} came, a Cell or a recurrent layer was expected")
    if layer.batch_first:
        raise ValueError(f"{name}: batch_first belongs to the outermost layer, not to {type(layer).__name__} inside")
    return layer


class CellStack(Stacked):
    """num_layers x directions cells of one kind, with the states packed as PyTorch's: (layers * directions, B, ...).

    The order is layer 0 forward, layer 0 backward, layer 1 forward, ...
    """

    def __init__(
        self,
        make_cell: Callable[[int], Cell],
        input_size: int,
        output_size: int,
        *,
        num_layers: int,
        bidirectional: bool,
        dropout: float,
        batch_first: bool,
        engine: str,
    ):
        check_positive(type(self).__name__, num_layers=num_layers)
        directions = 2 if bidirectional else 1
        layers: list[RecurrentLayer] = []
        for i in range(num_layers):
            cells = [make_cell(input_size if i == 0 else output_size * directions) for _ in range(directions)]
            layers.append(Bidirectional(*cells) if bidirectional else Recurrent(cells[0]))
        super().__init__(layers, dropout=dropout, batch_first=batch_first, engine=engine)
        self.num_layers, self.bidirectional = num_layers, bidirectional

    def cells(self) -> list[Cell]:
        """The cells in the order of the packed state."""
        return [cell for cell in self.modules() if isinstance(cell, Cell)]

    def initial_state(self, batch_size: int, dtype: DTypeLike | None = None) -> State:
        return self._pack(super().initial_state(batch_size, dtype))

    def batch_axes(self) -> Any:
        return tree.map(lambda leaf: 1, self.initial_state(1))

    def run(self, xs: Any, state: State, lengths: Array | None, rng: Any, engine: str) -> tuple[Any, State]:
        outputs, final = super().run(xs, self._unpack(state), lengths, rng, engine)
        return outputs, self._pack(final)

    def _pack(self, states: State) -> State:
        each = [state for pair in states for state in pair] if self.bidirectional else states
        return tree.map(_stacked, each[0], *each[1:])

    def _unpack(self, packed: State) -> State:
        each = [tree.map(lambda leaf, k=k: leaf[k], packed) for k in range(self.num_layers * (1 + self.bidirectional))]
        return list(zip(each[::2], each[1::2], strict=True)) if self.bidirectional else each

    def extra_repr(self) -> str:
        cell = self.cells()[0]
        options = [f"num_layers={self.num_layers}"] * (self.num_layers > 1)
        options += ["bidirectional=True"] * self.bidirectional + [super().extra_repr()] * bool(self.dropout)
        return ", ".join([cell.extra_repr(), *options])


def _stacked(*leaves: Any) -> Any:
    if len(leaves) > 1:
        return functional.stack(leaves)
    return leaves[0][None] if type(leaves[0]) is onp.ndarray else _alone(leaves[0])


# A stack of one array, at a third of functional.stack's cost.
_alone = primitive(lambda x: x[None], [lambda g, y, x: g[0]], [lambda t, y, x: t[None]])


class Function(Module):
    """A plain function of an array as a Module, for a place in Sequential: Function(np.tanh)."""

    def __init__(self, function: Callable[[Array], Array]):
        self.function = function

    def __call__(self, x: Array) -> Array:
        return self.function(x)

    def extra_repr(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))


class Sequential(Module):
    """Layers one after the other: Sequential(Embedding(65, 64), LSTM(64, 128), Linear(128, 65)).

    Called with (xs, state=None, *, lengths=None, rng=None), it hands the rng to the layers that take one, and states
    and lengths to the recurrent ones. With a recurrent layer among them it returns (outputs, states), one state each
    as a tuple; with none, the outputs alone. Plain functions are welcome as layers.
    """

    def __init__(self, *layers: Module | Callable[[Array], Array]):
        if not layers:
            raise ValueError("Sequential: no layers came, at least one was expected")
        self.layers: Sequence[Any] = [layer if isinstance(layer, Module) else Function(layer) for layer in layers]
        self._takes = [_keywords(layer) for layer in self.layers]
        self.recurrent = any("state" in takes for takes in self._takes)

    def __call__(
        self, xs: Array, state: State = None, *, lengths: Any = None, rng: onp.random.Generator | None = None
    ) -> Any:
        count = sum("state" in takes for takes in self._takes)
        if state is None:
            state = (None,) * count
        if not isinstance(state, tuple) or len(state) != count:
            raise ValueError(
                f"Sequential: {type(state).__name__} came as state, a tuple of {count} states was expected"
            )
        if lengths is not None and not self.recurrent:
            raise ValueError("Sequential: lengths came, and no layer is recurrent")
        coming, finals = iter(state), []
        for layer, takes in zip(self.layers, self._takes, strict=True):
            keywords = {"rng": rng} if "rng" in takes else {}
            if "state" in takes:
                if "lengths" in takes:
                    keywords["lengths"] = lengths
                xs, final = layer(xs, next(coming), **keywords)
                finals.append(final)
            else:
                xs = layer(xs, **keywords)
        return (xs, tuple(finals)) if self.recurrent else xs


def _keywords(layer: Module) -> frozenset[str]:
    """Which of state, lengths and rng a layer takes; a Sequential without recurrent layers takes no state."""
    if isinstance(layer, Sequential) and not layer.recurrent:
        return frozenset({"rng"})
    if not callable(layer):
        raise TypeError(f"Sequential: {type(layer).__name__} cannot be called")
    return frozenset(inspect.signature(layer).parameters) & {"state", "lengths", "rng"}
