"""MGU, the minimal gated unit (Zhou, Wu, Zhang & Zhou 2016, arXiv:1603.09420).

    f = sigmoid(W_f x + U_f h + b_f)
    h~ = tanh(W_h x + U_h (f * h) + b_h)
    h' = (1 - f) * h + f * h~

x: (B, I), h: (B, H); w (2H, I), u (2H, H), b (2H,) in the order f, h. One gate does the work of a GRU's two, it
chooses what the candidate sees of the past and how much of the past is kept: a GRU's accuracy at two thirds of its
parameters.
"""

from typing import Any

from minirnn.functional import linear, sigmoid, split, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import move, rows
from minirnn.layers.cells.registry import register


@register(year=2016, use="a GRU with a single gate, at two thirds of its parameters")
@cell(w=("2*hidden", "input"), u=("2*hidden", "hidden"), b=("2*hidden",))
def MGU(p: Any, h: Any, x: Any) -> Any:
    """The minimal gated unit. State and output: h (B, H)."""
    x_f, x_h = split(linear(x, p.w, p.b), 2)
    u_f, u_h = rows(p.u, 2)
    f = sigmoid(x_f + linear(h, u_f))
    h = move(f, h, tanh(x_h + linear(f * h, u_h)))
    return h, h
