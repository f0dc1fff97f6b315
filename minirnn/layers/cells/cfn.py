"""CFN, the chaos-free network (Laurent & von Brecht 2016, arXiv:1612.06212).

    theta = sigmoid(V_t x + U_t h + b_t)          keep
    eta = sigmoid(V_e x + U_e h + b_e)            write
    h' = theta * tanh(h) + eta * tanh(W x)

x: (B, I), h: (B, H); w (3H, I) in the order theta, eta, candidate; u (2H, H) and b (2H,) in the order theta, eta.
Without input every state decays to zero: as good as an LSTM on word-level language models, and with dynamics that
can be predicted. As in the paper b_t starts at 1 and b_e at -1. torchrecurrent has a bias beside W x, and starts
all at 0.
"""

from typing import Any

from minirnn import init
from minirnn.functional import linear, sigmoid, split, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import blocks
from minirnn.layers.cells.registry import register


@register(year=2016, use="language models with dynamics that are never chaotic")
@cell(
    w=("3*hidden", "input"),
    u=("2*hidden", "hidden"),
    b=("2*hidden",),
    init_={"b": blocks(init.ones, init.constant(-1.0))},
)
def CFN(p: Any, h: Any, x: Any) -> Any:
    """The chaos-free network. State and output: h (B, H)."""
    x_t, x_e, candidate = split(linear(x, p.w), 3)
    h_t, h_e = split(linear(h, p.u, p.b), 2)
    theta = sigmoid(x_t + h_t)
    eta = sigmoid(x_e + h_e)
    h = theta * tanh(h) + eta * tanh(candidate)
    return h, h
