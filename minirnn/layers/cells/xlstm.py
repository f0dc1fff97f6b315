"""sLSTM and mLSTM, the cells of xLSTM (Beck, Pöppel, Spanring, Auer, Prudnikova, Kopp, Klambauer, Brandstetter &
Hochreiter 2024, arXiv:2405.04517).

sLSTM, a scalar memory with a normaliser:       mLSTM, a matrix memory of keys and values, in every head:

    i = exp(W_i x + R_i h + b_i)                    i = exp(w_i x + b_i)                      (a number)
    f = sigmoid(W_f x + R_f h + b_f), or exp        f = sigmoid(w_f x + b_f), or exp          (a number)
    z = tanh(W_z x + R_z h + b_z)                   q, k, v = W_q x + b_q, (W_k x + b_k) / sqrt(D), W_v x + b_v
    o = sigmoid(W_o x + R_o h + b_o)                o = sigmoid(W_o x + b_o)
    c' = f * c + i * z                              C' = f C + i v k^T
    n' = f * n + i                                  n' = f n + i k
    h' = o * c' / n'                                h' = o * (C' q) / max(|n' q|, 1)

Exponential gates overflow, so c and n (C and n) are kept divided by exp(m), with m the largest logarithm that has
occurred (the paper's equations 15 to 17); h' does not depend on m:

    m' = max(log f + m, log i),    f <- exp(log f + m - m'),    i <- exp(log i - m')

sLSTM: x (B, I), h, c, n, m (B, H); w (4H, I), r (4H, H), b (4H,) in the order i, f, z, o. Where n is 0, before a first
step, m' is log i. mLSTM with N heads of D = H / N: C (B, N, D, D), n (B, N, D), m (B, N); w (4H, I), b (4H,) in the
order q, k, v, o, w_gates (2N, I), b_gates (2N,) in the order i, f.

An input that matters can replace what is stored, whatever the gates said before. sLSTM: for tracking a state; mLSTM:
for storing many pairs, with no product with h. Forget biases start spread over 3..6, as in the authors' code; R is
dense, where the paper's sLSTM may have it in blocks.
"""

from typing import Any, NamedTuple

import autograd.numpy as np
import numpy as onp
from numpy.typing import DTypeLike

from minirnn import init
from minirnn.checks import check_positive
from minirnn.functional import linear, relu, sigmoid, softplus, split, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import blocks
from minirnn.layers.cells.parameters import declare
from minirnn.layers.cells.registry import register
from minirnn.layers.recurrent import Cell
from minirnn.module import Array

__all__ = ["mLSTM", "mLSTMState", "sLSTM", "stabilised_gates"]

FORGET = ("sigmoid", "exp")


def stabilised_gates(kept: Array, log_i: Array) -> tuple[Array, Array, Array]:
    """f, i and m' from log f + m and log i: the gates divided by exp(m'), both at most 1 and one of them 1."""
    m = np.maximum(kept, log_i)
    return np.exp(kept - m), np.exp(log_i - m), m


def log_forget(f: Array, kind: str) -> Array:
    """The logarithm of a forget gate, of its pre-activation: log sigmoid(f), or f itself."""
    return f if kind == "exp" else -softplus(-f)


def _spread(rng: onp.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
    return onp.linspace(3, 6, shape[0]).astype(dtype)


@register(year=2024, use="tracking a state: exponential gates, which can replace what is stored")
@cell(
    w=("4*hidden", "input"),
    r=("4*hidden", "hidden"),
    b=("4*hidden",),
    state_=("h", "c", "n", "m"),
    options_={"forget": FORGET},
    init_={"b": blocks(init.zeros, _spread, init.zeros, init.zeros)},
)
def sLSTM(p: Any, s: Any, x: Any) -> Any:
    """The scalar LSTM of xLSTM. State: h, c, n, m (B, H); output: h. forget: "sigmoid" or "exp"."""
    i, f, z, o = split(linear(x, p.w, p.b) + linear(s.h, p.r), 4)
    f, i, m = stabilised_gates(np.where(s.n == 0, i, log_forget(f, p.forget) + s.m), i)
    c = f * s.c + i * tanh(z)
    n = f * s.n + i
    h = sigmoid(o) * c / n
    return (h, c, n, m), h


class mLSTMState(NamedTuple):
    """c: (B, N, D, D), n: (B, N, D), m: (B, N), where N heads of D make H."""

    c: Array
    n: Array
    m: Array


@register(year=2024, use="storing many pairs: a matrix memory of keys and values", small=(2, 4), options={"heads": 2})
class mLSTM(Cell):
    """The matrix LSTM of xLSTM. State: mLSTMState(c, n, m); output: h (B, H). forget: "sigmoid" or "exp"."""

    w: Array
    b: Array
    w_gates: Array
    b_gates: Array

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        heads: int = 1,
        forget: str = "sigmoid",
        rng: onp.random.Generator | None = None,
        dtype: DTypeLike = onp.float32,
    ):
        input_size, hidden_size = check_positive(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        (heads,) = check_positive("mLSTM", heads=heads)
        if hidden_size % heads:
            raise ValueError(f"mLSTM: heads={heads} came, which does not divide hidden_size={hidden_size}")
        if forget not in FORGET:
            raise ValueError(f"mLSTM: forget={forget!r} came, one of {', '.join(FORGET)} was expected")
        self.heads, self.forget = heads, forget
        shapes: dict[str, tuple[int, ...]] = {"w": (4 * hidden_size, input_size), "b": (4 * hidden_size,)}
        shapes |= {"w_gates": (2 * heads, input_size), "b_gates": (2 * heads,)}
        declare(self, input_size, hidden_size, rng, dtype, shapes, {"b_gates": blocks(init.zeros, _spread)})

    def initial_state(self, batch_size: int, dtype: DTypeLike | None = None) -> mLSTMState:
        shape = (batch_size, self.heads, self.hidden_size // self.heads)
        zeros = [onp.zeros(s, dtype or self.dtype) for s in ((*shape, shape[-1]), shape, shape[:-1])]
        return mLSTMState(*zeros)

    def step(self, state: mLSTMState, x: Any) -> tuple[mLSTMState, Any]:
        *qkv, o = split(linear(x, self.w, self.b), 4)
        q, k, v = (np.reshape(a, np.shape(state.n)) for a in qkv)
        k = k * np.shape(k)[-1] ** -0.5
        i, f = split(linear(x, self.w_gates, self.b_gates), 2)
        f, i, m = stabilised_gates(log_forget(f, self.forget) + state.m, i)
        f, i = f[..., None], i[..., None]
        c = f[..., None] * state.c + (i * v)[..., :, None] * k[..., None, :]
        n = f * state.n + i * k
        # max(|n q|, 1) divided by exp(m), like C q; then both times exp(min(m, 0)), so that nothing can overflow
        # (m at most 40 here: beside an n of 0, exp(-m) must stay above 0, and its square too, which the gradient has)
        below, above = np.exp(-relu(-m))[..., None], np.exp(-np.minimum(relu(m), 40.0))[..., None]
        size = np.maximum(below * np.abs(np.sum(n * q, axis=-1, keepdims=True)), above)
        h = below * np.sum(c * q[..., None, :], axis=-1) / size
        return mLSTMState(c, n, m), sigmoid(o) * np.reshape(h, np.shape(o))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, heads={self.heads}, forget={self.forget}"
