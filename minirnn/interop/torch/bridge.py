"""module(what): a Cell, a layer or a model as a torch.nn.Module on the same memory; layer(module): the way back."""

import inspect
from collections.abc import Sequence
from operator import is_
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor
from torch.autograd import forward_ad
from torch.nn.utils.rnn import PackedSequence

from minirnn import tree
from minirnn.interop.torch import operator
from minirnn.interop.torch.call import ModelCall
from minirnn.interop.torch.computation import Computation
from minirnn.interop.torch.function import apply, arrays_of, is_differentiated, is_transformed, tensors_of
from minirnn.interop.torch.packed import through_padded
from minirnn.interop.torch.short import Short, look_for
from minirnn.layers import Cell, Recurrent
from minirnn.module import Array, Module

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
        self._noisy = not one_cell and "rng" in inspect.signature(self._model).parameters
        self._paths = [entry.path for entry in self._model._plan().entries]
        self._places: list[tuple[torch.nn.Module, str]] = []
        for entry in self._entries():
            self._register(entry.path.removeprefix(self._prefix), entry)
        self._tie()
        self._start()

    def _start(self) -> None:
        """What a copy does not share: its key for the operator, and the nests of its results."""
        self.key, self.nests, self.kinds = operator.key_of(self), dict[str, Any](), dict[str, Any]()

    # ------------------------------------------------------------ the same memory
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

    def _tie(self) -> None:
        """Lay the model's arrays on the memory of the parameters and buffers, where minirnn can compute with them."""
        plan, entries = self._model._plan(), self._entries()
        self._in_order = all(map(is_, entries, plan.entries))
        self._held, self._sites = list[tuple[Any, str, Array]](), list[tuple[Any, str, int]]()
        self._short, self._tried = dict[Any, Short](), dict[Any, int]()
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

    def _handed_back(self) -> Module:
        for tensor in self._tensors():
            check(type(self._what).__name__, tensor, None)
        self._tie()
        for entry, tensor in zip(self._entries(), self._tensors(), strict=True):
            if entry.leaf.kind == "parameter" and entry.leaf.frozen is tensor.requires_grad:
                self._model._set_frozen(entry.path, not tensor.requires_grad)
        return self._what

    def _apply(self, fn: Any, recurse: bool = True) -> "TorchModule":
        super()._apply(fn, recurse)
        self._tie()
        return self

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in _OF_ARRAYS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._tie()
        self._start()

    def __repr__(self) -> str:
        return f"module({self._what!r})"

    # ------------------------------------------------------------ a call
    def forward(self, xs: Any, state: Any = None, lengths: Any = None, **named: Any) -> Any:
        if isinstance(xs, PackedSequence):
            return through_padded(self.forward, xs, self._batch_first(), state, **named)
        if torch.compiler.is_compiling() or isinstance(xs, FakeTensor):
            return operator.call(self, *self.operands(xs, state, lengths, **named))
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
        self.check(came, own)
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
    def operands(self, xs: Any, state: Any = None, lengths: Any = None, **named: Any) -> tuple[str, list[torch.Tensor]]:
        """The kind of a call, and the tensors that go into it: what the operator minirnn::call takes behind the key."""
        kind, tensors = "xs", [xs]
        for name, value in {"state": state, "lengths": lengths, **named}.items():
            if value is not None:
                leaves = operator.leaves_of(value) if name in NESTS else [torch.as_tensor(value)]
                kind += f" {name}={len(leaves)}"
                tensors += leaves
        if self.training and self._noisy:
            kind += " seed"
            tensors.append(torch.randint(1 << 62, ()))
        return kind, tensors + self._tensors()

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

    def check(self, came: Sequence[torch.Tensor], own: Sequence[torch.Tensor]) -> None:
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


KINDS = 16  # of calls that are like the last, which are remembered
NESTS = ("state", "reset_state")  # arguments that are nested as the model's state
_OF_ARRAYS = ("_held", "_sites", "_short", "_tried", "key", "nests", "kinds")  # what a copy finds anew
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
