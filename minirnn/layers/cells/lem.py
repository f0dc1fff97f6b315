"""LEM, long expressive memory (Rusch, Mishra, Erichson & Mahoney 2021, arXiv:2110.04744).

    d = dt * sigmoid(W_1 x + U_1 y + b_1)         learned step of z
    e = dt * sigmoid(W_2 x + U_2 y + b_2)         learned step of y
    z' = (1 - d) * z + d * tanh(W_z x + U_z y + b_z)
    y' = (1 - e) * y + e * tanh(W_y x + U_y z' + b_y)

x: (B, I), y, z: (B, H); w (4H, I) and b (4H,) in the order 1, 2, z, y; u (3H, H) in the order 1, 2, z; u_y (H, H).
Two coupled states on learned scales of time, for sequences with both fast and slow parts. dt, the largest step, is
to be tuned. torchrecurrent reads z in place of z' in the last line, and its documentation has the step d there too.
"""

from typing import Any

from minirnn.functional import linear, sigmoid, split, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import move
from minirnn.layers.cells.registry import register


@register(year=2021, use="several scales of time in one sequence: two coupled ODEs")
@cell(
    w=("4*hidden", "input"),
    u=("3*hidden", "hidden"),
    u_y=("hidden", "hidden"),
    b=("4*hidden",),
    state_=("y", "z"),
    options_={"dt": 1.0},
)
def LEM(p: Any, s: Any, x: Any) -> Any:
    """Long expressive memory. State: y, z (B, H); output: y. Option: dt."""
    x_1, x_2, x_z, x_y = split(linear(x, p.w, p.b), 4)
    y_1, y_2, y_z = split(linear(s.y, p.u), 3)
    z = move(p.dt * sigmoid(x_1 + y_1), s.z, tanh(x_z + y_z))
    y = move(p.dt * sigmoid(x_2 + y_2), s.y, tanh(x_y + linear(z, p.u_y)))
    return (y, z), y
