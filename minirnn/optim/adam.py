"""Adam (Kingma & Ba 2015, arXiv:1412.6980) and its AMSGrad variant (Reddi et al. 2018, arXiv:1904.09237)."""

from collections.abc import Mapping

import numpy as np

from minirnn.module import Array
from minirnn.optim.noted import entry_by_entry
from minirnn.optim.optimizer import Optimizer, Options, Parameters, Slots, Work, descent_gradient
from minirnn.optim.schedules import Schedule

__all__ = ["Adam", "adam_update"]


class Adam(Optimizer):
    """m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2

    p -= lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)

    amsgrad: the largest v so far in place of v. Before that, g = -g where `maximize` is set, and g += weight_decay p.
    """

    squares = True

    def __init__(
        self,
        parameters: Parameters,
        lr: float | Schedule = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        maximize: bool = False,
        groups: Mapping[str, Options] | None = None,
    ):
        super().__init__(
            parameters,
            groups,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
            maximize=maximize,
        )

    def slots(self, options: Options) -> Mapping[str, float]:
        return dict.fromkeys(["exp_avg", "exp_avg_sq"] + ["max_exp_avg_sq"] * options["amsgrad"], 0.0)

    @entry_by_entry
    def update(self, p: Array, g: Array, slots: Slots, lr: float, options: Options, t: int, work: Work) -> None:
        step, spare = work
        g = descent_gradient(p, g, options["weight_decay"], options["maximize"], out=spare)
        adam_update(p, g, slots, lr, options, t, step)


def adam_update(p: Array, g: Array, slots: Slots, lr: float, options: Options, t: int, step: Array) -> None:
    """Adam's equations. Both corrections are in the factor and in eps, which saves a pass (section 2 of the paper):

    p -= [lr c / (1 - beta1^t)] m / (sqrt(v) + c eps), c = sqrt(1 - beta2^t)
    """
    (beta1, beta2), m, v = options["betas"], slots["exp_avg"], slots["exp_avg_sq"]
    c = (1.0 - beta2**t) ** 0.5
    np.subtract(g, m, out=step)
    step *= 1.0 - beta1
    m += step
    np.multiply(g, g, out=step)
    step *= 1.0 - beta2
    v *= beta2
    v += step
    if options["amsgrad"]:
        v = np.maximum(slots["max_exp_avg_sq"], v, out=slots["max_exp_avg_sq"])
    np.sqrt(v, out=step)
    step += c * options["eps"]
    np.divide(m, step, out=step)
    step *= lr * c / (1.0 - beta1**t)
    p -= step
