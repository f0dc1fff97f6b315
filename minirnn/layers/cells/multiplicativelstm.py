"""The multiplicative LSTM (Krause, Lu, Murray & Renals 2016, arXiv:1609.07959).

    m = (W_m x) * (U_m h)
    i = sigmoid(W_i x + U_i m + b_i)
    f = sigmoid(W_f x + U_f m + b_f)
    g = tanh(W_g x + U_g m + b_g)
    o = sigmoid(W_o x + U_o m + b_o)
    c' = f * c + i * g
    h' = o * tanh(c')

x: (B, I), m, h, c: (B, H); w_m (H, I), u_m (H, H); w (4H, I), u (4H, H), b (4H,) in the order i, f, g, o. Each
input symbol has a transition of its own: for character models that recover from a surprising symbol. The paper
writes no biases. torchrecurrent has two more in m.
"""

from typing import Any

from minirnn.functional import linear, sigmoid, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import gates
from minirnn.layers.cells.registry import register


@register(year=2016, use="character models: a transition of its own for each input")
@cell(
    w_m=("hidden", "input"),
    u_m=("hidden", "hidden"),
    w=("4*hidden", "input"),
    u=("4*hidden", "hidden"),
    b=("4*hidden",),
    state_=("h", "c"),
)
def MultiplicativeLSTM(p: Any, s: Any, x: Any) -> Any:
    """An LSTM whose gates see the product of input and state. State: h, c (B, H); output: h."""
    m = linear(x, p.w_m) * linear(s.h, p.u_m)
    i, f, g, o = gates(p, m, x, 4)
    c = sigmoid(f) * s.c + sigmoid(i) * tanh(g)
    h = sigmoid(o) * tanh(c)
    return (h, c), h
