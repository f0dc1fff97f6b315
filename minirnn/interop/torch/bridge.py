"""module(what): a Cell, a layer or a model as a torch.nn.Module on the same memory; layer(module): the way back."""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.autograd import forward_ad
from torch.nn.utils.rnn import PackedSequence

from minirnn import tree
from minirnn.interop.torch import operator
from minirnn.interop.torch.call import ModelCall
from minirnn.interop.torch.computation import Computation
from minirnn.interop.torch.function import apply, arrays_of, is_differentiated, tensors_of
from minirnn.interop.torch.memory import Tied, check
from minirnn.interop.torch.packed import through_padded
from minirnn.interop.torch.short import Short, look_for
from minirnn.module import Module

__all__ = ["TorchModule", "layer", "module"]


def module(what: Module) -> "TorchModule":
    """A torch.nn.Module that computes what a Cell, a layer or a model of minirnn does, with the derived gradients.

    Its parameters are called by our dotted names and lie on the same memory: what an optimiser of torch writes is what
    the layer computes with, and the other way round. Frozen parameters have requires_grad=False, buffers are buffers,
    tied parameters are one. It is called as the layer is, with tensors: module(xs, state=None, lengths=None), xs
    (T, B, F), or (B, T, F) where the layer is batch_first, or a PackedSequence; a Cell as its layer, Recurrent(cell).

    TypeError: not a Module of minirnn, or one whose parameters are neither float32 nor float64.
    """
    if not isinstance(what, Module):
        raise TypeError(f"module: {type(what).__name__} came, a Cell, layer or model of minirnn was expected")
    return TorchModule(what)


def layer(module: Any) -> Module:
    """The Cell, layer or model that a module was made of, on the same memory; frozen is what needs no gradient.

    TypeError: another kind of module, or one that was moved to another dtype or device than minirnn's.
    """
    if not isinstance(module, TorchModule):
        raise TypeError(f"layer: {type(module).__name__} came, what minirnn.interop.torch.module made was expected")
    return module.handed_back()


KINDS = 16  # of calls that are like the last, which are remembered
NESTS = ("state", "reset_state")  # arguments that are nested as the model's state


class TorchModule(Tied):
    """What `module` returns."""

    def __init__(self, what: Module):
        super().__init__(what)
        one_cell = getattr(self._model, "one_cell", lambda: None)() is not None  # which makes no noise
        self._noisy = not one_cell and "rng" in inspect.signature(self._model).parameters

    def _begin(self) -> None:
        super()._begin()
        self._short, self._tried = dict[Any, Short](), dict[Any, int]()
        if not hasattr(self, "_key"):  # what a copy does not share, and what stays for all dtypes
            self._key, self._nests, self._kinds = operator.key_of(self), dict[str, Any](), dict[str, Any]()

    def _of_this_one(self) -> set[str]:
        return super()._of_this_one() | {"_short", "_tried", "_key", "_nests", "_kinds"}

    # ------------------------------------------------------------ a call
    def forward(self, xs: Any, state: Any = None, lengths: Any = None, **named: Any) -> Any:
        if isinstance(xs, PackedSequence):
            return through_padded(self.forward, xs, self._batch_first(), state, **named)
        if torch.compiler.is_compiling() or isinstance(xs, FakeTensor):
            return operator.call(self, *self.operands(xs, state, lengths, **named)[1:])
        own, as_known = self._own()
        kind = (xs.shape, xs.dtype) if as_known and lengths is None and not named and type(xs) is torch.Tensor else None
        short = self._short.get(kind)
        if short is not None and xs.is_cpu and forward_ad._current_level < 0:
            result = short(xs, state, own)
            if result is not None:
                return result
            del self._short[kind], self._tried[kind]
        as_known = as_known and self._are_held()
        result = self._long_way(own, as_known, (xs,) if state is None else (xs, state), lengths, named)
        if as_known and kind is not None:
            self._short_for(xs)
        return result

    def _short_for(self, xs: torch.Tensor) -> Short | None:
        """The short way for calls with such xs, where there is one: found by the second of them at the latest."""
        kind = xs.shape, xs.dtype
        found = self._short.get(kind)
        if found is None and self._tried.get(kind, 0) < 2:
            if len(self._tried) >= KINDS:
                self._short.clear()
                self._tried.clear()
            self._tried[kind] = self._tried.get(kind, 0) + 1
            found = look_for(self._model, self._paths, xs)
            if found is not None:
                self._short[kind] = found
        return found

    def _long_way(
        self, own: Sequence[torch.Tensor], as_known: bool, args: tuple[Any, ...], lengths: Any, named: dict[str, Any]
    ) -> Any:
        leaves, rebuild = tree.flatten((args, named if lengths is None else {**named, "lengths": lengths}))
        at = [i for i, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]
        came = [leaves[i] for i in at]
        self._check(came, own)
        tensors = [*came, *own]
        others = [None if isinstance(leaf, torch.Tensor) else leaf for leaf in leaves]
        call = self._call(others, at, rebuild, self._seed())
        if as_known:
            call.given = [*arrays_of(came), *call.own]
        if is_differentiated(tensors):
            results: Any = apply(call, tensors)
        else:
            given = call.given or arrays_of(tensors)
            results = tensors_of(call.forward(given, ())[0], given)
        return call.nest(results)

    # ------------------------------------------------------------ a call that is traced
    def operands(
        self, xs: Any, state: Any = None, lengths: Any = None, **named: Any
    ) -> tuple[str, str, list[torch.Tensor]]:
        """The key, the kind of a call, and the tensors that go into it, as the operator minirnn::call takes them."""
        kind, tensors = "xs", [xs]
        for name, value in {"state": state, "lengths": lengths, **named}.items():
            if value is not None:
                leaves = operator.leaves_of(value) if name in NESTS else [torch.as_tensor(value)]
                kind += f" {name}={len(leaves)}"
                tensors += leaves
        if self.training and self._noisy:
            kind += " seed"
            tensors.append(torch.randint(1 << 62, ()))
        return self._key, kind, tensors + self._tensors()

    def computation(
        self, kind: str, came: Sequence[torch.Tensor] | None, own: Sequence[torch.Tensor] | None
    ) -> Computation:
        """What the operator computes; for zeros as arrays where no tensors came."""
        counts = operator.counts_of(kind)
        lies_here = came is not None and own is not None and self._lies_here(own)
        if came is not None and lies_here and not counts.keys() - {"xs", "state"}:
            short = self._short_for(came[0]) if came[0].is_cpu else None
            found = None if short is None else short.computation(came[0], came[1:])
            if found is not None:
                return found

        def rebuild(leaves: Sequence[Any]) -> Any:
            found, start = dict[str, Any](), 0
            for name, count in counts.items():
                part, start = leaves[start : start + count], start + count
                found[name] = tree.flatten(self._model.initial_state(1))[1](part) if name in NESTS else part[0]
            found.pop("seed", None)
            args = (found.pop("xs"), found.pop("state")) if "state" in found else (found.pop("xs"),)
            return args, found

        count = sum(counts.values())
        seed = None if "seed" not in counts else 0 if came is None else int(came[-1])
        call = self._call([None] * count, range(count), rebuild, seed)
        if came is not None and lies_here:
            call.given = [*arrays_of(came), *call.own]
        return call

    # ------------------------------------------------------------ what a call asks
    def _call(self, leaves: list[Any], at: Sequence[int], rebuild: Any, seed: int | None) -> ModelCall:
        own = [array for _, _, array in self._held]
        return ModelCall(self._model, self._paths, own, leaves, at, rebuild, seed)

    def _batch_first(self) -> bool:
        return bool(getattr(self._model, "batch_first", False))

    def _check(self, came: Sequence[torch.Tensor], own: Sequence[torch.Tensor]) -> None:
        """TypeError: a tensor that came, or one of the model's own, is none that minirnn computes with."""
        name = type(self._what).__name__
        if not came:
            raise TypeError(f"{name}: no tensor came; torch.from_numpy makes one of an array, on the same memory")
        dtype = next((tensor.dtype for tensor in own if tensor.is_floating_point()), None)
        for tensor in (*own, *came):
            check(name, tensor, dtype)

    def _seed(self) -> int | None:
        """A new one from torch's generator where there may be noise: in train(), and not for one cell alone."""
        return int(torch.randint(1 << 62, ())) if self.training and self._noisy else None
