"""Stochastic gradient descent, with momentum (Polyak 1964; Sutskever et al. 2013)."""

from collections.abc import Mapping

import numpy as np

from minirnn.module import Array
from minirnn.optim.optimizer import Optimizer, Options, Parameters, Slots
from minirnn.optim.schedules import Schedule

__all__ = ["SGD"]


class SGD(Optimizer):
    """g += weight_decay p;  v = momentum v + (1 - dampening) g (at first v = g);  p -= lr v.

    With nesterov, p -= lr (g + momentum v); without momentum, p -= lr g.
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float | Schedule = 1e-3,
        *,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        groups: Mapping[str, Options] | None = None,
    ):
        super().__init__(
            parameters,
            groups,
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
        )

    def _check_together(self, options: Options) -> None:
        if options["nesterov"] and (not options["momentum"] or options["dampening"]):
            raise ValueError("SGD: nesterov=True needs momentum, and no dampening")

    def slots(self, options: Options) -> Mapping[str, float]:
        return {"momentum_buffer": 0.0} if options["momentum"] else {}

    def update(
        self, p: Array, g: Array, slots: Slots, lr: float, options: Options, t: int, work: tuple[Array, Array]
    ) -> None:
        step, decayed = work
        momentum = options["momentum"]
        g = with_weight_decay(p, g, options["weight_decay"], decayed)
        if momentum:
            v = slots["momentum_buffer"]
            v *= momentum
            np.multiply(g, 1.0 - options["dampening"] if t > 1 else 1.0, out=step)
            v += step
            if options["nesterov"]:
                np.multiply(v, momentum, out=step)
                step += g
            else:
                step[...] = v
            step *= lr
        else:
            np.multiply(g, lr, out=step)
        p -= step


def with_weight_decay(p: Array, g: Array, weight_decay: float, out: Array) -> Array:
    """g + weight_decay p, in `out`; g itself where there is no decay."""
    if not weight_decay:
        return g
    np.multiply(p, weight_decay, out=out)
    out += g
    return out
