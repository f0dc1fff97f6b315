"""Recurrent layers on top of each other: Stacked, and CellStack, what RNN, LSTM and GRU are."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as onp
from numpy.typing import DTypeLike

from minirnn import functional, tree
from minirnn.bundle import of_one
from minirnn.checks import check_positive
from minirnn.layers.bidirectional import Bidirectional
from minirnn.layers.composite import Composite, as_layer
from minirnn.layers.dropout import check_probability, noise
from minirnn.layers.norm import LayerNorm
from minirnn.layers.recurrent import Cell, Recurrent, RecurrentLayer, State
from minirnn.layers.sizes import Size, as_shape, float_dtype
from minirnn.layers.steady import OneCell, runs_as
from minirnn.module import Array, Module
from minirnn.padding import filled
from minirnn.primitive import primitive
from minirnn.resets import Resets, parts_of

__all__ = ["CellStack", "Stacked"]


class Stacked(Composite):
    """Recurrent layers L_0, L_1, ... of any families on top of each other.

        y_0 = L_0(x)
        y_i = L_i(dropout(norm_i(y_{i-1}))) + [residual] y_{i-1}          for i >= 1

    x: (T, B, I); the outputs are those of the last layer, (T, B, O). State: the tuple of the layers' states. Cells may
    be given in place of layers.

    residual: what goes into a layer is added to what comes out of it, from the second layer on, the first whose input
    is a layer's output (Wu et al. 2016, arXiv:1609.08144, who begin at the third); every layer but the first then
    gives as many features as it takes. norm: "layer" for minirnn.LayerNorm, or a function of the size, called with
    dtype= where it takes one, that makes a Module; `norms[i - 1]` stands before layer i, inside the residual branch, so
    that what is added stays as it is: pre-normalisation (Xiong et al. 2020, arXiv:2002.04745; around recurrent layers
    Beck et al. 2024, arXiv:2405.04517). dropout: the probability, where the call has an rng, on what goes into every
    layer but the first (Zaremba et al. 2014, arXiv:1409.2329), and not on what is added.

    ValueError: no layers; a layer that takes another size than the one below it gives; residual where sizes differ;
    dropout, residual or norm with one layer alone. TypeError: something else than cells and recurrent layers, a norm
    that makes no Module.
    """

    def __init__(
        self,
        layers: Sequence[Cell | RecurrentLayer],
        *,
        dropout: float = 0.0,
        residual: bool = False,
        norm: str | Callable[..., Module] | None = None,
        batch_first: bool = False,
        engine: str = "auto",
    ):
        name = type(self).__name__
        if not layers:
            raise ValueError(f"{name}: no layers came, at least one was expected")
        self.layers = tuple([as_layer(name, layer) for layer in layers])
        self.dropout = check_probability(name, dropout)
        for what, value in {"dropout": dropout, "residual": residual, "norm": norm}.items():
            if value and len(layers) == 1:
                advice = "; use Dropout" if what == "dropout" else ""
                raise ValueError(f"{name}: {what}={value} acts between layers, and there is one{advice}")
        for i, (below, layer) in enumerate(zip(self.layers, self.layers[1:], strict=False), 1):
            if below.output_size != layer.input_size:
                raise ValueError(
                    f"{name}: layers.{i - 1} ({type(below).__name__}) gives {below.output_size} features, the "
                    f"input_size of layers.{i} ({type(layer).__name__}) is {layer.input_size}"
                )
            if residual and layer.output_size != layer.input_size:
                raise ValueError(
                    f"{name}: residual=True adds what goes into layers.{i} ({type(layer).__name__}), "
                    f"{layer.input_size} features, to its {layer.output_size} outputs; equal sizes were expected"
                )
        self.residual = residual
        made = [_made_norm(name, norm, layer) for layer in self.layers[1:]] if norm else ()
        self.norms: Sequence[Any] = tuple(made)
        self._set_call(batch_first, engine)

    def parts(self) -> Sequence[RecurrentLayer]:
        return self.layers

    @property
    def output_size(self) -> Size:  # type: ignore[override]
        return self.layers[-1].output_size

    def run(
        self, xs: Any, state: State, lengths: Array | None, rng: Any, engine: str, resets: Resets | None = None
    ) -> tuple[Any, State]:
        inner, finals, cuts = self._named_first(engine), [], parts_of(resets, len(self.layers))
        for i, layer in enumerate(self.layers):
            below = xs
            if i:
                xs = noise(self.norms[i - 1](filled(xs, lengths)) if self.norms else xs, self.dropout, rng)
                layer._check(xs)
            xs, final = layer.run(xs, state[i], lengths, rng, inner, cuts[i])
            if i and self.residual:
                xs = xs + below
            finals.append(final)
        return xs, tuple(finals)

    def extra_repr(self) -> str:
        said = [f"dropout={self.dropout}"] * bool(self.dropout) + ["residual=True"] * self.residual
        return ", ".join(said)


def _made_norm(name: str, norm: str | Callable[..., Module], layer: RecurrentLayer) -> Module:
    factory = LayerNorm if norm == "layer" else norm
    if not callable(factory) or isinstance(factory, Module):
        raise TypeError(f'{name}: norm={norm!r} came; "layer", or a function of the size that makes one, was expected')
    keywords = {"dtype": float_dtype(layer)} if "dtype" in inspect.signature(factory).parameters else {}
    size = as_shape(layer.input_size)
    made = factory(size[0] if len(size) == 1 else size, **keywords)
    if not (isinstance(made, Module) and callable(made)):
        raise TypeError(f"{name}: norm made a {type(made).__name__}, a Module that can be called was expected")
    return made


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
        (num_layers,) = check_positive(type(self).__name__, num_layers=num_layers)
        directions = 2 if bidirectional else 1
        layers: list[RecurrentLayer] = []
        for _ in range(num_layers):
            size: Any = layers[-1].output_size if layers else input_size
            cells = [make_cell(size) for _ in range(directions)]
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

    def run(
        self, xs: Any, state: State, lengths: Array | None, rng: Any, engine: str, resets: Resets | None = None
    ) -> tuple[Any, State]:
        each = self._unpack(state)
        if resets is not None:
            resets = resets.of(each if resets.state is state else self._unpack(resets.state))
        outputs, final = super().run(xs, each, lengths, rng, engine, resets)
        return outputs, self._pack(final)

    def one_cell(self) -> OneCell | None:
        alone = self.num_layers == 1 and not self.bidirectional and runs_as(self, CellStack)
        inner = self.layers[0].one_cell() if alone else None
        return None if inner is None else OneCell((self, *inner.layers), inner.cell, True)

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
_alone = of_one(primitive(lambda x: x[None], [lambda g, y, x: g[0]], [lambda t, y, x: t[None]]))
