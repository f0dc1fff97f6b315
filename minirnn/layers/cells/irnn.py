"""IRNN, rectified linear units that start as an identity (Le, Jaitly & Hinton 2015, arXiv:1504.00941).

    h' = relu(W x + U h + b)

x: (B, I), h: (B, H); w (H, I), u (H, H), b (H,). Nothing but the start is new: U = 1, b = 0 and W normal with deviation
0.001, so that a state is first copied for ever. For long memories without gates (the adding problem, MNIST by pixels).
"""

from typing import Any

from minirnn import init
from minirnn.functional import relu
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import gates
from minirnn.layers.cells.registry import register


@register(year=2015, use="long memory without gates: a rectified network that starts as an identity")
@cell(
    w=("hidden", "input"),
    u=("hidden", "hidden"),
    b=("hidden",),
    init_={"w": init.normal(0.001), "u": init.identity, "b": init.zeros},
)
def IRNN(p: Any, h: Any, x: Any) -> Any:
    """The rectified network that starts as an identity. State and output: h (B, H)."""
    h = relu(*gates(p, h, x, 1))
    return h, h
