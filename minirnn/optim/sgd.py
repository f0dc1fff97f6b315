"""Stochastic gradient descent with momentum (Polyak 1964, doi:10.1016/0041-5553(64)90137-5) and Nesterov's (Sutskever
et al. 2013, proceedings.mlr.press/v28/sutskever13).
"""

from collections.abc import Mapping

import numpy as np

from minirnn.module import Array
from minirnn.optim.noted import entry_by_entry
from minirnn.optim.optimizer import Optimizer, Options, Parameters, Slots, Work, descent_gradient
from minirnn.optim.schedules import Schedule

__all__ = ["SGD"]


class SGD(Optimizer):
    """v = momentum v + (1 - dampening) g, at first v = g;  p -= lr v

    nesterov: p -= lr (g + momentum v). Without momentum: p -= lr g. Before all that, g = -g where `maximize` is set,
    and g += weight_decay p. ValueError: nesterov without momentum, or with dampening.
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
        maximize: bool = False,
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
            maximize=maximize,
        )

    def check_options(self, options: Options) -> None:
        momentum, dampening = options["momentum"], options["dampening"]
        if options["nesterov"] and (momentum == 0.0 or dampening != 0.0):
            raise ValueError(
                f"SGD: nesterov=True came with momentum={momentum}, dampening={dampening}; it needs momentum > 0 and "
                "dampening 0"
            )
        if dampening != 0.0 and momentum == 0.0:
            raise ValueError(f"SGD: dampening={dampening} came without momentum, which it dampens; give momentum > 0")

    def slots(self, options: Options) -> Mapping[str, float]:
        return {"momentum_buffer": 0.0} if options["momentum"] else {}

    @entry_by_entry
    def update(self, p: Array, g: Array, slots: Slots, lr: float, options: Options, t: int, work: Work) -> None:
        step, spare = work
        momentum, dampening = options["momentum"], options["dampening"]
        g = descent_gradient(p, g, options["weight_decay"], options["maximize"], out=spare)
        if not momentum:
            np.multiply(g, lr, out=step)
            p -= step
            return
        v = slots["momentum_buffer"]
        v *= momentum
        v += g if not dampening or t == 1 else np.multiply(g, 1.0 - dampening, out=step)
        if options["nesterov"]:
            np.multiply(v, momentum, out=step)
            step += g
            step *= lr
        else:
            np.multiply(v, lr, out=step)
        p -= step
