"""IndRNN, the independently recurrent network (Li, Li, Cook, Zhu & Gao 2018, arXiv:1803.04831).

    h' = relu(W x + u * h + b)

x: (B, I), h: (B, H); w (H, I), u (H,), b (H,). Each unit sees its own past alone, so that the gradient over T steps
is u^T, which is easily kept in range: for sequences of thousands of steps and for stacks of many layers. u starts
as U(0, 1), and is to be clipped to |u| <= 2^(1/T) in training, as in the paper. torchrecurrent has tanh by default,
a second bias, and starts u as N(0, 1).
"""

from typing import Any

from minirnn import init
from minirnn.functional import linear
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import ACTIVATIONS
from minirnn.layers.cells.registry import register


@register(year=2018, use="very long sequences and deep stacks: each unit remembers itself alone")
@cell(
    w=("hidden", "input"),
    u=("hidden",),
    b=("hidden",),
    init_={"u": init.uniform(0.0, 1.0)},
    options_={"nonlinearity": ("relu", "tanh", "sigmoid")},
)
def IndRNN(p: Any, h: Any, x: Any) -> Any:
    """Recurrence unit by unit. State and output: h (B, H). Option: nonlinearity, in relu's place."""
    h = ACTIVATIONS[p.nonlinearity](linear(x, p.w, p.b) + p.u * h)
    return h, h
