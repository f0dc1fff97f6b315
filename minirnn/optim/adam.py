"""Adam (Kingma & Ba 2015, arXiv:1412.6980) and AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101)."""

from collections.abc import Mapping

import numpy as np

from minirnn.module import Array
from minirnn.optim.optimizer import Optimizer, Options, Parameters, Slots
from minirnn.optim.schedules import Schedule
from minirnn.optim.sgd import with_weight_decay

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2, with g += weight_decay p before;

    p -= lr / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + eps)
    """

    def __init__(
        self,
        parameters: Parameters,
        lr: float | Schedule = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        groups: Mapping[str, Options] | None = None,
    ):
        super().__init__(parameters, groups, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def slots(self, options: Options) -> Mapping[str, float]:
        return {"exp_avg": 0.0, "exp_avg_sq": 0.0}

    def update(
        self, p: Array, g: Array, slots: Slots, lr: float, options: Options, t: int, work: tuple[Array, Array]
    ) -> None:
        step, decayed = work
        (beta1, beta2), m, v = options["betas"], slots["exp_avg"], slots["exp_avg_sq"]
        g = self._decay(p, g, lr, options["weight_decay"], decayed)
        np.subtract(g, m, out=step)
        step *= 1.0 - beta1
        m += step
        np.multiply(g, g, out=step)
        step *= 1.0 - beta2
        v *= beta2
        v += step
        np.sqrt(v, out=step)
        step *= 1.0 / (1.0 - beta2**t) ** 0.5
        step += options["eps"]
        np.divide(m, step, out=step)
        step *= lr / (1.0 - beta1**t)
        p -= step

    def _decay(self, p: Array, g: Array, lr: float, weight_decay: float, out: Array) -> Array:
        """Weight decay as part of the gradient, which is returned."""
        return with_weight_decay(p, g, weight_decay, out)


class AdamW(Adam):
    """Adam with the weight decay apart from the gradient: p *= 1 - lr weight_decay, then Adam's step."""

    def __init__(
        self,
        parameters: Parameters,
        lr: float | Schedule = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        groups: Mapping[str, Options] | None = None,
    ):
        super().__init__(parameters, lr, betas=betas, eps=eps, weight_decay=weight_decay, groups=groups)

    def _decay(self, p: Array, g: Array, lr: float, weight_decay: float, out: Array) -> Array:
        p *= 1.0 - lr * weight_decay
        return g
