"""A computation as a differentiable function of tensors, of any order: apply(computation, tensors).

What a forward pass keeps for the backward one lives as long as torch keeps what it saved for it: a ticket, a tensor of
one byte among these, whose memory's end is the record's.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.autograd import forward_ad

from minirnn.interop.torch.computation import Computation, Pulled, Pushed
from minirnn.module import Array

__all__ = ["Ticket", "apply", "arrays_of", "is_differentiated", "is_transformed", "tensors_of"]

Tensors = Sequence[torch.Tensor]

is_transformed = torch._C._are_functorch_transforms_active


def apply(computation: Computation, tensors: Tensors) -> tuple[torch.Tensor, ...]:
    """The results as tensors, differentiable in each float tensor."""
    function: Any = _Transformed if is_transformed() else _Run
    return function.apply(computation, *tensors)


def is_differentiated(tensors: Tensors) -> bool:
    """Whether results of these have a derivative to carry, or a transform of torch.func looks at them."""
    if torch.is_grad_enabled():
        for tensor in tensors:
            if tensor.requires_grad:
                return True
    return is_transformed() or forward_ad._current_level >= 0


# ---------------------------------------------------------------- arrays and tensors on the same memory
def arrays_of(tensors: Tensors) -> list[Array]:
    return [tensor.numpy(force=False) if not tensor.requires_grad else tensor.detach().numpy() for tensor in tensors]


def tensors_of(results: Sequence[Any], given: Sequence[Array] = (), fresh: bool = False) -> tuple[torch.Tensor, ...]:
    """Results on their own memory; a copy of what shares its with an array that was given, or with another result,
    unless all are new arrays."""
    if fresh:
        return tuple([torch.from_numpy(array) for array in results])
    made, seen = list[Array](), list(given)
    for result in results:
        array = np.asarray(result)
        if array.base is None and array.flags.writeable:
            shared = any(array is other for other in seen)
        else:
            shared = min(array.strides, default=0) < 0 or not array.flags.writeable
            shared = shared or any(np.may_share_memory(array, other) for other in seen)
        made.append(array.copy() if shared else array)
        seen.append(made[-1])
    return tuple([torch.from_numpy(array) for array in made])


class Ticket(np.ndarray[Any, Any]):
    """One byte, whose tensor keeps it alive, and with it a record."""

    address = 0

    @classmethod
    def of(cls, record: Any) -> torch.Tensor:
        ticket = np.ndarray.__new__(cls, (1,), np.uint8)
        ticket.fill(0)
        tensor = torch.from_numpy(ticket)
        ticket.address = tensor.data_ptr()
        _records[ticket.address] = record
        return tensor

    @staticmethod
    def taken(tensor: torch.Tensor) -> Any:
        """Its record; None where there is none by now."""
        return _records.get(tensor.data_ptr())

    def __del__(self) -> None:
        _records.pop(self.address, None)


_records: dict[int, Any] = {}  # by the addresses of tickets that are alive


# ---------------------------------------------------------------- the function
def _saved(ctx: Any, computation: Computation, tensors: Tensors, out: Any, record: Any) -> None:
    ctx.computation, ctx.count = computation, len(tensors)
    ctx.set_materialize_grads(False)
    ctx.floats = [tensor.is_floating_point() for tensor in out]
    if not all(ctx.floats):
        ctx.mark_non_differentiable(*[tensor for tensor, is_float in zip(out, ctx.floats, strict=True) if not is_float])
    read = [] if computation.fresh else [tensor for tensor in out if tensor.is_floating_point()]
    ctx.save_for_backward(*tensors, *read, *([] if record is None else [Ticket.of(record)]))
    ctx.kept = record is not None


class _Rules(torch.autograd.Function):  # type: ignore[misc]
    """The derivatives; those that are differentiated again are applied themselves."""

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        saved = ctx.saved_tensors
        tensors = saved[: ctx.count]
        wanted = [i for i, needed in enumerate(ctx.needs_input_grad[1:]) if needed]
        there = [g is not None for g in grads]
        found: list[Any] = [None] * (ctx.count + 1)
        if not any(there) or not wanted:
            return tuple(found)
        came = [g for g in grads if g is not None]
        record = Ticket.taken(saved[-1]) if ctx.kept else None
        if torch.is_grad_enabled() or is_transformed():
            gradients = apply(Pulled(ctx.computation, wanted, there, record), [*tensors, *came])
        else:
            arrays = arrays_of(tensors) if record is None else ()
            cotangents = [None if g is None else g.numpy() for g in grads]
            pulled = ctx.computation.pull(arrays, record, cotangents, wanted)
            gradients = tensors_of(pulled)
        for i, gradient in zip(wanted, gradients, strict=True):
            found[i + 1] = gradient
        return tuple(found)

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:
        tensors = ctx.saved_tensors
        moving = [i for i, t in enumerate(tangents[1:]) if t is not None]
        moved = iter(apply(Pushed(ctx.computation, moving), [*tensors, *[t for t in tangents[1:] if t is not None]]))
        return tuple([next(moved) if is_float else None for is_float in ctx.floats])


class _Run(_Rules):
    @staticmethod
    def forward(ctx: Any, computation: Computation, *tensors: torch.Tensor) -> Any:
        arrays, computation.given = computation.given or arrays_of(tensors), None
        wanted = [i for i, needed in enumerate(ctx.needs_input_grad[1:]) if needed]
        results, record = computation.forward(arrays, wanted)
        out = tensors_of(results, arrays, computation.fresh)
        _saved(ctx, computation, tensors, out, record)
        if forward_ad._current_level >= 0:
            ctx.save_for_forward(*tensors)
        return out


class _Transformed(_Rules):
    """The same where transforms of torch.func look on: they ask for a forward pass without a context."""

    @staticmethod
    def forward(computation: Computation, *tensors: torch.Tensor) -> Any:
        arrays = arrays_of(tensors)
        return tensors_of(computation.forward(arrays, ())[0], arrays)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        computation, *tensors = inputs
        _saved(ctx, computation, tensors, output, None)
        ctx.save_for_forward(*tensors)

    @staticmethod
    def vmap(info: Any, in_dims: Any, computation: Computation, *tensors: torch.Tensor) -> Any:
        """One call after the other."""
        dims = in_dims[1:]
        each = [
            apply(computation, [t if d is None else t.select(d, k) for t, d in zip(tensors, dims, strict=True)])
            for k in range(info.batch_size)
        ]
        together = tuple([torch.stack(results) for results in zip(*each, strict=True)])
        return together, (0,) * len(together)
