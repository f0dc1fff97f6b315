"""LearnedInitialState: what a recurrent layer begins with is trained too."""

from typing import Any

import autograd.numpy as np
import numpy as onp
from numpy.typing import DTypeLike

from minirnn import init, tree
from minirnn.boxes import dtype_of, shape_of
from minirnn.layers.composite import Wrapper
from minirnn.layers.recurrent import Cell, RecurrentLayer, State
from minirnn.module import Array, Parameter
from minirnn.resets import Resets

__all__ = ["LearnedInitialState"]


class LearnedInitialState(Wrapper):
    """Any recurrent layer, or cell, whose state before the first step is a parameter.

        s_0[b] = theta        for every sequence b of the batch, where the call has no state of its own

    theta: the layer's initial state without the batch axis, one parameter an array, named after its place: initial (H,)
    for a GRUCell, initial_h and initial_c (layers * directions, H) for an LSTM, initial_0_h ... for a stack. They
    start as the layer's own initial state (zeros), or with an rng as U(-k, k), k = 1 / sqrt(H). State: the layer's. A
    state that is given wins, and then theta has no gradient. (Forcada & Carrasco 1995, doi:10.1162/neco.1995.7.5.923.)

    ValueError: a layer whose state is learned already. TypeError: neither a Cell nor a recurrent layer.
    """

    def __init__(
        self,
        layer: Cell | RecurrentLayer,
        *,
        rng: onp.random.Generator | None = None,
        batch_first: bool = False,
        engine: str = "auto",
    ):
        super().__init__(layer, batch_first=batch_first, engine=engine)
        if any(isinstance(module, LearnedInitialState) for module in self.layer.modules()):
            raise ValueError("LearnedInitialState: the state of a layer inside is learned already; wrap one of them")
        axes, names = tree.leaves(self.batch_axes()), []
        for (path, leaf), axis in zip(tree.named_leaves(self.layer.initial_state(1)), axes, strict=True):
            start = onp.squeeze(leaf, axis)
            if rng is not None:
                start = init.torch_default(start.shape[-1])(rng, start.shape, start.dtype)
            names.append("_".join(["initial", *filter(None, path.split("."))]))
            setattr(self, names[-1], Parameter(start))
        self._names = tuple(names)

    def initial_state(self, batch_size: int, dtype: DTypeLike | None = None) -> State:
        zeros, rebuild = tree.flatten(self.layer.initial_state(batch_size, dtype))
        places = zip(self._names, zeros, tree.leaves(self.batch_axes()), strict=True)
        return rebuild([_repeated(getattr(self, name), leaf, axis) for name, leaf, axis in places])

    def run(
        self, xs: Any, state: State, lengths: Array | None, rng: Any, engine: str, resets: Resets | None = None
    ) -> tuple[Any, State]:
        return self.layer.run(xs, state, lengths, rng, self._named_first(engine), resets)


def _repeated(theta: Array, like: Array, axis: int) -> Array:
    """theta once for each sequence, shaped and typed as `like`; an array of its own."""
    dtype = dtype_of(like)
    theta = theta if dtype_of(theta) == dtype else theta.astype(dtype)
    return np.expand_dims(theta, axis) + onp.zeros(shape_of(like), dtype)
