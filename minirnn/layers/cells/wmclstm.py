"""WMCLSTM, the LSTM with working memory connections (Landi, Baraldi, Cornia & Cucchiara 2021, arXiv:2109.00020).

    i = sigmoid(W_i x + U_i h + tanh(V_i c) + b_i)
    f = sigmoid(W_f x + U_f h + tanh(V_f c) + b_f)
    g = tanh(W_g x + U_g h + b_g)
    c' = f * c + i * g
    o = sigmoid(W_o x + U_o h + tanh(V_o c') + b_o)
    h' = o * tanh(c')

x: (B, I), h, c: (B, H); w (4H, I), u (4H, H), b (4H,) in the order i, f, g, o; v (3H, H) in the order i, f, o.
Peepholes through a matrix, and squashed, so that a large memory does not saturate the gates: for long sequences.
torchrecurrent has biases beside V c; its documentation lacks the tanh of V c, and U_g h, its code has both.
"""

from typing import Any

from minirnn.functional import linear, sigmoid, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import gates, rows
from minirnn.layers.cells.registry import register


@register(year=2021, use="long sequences: an LSTM whose gates see the squashed memory")
@cell(w=("4*hidden", "input"), u=("4*hidden", "hidden"), v=("3*hidden", "hidden"), b=("4*hidden",), state_=("h", "c"))
def WMCLSTM(p: Any, s: Any, x: Any) -> Any:
    """The LSTM with working memory connections. State: h, c (B, H); output: h."""
    v_i, v_f, v_o = rows(p.v, 3)
    i, f, g, o = gates(p, s.h, x, 4)
    i = sigmoid(i + tanh(linear(s.c, v_i)))
    f = sigmoid(f + tanh(linear(s.c, v_f)))
    c = f * s.c + i * tanh(g)
    o = sigmoid(o + tanh(linear(c, v_o)))
    h = o * tanh(c)
    return (h, c), h
