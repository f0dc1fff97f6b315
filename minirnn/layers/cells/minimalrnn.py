"""MinimalRNN (Chen 2017, arXiv:1711.06788).

    z = tanh(W x + b_z)                      the input in the state's own space
    u = sigmoid(U_h h + U_z z + b_u)         keep
    h' = u * h + (1 - u) * z

x: (B, I), h: (B, H); w (H, I), b_z (H,); u_h (H, H), u_z (H, H), b_u (H,). The state is a weighted mean of embedded
inputs and stays among them: dynamics that can be analysed, and trained over long sequences.
"""

from typing import Any

from minirnn.functional import linear, sigmoid, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import keep
from minirnn.layers.cells.registry import register


@register(year=2017, use="dynamics simple enough to be analysed: a state in the inputs' own space")
@cell(
    w=("hidden", "input"),
    b_z=("hidden",),
    u_h=("hidden", "hidden"),
    u_z=("hidden", "hidden"),
    b_u=("hidden",),
)
def MinimalRNN(p: Any, h: Any, x: Any) -> Any:
    """One gate between the state and the embedded input. State and output: h (B, H)."""
    z = tanh(linear(x, p.w, p.b_z))
    u = sigmoid(linear(h, p.u_h) + linear(z, p.u_z, p.b_u))
    h = keep(u, h, z)
    return h, h
