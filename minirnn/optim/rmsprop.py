"""RMSprop (Tieleman & Hinton 2012, Coursera lecture 6.5; centred: Graves 2013, arXiv:1308.0850, section 4.2)."""

from collections.abc import Mapping

import numpy as np

from minirnn.module import Array
from minirnn.optim.noted import entry_by_entry
from minirnn.optim.optimizer import Optimizer, Options, Parameters, Slots, Work, descent_gradient
from minirnn.optim.schedules import Schedule

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """s = alpha s + (1 - alpha) g^2;  u = g / (sqrt(s) + eps);  p -= lr u

    centered: m = alpha m + (1 - alpha) g, and s - m^2 in place of s under the root. momentum: v = momentum v + u;
    p -= lr v. Before all that, g = -g where `maximize` is set, and g += weight_decay p.
    """

    squares = True

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
        maximize: bool = False,
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
            maximize=maximize,
        )

    def slots(self, options: Options) -> Mapping[str, float]:
        names = ["square_avg"] + ["grad_avg"] * options["centered"] + ["momentum_buffer"] * bool(options["momentum"])
        return dict.fromkeys(names, 0.0)

    @entry_by_entry
    def update(self, p: Array, g: Array, slots: Slots, lr: float, options: Options, t: int, work: Work) -> None:
        step, spare = work
        s, alpha, momentum = slots["square_avg"], options["alpha"], options["momentum"]
        g = descent_gradient(p, g, options["weight_decay"], options["maximize"], out=spare)
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
        if momentum:
            v = slots["momentum_buffer"]
            v *= momentum
            v += step
            np.multiply(v, lr, out=step)
        else:
            step *= lr
        p -= step
