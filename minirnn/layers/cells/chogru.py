"""The GRU as it was first published (Cho, van Merrienboer, Gulcehre, Bahdanau, Bougares, Schwenk & Bengio 2014,
arXiv:1406.1078): the reset gate stands before the product with the state, and z keeps.

    r = sigmoid(W_r x + U_r h + b_r)
    z = sigmoid(W_z x + U_z h + b_z)
    n = tanh(W_n x + U_n (r * h) + b_n)
    h' = z * h + (1 - z) * n

x: (B, I), h: (B, H); w (3H, I), u (3H, H), b (3H,) in the order r, z, n. Equal to `minirnn.GRU` but for U_n (r * h) in
place of r * (U_n h): for what papers before cuDNN report. The paper's start: U orthogonal, W normal with deviation
0.01, biases 0 (the paper leaves them out).
"""

from typing import Any

from minirnn import init
from minirnn.functional import linear, sigmoid, split, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import keep, rows
from minirnn.layers.cells.registry import register


@register(year=2014, use="the GRU as published: reset before the product with the state")
@cell(
    w=("3*hidden", "input"),
    u=("3*hidden", "hidden"),
    b=("3*hidden",),
    init_={"w": init.normal(0.01), "u": init.per_gate(init.orthogonal, 3), "b": init.zeros},
)
def ChoGRU(p: Any, h: Any, x: Any) -> Any:
    """Cho et al.'s gated recurrent unit. State and output: h (B, H)."""
    x_r, x_z, x_n = split(linear(x, p.w, p.b), 3)
    u_r, u_z, u_n = rows(p.u, 3)
    r = sigmoid(x_r + linear(h, u_r))
    z = sigmoid(x_z + linear(h, u_z))
    h = keep(z, h, tanh(x_n + linear(r * h, u_n)))
    return h, h
