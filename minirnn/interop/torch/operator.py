"""A call of a module as one operator of torch, minirnn::call, for torch.compile and all that traces.

    minirnn::call(str key, str kind, int[] wanted, Tensor[] tensors) -> Tensor[]
    minirnn::pull(str key, str kind, int[] wanted, bool[] there, Tensor[] tensors, Tensor[] cotangents) -> Tensor[]

key: the module's; kind: which arguments came, in order ("xs state=2 lengths"); tensors: those, and behind them the
module's own; wanted: which of them shall have a gradient. The results are the leaves of what the module returns, and a
ticket (see function.py), behind `tensors` in the call of pull; there: which results have a cotangent.
"""

import itertools
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import torch

from minirnn import tree
from minirnn.interop.torch.call import ModelCall
from minirnn.interop.torch.computation import Pulled
from minirnn.interop.torch.function import Ticket, apply, arrays_of, is_differentiated, tensors_of
from minirnn.interop.torch.shapes import Shapes
from minirnn.module import Array

__all__ = ["call", "counts_of", "key_of", "leaves_of"]

Tensors = Sequence[torch.Tensor]


_modules: WeakValueDictionary[str, Any] = WeakValueDictionary()
_numbers = itertools.count(1)


def key_of(module: Any) -> str:
    """A key that no other module has, or had.

    module.computation(kind, came, own) is the ModelCall for these tensors, or for none where these are None;
    module._nests: how results are nested, by kind; module._kinds: the classes of NamedTuples in them, by name.
    """
    key = f"module {next(_numbers)}"
    _modules[key] = module
    return key


def _computation(key: str, kind: str, tensors: Tensors) -> ModelCall:
    module = _modules.get(key)
    if module is None:
        raise RuntimeError(f"minirnn::call: {key} is gone; keep it for as long as what was compiled of it")
    count = _count(kind)
    found: ModelCall = module.computation(kind, tensors[:count], tensors[count:])
    return found


@cache
def counts_of(kind: str) -> dict[str, int]:
    """How many tensors of each argument came, in order."""
    return {name: int(count or 1) for name, _, count in [word.partition("=") for word in kind.split()]}


@cache
def _count(kind: str) -> int:
    """How many tensors came."""
    return sum(counts_of(kind).values())


# ---------------------------------------------------------------- on real tensors
def _call(key: str, kind: str, wanted: list[int], tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    computation = _computation(key, kind, tensors)
    arrays = computation.given or arrays_of(tensors)
    results, record = computation.forward(arrays, wanted)
    results = [np.ascontiguousarray(result) for result in results]  # as their shapes alone are told
    return [*tensors_of(results, arrays, computation.fresh), Ticket.of(record)]


def _pull(
    key: str,
    kind: str,
    wanted: list[int],
    there: list[bool],
    tensors: list[torch.Tensor],
    cotangents: list[torch.Tensor],
) -> list[torch.Tensor]:
    *tensors, ticket = tensors
    record, came = Ticket.taken(ticket), iter(arrays_of(cotangents))
    given = [next(came) if is_there else None for is_there in there]
    if record is None or not set(wanted) <= set(record.wanted):
        found = _computation(key, kind, tensors).pull(arrays_of(tensors), None, given, wanted)
    else:
        found = record.pull(given, wanted)
    return list(tensors_of([np.ascontiguousarray(g) for g in found]))


# ---------------------------------------------------------------- their shapes
def _call_of_shapes(key: str, kind: str, wanted: list[int], tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    module, count = _modules[key], _count(kind)

    def run(arrays: Sequence[Array]) -> list[Array]:
        computation = module.computation(kind, None, None)
        found: list[Array] = computation([*arrays, *computation.own])
        module._nests[kind] = _noted(computation.nest(list(range(len(found)))), module._kinds)
        return found

    module._check(tensors[:count], tensors[count:])
    made = Shapes(tensors[:count]).results(run)
    return [*made, torch.empty(1, dtype=torch.uint8)]


def _pull_of_shapes(
    key: str,
    kind: str,
    wanted: list[int],
    there: list[bool],
    tensors: list[torch.Tensor],
    cotangents: list[torch.Tensor],
) -> list[torch.Tensor]:
    return [tensors[i].new_empty(tensors[i].shape) for i in wanted]


# ---------------------------------------------------------------- their derivatives
class _Call(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, key: str, kind: str, wanted: list[int], *tensors: torch.Tensor) -> Any:
        out = _call_below(key, kind, wanted, list(tensors))
        ctx.call = key, kind
        ctx.floats = [result.is_floating_point() for result in out]
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(*[result for result, is_float in zip(out, ctx.floats, strict=True) if not is_float])
        ctx.save_for_backward(*tensors, out[-1])
        return tuple(out)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        saved = list(ctx.saved_tensors)
        wanted = [i for i, needed in enumerate(ctx.needs_input_grad[3:]) if needed]
        there, found = [g is not None for g in grads[:-1]], [None] * (3 + len(saved) - 1)
        if any(there):
            came = [g for g in grads if g is not None]
            gradients = torch.ops.minirnn.pull.default(*ctx.call, wanted, there, saved, came)
            for i, gradient in zip(wanted, gradients, strict=True):
                found[3 + i] = gradient
        return tuple(found)


def _call_differentiably(key: str, kind: str, wanted: list[int], tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    if is_differentiated(tensors):
        return list(_Call.apply(key, kind, wanted, *tensors))
    return _call_below(key, kind, wanted, tensors)


def _call_below(key: str, kind: str, wanted: list[int], tensors: list[torch.Tensor]) -> list[torch.Tensor]:
    if _are_real(tensors):
        return _call(key, kind, wanted, tensors)
    with torch._C._AutoDispatchBelowAutograd():
        found: list[torch.Tensor] = torch.ops.minirnn.call.default(key, kind, wanted, tensors)
    return found


_REAL = {torch.Tensor, torch.nn.Parameter}


def _are_real(tensors: Tensors) -> bool:
    """Whether nobody but the processor has to see a call of these: no mode that traces, and no tensor that is none."""
    return not torch._C._len_torch_dispatch_stack() and {type(tensor) for tensor in tensors} <= _REAL


def _pull_differentiably(
    key: str,
    kind: str,
    wanted: list[int],
    there: list[bool],
    tensors: list[torch.Tensor],
    cotangents: list[torch.Tensor],
) -> list[torch.Tensor]:
    if is_differentiated([*tensors, *cotangents]):
        *tensors, ticket = tensors
        pulled = Pulled(_computation(key, kind, tensors), wanted, there, Ticket.taken(ticket))
        return list(apply(pulled, [*tensors, *cotangents]))
    if _are_real([*tensors, *cotangents]):
        return _pull(key, kind, wanted, there, tensors, cotangents)
    with torch._C._AutoDispatchBelowAutograd():
        found: list[torch.Tensor] = torch.ops.minirnn.pull.default(key, kind, wanted, there, tensors, cotangents)
    return found


_library = torch.library.Library("minirnn", "DEF")


def _define(
    schema: str, real: Callable[..., Any], shapes: Callable[..., Any], differentiably: Callable[..., Any]
) -> Any:
    name = schema.partition("(")[0]
    _library.define(schema)
    _library.impl(name, real, "CPU")
    _library.impl(name, differentiably, "Autograd")
    torch.library.register_fake(f"minirnn::{name}", shapes, lib=_library)


_define(
    "call(str key, str kind, int[] wanted, Tensor[] tensors) -> Tensor[]", _call, _call_of_shapes, _call_differentiably
)
_define(
    "pull(str key, str kind, int[] wanted, bool[] there, Tensor[] tensors, Tensor[] cotangents) -> Tensor[]",
    _pull,
    _pull_of_shapes,
    _pull_differentiably,
)


# ---------------------------------------------------------------- in a traced call, which dynamo reads
def leaves_of(nest: Any) -> list[torch.Tensor]:
    """The tensors of nested tuples and lists."""
    if isinstance(nest, (tuple, list)):
        return [leaf for part in nest for leaf in leaves_of(part)]
    return [] if nest is None else [nest]


def call(module: Any, kind: str, tensors: list[torch.Tensor]) -> Any:
    """What the module returns, by the operator."""
    wanted = [i for i, tensor in enumerate(tensors) if tensor.requires_grad] if torch.is_grad_enabled() else []
    leaves = torch.ops.minirnn.call.default(module._key, kind, wanted, tensors)
    return _put_together(module, nest_of(module._key, kind), leaves)


def _put_together(module: Any, nest: Any, leaves: Sequence[torch.Tensor]) -> Any:
    """Leaves nested as `_noted` wrote it down."""
    if isinstance(nest, int):
        return leaves[nest]
    if nest is None:
        return None
    parts = [_put_together(module, part, leaves) for part in nest[1:]]
    return module._kinds[nest[0]](*parts) if nest[0] else tuple(parts)


@torch._dynamo.assume_constant_result  # type: ignore[untyped-decorator]
def nest_of(key: str, kind: str) -> Any:
    """How a module's results are nested; known once the operator's shapes were asked for."""
    return _modules[key]._nests[kind]


def _noted(nest: Any, kinds: dict[str, Any]) -> Any:
    """A nest of numbers as tuples that begin with a name, "" for a plain tuple's; the classes go into kinds."""
    if not isinstance(nest, (tuple, list)):
        return nest
    name = f"{type(nest).__module__}:{type(nest).__qualname__}" if tree.is_namedtuple(nest) else ""
    kinds[name] = type(nest)
    return (name, *[_noted(part, kinds) for part in nest])
