"""LiGRU, the light GRU (Ravanelli, Brakel, Omologo & Bengio 2018, arXiv:1803.10225).

    z = sigmoid(W_z x + U_z h + b_z)
    h~ = relu(W_h x + U_h h + b_h)
    h' = z * h + (1 - z) * h~

x: (B, I), h: (B, H); w (2H, I), u (2H, H), b (2H,) in the order z, h. A GRU without the reset gate, and with relu:
made for speech recognition, a third faster. The paper normalises W x over the batch, which keeps relu from running
away and would make a sequence's result depend on its neighbours'; put a LayerNorm before the layer. As in the paper
W starts as Glorot's and U orthogonal, gate by gate.
"""

from typing import Any

from minirnn import init
from minirnn.functional import relu, sigmoid
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import gates, keep
from minirnn.layers.cells.registry import register


@register(year=2018, use="speech: a GRU without reset gate, with relu")
@cell(
    w=("2*hidden", "input"),
    u=("2*hidden", "hidden"),
    b=("2*hidden",),
    init_={
        "w": init.per_gate(init.xavier_uniform, 2),
        "u": init.per_gate(init.orthogonal, 2),
        "b": init.zeros,
    },
)
def LiGRU(p: Any, h: Any, x: Any) -> Any:
    """The light GRU. State and output: h (B, H)."""
    z, candidate = gates(p, h, x, 2)
    h = keep(sigmoid(z), h, relu(candidate))
    return h, h
