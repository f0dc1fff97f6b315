"""Adagrad (Duchi et al. 2011, JMLR 12:2121): the rule of the first character models in NumPy."""

from collections.abc import Mapping

import numpy as np

from minirnn.module import Array
from minirnn.optim.optimizer import Optimizer, Options, Parameters, Slots
from minirnn.optim.schedules import Schedule
from minirnn.optim.sgd import with_weight_decay

__all__ = ["Adagrad"]


class Adagrad(Optimizer):
    """s += g^2;  p -= lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps), with g += weight_decay p before."""

    def __init__(
        self,
        parameters: Parameters,
        lr: float | Schedule = 1e-2,
        *,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        groups: Mapping[str, Options] | None = None,
    ):
        super().__init__(
            parameters,
            groups,
            lr=lr,
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            eps=eps,
        )

    def slots(self, options: Options) -> Mapping[str, float]:
        return {"sum": options["initial_accumulator_value"]}

    def update(
        self, p: Array, g: Array, slots: Slots, lr: float, options: Options, t: int, work: tuple[Array, Array]
    ) -> None:
        step, decayed = work
        g, s = with_weight_decay(p, g, options["weight_decay"], decayed), slots["sum"]
        np.multiply(g, g, out=step)
        s += step
        np.sqrt(s, out=step)
        step += options["eps"]
        np.divide(g, step, out=step)
        step *= lr / (1.0 + (t - 1) * options["lr_decay"])
        p -= step
