"""ResLSTM, the residual LSTM (Kim, El-Khamy & Lee 2017, arXiv:1701.03360).

    i = sigmoid(W_i x + U_i h + v_i * c + b_i)
    f = sigmoid(W_f x + U_f h + v_f * c + b_f)
    g = tanh(W_g x + U_g h + b_g)
    c' = f * c + i * g
    o = sigmoid(W_o x + U_o h + v_o * c' + b_o)
    h' = o * (P tanh(c') + R x)

x: (B, I), h, c: (B, H); w (4H, I), u (4H, H), b (4H,) in the order i, f, g, o; v (3H,) in the order i, f, o; P (H,
H), R (H, I). A shortcut from the layer below that shares the output gate: for stacks of ten layers, in speech.
Where I = H the paper takes R = 1; freeze R at the identity for that.
"""

from typing import Any

from minirnn.functional import linear, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import peephole
from minirnn.layers.cells.registry import register


@register(year=2017, use="stacks of many layers: an LSTM with a shortcut from the layer below")
@cell(
    w=("4*hidden", "input"),
    u=("4*hidden", "hidden"),
    v=("3*hidden",),
    b=("4*hidden",),
    P=("hidden", "hidden"),
    R=("hidden", "input"),
    state_=("h", "c"),
)
def ResLSTM(p: Any, s: Any, x: Any) -> Any:
    """The residual LSTM. State: h, c (B, H); output: h."""
    o, c = peephole(p, s.h, s.c, x)
    h = o * (linear(tanh(c), p.P) + linear(x, p.R))
    return (h, c), h
