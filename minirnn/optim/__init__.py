"""Optimisers, one rule a file; clipping; learning-rate schedules (functions step -> lr).

opt = Adam(model, lr=cosine(1e-3, 10_000), groups={"embedding.*": {"lr": 1e-4}})
grads, norm = clip_by_global_norm(grads, 1.0)
opt.step(grads)
"""

from minirnn.optim.adagrad import Adagrad
from minirnn.optim.adam import Adam
from minirnn.optim.adamw import AdamW
from minirnn.optim.clip import clip_by_global_norm, clip_by_value, global_norm
from minirnn.optim.optimizer import Optimizer
from minirnn.optim.rmsprop import RMSprop
from minirnn.optim.schedules import (
    ReduceOnPlateau,
    Schedule,
    constant,
    cosine,
    exponential,
    linear,
    one_cycle,
    step_decay,
    warmed_up,
)
from minirnn.optim.sgd import SGD

__all__ = [
    "Optimizer",
    "SGD",
    "Adagrad",
    "RMSprop",
    "Adam",
    "AdamW",
    "clip_by_value",
    "clip_by_global_norm",
    "global_norm",
    "Schedule",
    "constant",
    "linear",
    "cosine",
    "step_decay",
    "exponential",
    "one_cycle",
    "warmed_up",
    "ReduceOnPlateau",
]
