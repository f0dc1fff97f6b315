"""AdamW: Adam with the weight decay apart from the gradient (Loshchilov & Hutter 2019, arXiv:1711.05101)."""

from collections.abc import Mapping

from minirnn.module import Array
from minirnn.optim.adam import Adam, adam_update
from minirnn.optim.noted import entry_by_entry
from minirnn.optim.optimizer import Options, Parameters, Slots, Work, descent_gradient
from minirnn.optim.schedules import Schedule

__all__ = ["AdamW"]


class AdamW(Adam):
    """p *= 1 - lr weight_decay, and then Adam's step from the gradient alone"""

    def __init__(
        self,
        parameters: Parameters,
        lr: float | Schedule = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        maximize: bool = False,
        groups: Mapping[str, Options] | None = None,
    ):
        super().__init__(
            parameters,
            lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
            maximize=maximize,
            groups=groups,
        )

    @entry_by_entry
    def update(self, p: Array, g: Array, slots: Slots, lr: float, options: Options, t: int, work: Work) -> None:
        step, spare = work
        p *= 1.0 - lr * options["weight_decay"]
        g = descent_gradient(p, g, 0.0, options["maximize"], out=spare)
        adam_update(p, g, slots, lr, options, t, step)
