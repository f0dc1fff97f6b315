"""A torch.nn.Module whose parameters and buffers lie on the memory of a model's arrays, whatever is done to either."""

from collections.abc import Sequence
from operator import is_
from typing import Any

import torch

from minirnn.interop.torch.function import is_transformed
from minirnn.layers import Cell, Recurrent
from minirnn.module import Array, Module

__all__ = ["FLOATS", "Tied", "check"]

FLOATS = (torch.float32, torch.float64)


class Tied(torch.nn.Module):  # type: ignore[misc]
    """what: a Cell, which is run as Recurrent(cell), a layer or a model. Parameters and buffers stand in modules nested
    as the dotted names say."""

    def __init__(self, what: Module):
        super().__init__()
        self._what = what
        self._prefix = "cell." if isinstance(what, Cell) else ""
        self._model: Any = Recurrent(what) if isinstance(what, Cell) else what
        if not callable(self._model):
            raise TypeError(f"module: {type(what).__name__} cannot be called; a Cell, layer or model was expected")
        self._paths = [entry.path for entry in self._model._plan().entries]
        self._places: list[tuple[torch.nn.Module, str]] = []
        for entry in self._entries():
            self._register(entry.path.removeprefix(self._prefix), entry)
        self._begin()

    def _entries(self) -> list[Any]:
        """The model's arrays in the order of the tensors, whatever was assigned anew on either side."""
        plan = self._model._plan()
        gone = [path for path in self._paths if path not in plan.names]
        if gone or len(self._paths) != len(plan.entries):
            raise ValueError(
                f"{type(self._what).__name__}: the arrays are {', '.join(entry.path for entry in plan.entries)} by "
                f"now, and were {', '.join(self._paths)} when the module was made; make another of it"
            )
        return [plan.entries[plan.names[path]] for path in self._paths]

    def _register(self, path: str, entry: Any) -> None:
        """An array as the Parameter or buffer of its dotted path, also where torch's Module has that name itself."""
        *parts, name = path.split(".")
        holder: torch.nn.Module = self
        for part in parts:
            holder = _below(holder, part)
        array = self._model._array(self._model._plan(), entry)
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

    def _begin(self) -> None:
        """Lay the model's arrays on the memory of the parameters and buffers, where minirnn can compute with them."""
        plan, entries = self._model._plan(), self._entries()
        self._in_order = all(map(is_, entries, plan.entries))
        self._held, self._sites = list[tuple[Any, str, Array]](), list[tuple[Any, str, int]]()
        for entry, tensor, (holder, where) in zip(entries, self._tensors(), self._places, strict=True):
            if tensor.device.type == "cpu" and not (tensor.is_floating_point() and tensor.dtype not in FLOATS):
                array = tensor.detach().numpy()
                for i, name in entry.sites:
                    if not _is_same(plan.modules[i][1].__dict__[name], array):
                        plan.modules[i][1].__dict__[name] = array
            held = plan.modules[entry.sites[0][0]][1].__dict__
            self._held.append((held, entry.sites[0][1], held[entry.sites[0][1]]))
            among = holder._parameters if entry.leaf.kind == "parameter" else holder._buffers
            self._sites.append((among, where, tensor.data_ptr()))

    def _own(self) -> tuple[list[torch.Tensor], bool]:
        """As `_tensors`, and whether they lie on the memory on which the model's arrays were laid."""
        own, as_known = list[torch.Tensor](), self._in_order and not is_transformed()
        for among, name, address in self._sites:
            tensor = among.get(name)
            if tensor is None:
                return self._tensors(), False
            own.append(tensor)
            if as_known and tensor.data_ptr() != address:
                as_known = False
        return own, as_known

    def _lies_here(self, own: Sequence[torch.Tensor]) -> bool:
        """The same of tensors that come from elsewhere, as through an operator."""
        there = zip(own, self._sites, strict=True)
        return self._in_order and all(tensor.data_ptr() == site[2] for tensor, site in there) and self._are_held()

    def _are_held(self) -> bool:
        """Whether the model's arrays are those that were laid there."""
        return all(held[name] is array for held, name, array in self._held)

    def handed_back(self) -> Module:
        """The Cell, layer or model, on this memory; frozen is what needs no gradient."""
        for tensor in self._tensors():
            check(type(self._what).__name__, tensor, None)
        self._begin()
        for entry, tensor in zip(self._entries(), self._tensors(), strict=True):
            if entry.leaf.kind == "parameter" and entry.leaf.frozen is tensor.requires_grad:
                self._model._set_frozen(entry.path, not tensor.requires_grad)
        return self._what

    def _apply(self, fn: Any, recurse: bool = True) -> "Tied":
        super()._apply(fn, recurse)
        self._begin()
        return self

    def _of_this_one(self) -> set[str]:
        """Attributes that a copy finds anew."""
        return {"_held", "_sites"}

    def __getstate__(self) -> dict[str, Any]:
        own = self._of_this_one()
        return {name: value for name, value in self.__dict__.items() if name not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._begin()

    def __repr__(self) -> str:
        return f"module({self._what!r})"


def _is_same(one: Array, other: Array) -> bool:
    """Whether two arrays are the same numbers in the same memory."""
    what = [(a.__array_interface__["data"][0], a.shape, a.strides, a.dtype) for a in (one, other)]
    return what[0] == what[1]


def _below(holder: torch.nn.Module, name: str) -> torch.nn.Module:
    """The module of this name, made where there is none."""
    if name not in holder._modules:
        holder._modules[name] = torch.nn.Module()
        if hasattr(type(holder), name):  # as "forward" in a Bidirectional: this one is found first
            holder.__dict__[name] = holder._modules[name]
    return holder._modules[name]


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
