"""RMSprop (Tieleman & Hinton 2012, lecture 6.5; centred: Graves 2013, arXiv:1308.0850)."""

from collections.abc import Mapping

import numpy as np

from minirnn.module import Array
from minirnn.optim.optimizer import Optimizer, Options, Parameters, Slots
from minirnn.optim.schedules import Schedule
from minirnn.optim.sgd import with_weight_decay

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """s = alpha s + (1 - alpha) g^2;  u = g / (sqrt(s) + eps);  p -= lr u, with g += weight_decay p before.

    centered: m = alpha m + (1 - alpha) g, and s - m^2 in place of s. momentum: v = momentum v + u, and p -= lr v.
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float | Schedule = 1e-2,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        groups: Mapping[str, Options] | None = None,
    ):
        super().__init__(
            parameters,
            groups,
            lr=lr,
            alpha=alpha,
            eps=eps,
            weight_decay=weight_decay,
            momentum=momentum,
            centered=centered,
        )

    def slots(self, options: Options) -> Mapping[str, float]:
        names = ["square_avg"] + ["grad_avg"] * options["centered"] + ["momentum_buffer"] * bool(options["momentum"])
        return dict.fromkeys(names, 0.0)

    def update(
        self, p: Array, g: Array, slots: Slots, lr: float, options: Options, t: int, work: tuple[Array, Array]
    ) -> None:
        step, decayed = work
        g, s, alpha = with_weight_decay(p, g, options["weight_decay"], decayed), slots["square_avg"], options["alpha"]
        np.multiply(g, g, out=step)
        step *= 1.0 - alpha
        s *= alpha
        s += step
        if options["centered"]:
            m = slots["grad_avg"]
            np.subtract(g, m, out=step)
            step *= 1.0 - alpha
            m += step
            np.multiply(m, m, out=step)
            np.subtract(s, step, out=step)
            np.maximum(step, 0.0, out=step)  # a variance; rounding may leave it just below 0
            np.sqrt(step, out=step)
        else:
            np.sqrt(s, out=step)
        step += options["eps"]
        np.divide(g, step, out=step)
        if options["momentum"]:
            v = slots["momentum_buffer"]
            v *= options["momentum"]
            v += step
            step[...] = v
        step *= lr
        p -= step
