"""AntisymmetricRNN and its gated form (Chang, Chen, Haber & Chi 2019, arXiv:1902.09689).

    A = W - W^T - gamma I
    h' = h + epsilon * tanh(A h + V x + b)                     AntisymmetricRNN
    z = sigmoid(A h + V_z x + b_z)
    h' = h + epsilon * z * tanh(A h + V_h x + b_h)             GatedAntisymmetricRNN

x: (B, I), h: (B, H); w (H, H), v (H, I), b (H,), and with the gate v (2H, I), b (2H,) in the order z, h. One Euler
step of an ODE whose Jacobian has imaginary eigenvalues alone (gamma = 0) or slightly damped ones: long memory
without gates, and gradients that neither vanish nor explode. epsilon, the step, and gamma, the damping, are to be
tuned.

The paper keeps the upper triangle of W alone, for the same A. As in it W starts as N(0, 1/H) and V as N(0, 1/I).
torchrecurrent starts W as N(0, 1), and takes epsilon = 1, gamma = 0. Its documentation puts b_hh into the gate too,
its code does not.
"""

from typing import Any

from minirnn import init
from minirnn.functional import linear, sigmoid, split, tanh
from minirnn.layers.cell import cell
from minirnn.layers.cells.parameters import fan_in_normal
from minirnn.layers.cells.registry import register


def antisymmetric(p: Any, h: Any) -> Any:
    """A h, A = W - W^T - gamma I."""
    return linear(h, p.w - p.w.T) - p.gamma * h


@register(year=2019, use="long memory without gates: a step of a stable ODE")
@cell(
    w=("hidden", "hidden"),
    v=("hidden", "input"),
    b=("hidden",),
    init_={"w": fan_in_normal(1.0), "v": fan_in_normal(1.0), "b": init.zeros},
    options_={"epsilon": 0.1, "gamma": 0.01},
)
def AntisymmetricRNN(p: Any, h: Any, x: Any) -> Any:
    """An Euler step with an antisymmetric matrix. State and output: h (B, H). Options: epsilon, gamma."""
    h = h + p.epsilon * tanh(antisymmetric(p, h) + linear(x, p.v, p.b))
    return h, h


@register(year=2019, use="AntisymmetricRNN with an input gate")
@cell(
    w=("hidden", "hidden"),
    v=("2*hidden", "input"),
    b=("2*hidden",),
    init_={"w": fan_in_normal(1.0), "v": fan_in_normal(1.0), "b": init.zeros},
    options_={"epsilon": 0.1, "gamma": 0.01},
)
def GatedAntisymmetricRNN(p: Any, h: Any, x: Any) -> Any:
    """An Euler step with an antisymmetric matrix and a gate. State and output: h (B, H). Options: epsilon, gamma."""
    from_z, from_h = split(linear(x, p.v, p.b), 2)
    a = antisymmetric(p, h)
    z = sigmoid(a + from_z)
    h = h + p.epsilon * z * tanh(a + from_h)
    return h, h
