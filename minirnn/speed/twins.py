"""The twins of the built-in cells: PyTorch's layers, and the same steps for JAX; see passes for what a twin is."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from minirnn.layers import Cell, GRUCell, LSTMCell, RNNCell

__all__ = ["BUILT_IN", "TWINS"]


def _torch() -> Any:
    return import_module("torch")


def _jax() -> tuple[Any, Any]:
    return import_module("jax"), import_module("jax.numpy")


def gru_torch(input_size: int, hidden_size: int) -> Any:
    return _torch().nn.GRU(input_size, hidden_size)


def lstm_torch(input_size: int, hidden_size: int) -> Any:
    return _torch().nn.LSTM(input_size, hidden_size)


def rnn_torch(input_size: int, hidden_size: int) -> Any:
    return _torch().nn.RNN(input_size, hidden_size)


def _projections(p: Mapping[str, Any], h: Any, x: Any) -> tuple[Any, Any]:
    return x @ p["weight_ih"].T + p["bias_ih"], h @ p["weight_hh"].T + p["bias_hh"]


def gru_jax(p: Mapping[str, Any], h: Any, x: Any) -> Any:
    jax, jnp = _jax()

    (a_r, a_z, a_n), (b_r, b_z, b_n) = (jnp.split(part, 3, 1) for part in _projections(p, h, x))
    r, z = jax.nn.sigmoid(a_r + b_r), jax.nn.sigmoid(a_z + b_z)
    h = (1 - z) * jnp.tanh(a_n + r * b_n) + z * h
    return h, h


def lstm_jax(p: Mapping[str, Any], state: Any, x: Any) -> Any:
    jax, jnp = _jax()

    h, c = state
    i, f, g, o = jnp.split(sum(_projections(p, h, x)), 4, 1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    h = jax.nn.sigmoid(o) * jnp.tanh(c)
    return (h, c), h


def rnn_jax(p: Mapping[str, Any], h: Any, x: Any) -> Any:
    _, jnp = _jax()

    h = jnp.tanh(sum(_projections(p, h, x)))
    return h, h


BUILT_IN: dict[str, type[Cell]] = {"gru": GRUCell, "lstm": LSTMCell, "rnn": RNNCell}
TWINS: dict[type[Cell], dict[str, Callable[..., Any]]] = {
    GRUCell: {"torch": gru_torch, "jax": gru_jax},
    LSTMCell: {"torch": lstm_torch, "jax": lstm_jax},
    RNNCell: {"torch": rnn_torch, "jax": rnn_jax},
}
