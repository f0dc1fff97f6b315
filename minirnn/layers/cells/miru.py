"""MiRU1 and MiRU2, minion recurrent units (2026, doi:10.1016/j.neucom.2026.132847).

    r = sigmoid(W_r x + U_r h + b_r)
    h~ = tanh(W_h x + U_h (r * h) + b_h)
    h' = lambda * h + (1 - lambda) * h~                MiRU1

    h~ = tanh(W x + U (theta * h) + b)
    h' = lambda * h + (1 - lambda) * h~                MiRU2

x: (B, I), h: (B, H); in MiRU1 w (2H, I), u (2H, H), b (2H,) in the order r, h; in MiRU2 w (H, I), u (H, H), b (H,).
A GRU whose update gate (MiRU1), and whose reset gate too (MiRU2), are numbers to be tuned: for small devices. The
equations, and the numbers 0.5, are as in torchrecurrent 0.2.5: the paper could not be had.
"""

from typing import Any

from minirnn.functional import linear, sigmoid, split, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import keep, rows
from minirnn.layers.cells.registry import register


@register(year=2026, use="a GRU with a number for its update gate")
@cell(w=("2*hidden", "input"), u=("2*hidden", "hidden"), b=("2*hidden",), options_={"lambda_": 0.5})
def MiRU1(p: Any, h: Any, x: Any) -> Any:
    """A reset gate, and a fixed update. State and output: h (B, H). Option: lambda_, what is kept."""
    x_r, x_h = split(linear(x, p.w, p.b), 2)
    u_r, u_h = rows(p.u, 2)
    r = sigmoid(x_r + linear(h, u_r))
    h = keep(p.lambda_, h, tanh(x_h + linear(r * h, u_h)))
    return h, h


@register(year=2026, use="a leaky RNN with two numbers for a GRU's gates")
@cell(w=("hidden", "input"), u=("hidden", "hidden"), b=("hidden",), options_={"lambda_": 0.5, "theta": 0.5})
def MiRU2(p: Any, h: Any, x: Any) -> Any:
    """A fixed reset and a fixed update. State and output: h (B, H). Options: lambda_, what is kept; theta."""
    h = keep(p.lambda_, h, tanh(linear(x, p.w, p.b) + linear(p.theta * h, p.u)))
    return h, h
