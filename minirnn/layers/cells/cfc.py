"""CfC, the closed-form continuous-time network (Hasani, Lechner, Amini, Liebenwein, Ray, Tschaikowski, Teschl & Rus
2022, doi:10.1038/s42256-022-00556-7, arXiv:2106.13898).

    y = 1.7159 tanh(2/3 (W_y [x; h] + b_y))          the backbone, of K units
    s = sigmoid(-(W_f y + b_f) * dt)                 dt: the time since the last input
    g = tanh(W_g y + b_g)
    k = tanh(W_k y + b_k)
    h' = s * g + (1 - s) * k

x: (B, I), h: (B, H), dt: (B, 1); w_y (K, I + H), b_y (K,), w (3H, K), b (3H,) in the order f, g, k. K = backbone.

An approximation of a liquid time-constant network's solution, so that no equation is integrated: for events at
irregular times. (The authors' code adds a bias inside s that does not depend on dt; the paper has none.) Xavier's
uniform start, biases 0.

dt comes in through `inputs`: 1 by default, or with timestamps=True the last feature of xs, which input_size counts, or
as `cell.inputs(xs, time=...)`, given to `minirnn.scan`.
"""

from typing import Any

import autograd.numpy as np
import numpy as onp
from numpy.typing import DTypeLike

from minirnn import init
from minirnn.checks import check_positive
from minirnn.functional import linear, sigmoid, split, tanh
from minirnn.layers.cells.gates import keep
from minirnn.layers.cells.parameters import declare
from minirnn.layers.cells.registry import register
from minirnn.layers.cells.timed import TimedInput, beside
from minirnn.layers.recurrent import Cell
from minirnn.module import Array

__all__ = ["CfC"]


@register(year=2022, use="events at irregular times: a closed form of a liquid network", options={"backbone": 4})
class CfC(Cell):
    """The closed-form continuous-time network. State and output: h (B, H). backbone: K; timestamps: see above."""

    w_y: Array
    b_y: Array
    w: Array
    b: Array

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        *,
        backbone: int = 128,
        timestamps: bool = False,
        rng: onp.random.Generator | None = None,
        dtype: DTypeLike = onp.float32,
    ):
        input_size, hidden_size = check_positive(type(self).__name__, input_size=input_size, hidden_size=hidden_size)
        (backbone,) = check_positive("CfC", backbone=backbone)
        self.backbone, self.timestamps = backbone, timestamps
        seen = input_size - timestamps + hidden_size
        shapes: dict[str, tuple[int, ...]] = {"w_y": (backbone, seen), "b_y": (backbone,)}
        shapes |= {"w": (3 * hidden_size, backbone), "b": (3 * hidden_size,)}
        init_ = {"w_y": init.xavier_uniform, "b_y": init.zeros, "b": init.zeros}
        declare(self, input_size, hidden_size, rng, dtype, shapes, init_ | {"w": init.per_gate(init.xavier_uniform, 3)})

    def inputs(self, xs: Array, *, rng: onp.random.Generator | None = None, time: Any = None) -> TimedInput:
        """xs (T, B, I) with the time elapsed before each step beside it: (T, B) or (T,), or 1."""
        return beside("CfC", xs, self.timestamps, time, onp.ones(len(xs)))

    def step(self, h: Array, x: TimedInput) -> tuple[Array, Array]:
        y = 1.7159 * tanh(2 / 3 * linear(np.concatenate([x.x, h], axis=-1), self.w_y, self.b_y))
        f, g, k = split(linear(y, self.w, self.b), 3)
        h = keep(sigmoid(-f * x.time), tanh(g), tanh(k))
        return h, h

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, backbone={self.backbone}" + ", timestamps=True" * self.timestamps
