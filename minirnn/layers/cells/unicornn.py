"""UnICORNN, undamped independent controlled oscillators (Rusch & Mishra 2021, arXiv:2103.05487).

    d = dt * sigmoid(c)                                       each unit's own step
    z' = z - d * (tanh(W x + u * y + b) + alpha * y)
    y' = y + d * z'

x: (B, I), y, z: (B, H); w (H, I), u, c, b (H,). A symplectic Euler step of a Hamiltonian system, which keeps
volumes, so that gradients neither explode nor vanish; each unit sees its own state alone. For very long sequences
and deep stacks. dt and alpha are to be tuned. As in the paper's code u starts as U(0, 1), c as U(-0.1, 0.1), W as
He's, b at 0. torchrecurrent starts W as Glorot's and has alpha = 0.
"""

from typing import Any

from minirnn import init
from minirnn.functional import linear, sigmoid, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.registry import register


@register(year=2021, use="very long sequences: undamped oscillators, each for itself")
@cell(
    w=("hidden", "input"),
    u=("hidden",),
    c=("hidden",),
    b=("hidden",),
    state_=("y", "z"),
    init_={"w": init.he_uniform, "u": init.uniform(0.0, 1.0), "c": init.uniform(-0.1, 0.1), "b": init.zeros},
    options_={"dt": 0.1, "alpha": 1.0},
)
def UnICORNN(p: Any, s: Any, x: Any) -> Any:
    """Independent oscillators. State: y, z (B, H); output: y. Options: dt, alpha."""
    d = p.dt * sigmoid(p.c)
    z = s.z - d * (tanh(linear(x, p.w, p.b) + p.u * s.y) + p.alpha * s.y)
    y = s.y + d * z
    return (y, z), y
