"""One call of a module as a computation of the tensors that came and of the model's own arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minirnn import tree
from minirnn.interop.torch.computation import Computation
from minirnn.interop.torch.one_cell import Begun, begin
from minirnn.layers.dropout import without_noise
from minirnn.module import Array, Module

__all__ = ["ModelCall"]


class ModelCall(Computation):
    """model(*args, **named): of the arrays leaves[i], i in at, of the arguments, and behind them of the model's own.

    rebuild: the nesting of the arguments, of all leaves. paths, own: the model's arrays and their names; seed: of the
    noise, None where there is none. nest: how the leaves of the result are put together, once it is there.
    """

    def __init__(
        self,
        model: Module,
        paths: Sequence[str],
        own: Sequence[Array],
        leaves: list[Any],
        at: Sequence[int],
        rebuild: Any,
        seed: int | None,
    ):
        self.model, self.paths, self.own, self.seed = model, paths, own, seed
        self.leaves, self.at, self.rebuild = leaves, at, rebuild
        self.nest: Any = None

    def _arguments(self, arrays: Sequence[Any]) -> tuple[Any, dict[str, Any]]:
        leaves = list(self.leaves)
        for i, array in zip(self.at, arrays, strict=False):
            leaves[i] = array
        args, named = self.rebuild(leaves)
        return args, named if self.seed is None else {**named, "rng": np.random.default_rng(self.seed)}

    def __call__(self, arrays: Sequence[Any]) -> list[Any]:
        args, named = self._arguments(arrays)
        triples = zip(self.paths, arrays[len(self.at) :], self.own, strict=True)
        others = {path: array for path, array, own in triples if array is not own}
        model: Any = self.model.bind(others) if others else self.model
        with without_noise():
            result = model(*args, **named)
        found, self.nest = tree.flatten(result)
        return found

    def forward(self, arrays: Sequence[Any], wanted: Sequence[int]) -> tuple[list[Any], Any]:
        begun = self._begun(arrays) if wanted else None
        if begun is None:
            return super().forward(arrays, wanted)
        self.fresh = True
        results, cache = begun.forward()
        self.nest = begun.nest
        return results, _Kept(begun, cache, len(self.at), wanted)

    def _begun(self, arrays: Sequence[Any]) -> Begun | None:
        """The call of a layer that is one cell and no more, on its own arrays."""
        if any(array is not own for array, own in zip(arrays[len(self.at) :], self.own, strict=True)):
            return None
        args, named = self._arguments(arrays)
        count = len(tree.leaves(args))
        if len(args) > 2 or not set(named) <= {"lengths"} or list(self.at[:count]) != list(range(count)):
            return None
        return begin(self.model, args[0], args[1] if len(args) > 1 else None, named.get("lengths"))


class _Kept:
    """The record of a compiled call; came: how many arrays came beside the layer's own."""

    def __init__(self, begun: Begun, cache: Any, came: int, wanted: Sequence[int]):
        self.begun, self.cache, self.came, self.wanted = begun, cache, came, wanted

    def pull(self, cotangents: Sequence[Any], wanted: Sequence[int]) -> list[Any]:
        beside = self.came - 1 - self.begun.of_state  # lengths, which have no gradient
        return self.begun.backward(self.cache, cotangents, [i if i < self.came else i - beside for i in wanted])
