"""What every differentiable function that a step may call is, as nodes: autograd's, minirnn's own, and what their
derivative rules call.

`lower(function, args, kwargs)` takes Nodes where traced arrays stood. A function that is not in the table is called as
it is where a generated module can import it (minirnn.primitive made it, of arrays and plain numbers), and otherwise
refused by name.
"""

import math
import sys
from collections.abc import Callable, Sequence
from typing import Any

import autograd.numpy  # noqa: F401  (sets up the wrapper below)
import numpy as np
from autograd.core import VSpace, sparse_add
from autograd.numpy import numpy_vjps
from autograd.numpy import numpy_wrapper as anp
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.tracer import trace_primitives_map

from minirnn import functional, primitive
from minirnn.compile.errors import CannotCompile
from minirnn.compile.ir import ELEMENTWISE, Node, const, make

__all__ = ["as_node", "lower"]

Lowered = Any  # a Node, or a tuple of them


def as_node(value: Any) -> Node:
    """A traced value, or a constant."""
    if isinstance(value, Node):
        return value
    if isinstance(value, (bool, int, float, np.ndarray, np.generic)):
        return const(value)
    raise CannotCompile(f"{type(value).__name__} came where an array was expected")


def lower(function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Lowered:
    """The node that the call computes. CannotCompile: the function is unknown, or is called in an unknown way."""
    known = _TABLE.get(function)
    if known is not None:
        return known(*args, **kwargs)
    return _opaque(function, args, kwargs)


# ---------------------------------------------------------------- elementwise
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


def _elementwise(op: str) -> Callable[..., Lowered]:
    def lowered(*operands: Any, **kwargs: Any) -> Lowered:
        if any(value is not None for value in kwargs.values()):
            raise CannotCompile(f"{op} with {', '.join(kwargs)}")
        return make(op, *map(as_node, operands))

    return lowered


def _as_bool(node: Node) -> Node:
    return node if node.dtype.kind == "b" else make("not_equal", node, const(0.0))


def _where(condition: Any, x: Any, y: Any) -> Lowered:
    return make("where", _as_bool(as_node(condition)), as_node(x), as_node(y))


def _clip(x: Any, a_min: Any = None, a_max: Any = None) -> Lowered:
    y = as_node(x)
    y = y if a_min is None else make("maximum", y, as_node(a_min))
    return y if a_max is None else make("minimum", y, as_node(a_max))


def _cast(x: Any, dtype: Any, *args: Any, **kwargs: Any) -> Lowered:
    x, dtype = as_node(x), np.dtype(dtype)
    return x if x.dtype == dtype else make("cast", x, attrs=(dtype,))


def _square(x: Any) -> Lowered:
    return make("mul", as_node(x), as_node(x))


def _multiply(a: Any, b: Any, **kwargs: Any) -> Lowered:
    """A product in which a mask stands as a number: as one."""
    a, b = as_node(a), as_node(b)
    for mask, other in ((a, b), (b, a)):
        if mask.dtype.kind == "b" and other.dtype.kind == "f":
            return make("mul", other, make("cast", mask, attrs=(other.dtype,)))
    return make("mul", a, b)


# ---------------------------------------------------------------- layout
def reshape(x: Node, shape: Sequence[int]) -> Node:
    return x if x.shape == tuple(shape) else make("reshape", x, attrs=tuple(map(int, shape)))


def transpose(x: Node, axes: Any) -> Node:
    return x if list(axes) == list(range(len(x.shape))) else make("transpose", x, attrs=tuple(map(int, axes)))


def _reshape(x: Any, shape: Any, *rest: Any, **kwargs: Any) -> Lowered:
    if rest or kwargs.get("order") not in (None, "C"):
        raise CannotCompile("reshape in another order than C")
    x = as_node(x)
    new: list[int] = [int(shape)] if isinstance(shape, (int, np.integer)) else list(shape)
    if -1 in new:
        known = math.prod([dim for dim in new if dim != -1])
        new[new.index(-1)] = math.prod(x.shape) // known
    return reshape(x, new)


def _transpose(x: Any, axes: Any = None) -> Lowered:
    x = as_node(x)
    count = len(x.shape)
    return transpose(x, range(count)[::-1] if axes is None else [int(axis) % count for axis in axes])


def _swapaxes(x: Any, first: int, second: int) -> Lowered:
    x = as_node(x)
    axes = list(range(len(x.shape)))
    axes[first], axes[second] = axes[second], axes[first]
    return transpose(x, axes)


def _moveaxis(x: Any, source: Any, destination: Any) -> Lowered:
    x = as_node(x)
    order = np.moveaxis(np.empty([1] * len(x.shape)), source, destination)  # checks the axes
    del order
    count = len(x.shape)
    sources, targets = ([a % count for a in np.atleast_1d(axes)] for axes in (source, destination))
    axes = [axis for axis in range(count) if axis not in sources]
    for target, axis in sorted(zip(targets, sources, strict=True)):
        axes.insert(target, axis)
    return transpose(x, axes)


def _expand_dims(x: Any, axis: Any) -> Lowered:
    x = as_node(x)
    count = len(x.shape) + len(np.atleast_1d(axis))
    at = {int(a) % count for a in np.atleast_1d(axis)}
    rest = iter(x.shape)
    return reshape(x, [1 if k in at else next(rest) for k in range(count)])


def _squeeze(x: Any, axis: Any = None) -> Lowered:
    x = as_node(x)
    gone = {k for k, dim in enumerate(x.shape) if dim == 1} if axis is None else _axes(x, axis)
    return reshape(x, [dim for k, dim in enumerate(x.shape) if k not in gone])


def _broadcast_to(x: Any, shape: Any, *args: Any, **kwargs: Any) -> Lowered:
    x = as_node(x)
    return x if x.shape == tuple(shape) else make("broadcast", x, attrs=tuple(map(int, shape)))


def _concatenate(axis: int, *parts: Any) -> Lowered:
    nodes = [as_node(part) for part in parts]
    return nodes[0] if len(nodes) == 1 else make("concat", *nodes, attrs=(axis % len(nodes[0].shape),))


def _stack(*parts: Any) -> Lowered:
    return _concatenate(0, *[reshape(node, (1, *node.shape)) for node in map(as_node, parts)])


def _split(x: Any, parts: Any, axis: int = 0) -> Lowered:
    x = as_node(x)
    size = x.shape[axis]
    cuts = [size * k // parts for k in range(1, parts)] if isinstance(parts, int) else [int(cut) for cut in parts]
    whole = [slice(None)] * len(x.shape)
    made = []
    for start, stop in zip([0, *cuts], [*cuts, size], strict=True):
        whole[axis] = slice(start, stop)
        made.append(_getitem(x, tuple(whole)))
    return tuple(made)


def index_parts(shape: Sequence[int], idx: Any) -> tuple[tuple[tuple[int, int, int], ...], tuple[int, ...]]:
    """A basic index as (start, stop, step) of every axis, and the shape that the result then has."""
    parts = list(idx) if isinstance(idx, tuple) else [idx]
    if any(not (p is None or p is Ellipsis or isinstance(p, (slice, int, np.integer))) for p in parts):
        raise CannotCompile("indexing by arrays; slices, integers and np.where can be compiled")
    if any(isinstance(p, bool) for p in parts):
        raise CannotCompile("indexing by a bool")
    used = sum(part is not None and part is not Ellipsis for part in parts)
    fill = [slice(None)] * (len(shape) - used)
    if Ellipsis in [part for part in parts if not isinstance(part, np.ndarray)]:
        at = parts.index(Ellipsis)
        parts[at : at + 1] = fill
    else:
        parts += fill
    slices, after, axis = [], [], 0
    for part in parts:
        if part is None:
            after.append(1)
            continue
        dim = shape[axis]
        axis += 1
        if isinstance(part, slice):
            start, stop, step = part.indices(dim)
            slices.append((start, stop, step))
            after.append(len(range(start, stop, step)))
        else:
            k = int(part) % dim if -dim <= part < dim else None
            if k is None:
                raise IndexError(f"index {part} of an axis of {dim}")
            slices.append((k, k + 1, 1))
    return tuple(slices), tuple(after)


def _getitem(x: Any, idx: Any) -> Lowered:
    if isinstance(x, tuple):
        return x[idx]
    x = as_node(x)
    slices, after = index_parts(x.shape, idx)
    whole = all(part == (0, dim, 1) for part, dim in zip(slices, x.shape, strict=True))
    return reshape(x if whole else make("slice", x, attrs=slices), after)


def _put(g: Any, idx: Any, space: Any) -> Lowered:
    """g in zeros of the shape of the vector space: the derivative of _getitem."""
    g = as_node(g)
    slices, _ = index_parts(space.shape, idx)
    inner = reshape(g, [len(range(*part)) for part in slices])
    whole = all(part == (0, dim, 1) for part, dim in zip(slices, space.shape, strict=True))
    return inner if whole else make("put", inner, attrs=(tuple(space.shape), *slices))


# ---------------------------------------------------------------- reductions
def _axes(x: Node, axis: Any) -> set[int]:
    count = len(x.shape)
    return set(range(count)) if axis is None else {int(a) % count for a in np.atleast_1d(axis)}


def _reduction(op: str) -> Callable[..., Lowered]:
    def lowered(x: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Lowered:
        x = as_node(x)
        if x.dtype.kind == "b":
            x = make("cast", x, attrs=(np.dtype(np.int64),))
        axes = _axes(x, axis)
        gone = tuple(sorted(k for k in axes if x.shape[k] != 1))
        y = make(op, x, attrs=gone) if gone else x
        kept = [1 if k in axes else dim for k, dim in enumerate(x.shape) if keepdims or k not in axes]
        return reshape(y, kept)

    return lowered


_sum = _reduction("sum")


def _mean(x: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: Any = False) -> Lowered:
    x = as_node(x)
    count = float(math.prod([x.shape[k] for k in _axes(x, axis)]))
    return make("div", _sum(x, axis, keepdims=keepdims), const(count))


def _var(x: Any, axis: Any = None, dtype: Any = None, out: Any = None, ddof: int = 0, keepdims: Any = False) -> Lowered:
    x = as_node(x)
    centred = make("sub", x, _mean(x, axis, keepdims=True))
    count = float(math.prod([x.shape[k] for k in _axes(x, axis)])) - ddof
    return make("div", _sum(make("mul", centred, centred), axis, keepdims=keepdims), const(count))


def _logsumexp(x: Any, axis: int = -1, keepdims: bool = False) -> Lowered:
    x = as_node(x)
    top = _reduction("amax")(x, axis, keepdims=True)
    top = make("where", make("isfinite", top), top, const(0.0))
    y = make("add", top, make("log", _sum(make("exp", make("sub", x, top)), axis, keepdims=True)))
    return y if keepdims else _squeeze(y, axis)


def _log_softmax(x: Any, axis: int = -1) -> Lowered:
    x = as_node(x)
    return make("sub", x, _logsumexp(x, axis, keepdims=True))


def _softmax(x: Any, axis: int = -1) -> Lowered:
    return make("exp", _log_softmax(x, axis))


# ---------------------------------------------------------------- products
def _tensordot(a: Any, b: Any, axes: Any = 2) -> Lowered:
    """A contraction, as one product of matrices."""
    a, b = as_node(a), as_node(b)
    if isinstance(axes, (int, np.integer)):
        of_a, of_b = list(range(len(a.shape) - axes, len(a.shape))), list(range(axes))
    else:
        of_a, of_b = ([int(k) % len(n.shape) for k in np.atleast_1d(s)] for n, s in zip((a, b), axes, strict=True))
    free_a = [k for k in range(len(a.shape)) if k not in of_a]
    free_b = [k for k in range(len(b.shape)) if k not in of_b]
    size = math.prod([a.shape[k] for k in of_a])
    left, right = [a.shape[k] for k in free_a], [b.shape[k] for k in free_b]
    rows, columns = math.prod(left), math.prod(right)
    turned_a, turned_b = of_a == list(range(len(of_a))), of_b == list(range(len(free_b), len(b.shape)))
    # where what is summed over stands in front, that is a flag of the product, and nothing moves
    first = reshape(a, (size, rows)) if turned_a else reshape(transpose(a, free_a + of_a), (rows, size))
    if turned_b and free_b:
        second = reshape(b, (columns, size))
    else:
        turned_b, second = False, reshape(transpose(b, of_b + free_b), (size, columns))
    return reshape(make("matmul", first, second, attrs=(turned_a, turned_b)), left + right)


def _dot(a: Any, b: Any, **kwargs: Any) -> Lowered:
    a, b = as_node(a), as_node(b)
    if not a.shape or not b.shape:
        return make("mul", a, b)
    return _tensordot(a, b, ([len(a.shape) - 1], [max(0, len(b.shape) - 2)]))


def _matmul(a: Any, b: Any, **kwargs: Any) -> Lowered:
    a, b = as_node(a), as_node(b)
    if len(b.shape) <= 2:
        return _dot(a, b)
    if len(a.shape) == 1:
        return _squeeze(_matmul(reshape(a, (1, *a.shape)), b), -2)
    letters = "abcdefgh"[: max(len(a.shape), len(b.shape)) - 2]
    of_a, of_b = letters[len(letters) - len(a.shape) + 2 :], letters[len(letters) - len(b.shape) + 2 :]
    return _einsum(f"{of_a}ij,{of_b}jk->{letters}ik", a, b)


def _einsum(text: Any, *operands: Any, **kwargs: Any) -> Lowered:
    nodes = [as_node(operand) for operand in operands]
    if not isinstance(text, str) or "." in text or any(value for value in kwargs.values()):
        raise CannotCompile("einsum with anything but letters")
    text = text.replace(" ", "")
    if "->" not in text:
        raise CannotCompile("einsum without '->'")
    inputs = text.split("->")[0].split(",")
    if any(len(set(letters)) != len(letters) for letters in inputs):
        raise CannotCompile("einsum with a letter twice in an operand")
    return make("einsum", *nodes, attrs=(text,))


def _linear(x: Any, weight: Any, bias: Any = None) -> Lowered:
    x, weight = as_node(x), as_node(weight)
    rows = reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))
    y = reshape(make("matmul", rows, weight, attrs=(False, True)), (*x.shape[:-1], weight.shape[0]))
    return y if bias is None else make("add", y, as_node(bias))


def _product(a: Any, b: Any) -> Lowered:
    return make("matmul", as_node(a), as_node(b), attrs=(False, False))


def _outer(a: Any, b: Any) -> Lowered:
    a, b = as_node(a), as_node(b)
    return make("mul", reshape(a, (a.shape[0], 1)), reshape(b, (1, b.shape[0])))


def _dot_adjoint_0(b: Any, g: Any, a_meta: Any, b_meta: Any) -> Lowered:
    b, g, a_ndim, b_ndim = as_node(b), as_node(g), a_meta[1], b_meta[1]
    if b_ndim <= 1 or a_ndim == 0:
        return _tensordot(g, b, max(0, b_ndim - (a_ndim != 0)))
    return _tensordot(g, _swapaxes(b, -1, -2), b_ndim - 1)


def _dot_adjoint_1(a: Any, g: Any, a_meta: Any, b_meta: Any) -> Lowered:
    a, g, a_ndim, b_ndim = as_node(a), as_node(g), a_meta[1], b_meta[1]
    if a_ndim <= 1 or b_ndim == 0:
        out = _tensordot(g, a, max(0, a_ndim - (b_ndim != 0)))
    else:
        out = _tensordot(g, a, [range(-a_ndim - b_ndim + 2, -b_ndim + 1), range(a_ndim - 1)])
    return _swapaxes(out, -1, -2) if b_ndim > 1 and a_ndim != 0 else out


def _tensordot_adjoint_0(b: Any, g: Any, axes: Any, a_ndim: int, b_ndim: int) -> Lowered:
    b, g = as_node(b), as_node(g)
    if isinstance(axes, int):
        return _tensordot(g, b, [range(a_ndim - axes, len(g.shape)), range(axes, b_ndim)])
    of_a, of_b = ([int(k) % n for k in np.atleast_1d(s)] for s, n in zip(axes, (a_ndim, b_ndim), strict=True))
    free_a, free_b = ([k for k in range(n) if k not in s] for s, n in ((of_a, a_ndim), (of_b, b_ndim)))
    out = _tensordot(g, b, [range(len(free_a), len(g.shape)), free_b])
    return transpose(out, np.argsort(np.concatenate((free_a, np.array(of_a)[np.argsort(of_b)])).astype(int)))


def _tensordot_adjoint_1(a: Any, g: Any, axes: Any, a_ndim: int, b_ndim: int) -> Lowered:
    a, g = as_node(a), as_node(g)
    if isinstance(axes, int):
        return _tensordot(a, g, [range(a_ndim - axes), range(a_ndim - axes)])
    of_a, of_b = ([int(k) % n for k in np.atleast_1d(s)] for s, n in zip(axes, (a_ndim, b_ndim), strict=True))
    free_a, free_b = ([k for k in range(n) if k not in s] for s, n in ((of_a, a_ndim), (of_b, b_ndim)))
    out = _tensordot(a, g, [free_a, range(len(free_a))])
    return transpose(out, np.argsort(np.concatenate((np.array(of_b)[np.argsort(of_a)], free_b)).astype(int)))


# ---------------------------------------------------------------- what derivative rules call
def _sparse_add(space: Any, total: Any, new: Any) -> Lowered:
    return as_node(new) if total is None else make("add", as_node(total), as_node(new))


def _same(x: Any, *args: Any, **kwargs: Any) -> Lowered:
    return as_node(x)


def _zeros_like(x: Any, *args: Any, **kwargs: Any) -> Lowered:
    x = as_node(x)
    return make("broadcast", const(0.0), attrs=x.shape, dtype=x.dtype)


def _ones_like(x: Any, *args: Any, **kwargs: Any) -> Lowered:
    x = as_node(x)
    return make("broadcast", const(1.0), attrs=x.shape, dtype=x.dtype)


def _array(args: Any, kwargs: Any, value: Any) -> Lowered:
    if args or set(kwargs) - {"copy"}:
        raise CannotCompile("np.array with options")
    return as_node(value)


def _take(values: Any, k: Any) -> Lowered:
    return values[k]


_TABLE: dict[Any, Callable[..., Lowered]] = {
    **{getattr(anp, name): _elementwise(op) for name, op in _NAMES.items()},
    anp.multiply: _multiply,
    trace_primitives_map[np.where]: _where,  # autograd.numpy.where stands before it
    anp.clip: _clip,
    anp.square: _square,
    anp.reciprocal: lambda x: make("div", const(1.0), as_node(x)),
    anp._astype: _cast,
    anp.real: _same,
    anp.conj: _same,
    anp.conjugate: _same,
    anp.copy: _same,
    anp.zeros_like: _zeros_like,
    anp.ones_like: _ones_like,
    anp._array_from_scalar_or_array: _array,
    anp.array_from_args: lambda args, kwargs, *parts: _stack(*parts),
    functional.sigmoid: _elementwise("sigmoid"),
    functional.softplus: _elementwise("softplus"),
    functional.relu: lambda x: make("maximum", as_node(x), const(0.0)),
    functional.linear: _linear,
    functional.product: _product,
    functional.logsumexp: _logsumexp,
    functional.log_softmax: _log_softmax,
    functional.softmax: _softmax,
    functional._stack: _stack,
    anp.reshape: _reshape,
    anp.ravel: lambda x, order=None: _reshape(x, -1),
    anp.transpose: _transpose,
    anp.swapaxes: _swapaxes,
    anp.moveaxis: _moveaxis,
    anp.expand_dims: _expand_dims,
    anp.squeeze: _squeeze,
    anp.broadcast_to: _broadcast_to,
    anp.concatenate_args: _concatenate,
    anp.split: _split,
    ArrayBox.__getitem__: _getitem,
    primitive._put: _put,
    anp.sum: _sum,
    anp.max: _reduction("amax"),
    anp.amax: _reduction("amax"),
    anp.min: _reduction("amin"),
    anp.amin: _reduction("amin"),
    anp.prod: _reduction("prod"),
    anp._primitive_mean: _mean,
    anp._primitive_var: _var,
    anp._primitive_std: lambda *args, **kwargs: make("sqrt", _var(*args, **kwargs)),
    anp.dot: _dot,
    anp.matmul: _matmul,
    anp.tensordot: _tensordot,
    anp.inner: lambda a, b: _tensordot(a, b, ([-1], [-1])),
    anp.outer: _outer,
    anp.einsum: _einsum,
    numpy_vjps.dot_adjoint_0: _dot_adjoint_0,
    numpy_vjps.dot_adjoint_1: _dot_adjoint_1,
    numpy_vjps.tensordot_adjoint_0: _tensordot_adjoint_0,
    numpy_vjps.tensordot_adjoint_1: _tensordot_adjoint_1,
    sparse_add: _sparse_add,
    VSpace.add: _sparse_add,
    VSpace.mut_add: _sparse_add,
}
_TABLE |= {getattr(anp, name): _elementwise(name) for name in ("isfinite", "isnan") if hasattr(anp, name)}


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
