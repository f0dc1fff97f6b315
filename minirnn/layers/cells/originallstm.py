"""The LSTM of 1997, without forget gate (Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735).

    i = sigmoid(W_i x + U_i h + b_i)
    g = 2 tanh((W_g x + U_g h + b_g) / 2)         the paper's 4 sigmoid(.) - 2
    o = sigmoid(W_o x + U_o h + b_o)
    c' = c + i * g
    h' = o * tanh(c' / 2)                         the paper's 2 sigmoid(.) - 1

x: (B, I), h, c: (B, H); w (3H, I), u (3H, H), b (3H,) in the order i, g, o. What is written once stays: for tasks
with one thing to remember, and to see what the forget gate is for. Weights start as U(-0.2, 0.2), as in the paper's
first experiments; its truncated gradient is not taken, the gradient here is whole.

torchrecurrent has tanh in both places: the same functions of halved W_g, U_g, b_g, with half the c.
"""

from typing import Any

from minirnn import init
from minirnn.functional import sigmoid, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import gates
from minirnn.layers.cells.registry import register


@register(year=1997, use="what is written once stays: the LSTM before its forget gate")
@cell(
    w=("3*hidden", "input"),
    u=("3*hidden", "hidden"),
    b=("3*hidden",),
    state_=("h", "c"),
    init_={"w": init.uniform(-0.2, 0.2), "u": init.uniform(-0.2, 0.2), "b": init.zeros},
)
def OriginalLSTM(p: Any, s: Any, x: Any) -> Any:
    """The LSTM of 1997. State: h, c (B, H); output: h."""
    i, g, o = gates(p, s.h, x, 3)
    c = s.c + sigmoid(i) * 2 * tanh(g / 2)
    h = sigmoid(o) * tanh(c / 2)
    return (h, c), h
