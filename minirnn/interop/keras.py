"""Weights as Keras keeps them: lists of plain arrays, without importing Keras.

layer = minirnn.LSTM(29, 100)
load_keras_weights(layer, keras_layer.get_weights())     # a keras.layers.LSTM(100) on 29 features
keras_layer.set_weights(keras_weights(layer))

Keras multiplies from the right, x @ kernel, and orders an LSTM's gates i, f, c, o and a GRU's z, r, h. Its GRU with
reset_after=True, the default, is minirnn.GRU; with reset_after=False it is minirnn.cells.ChoGRU.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minirnn.layers import Cell, Embedding, GRUCell, LayerNorm, Linear, LSTMCell, RNNCell
from minirnn.layers.cells.chogru import ChoGRU
from minirnn.module import Array, Module

__all__ = ["keras_weights", "load_keras_weights"]


class _Slot(NamedTuple):
    """One array of Keras's list: where it stands in our layer, and the order of its gates there.

    kind: "kernel" is transposed; "bias" is the sum of its places, of which the first takes all; "biases" has one row a
    place; "same" is the array itself.
    """

    paths: tuple[str, ...]
    kind: str
    gates: tuple[int, ...] = (0,)


_Z_R_H = (1, 0, 2)  # Keras's order of gates by ours, which is its own inverse


KERAS_EPSILON = 1e-3  # of its LayerNormalization; ours, as PyTorch's, is 1e-5


def keras_weights(layer: Module, *, epsilon: float = KERAS_EPSILON) -> list[Array]:
    """Copies of the layer's arrays as Keras's `get_weights()` gives them.

    layer: RNN, LSTM, GRU, their cells, ChoGRU, Linear (Dense), Embedding, LayerNorm, or what is made of such
    (Recurrent, Bidirectional, Stacked, Sequential): one layer's list after the other's, the forward direction first.
    epsilon: that of Keras's LayerNormalization, which no list of weights tells. TypeError: a layer that Keras has no
    twin of. ValueError: a LayerNorm of another eps.
    """
    _check_epsilon("keras_weights", layer, epsilon)
    arrays = layer.state_dict()
    return [_theirs(slot, [arrays[path] for path in slot.paths]) for slot in _slots(layer)]


def load_keras_weights(layer: Module, weights: Sequence[Any], *, epsilon: float = KERAS_EPSILON) -> None:
    """Write a list of arrays, as Keras's `get_weights()` gives it, into the layer in place, or nothing unless all fits.

    Keras's LSTM and SimpleRNN have one bias, our layers two: it becomes the first, and the second is zero.
    epsilon: that of Keras's LayerNormalization, which no list of weights tells. TypeError: a layer that Keras has no
    twin of. ValueError: another number of arrays, or another shape or dtype, each named; a LayerNorm of another eps.
    """
    _check_epsilon("load_keras_weights", layer, epsilon)
    slots, arrays = list(_slots(layer)), layer.state_dict()
    if len(weights) != len(slots):
        expected = ", ".join("+".join(slot.paths) for slot in slots)
        raise ValueError(
            f"load_keras_weights: {len(weights)} arrays came, {len(slots)} were expected, for {expected}; a layer made "
            "with bias=False takes none for a bias"
        )
    new: dict[str, Array] = {}
    for k, (slot, given) in enumerate(zip(slots, weights, strict=True)):
        value, like = np.asarray(given), [arrays[path] for path in slot.paths]
        expected_shape = _theirs(slot, like).shape
        if value.shape != expected_shape:
            raise ValueError(
                f"load_keras_weights: weights[{k}] has shape {value.shape}, {expected_shape} was expected for "
                f"{'+'.join(slot.paths)}{_hint(slot, value)}"
            )
        new |= dict(zip(slot.paths, _ours(slot, value), strict=True))
    layer.load_state_dict(new)


def _check_epsilon(caller: str, layer: Module, epsilon: float) -> None:
    for path, module in layer.named_modules():
        if isinstance(module, LayerNorm) and module.eps != epsilon:
            raise ValueError(
                f"{caller}: {path or 'LayerNorm'} has eps={module.eps:g}, Keras's LayerNormalization {epsilon:g}: make "
                f"LayerNorm(..., eps={epsilon:g}), or say epsilon={module.eps:g} if Keras's was made with that"
            )


def _hint(slot: _Slot, value: Array) -> str:
    if slot.kind == "biases" and value.ndim == 1:
        return "; this is a GRU with reset_after=False, which is minirnn.cells.ChoGRU"
    if slot.kind == "bias" and value.ndim == 2 and slot.gates == _Z_R_H:
        return "; this is a GRU with reset_after=True, which is minirnn.GRU"
    return ""


def _slots(layer: Module) -> Iterator[_Slot]:
    """What stands in Keras's list, in order."""
    owned: set[str] = set()
    for path, module in layer.named_modules():
        slots = _slots_of(module)
        if slots is None:
            continue
        for slot in slots:
            within = tuple([f"{path}.{name}" if path else name for name in slot.paths])
            owned |= set(within)
            yield slot._replace(paths=within)
    left = [name for name in layer.state_dict() if name not in owned]
    if left or not owned:
        raise TypeError(
            f"{type(layer).__name__}: Keras has no twin of what holds {', '.join(left) or 'no array'}; RNN, LSTM, GRU, "
            "ChoGRU, Linear, Embedding, LayerNorm, and what is made of them, were expected"
        )


def _slots_of(module: Module) -> list[_Slot] | None:
    """A layer's own arrays; None: it is none of those that Keras has."""
    kind: Any = type(module)
    here: Any = module
    if kind in (RNNCell, LSTMCell, GRUCell) and not getattr(here, "proj_size", 0):
        gates = {RNNCell: (0,), LSTMCell: (0, 1, 2, 3), GRUCell: _Z_R_H}[kind]
        both = _Slot(("bias_ih", "bias_hh"), "biases" if kind is GRUCell else "bias", gates)
        kernels = [_Slot((name,), "kernel", gates) for name in ("weight_ih", "weight_hh")]
        return [*kernels, *([] if here.bias_ih is None else [both])]
    if kind is ChoGRU:
        return [_Slot(("w",), "kernel", _Z_R_H), _Slot(("u",), "kernel", _Z_R_H), _Slot(("b",), "bias", _Z_R_H)]
    if kind is Linear:
        return [_Slot(("weight",), "kernel"), *([] if here.bias is None else [_Slot(("bias",), "same")])]
    if kind in (Embedding, LayerNorm):
        return [_Slot((name,), "same") for name in here.state_dict()]
    return None if not isinstance(module, Cell) else []


def _theirs(slot: _Slot, arrays: Sequence[Array]) -> Array:
    if slot.kind == "same":
        return np.array(arrays[0])
    turned = [_reordered(array, slot.gates) for array in arrays]
    if slot.kind == "kernel":
        return np.ascontiguousarray(turned[0].T)
    return np.stack(turned) if slot.kind == "biases" else np.array(sum(turned[1:], turned[0]))


def _ours(slot: _Slot, value: Array) -> list[Array]:
    if slot.kind == "same":
        return [value]
    if slot.kind == "kernel":
        return [_reordered(value.T, slot.gates)]
    rows = value if slot.kind == "biases" else [value, *[np.zeros_like(value)] * (len(slot.paths) - 1)]
    return [_reordered(row, slot.gates) for row in rows]


def _reordered(array: Array, gates: tuple[int, ...]) -> Array:
    """The blocks of the first axis in another order; `gates` is its own inverse."""
    blocks = np.split(array, len(gates))
    return np.concatenate([blocks[k] for k in gates])
