"""module(what): a Cell, a layer or a model as a torch.nn.Module on the same memory; layer(module): the way back."""

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import PackedSequence

from minirnn import tree
from minirnn.interop.torch.computation import Computation
from minirnn.interop.torch.function import apply, arrays_of, is_differentiated, tensors_of
from minirnn.interop.torch.packed import through_padded
from minirnn.layers import Cell, Recurrent
from minirnn.layers.dropout import without_noise
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
    return module._handed_back()


class TorchModule(torch.nn.Module):  # type: ignore[misc]
    """What `module` returns. Parameters and buffers stand in modules nested as the dotted names say."""

    def __init__(self, what: Module):
        super().__init__()
        self._what = what
        self._prefix = "cell." if isinstance(what, Cell) else ""
        self._model: Any = Recurrent(what) if isinstance(what, Cell) else what
        if not callable(self._model):
            raise TypeError(f"module: {type(what).__name__} cannot be called; a Cell, layer or model was expected")
        one_cell = getattr(self._model, "one_cell", lambda: None)() is not None  # which makes no noise
        self._takes = frozenset() if one_cell else frozenset(inspect.signature(self._model).parameters) & {"rng"}
        self._places: list[tuple[torch.nn.Module, str]] = []
        for entry in self._plan().entries:
            self._register(entry.path.removeprefix(self._prefix), entry)
        self._tie()

    # ------------------------------------------------------------ the same memory
    def _plan(self) -> Any:
        return self._model._plan()

    def _register(self, path: str, entry: Any) -> None:
        """An array as the Parameter or buffer of its dotted path, also where torch's Module has that name itself."""
        *parts, name = path.split(".")
        holder: torch.nn.Module = self
        for part in parts:
            holder = _below(holder, part)
        array = self._model._array(self._plan(), entry)
        if array.dtype.kind == "f" and array.dtype.name not in ("float32", "float64"):
            raise TypeError(f"module: {path} is {array.dtype}, float32 or float64 was expected; astype makes it so")
        tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
        if entry.leaf.kind == "parameter":
            holder._parameters[name] = torch.nn.Parameter(tensor, requires_grad=entry.leaf.trainable)
        else:
            holder._buffers[name] = tensor
        self._places.append((holder, name))

    def _tensors(self) -> list[torch.Tensor]:
        """Its parameters and buffers, in the order of the model's arrays; others where torch.func put them there."""
        found = []
        for holder, name in self._places:
            tensor = holder._parameters.get(name)
            if tensor is None:
                tensor = holder._buffers.get(name)
            found.append(getattr(holder, name) if tensor is None else tensor)
        return found

    def _tie(self) -> None:
        """Lay the model's arrays on the memory of the parameters and buffers, where minirnn can compute with them."""
        plan = self._plan()
        for entry, tensor in zip(plan.entries, self._tensors(), strict=True):
            if tensor.device.type == "cpu" and not (tensor.is_floating_point() and tensor.dtype not in FLOATS):
                array = tensor.detach().numpy()
                for i, name in entry.sites:
                    plan.modules[i][1].__dict__[name] = array

    def _handed_back(self) -> Module:
        for tensor in self._tensors():
            check(type(self._what).__name__, tensor, None)
        self._tie()
        for entry, tensor in zip(self._plan().entries, self._tensors(), strict=True):
            if entry.leaf.kind == "parameter" and entry.leaf.frozen is tensor.requires_grad:
                self._model._set_frozen(entry.path, not tensor.requires_grad)
        return self._what

    def _apply(self, fn: Any, recurse: bool = True) -> "TorchModule":
        super()._apply(fn, recurse)
        self._tie()
        return self

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._tie()

    def __repr__(self) -> str:
        return f"module({self._what!r})"

    # ------------------------------------------------------------ a call
    def forward(self, xs: Any, state: Any = None, lengths: Any = None, **named: Any) -> Any:
        if isinstance(xs, PackedSequence):
            return through_padded(self.forward, xs, self._batch_first(), state, **named)
        args = (xs,) if state is None else (xs, state)
        named |= {} if lengths is None else {"lengths": lengths}
        leaves, rebuild = tree.flatten((args, named))
        at = [i for i, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]
        tensors = [*[leaves[i] for i in at], *self._checked([leaves[i] for i in at])]
        call = _Call(self, leaves, at, rebuild, self._seed())
        if is_differentiated(tensors):
            results: Any = apply(call, tensors)
        else:
            arrays = arrays_of(tensors)
            results = tensors_of(call.forward(arrays, ())[0], arrays)
        return call.nest(results)

    def _batch_first(self) -> bool:
        return bool(getattr(self._model, "batch_first", False))

    def _checked(self, came: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """The model's own tensors. TypeError: one of them, or one that came, is none that minirnn computes with."""
        own, name = self._tensors(), type(self._what).__name__
        if not came:
            raise TypeError(f"{name}: no tensor came; torch.from_numpy makes one of an array, on the same memory")
        dtype = next((tensor.dtype for tensor in own if tensor.is_floating_point()), None)
        for tensor in (*own, *came):
            check(name, tensor, dtype)
        return own

    def _seed(self) -> int | None:
        """A new one from torch's generator where there may be noise: in train(), and not for one cell alone."""
        if not self.training or "rng" not in self._takes:
            return None
        return int(torch.randint(1 << 62, ()))


def _below(holder: torch.nn.Module, name: str) -> torch.nn.Module:
    """The module of this name, made where there is none."""
    if name not in holder._modules:
        holder._modules[name] = torch.nn.Module()
        if hasattr(type(holder), name):  # as "forward" in a Bidirectional: this one is found first
            holder.__dict__[name] = holder._modules[name]
    return holder._modules[name]


FLOATS = (torch.float32, torch.float64)


def check(name: str, tensor: torch.Tensor, of: torch.dtype | None) -> None:
    """TypeError: a tensor that minirnn cannot compute with, or a float one of another dtype than the parameters'."""
    if tensor.device.type != "cpu" or (tensor.is_floating_point() and tensor.dtype not in FLOATS):
        raise TypeError(
            f"{name}: a {tensor.dtype} tensor on {tensor.device} came; minirnn computes in torch.float32 and "
            "torch.float64 on the CPU. A file that runs on any device and dtype: minirnn export FILE:NAME OUT.py "
            "--to torch"
        )
    if of is not None and tensor.is_floating_point() and tensor.dtype is not of:
        raise TypeError(
            f"{name}: a {tensor.dtype} tensor came, the parameters are {of}; use tensor.to({of}), or "
            f"module.to({tensor.dtype})"
        )


class _Call(Computation):
    """One call of a module: of the tensors that came, leaves[i] for i in at, and of the model's arrays. seed: of the
    noise, None where there is none."""

    def __init__(self, module: TorchModule, leaves: list[Any], at: list[int], rebuild: Any, seed: int | None):
        self.module, self.leaves, self.at, self.rebuild, self.seed = module, leaves, at, rebuild, seed
        self.nest: Any = None

    def __call__(self, arrays: Any) -> list[Any]:
        leaves = list(self.leaves)
        for i, array in zip(self.at, arrays, strict=False):
            leaves[i] = array
        args, named = self.rebuild(leaves)
        model, plan = self.module._model, self.module._plan()
        bound = model._with(plan, dict(enumerate(arrays[len(self.at) :])))
        if self.seed is not None:
            named["rng"] = np.random.default_rng(self.seed)
        with without_noise():
            result = bound(*args, **named)
        found, self.nest = tree.flatten(result)
        return found
