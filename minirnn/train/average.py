"""Averages of the weights over the steps of a training: what they say is often better than the last weights."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from minirnn.module import Array, Module
from minirnn.train.checkpoint import CheckpointError, required

__all__ = ["EMA", "NTASGD", "WeightAverage"]


class WeightAverage(ABC):
    """An average of a model's parameters, for `fit(..., average=EMA(0.999))`: validated in place of the last weights.

    The model itself keeps its own weights. `applied_to(model)` is a bound copy with the average in place of them (the
    model itself before there is one), `copy_to(model)` writes it.
    """

    def __init__(self) -> None:
        self.weights: dict[str, Array] | None = None
        self.count = 0  # of the weights that went in

    needs_validation = False  # whether it goes by what validations say

    def options(self) -> dict[str, Any]:
        """What it was made with, by name, to be compared when a training is resumed."""
        return {}

    @abstractmethod
    def share(self) -> float | None:
        """How much of the next weights goes in: average += share (weights - average). None: not yet."""

    def update(self, model: Module) -> None:
        """After a step."""
        share = self.share()
        if share is None:
            return
        parameters = model.parameters(frozen=True)
        if self.weights is None:
            self.weights = {name: p.copy() for name, p in parameters.items()}
        else:
            for name, p in parameters.items():
                w = self.weights[name]
                w += share * (p - w)
        self.count += 1

    def observe(self, metric: float) -> None:  # noqa: B027 (most averages do not look at it)
        """After a validation."""

    def applied_to(self, model: Module) -> Module:
        return model if self.weights is None else model.bind(self.weights)

    def copy_to(self, model: Module) -> None:
        if self.weights is not None:
            model.load_state_dict(self.weights, strict=False)

    def state_dict(self) -> dict[str, Any]:
        return {"weights": self.weights, "count": self.count}

    def load_state_dict(self, state: Mapping[str, Any], model: Module) -> None:
        """Take up a state. CheckpointError: it is not one of the model's parameters; then nothing has changed."""
        weights, count = required(state, weights=(dict, type(None)), count=int)
        expected = {name: (p.shape, p.dtype) for name, p in model.parameters(frozen=True).items()}
        if weights is not None and {name: (np.shape(w), np.result_type(w)) for name, w in weights.items()} != expected:
            raise CheckpointError("the averaged weights are not those of this model's parameters")
        self.weights = None if weights is None else {name: w.copy() for name, w in weights.items()}
        self.count = count


class EMA(WeightAverage):
    """Exponential moving average: average = d average + (1 - d) weights, with d = min(decay, (1 + t) / (10 + t)) at the
    t-th step, so that the first weights are soon forgotten.  (Polyak & Juditsky 1992, doi:10.1137/0330046.)"""

    def __init__(self, decay: float = 0.999):
        if not 0 <= decay < 1:
            raise ValueError(f"EMA: decay={decay!r} came, a number in [0, 1) was expected")
        super().__init__()
        self.decay = decay

    def options(self) -> dict[str, Any]:
        return {"decay": self.decay}

    def share(self) -> float:
        return 1.0 - min(self.decay, (1 + self.count) / (10 + self.count))


class NTASGD(WeightAverage):
    """The mean of all weights since the trigger: the first validation that is worse than the best of all but the last
    `nonmono` before it; one that is nan is worse than any.  (NT-ASGD's trigger: Merity et al. 2018,
    arXiv:1708.02182, algorithm 1.)"""

    needs_validation = True

    def __init__(self, nonmono: int = 5):
        if not isinstance(nonmono, int) or isinstance(nonmono, bool) or nonmono < 1:
            raise ValueError(f"NTASGD: nonmono={nonmono!r} came, a positive integer was expected")
        super().__init__()
        self.nonmono = nonmono
        self.seen: list[float] = []
        self.triggered = False

    def options(self) -> dict[str, Any]:
        return {"nonmono": self.nonmono}

    def share(self) -> float | None:
        return 1.0 / (self.count + 1) if self.triggered else None

    def observe(self, metric: float) -> None:
        self.triggered = self.triggered or any(not metric <= earlier for earlier in self.seen[: -self.nonmono])
        if np.isfinite(metric):
            self.seen.append(float(metric))

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "seen": self.seen, "triggered": self.triggered}

    def load_state_dict(self, state: Mapping[str, Any], model: Module) -> None:
        seen, triggered = required(state, seen=list, triggered=bool)
        super().load_state_dict(state, model)
        self.seen, self.triggered = [float(value) for value in seen], triggered
