"""The smallest trainings: a point that is drawn to targets; and states compared bit for bit."""

from typing import NamedTuple

import autograd.numpy as anp
import numpy as np

from minirnn import Module, Parameter


class Point(Module):
    def __init__(self, value=0.0):
        self.x = Parameter([float(value)])


class Batch(NamedTuple):
    target: float
    starts: bool = False


def squares(model, batch, state, rng):
    """The squared distance to the batch's target; the state counts the batches since the last start."""
    return anp.sum((model.x - batch.target) ** 2), 1 if state is None else state + 1


def without_times(state):
    """A checkpoint's state with its arrays as (dtype, shape, bytes), and without what a clock said."""
    if isinstance(state, dict):
        return {key: without_times(value) for key, value in state.items() if key != "seconds"}
    if isinstance(state, list):
        return [without_times(value) for value in state]
    return (state.dtype.str, state.shape, state.tobytes()) if isinstance(state, np.ndarray) else state
