"""TauGRU, a GRU with weighted time-delay feedback (Erichson, Lim & Mahoney 2022, arXiv:2212.00228).

    u = tanh(W_u x + U_u h + b_u)
    z = tanh(W_z x + U_z d + b_z)                 d: the state `delay` steps ago
    g = sigmoid(W_g x + U_g h + b_g)
    a = sigmoid(W_a x + U_a h + b_a)              how much of the delayed candidate counts
    h' = (1 - g) * h + g * (u + a * z)

x: (B, I), h: (B, H); w (4H, I), u (4H, H), b (4H,) in the order u, z, g, a; past (B, delay, H) holds the states
before h, oldest first. A delay equation in discrete time: gradients reach far back through the shortcut of `delay`
steps, which is to be tuned. The paper writes no biases.
"""

from typing import Any

import autograd.numpy as np

from minirnn.functional import linear, sigmoid, split, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import move, rows
from minirnn.layers.cells.registry import register


@register(year=2022, use="long memory by feedback from some steps ago", options={"delay": 2})
@cell(
    w=("4*hidden", "input"),
    u=("4*hidden", "hidden"),
    b=("4*hidden",),
    state_={"h": ("hidden",), "past": ("delay", "hidden")},
    options_={"delay": 10},
)
def TauGRU(p: Any, s: Any, x: Any) -> Any:
    """A GRU with delayed feedback. State: h (B, H), past (B, delay, H); output: h. Option: delay, in steps."""
    x_u, x_z, x_g, x_a = split(linear(x, p.w, p.b), 4)
    u_u, u_z, u_g, u_a = rows(p.u, 4)
    u = tanh(x_u + linear(s.h, u_u))
    z = tanh(x_z + linear(s.past[:, 0], u_z))
    g = sigmoid(x_g + linear(s.h, u_g))
    a = sigmoid(x_a + linear(s.h, u_a))
    h = move(g, s.h, u + a * z)
    past = np.concatenate((s.past[:, 1:], s.h[:, None]), axis=1)
    return (h, past), h
