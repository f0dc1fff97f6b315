"""What every differentiable function that a step may call is, as nodes: autograd's, minirnn's own, and what their
derivative rules call.

`lower(function, args, kwargs)` takes Nodes where traced arrays stood. A function that is not in the table is called as
it is where it can be imported by name (minirnn.primitive made it, of arrays and plain numbers), and otherwise
refused by name.
"""

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import autograd.numpy  # noqa: F401  (sets up the wrapper below)
import numpy as np
from autograd.builtins import container_take, container_untake
from autograd.core import VSpace, sparse_add
from autograd.numpy import numpy_vjps
from autograd.numpy import numpy_wrapper as anp
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.tracer import trace_primitives_map

from minirnn import functional, primitive, rules
from minirnn.compile.errors import CannotCompile
from minirnn.compile.ir import Node, const, make
from minirnn.compile.lowered import Lowered, as_node, elementwise, gathers, layout, products, rearranged, reductions
from minirnn.compile.operations import ELEMENTWISE

__all__ = ["lower"]


def lower(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Lowered:
    """The node that the call computes. CannotCompile: the function is unknown, or is called in an unknown way."""
    known = _TABLE.get(function)
    if known is not None:
        return known(*args, **kwargs)
    return _opaque(function, args, kwargs)


_NAMES = {
    "add": "add",
    "subtract": "sub",
    "multiply": "mul",
    "true_divide": "div",
    "divide": "div",
    "negative": "neg",
    "power": "pow",
    "float_power": "pow",
    "mod": "mod",
    "remainder": "mod",
    "absolute": "abs",
    "fabs": "abs",
    "fmax": "maximum",
    "fmin": "minimum",
}
_NAMES |= {name: name for name in ELEMENTWISE if hasattr(anp, name) and name != "where"}


def _sparse_add(space: Any, total: Any, new: Any) -> Lowered:
    if isinstance(new, tuple):
        return new if total is None else tuple([make("add", a, b) for a, b in zip(total, new, strict=True)])
    return as_node(new) if total is None else make("add", as_node(total), as_node(new))


def _one_of(x: Any, k: Any, space: Any) -> Lowered:
    """Parts' cotangents among those of a split, of which the others are 0."""
    chosen = range(len(space.shape))[k]
    given = {chosen: x} if isinstance(chosen, int) else dict(zip(chosen, x, strict=True))
    shapes = [(part.shape, part.dtype) for part in space.shape]
    zeros = [make("broadcast", const(0.0), attrs=shape, dtype=dtype) for shape, dtype in shapes]
    return tuple([as_node(given[i]) if i in given else zero for i, zero in enumerate(zeros)])


_TABLE: dict[Any, Callable[..., Lowered]] = {
    **{getattr(anp, name): elementwise.elementwise(op) for name, op in _NAMES.items()},
    anp.multiply: elementwise.multiply,
    trace_primitives_map[np.where]: elementwise.where,  # autograd.numpy.where stands before it
    anp.clip: elementwise.clip,
    anp.square: elementwise.square,
    anp.reciprocal: lambda x: make("div", const(1.0), as_node(x)),
    anp._astype: elementwise.cast,
    anp.real: elementwise.same,
    anp.conj: elementwise.same,
    anp.conjugate: elementwise.same,
    anp.copy: elementwise.same,
    anp.zeros_like: elementwise.zeros_like,
    anp.ones_like: elementwise.ones_like,
    anp._array_from_scalar_or_array: elementwise.array,
    anp.array_from_args: lambda args, kwargs, *parts: layout.stack(*parts),
    functional.sigmoid: elementwise.elementwise("sigmoid"),
    functional.softplus: elementwise.elementwise("softplus"),
    functional.relu: lambda x: make("maximum", as_node(x), const(0.0)),
    functional.linear: products.linear,
    functional.product: products.product,
    functional.logsumexp: reductions.logsumexp,
    functional.log_softmax: reductions.log_softmax,
    functional.softmax: reductions.softmax,
    functional._stack: layout.stack,
    anp.reshape: layout.reshape,
    anp.ravel: lambda x, order=None: layout.reshape(x, -1),
    anp.transpose: layout.transpose,
    anp.swapaxes: layout.swapaxes,
    anp.moveaxis: layout.moveaxis,
    anp.expand_dims: layout.expand_dims,
    anp.squeeze: layout.squeeze,
    anp.broadcast_to: layout.broadcast_to,
    anp.concatenate_args: layout.concatenate,
    anp.split: layout.split,
    ArrayBox.__getitem__: gathers.getitem,
    primitive._put: gathers.put,
    numpy_vjps.untake: gathers.put,
    container_take: gathers.getitem,
    container_untake: _one_of,
    anp.array_split: rearranged.array_split,
    anp.hsplit: lambda x, parts: layout.split(x, parts, 1),
    anp.vsplit: layout.split,
    anp.dsplit: lambda x, parts: layout.split(x, parts, 2),
    anp.roll: rearranged.roll,
    anp.flipud: rearranged.flipped(0),
    anp.fliplr: rearranged.flipped(1),
    anp.tile: rearranged.tile,
    anp.repeat: rearranged.repeat,
    anp.pad: rearranged.pad,
    anp.diff: rearranged.diff,
    anp.diag: rearranged.diag,
    anp.cumsum: rearranged.running("cumsum"),
    anp.cumprod: rearranged.running("cumprod"),
    rules._running: lambda x: rearranged.running("cumprod")(x, -1),
    anp.sum: reductions.total,
    anp.max: reductions.reduction("amax"),
    anp.amax: reductions.reduction("amax"),
    anp.min: reductions.reduction("amin"),
    anp.amin: reductions.reduction("amin"),
    anp.prod: reductions.reduction("prod"),
    anp._primitive_mean: reductions.mean,
    anp._primitive_var: reductions.var,
    anp._primitive_std: lambda *args, **kwargs: make("sqrt", reductions.var(*args, **kwargs)),
    trace_primitives_map[np.linalg.norm]: reductions.norm,
    anp.dot: products.dot,
    anp.matmul: products.matmul,
    anp.tensordot: products.tensordot,
    anp.inner: lambda a, b: products.tensordot(a, b, ([-1], [-1])),
    anp.outer: products.outer,
    anp.einsum: products.einsum,
    numpy_vjps.dot_adjoint_0: products.dot_adjoint_0,
    numpy_vjps.dot_adjoint_1: products.dot_adjoint_1,
    numpy_vjps.tensordot_adjoint_0: products.tensordot_adjoint_0,
    numpy_vjps.tensordot_adjoint_1: products.tensordot_adjoint_1,
    sparse_add: _sparse_add,
    VSpace.add: _sparse_add,
    VSpace.mut_add: _sparse_add,
}
_TABLE |= {getattr(anp, name): elementwise.elementwise(name) for name in ("isfinite", "isnan") if hasattr(anp, name)}
_TABLE[anp.isinf] = lambda x: make("equal", make("abs", as_node(x)), const(math.inf))


# ---------------------------------------------------------------- functions called as they are
def _opaque(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Lowered:
    raw = getattr(function, "fun", None)
    name = getattr(raw, "__qualname__", getattr(function, "__name__", str(function)))
    module = getattr(raw, "__module__", None) or ""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    plain = all(isinstance(arg, (Node, int, float, str, bool)) for arg in args)
    if found is None or not plain or kwargs or module.split(".")[0] in ("numpy", "autograd"):
        raise CannotCompile(f"it calls {name}, which the compiler does not know")
    places: list[tuple[bool, Any]] = []
    nodes: list[Node] = []
    for arg in args:
        places.append((isinstance(arg, Node), len(nodes) if isinstance(arg, Node) else arg))
        if isinstance(arg, Node):
            nodes.append(arg)
    return ("call", module, name, tuple(places), tuple(nodes))
