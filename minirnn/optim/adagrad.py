"""Adagrad (Duchi et al. 2011, jmlr.org/papers/v12/duchi11a): the rule of the first character models in NumPy."""

from collections.abc import Mapping

import numpy as np

from minirnn.module import Array
from minirnn.optim.noted import entry_by_entry
from minirnn.optim.optimizer import Optimizer, Options, Parameters, Slots, Work, descent_gradient
from minirnn.optim.schedules import Schedule

__all__ = ["Adagrad"]


class Adagrad(Optimizer):
    """s += g^2;  p -= lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps), with s from initial_accumulator_value

    Before that, g = -g where `maximize` is set, and g += weight_decay p.
    """

    squares = True

    def __init__(
        self,
        parameters: Parameters,
        lr: float | Schedule = 1e-2,
        *,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        maximize: bool = False,
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
            maximize=maximize,
        )

    def slots(self, options: Options) -> Mapping[str, float]:
        return {"sum": options["initial_accumulator_value"]}

    @entry_by_entry
    def update(self, p: Array, g: Array, slots: Slots, lr: float, options: Options, t: int, work: Work) -> None:
        step, spare = work
        s = slots["sum"]
        g = descent_gradient(p, g, options["weight_decay"], options["maximize"], out=spare)
        np.multiply(g, g, out=step)
        s += step
        np.sqrt(s, out=step)
        step += options["eps"]
        np.divide(g, step, out=step)
        step *= lr / (1.0 + (t - 1) * options["lr_decay"])
        p -= step
