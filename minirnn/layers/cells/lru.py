"""LRU, the linear recurrent unit (Orvieto, Smith, Gu, Fernando, Gulcehre, Pascanu & De 2023, arXiv:2303.06349).

    lambda = exp(-exp(nu) + i exp(theta))
    s' = lambda * s + exp(gamma) * (B x)
    y = Re(C s') + D x

x: (B, I), y: (B, H); the state s is kept as its real and imaginary parts, (B, H) each. nu, theta, gamma (H,); b_re,
b_im (H, I), c_re, c_im (H, H), d (H, I).

A diagonal complex linear recurrence: every unit of s turns and decays, and no eigenvalue can leave the unit disc. What
is not linear stands between such layers. For very long sequences (the Long Range Arena), by `parallel`.

The paper's start: eigenvalues uniform on the ring r_min..r_max, with phases min_phase..max_phase; gamma = log sqrt(1 -
|lambda|^2), which keeps the variance of the input; B normal with variance 1 / 2I in each part, C with 1 / H, D with 1.
"""

import math
from typing import Any, NamedTuple

import autograd.numpy as np
import numpy as onp
from numpy.typing import DTypeLike

from minirnn import init
from minirnn.checks import check_positive
from minirnn.functional import linear
from minirnn.layers.cells.linear_recurrence import LinearCell
from minirnn.layers.cells.parameters import declare, fan_in_normal
from minirnn.layers.cells.registry import register
from minirnn.module import Array

__all__ = ["LRU", "LRUState"]


class LRUState(NamedTuple):
    """Real and imaginary parts, (B, H) each."""

    re: Array
    im: Array


@register(
    year=2023,
    use="very long sequences: a diagonal complex linear recurrence, trained in parallel over time",
    options={"r_min": 0.4, "r_max": 0.9, "min_phase": 0.7, "max_phase": 1.4},  # nu and theta near 0: exp(exp(.)) tame
)
class LRU(LinearCell):
    """The linear recurrent unit. State: LRUState(re, im); output: (B, H). r_min ... max_phase: where it starts."""

    nu: Array
    theta: Array
    gamma: Array
    b_re: Array
    b_im: Array
    c_re: Array
    c_im: Array
    d: Array

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        r_min: float = 0.0,
        r_max: float = 1.0,
        min_phase: float = 0.0,
        max_phase: float = 2 * math.pi,
        rng: onp.random.Generator | None = None,
        dtype: DTypeLike = onp.float32,
    ):
        input_size, hidden_size = check_positive(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        if not (0 <= r_min < r_max <= 1 and 0 <= min_phase < max_phase):
            raise ValueError(
                f"LRU: radii {r_min}..{r_max} and phases {min_phase}..{max_phase} came, 0 <= r_min < r_max <= 1 and "
                "0 <= min_phase < max_phase were expected"
            )
        inputs, units, square = (hidden_size, input_size), (hidden_size,), (hidden_size, hidden_size)
        shapes = {"nu": units, "theta": units, "gamma": units, "b_re": inputs, "b_im": inputs}
        open_interval = init.uniform(1e-3, 1 - 1e-3)  # at its ends a logarithm is infinite
        init_ = dict.fromkeys(("nu", "theta", "gamma"), open_interval)
        init_ |= dict.fromkeys(("b_re", "b_im"), fan_in_normal(0.5))
        init_ |= dict.fromkeys(("c_re", "c_im"), fan_in_normal(1)) | {"d": init.normal(1.0)}
        shapes |= {"c_re": square, "c_im": square, "d": inputs}
        declare(self, input_size, hidden_size, rng, dtype, shapes, init_)
        radius_squared = r_min**2 + self.nu * (r_max**2 - r_min**2)
        self.nu = onp.log(-0.5 * onp.log(radius_squared))
        self.theta = onp.log(min_phase + self.theta * (max_phase - min_phase))
        self.gamma = 0.5 * onp.log(1 - radius_squared)

    def initial_state(self, batch_size: int, dtype: DTypeLike | None = None) -> LRUState:
        zeros = super().initial_state(batch_size, dtype)
        return LRUState(zeros, zeros.copy())

    def coefficients(self, x: Any) -> Any:
        radius, phase, gain = np.exp(-np.exp(self.nu)), np.exp(self.theta), np.exp(self.gamma)
        a = radius * np.cos(phase), radius * np.sin(phase)
        return a, (gain * linear(x, self.b_re), gain * linear(x, self.b_im)), x

    def read(self, s: LRUState, x: Any) -> Any:
        return linear(s.re, self.c_re) - linear(s.im, self.c_im) + linear(x, self.d)
