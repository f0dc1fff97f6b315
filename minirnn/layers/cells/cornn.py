"""coRNN, the coupled oscillatory recurrent network (Rusch & Mishra 2021, arXiv:2010.00951).

y'' = tanh(W y + U y' + V x + b) - gamma y - epsilon y', a forced, damped oscillator for each unit, in steps of dt:

    z' = z + dt (tanh(W y + U z + V x + b) - gamma y - epsilon z)
    y' = y + dt z'

x: (B, I), y, z: (B, H); w (H, H), u (H, H), v (H, I), b (H,). The new velocity z' moves y at once, which keeps the
discrete oscillator stable; the damping is explicit, as in the paper's experiments. Its gradients neither explode nor
vanish, by a bound that the paper proves. For very long sequences. dt, gamma and epsilon are of the task; the default is
the paper's for MNIST by pixels.
"""

from typing import Any

from minirnn.functional import linear, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.registry import register


@register(year=2021, use="very long sequences: coupled oscillators with bounded gradients")
@cell(
    w=("hidden", "hidden"),
    u=("hidden", "hidden"),
    v=("hidden", "input"),
    b=("hidden",),
    state_=("y", "z"),
    options_={"dt": 0.042, "gamma": 2.7, "epsilon": 4.7},
)
def coRNN(p: Any, s: Any, x: Any) -> Any:
    """The coupled oscillatory network. State: y, z (B, H), position and velocity; output: y."""
    force = tanh(linear(s.y, p.w) + linear(s.z, p.u) + linear(x, p.v, p.b))
    z = s.z + p.dt * (force - p.gamma * s.y - p.epsilon * s.z)
    y = s.y + p.dt * z
    return (y, z), y
