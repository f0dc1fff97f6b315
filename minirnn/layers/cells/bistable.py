"""BR and NBR, bistable cells (Vecoven, Ernst & Drion 2021, arXiv:2006.05252, doi:10.1371/journal.pone.0252676).

    a = 1 + tanh(W_a x + u_a * h + b_a)           feedback, 0 to 2: above 1 the unit has two stable states
    c = sigmoid(W_c x + u_c * h + b_c)            keep
    h' = c * h + (1 - c) * tanh(W_h x + b_h + a * h)

x: (B, I), h: (B, H); w (3H, I) and b (3H,) in the order a, c, h; u: (2H,) in BR, where each unit sees its own state
alone, and in NBR, the neuromodulated one, a matrix (2H, H) and u h a product; both in the order a, c. Memory in a
unit's own dynamics, as a neuron's bistability: for copying over hundreds of steps. The paper writes no biases.
"""

from typing import Any

from minirnn.functional import linear, sigmoid, split, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.gates import keep
from minirnn.layers.cells.registry import register


def bistable(p: Any, h: Any, x: Any, h_a: Any, h_c: Any) -> Any:
    """The step, given what the gates a and c see of the state."""
    x_a, x_c, x_h = split(linear(x, p.w, p.b), 3)
    a = 1 + tanh(x_a + h_a)
    c = sigmoid(x_c + h_c)
    h = keep(c, h, tanh(x_h + a * h))
    return h, h


@register(year=2021, use="long memory in each unit's own bistable dynamics")
@cell(w=("3*hidden", "input"), u=("2*hidden",), b=("3*hidden",))
def BR(p: Any, h: Any, x: Any) -> Any:
    """The bistable cell. State and output: h (B, H)."""
    u_a, u_c = split(p.u, 2)
    return bistable(p, h, x, u_a * h, u_c * h)


@register(year=2021, use="BR whose gates see the whole state")
@cell(w=("3*hidden", "input"), u=("2*hidden", "hidden"), b=("3*hidden",))
def NBR(p: Any, h: Any, x: Any) -> Any:
    """The neuromodulated bistable cell. State and output: h (B, H)."""
    return bistable(p, h, x, *split(linear(h, p.u), 2))
