"""A module's calls of one kind, the next like the last: what a `ModelCall` finds each time is known."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from minirnn import tree
from minirnn.interop.torch.computation import Computation
from minirnn.interop.torch.function import apply, is_differentiated, tensors_of
from minirnn.layers.steady import short_way
from minirnn.module import Array, Module

__all__ = ["Short", "look_for"]


class Short:
    """short(xs, state, own) -> what the module returns, or None where the call is of another kind. own: the model's
    tensors, which lie where its arrays do."""

    def __init__(self, model: Module, paths: Sequence[str], steady: Any, batch_first: bool):
        self.model, self.paths, self.steady, self.batch_first = model, paths, steady, batch_first

    def __call__(self, xs: torch.Tensor, state: Any, own: Sequence[torch.Tensor]) -> Any:
        came: Sequence[torch.Tensor] = ()
        if state is not None:
            came = [state] if isinstance(state, torch.Tensor) else list(state)
            if not all(type(leaf) is torch.Tensor and leaf.is_cpu for leaf in came):
                return None
        call = self.computation(xs, came)
        if call is None:
            return None
        tensors = [xs, *came, *own]
        if is_differentiated(tensors):
            out: Any = apply(call, tensors)
        else:
            out = tensors_of(call.forward(call.given, ())[0], fresh=True)
        count = len(out) - self.steady.of_state
        return self.steady.rebuild(out[:count]), self.steady.rebuild_state(out[count:])

    def computation(self, xs: torch.Tensor, came: Sequence[torch.Tensor]) -> "_ShortCall | None":
        """The call with these arrays of a state, or none; None where it is of another kind."""
        steady = self.steady
        x = xs.detach().numpy() if xs.requires_grad else xs.numpy()
        if self.batch_first:
            x = x.swapaxes(0, 1)
        state = None
        if came:
            if len(came) != steady.of_state:
                return None
            state = steady.rebuild_state([leaf.detach().numpy() for leaf in came])
        states = steady.states(x, state)
        return None if states is None else _ShortCall(self, x, states, len(came))

    def turned(self, arrays: Sequence[Any]) -> list[Any]:
        """Time-major ones as the layer has them, and back."""
        return [a if a is None else a.swapaxes(0, 1) for a in arrays] if self.batch_first else list(arrays)


class _ShortCall(Computation):
    """Of xs, the arrays of the state, if one came, and the model's own."""

    fresh = True
    given: list[Any]

    def __init__(self, short: Short, x: Array, states: list[Array], came: int):
        self.short, self.came, self.given = short, came, [x, *states]

    def __call__(self, arrays: Sequence[Any]) -> list[Any]:
        short, end = self.short, 1 + self.came
        args = (arrays[0], short.steady.rebuild_state(arrays[1:end])) if self.came else (arrays[0],)
        bound: Any = short.model.bind(dict(zip(short.paths, arrays[end:], strict=True)))
        return tree.leaves(bound(*args))

    def forward(self, arrays: Sequence[Any], wanted: Sequence[int]) -> tuple[list[Any], Any]:
        short, (x, *states) = self.short, arrays
        outputs, final, kept = short.steady.forward(x, states, bool(wanted))
        record = _Kept(short, kept, len(final), 1 + self.came, wanted) if wanted else None
        return [*short.turned(outputs), *final], record


class _Kept:
    """The record: states: how many arrays a state has; came: how many came beside the model's own."""

    def __init__(self, short: Short, kept: Any, states: int, came: int, wanted: Sequence[int]):
        self.short, self.kept, self.states, self.came, self.wanted = short, kept, states, came, wanted

    def pull(self, cotangents: Sequence[Any], wanted: Sequence[int]) -> list[Any]:
        count = len(cotangents) - self.states
        given = [*self.short.turned(cotangents[:count]), *cotangents[count:]]
        own = [i - self.came for i in wanted if i >= self.came]
        d_x, d_states, gradients = self.short.steady.backward(self.kept, given, 0 in wanted, own)
        found = {0: d_x if d_x is None else self.short.turned([d_x])[0]}
        found |= dict(enumerate(d_states, 1)) if self.came > 1 else {}
        found |= dict(zip([i for i in wanted if i >= self.came], gradients, strict=True))
        return [found[i] for i in wanted]


def look_for(model: Any, paths: Sequence[str], xs: torch.Tensor) -> Short | None:
    """For calls of xs like this one, of a model whose arrays are called so."""
    if xs.dim() != 3 or not hasattr(model, "one_cell"):
        return None
    x = xs.detach().numpy()
    found = short_way(model, np.swapaxes(x, 0, 1) if model.batch_first else x)
    return None if found is None or not found.all_floats else Short(model, paths, found, model.batch_first)
