"""TRNN, TGRU and TLSTM, strongly typed networks (Balduzzi & Ghifary 2016, arXiv:1602.02218).

    z = W_z x + b_z                                    TRNN
    f = sigmoid(W_f x + b_f)
    h' = f * h + (1 - f) * z

    z = V_z x' + W_z x + b_z                           TGRU and TLSTM; x' is the input of the step before
    f = sigmoid(V_f x' + W_f x + b_f)
    o = tanh(V_o x' + W_o x + b_o)
    h' = f * h + z * o                                 TGRU
    c' = f * c + (1 - f) * z,  h = c' * o              TLSTM

x: (B, I), h, c: (B, H); w (2H, I), b (2H,) in the order z, f; in TGRU and TLSTM w (3H, I), u (3H, I), the paper's
V, b (3H,) in the order z, f, o. The state meets no matrix and no nonlinearity, as quantities of different units
would not be added: averages of features, which can be interpreted, and are as good as an LSTM on characters. The
paper's T-RNN has no b_z.
"""

from typing import Any

from minirnn.functional import linear, sigmoid, split, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import gates, keep
from minirnn.layers.cells.registry import register


@register(year=2016, use="interpretable averages of features: the state meets no matrix")
@cell(w=("2*hidden", "input"), b=("2*hidden",))
def TRNN(p: Any, h: Any, x: Any) -> Any:
    """The strongly typed RNN. State and output: h (B, H)."""
    z, f = split(linear(x, p.w, p.b), 2)
    h = keep(sigmoid(f), h, z)
    return h, h


@register(year=2016, use="a GRU whose gates see this input and the last, not the state")
@cell(
    w=("3*hidden", "input"),
    u=("3*hidden", "input"),
    b=("3*hidden",),
    state_={"h": ("hidden",), "x": ("input",)},
)
def TGRU(p: Any, s: Any, x: Any) -> Any:
    """The strongly typed GRU. State: h (B, H), x (B, I), the last input; output: h."""
    z, f, o = gates(p, s.x, x, 3)
    h = sigmoid(f) * s.h + z * tanh(o)
    return (h, x), h


@register(year=2016, use="an LSTM whose gates see this input and the last, not the state")
@cell(
    w=("3*hidden", "input"),
    u=("3*hidden", "input"),
    b=("3*hidden",),
    state_={"c": ("hidden",), "x": ("input",)},
)
def TLSTM(p: Any, s: Any, x: Any) -> Any:
    """The strongly typed LSTM. State: c (B, H), x (B, I), the last input; output: h (B, H)."""
    z, f, o = gates(p, s.x, x, 3)
    c = keep(sigmoid(f), s.c, z)
    return (c, x), c * tanh(o)
