"""ONNX's RNN, LSTM and GRU as layers of minirnn, with their weights."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minirnn.interop.onnx.native import ORDER
from minirnn.layers import cells as zoo
from minirnn.layers.bidirectional import Bidirectional
from minirnn.layers.gru import GRUCell
from minirnn.layers.lstm import LSTMCell
from minirnn.layers.recurrent import Cell, Recurrent, RecurrentLayer
from minirnn.layers.rnn import RNNCell
from minirnn.module import Array

__all__ = ["RECURRENT", "check_layer", "layer_of", "refuse"]

RECURRENT = {"RNN": 1, "LSTM": 2, "GRU": 1}  # and how many arrays their states have
_GATES = {"RNN": 1, "LSTM": 4, "GRU": 3}
_ACTIVATIONS: dict[str, list[list[str]]] = {
    "RNN": [["Tanh"], ["Relu"]],
    "LSTM": [["Sigmoid", "Tanh", "Tanh"]],
    "GRU": [["Sigmoid", "Tanh"]],
}
_DIRECTIONS = ("forward", "reverse", "bidirectional")


def refuse(node: str, attribute: str, came: Any, expected: str) -> None:
    """ValueError: a node's attribute that is not supported."""
    raise ValueError(
        f"from_onnx: node {node}: attribute {attribute}={came!r} is not supported; {expected} was expected"
    )


def layer_of(kind: str, name: str, attributes: Mapping[str, Any], weights: Sequence[Array | None]) -> RecurrentLayer:
    """The layer of a node. weights: W (D, gates * H, I), R (D, gates * H, H), and B (D, 2 * gates * H) or None, D the
    number of directions. ValueError: names the node, and an attribute that no layer of minirnn has."""
    w, r, b = weights
    if w is None or r is None:
        raise ValueError(f"from_onnx: node {name}: {kind} has no weights W and R")
    activations = check_layer(kind, name, attributes)
    direction = attributes.get("direction", "forward")
    count, hidden, gates = 1 + (direction == "bidirectional"), r.shape[-1], _GATES[kind]
    if attributes.get("hidden_size", hidden) != hidden:
        refuse(name, "hidden_size", attributes["hidden_size"], f"{hidden}, by the shape of R,")
    expected = {
        "W": (w, (count, gates * hidden, w.shape[-1])),
        "R": (r, (count, gates * hidden, hidden)),
        "B": (b, (count, 2 * gates * hidden)),
    }
    for what, (array, shape) in expected.items():
        if array is not None and (array.shape != shape or array.dtype not in (np.float32, np.float64)):
            raise ValueError(
                f"from_onnx: node {name}: {what} of {kind} is {array.dtype} {array.shape}; {shape} of float32 or "
                "float64 was expected"
            )
    made = []
    for k in range(count):
        bias = None if b is None else np.split(b[k], 2)
        made.append(_cell(kind, w[k], r[k], bias, hidden, attributes, activations))
    if count == 2:
        return Bidirectional(*made)
    return Recurrent(made[0], reverse=direction == "reverse")


def check_layer(kind: str, name: str, attributes: Mapping[str, Any]) -> str:
    """The first activation, once everything else is seen to be what minirnn has; ValueError as `layer_of`."""
    direction = attributes.get("direction", "forward")
    if direction not in _DIRECTIONS:
        refuse(name, "direction", direction, " or ".join(_DIRECTIONS))
    count = 1 + (direction == "bidirectional")
    known = {"hidden_size", "direction", "activations", "layout", "input_forget", "clip", "linear_before_reset"}
    for attribute, value in attributes.items():
        if attribute not in known or (attribute == "linear_before_reset" and kind != "GRU"):
            refuse(name, attribute, value, "none")
    for attribute in ("layout", "input_forget", "clip"):
        if attributes.get(attribute, 0):
            refuse(name, attribute, attributes[attribute], "0" if attribute != "clip" else "none")
    default = _ACTIVATIONS[kind][0] * count
    given = list(attributes.get("activations") or default)
    allowed = [one * count for one in _ACTIVATIONS[kind]]
    if [one.lower() for one in given] not in [[one.lower() for one in a] for a in allowed]:
        refuse(name, "activations", given, " or ".join(map(str, allowed)))
    return str(given[0]).lower()


def _cell(
    kind: str,
    w: Array,
    r: Array,
    bias: Sequence[Array] | None,
    hidden: int,
    attributes: Mapping[str, Any],
    activation: str,
) -> Cell:
    size = w.shape[1]
    if kind == "GRU" and not attributes.get("linear_before_reset", 0):
        cell: Any = zoo.make("ChoGRU", size, hidden, dtype=w.dtype)
        cell.w, cell.u = _ours(GRUCell, w), _ours(GRUCell, r)
        cell.b = np.zeros(3 * hidden, w.dtype) if bias is None else _ours(GRUCell, bias[0] + bias[1])
        return cell
    cls: Any = {"RNN": RNNCell, "LSTM": LSTMCell, "GRU": GRUCell}[kind]
    keywords = {"nonlinearity": activation} if kind == "RNN" else {}
    cell = cls(size, hidden, bias=bias is not None, dtype=w.dtype, **keywords)
    cell.weight_ih, cell.weight_hh = _ours(cls, w), _ours(cls, r)
    if bias is not None:
        cell.bias_ih, cell.bias_hh = (_ours(cls, one) for one in bias)
    return cell


def _ours(cls: type[Cell], array: Array) -> Array:
    """The gates' rows in our order."""
    blocks = np.split(array, len(ORDER[cls]))
    return np.concatenate([blocks[k] for k in np.argsort(ORDER[cls])])
