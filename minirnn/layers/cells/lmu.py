"""LMU, the Legendre memory unit (Voelker, Kajić & Eliasmith 2019, NeurIPS 32, pages 15544-15553).

    u = e_x . x + e_h . h + e_m . m                  what is written, one number
    m' = A m + B u                                   the last theta steps of u, by their Legendre coefficients
    h' = tanh(W_x x + W_h h + W_m m')

x: (B, I), h: (B, H), m: (B, D), D = order; e_x (I,), e_h (H,), e_m (D,), w_x (H, I), w_h (H, H), w_m (H, D). A (D, D)
and B (D,) are not trained: the exact solution over one step, u held, of theta m'(t) = A_c m(t) + B_c u(t), with

    A_c[i, j] = (2 i + 1) * (-1 if i < j else (-1)^(i - j + 1)),    B_c[i] = (2 i + 1) (-1)^i,    i, j = 0..D-1

The best memory that D numbers can be of a window of given length: for delays and for signals over 10^3 to 10^5 steps.
theta is to be about as long as the past that matters, in steps. The paper's start: e_x and e_h uniform (LeCun), e_m 0,
W_x, W_h and W_m normal (Glorot).
"""

from typing import Any, NamedTuple

import autograd.numpy as np
import numpy as onp
from numpy.typing import DTypeLike

from minirnn import init
from minirnn.checks import check_positive
from minirnn.functional import linear, tanh
from minirnn.layers.cells.parameters import declare, fan_in_uniform
from minirnn.layers.cells.registry import register
from minirnn.layers.recurrent import Cell
from minirnn.module import Array, Buffer

__all__ = ["LMU", "LMUState", "legendre_memory", "zero_order_hold"]


class LMUState(NamedTuple):
    """h: (B, H); m: (B, D)."""

    h: Array
    m: Array


def legendre_memory(order: int, theta: float) -> tuple[Array, Array]:
    """A (D, D) and B (D,) of the continuous memory dm/dt = A m + B u of the last theta units of time."""
    i, j = onp.ogrid[:order, :order]
    a = (2 * i + 1) * onp.where(i < j, -1.0, (-1.0) ** (i - j + 1))
    b = (2 * i[:, 0] + 1) * (-1.0) ** i[:, 0]
    return a / theta, b / theta


def zero_order_hold(a: Array, b: Array, dt: float = 1.0) -> tuple[Array, Array]:
    """dm/dt = A m + B u over a step of dt with u held: m(t + dt) = A' m + B' u.

    A' = exp(A dt) and B' = (integral of exp(A s) over 0..dt) B are one exponential, of [[A, B], [0, 0]] dt: its Taylor
    series at a 2^k-th of the matrix, small enough for 18 terms, squared k times.
    """
    order = len(b)
    both = onp.zeros((order + 1, order + 1))
    both[:order, :order], both[:order, order] = a * dt, b * dt
    halvings = max(0, int(onp.ceil(onp.log2(max(onp.abs(both).sum(axis=0).max(), 1e-300)))) + 1)
    term = power = onp.eye(order + 1)
    for k in range(1, 19):
        term = term @ both / (k * 2.0**halvings)
        power = power + term
    for _ in range(halvings):
        power = power @ power
    return power[:order, :order], power[:order, order]


@register(
    year=2019,
    use="delays and very long signals: an optimal memory of a sliding window",
    options={"order": 4, "theta": 6.0},
)
class LMU(Cell):
    """The Legendre memory unit. State: LMUState(h, m); output: h (B, H). order: D; theta: the window, in steps."""

    e_x: Array
    e_h: Array
    e_m: Array
    w_x: Array
    w_h: Array
    w_m: Array

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        order: int = 16,
        theta: float = 100.0,
        rng: onp.random.Generator | None = None,
        dtype: DTypeLike = onp.float32,
    ):
        input_size, hidden_size = check_positive(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        (order,) = check_positive("LMU", order=order)
        if not theta > 0:
            raise ValueError(f"LMU: theta={theta} came, a positive number of steps was expected")
        self.order, self.theta = order, float(theta)
        shapes: dict[str, tuple[int, ...]] = {"e_x": (input_size,), "e_h": (hidden_size,), "e_m": (order,)}
        shapes |= {name: (hidden_size, shapes[f"e_{name[-1]}"][0]) for name in ("w_x", "w_h", "w_m")}
        init_: dict[str, init.Initialiser] = dict.fromkeys(("e_x", "e_h"), _encoder) | {"e_m": init.zeros}
        init_ |= dict.fromkeys(("w_x", "w_h", "w_m"), init.xavier_normal)
        declare(self, input_size, hidden_size, rng, dtype, shapes, init_)
        a, b = zero_order_hold(*legendre_memory(order, self.theta))
        self.a, self.b = Buffer(a.astype(dtype)), Buffer(b.astype(dtype))

    def initial_state(self, batch_size: int, dtype: DTypeLike | None = None) -> LMUState:
        dtype = dtype or self.dtype
        return LMUState(super().initial_state(batch_size, dtype), onp.zeros((batch_size, self.order), dtype))

    def step(self, state: LMUState, x: Any) -> tuple[LMUState, Any]:
        h, m = state
        u = np.dot(x, self.e_x) + np.dot(h, self.e_h) + np.dot(m, self.e_m)
        m = linear(m, self.a) + u[:, None] * self.b
        h = tanh(linear(x, self.w_x) + linear(h, self.w_h) + linear(m, self.w_m))
        return LMUState(h, m), h

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, order={self.order}, theta={self.theta}"


def _encoder(rng: onp.random.Generator, shape: tuple[int, ...], dtype: Any) -> Array:
    return fan_in_uniform(rng, (1, *shape), dtype)[0]
