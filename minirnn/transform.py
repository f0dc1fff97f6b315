"""grad, value_and_grad, vjp, jvp, hvp, jacobian, stop_gradient: derivatives of functions of Modules and arrays.

A differentiated argument is a Module, a float array, or a tuple, list, dict or NamedTuple of those. A gradient has its
argument's nesting, with a Module's gradient a dict keyed like `model.parameters()`. The transforms compose: hvp is
forward over reverse.

autograd records the trace; the trace's life (minirnn.boxes), the roots and the backward pass are ours: one root for
every distinct array is several times cheaper than autograd's containers, and no box outlives its trace.
"""

import warnings
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, NamedTuple

import autograd.numpy as np
import numpy as onp
from autograd.core import JVPNode, VJPNode, sparse_add, sparse_object_types, vspace
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.tracer import isbox, notrace_primitives
from autograd.util import toposort

from minirnn import rules, tree  # noqa: F401  (rules registers itself)
from minirnn.arguments import Argnums, Arrays, select
from minirnn.boxes import StaleBoxError, check_alive, dtype_of, new_trace, shape_of, unboxed
from minirnn.primitive import jvp_rule, vjp_rule
from minirnn.unchanged import Watch, watched

__all__ = [
    "StaleBoxError",
    "UnreachedWarning",
    "grad",
    "hvp",
    "jacobian",
    "jvp",
    "stop_gradient",
    "value_and_grad",
    "vjp",
]

Function = Callable[..., Any]


class UnreachedWarning(UserWarning):
    """The differentiated value does not depend on some of the arguments; their gradient is zero."""


# ---------------------------------------------------------------- nodes
class _ReverseNode(VJPNode):  # type: ignore[misc]
    """autograd's node, with our rules first, and the dtype that its cotangent must have."""

    __slots__ = ("dtype", "value")  # value: a root's only

    def __init__(self, value: Any, fun: Any, args: Any, kwargs: Any, argnums: Any, parents: Any):
        self.parents = parents  # type: ignore[misc]
        self.vjp = vjp_rule(fun)(argnums, value, args, kwargs)  # type: ignore[misc]
        self.dtype = getattr(unboxed(value), "dtype", None)

    @classmethod
    def root(cls, value: Any) -> "_ReverseNode":
        node = cls.__new__(cls)
        node.parents, node.vjp, node.dtype, node.value = (), None, dtype_of(value), value
        return node


class _ForwardNode(JVPNode):  # type: ignore[misc]
    __slots__ = ()

    def __init__(self, value: Any, fun: Any, args: Any, kwargs: Any, argnums: Any, parents: Any):
        tangent = jvp_rule(fun)(argnums, [parent.g for parent in parents], value, args, kwargs)
        self.g = _as_dtype(tangent, getattr(value, "dtype", None))  # type: ignore[misc]


_WatchedNode = watched(_ReverseNode)
notrace_primitives[_ReverseNode] = notrace_primitives[_WatchedNode] = notrace_primitives[VJPNode]
notrace_primitives[_ForwardNode] = notrace_primitives[JVPNode]


def _as_dtype(g: Any, dtype: Any) -> Any:
    """g in its value's dtype: some of autograd's rules promote float32 to float64."""
    found = getattr(g, "dtype", None)
    return g if dtype is None or found is None or found == dtype else g.astype(dtype)


# ---------------------------------------------------------------- reverse mode
class _Recorded(NamedTuple):
    """A function's output, unboxed, and the graph behind it."""

    roots: list[_ReverseNode]
    output: Any
    leaves: list[Any]
    nodes: list[_ReverseNode | None]


def _record(function: Callable[[Any], Any], arrays: Arrays, watch: Watch | None = None) -> _Recorded:
    for name, value in zip(arrays.names, arrays.values, strict=True):
        if isbox(value):
            check_alive(value, name)
    roots = [(_ReverseNode if watch is None else _WatchedNode).root(value) for value in arrays.values]
    if watch is not None:
        watch.begin(arrays.names, arrays.values, roots)
    with new_trace() as number:
        boxes = [ArrayBox(value, number, root) for value, root in zip(arrays.values, roots, strict=True)]
        output = function(arrays.rebuild(boxes))
        leaves, rebuild = tree.flatten(output)
        nodes: list[_ReverseNode | None] = []
        for i, leaf in enumerate(leaves):
            inside = isbox(leaf) and leaf._trace == number
            nodes.append(leaf._node if inside else None)
            if inside:
                leaves[i] = leaf._value
            if isbox(leaves[i]):
                check_alive(leaves[i], "the result")
        return _Recorded(roots, rebuild(leaves), leaves, nodes)


class _Ends:
    """A node above all outputs, where the backward pass begins."""

    def __init__(self, parents: list[_ReverseNode]):
        self.parents = parents


def _backward(recorded: _Recorded, cotangents: Sequence[Any]) -> list[Any]:
    """The cotangent of each root; None where none arrives."""
    totals: dict[Any, tuple[Any, bool]] = {}
    seeds = [(n, g) for n, g in zip(recorded.nodes, cotangents, strict=True) if n is not None and g is not None]
    for node, g in seeds:
        _accumulate(totals, node, g)
    ends = _Ends([node for node, _ in seeds])
    for node in toposort(ends):
        if node is ends or node.vjp is None:
            continue
        total = totals.pop(node)[0]
        new = getattr(node.vjp, "makes_new_arrays", False)
        for parent, g in zip(node.parents, node.vjp(total), strict=True):
            _accumulate(totals, parent, g, new)
    return [_own(totals.get(root), root) for root in recorded.roots]


def _accumulate(totals: dict[Any, tuple[Any, bool]], node: Any, g: Any, new: bool = False) -> None:
    """Add g to the node's total; a total that nobody else holds (`new`, or made here) is added to in place."""
    previous, ours = totals.get(node, (None, False))
    if type(g) in sparse_object_types:
        space = vspace(g)
        start = previous if ours or previous is None else space.mut_add(None, previous)
        totals[node] = sparse_add(space, start, g), True
    elif previous is None:
        totals[node] = _as_dtype(g, node.dtype), new
    elif ours and type(previous) is onp.ndarray and type(g) is onp.ndarray:
        previous += g
    elif isinstance(g, (onp.ndarray, onp.generic, float, ArrayBox)):
        totals[node] = _as_dtype(previous + g, node.dtype), True
    else:
        totals[node] = vspace(g).add(previous, g), True


def _own(total: tuple[Any, bool] | None, root: _ReverseNode) -> Any:
    """A root's gradient as an array that shares memory with nothing."""
    if total is None:
        return None
    g, ours = total
    if shape_of(g) != shape_of(root.value):
        raise ValueError(f"a backward rule gave shape {shape_of(g)} for an array of shape {shape_of(root.value)}")
    if isbox(g):
        return g if ours else np.array(g)
    return g if ours and not isinstance(g, onp.generic) else onp.array(g)


def _gradient(recorded: _Recorded, cotangents: Sequence[Any], arrays: Arrays, warn_at: int | None) -> Any:
    """The gradient in its nesting, zeros where no cotangent arrives; `warn_at`: frames up to the user's call."""
    gradients = _backward(recorded, cotangents)
    unreached = [name for name, g in zip(arrays.names, gradients, strict=True) if g is None]
    if unreached:
        if warn_at is not None:
            message = f"the result does not depend on {', '.join(unreached)}: the gradient there is zero"
            warnings.warn(message, UnreachedWarning, stacklevel=warn_at + 1)
        for i, root in enumerate(recorded.roots):
            if gradients[i] is None:
                gradients[i] = onp.zeros(shape_of(root.value), root.dtype)
    return arrays.gradient(gradients)


def _scalar_loss_and_grad(
    fn: Function, argnums: Argnums, has_aux: bool, args: Any, kwargs: Any, warn_at: int | None
) -> tuple[Any, Any]:
    arrays, insert = select(argnums, args)
    recorded = _record(lambda new: fn(*insert(new), **kwargs), arrays)
    if has_aux and not (isinstance(recorded.output, tuple) and len(recorded.output) == 2):
        raise TypeError(f"has_aux=True: {type(recorded.output).__name__} came, the pair (loss, aux) was expected")
    loss = recorded.output[0] if has_aux else recorded.output
    shape, dtype = shape_of(loss), getattr(loss, "dtype", onp.result_type(type(loss)))
    if shape != () or dtype.kind != "f":
        raise TypeError(f"the loss has shape {shape} and dtype {dtype}; a float scalar was expected (sum or mean it)")
    seeds = [onp.ones((), dtype)] + [None] * (len(recorded.leaves) - 1)
    return recorded.output, _gradient(recorded, seeds, arrays, warn_at and warn_at + 1)


def value_and_grad(fn: Function, argnums: Argnums = 0, *, has_aux: bool = False) -> Function:
    """A function of fn's arguments that returns (fn(...), gradient); with `has_aux`, ((loss, aux), gradient).

    fn returns a scalar float loss, or with `has_aux` the pair (loss, aux), where aux is any nesting; it comes back as
    plain arrays. The gradient is with respect to the positional arguments `argnums`; a tuple of them gives a tuple.

    Where the loss does not reach an argument its gradient is zero, and one UnreachedWarning names all such.
    TypeError: a loss that is no float scalar, or an argument that cannot be differentiated.
    """

    @wraps(fn)
    def differentiated(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        return _scalar_loss_and_grad(fn, argnums, has_aux, args, kwargs, 2)

    return differentiated


def grad(fn: Function, argnums: Argnums = 0, *, has_aux: bool = False) -> Function:
    """As value_and_grad, returning the gradient alone; with `has_aux`, (gradient, aux)."""

    @wraps(fn)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        output, gradient = _scalar_loss_and_grad(fn, argnums, has_aux, args, kwargs, 2)
        return (gradient, output[1]) if has_aux else gradient

    return differentiated


def vjp(fn: Function, *primals: Any) -> tuple[Any, Function]:
    """(fn(*primals), pullback): pullback(cotangent), nested as fn's result, gives a tuple, one gradient a primal.

    The pullback may be called any number of times. ValueError: a cotangent of another nesting, shape or dtype; or a
    primal, or another array that fn read, was written to since, so that the point of the forward pass is gone (all that
    is read again is checked, by a checksum).
    """
    return _vjp(fn, primals, Watch(), warn_at=2)


def silent_vjp(fn: Function, *primals: Any) -> tuple[Any, Function]:
    """As vjp, for derivative rules, which pull at once: nothing is watched, and where fn does not reach a primal, its
    gradient is zero without a word."""
    return _vjp(fn, primals, None, warn_at=None)


def _vjp(fn: Function, primals: tuple[Any, ...], watch: Watch | None, warn_at: int | None) -> tuple[Any, Function]:
    arrays, insert = select(tuple(range(len(primals))), primals)
    recorded = _record(lambda new: fn(*insert(new)), arrays, watch)
    if watch is not None:
        recorded = _apart(recorded)

    def pullback(cotangent: Any) -> tuple[Any, ...]:
        cotangents = _like(recorded.output, cotangent, "the cotangent")
        if watch is not None:
            watch.check()
        return _gradient(recorded, cotangents, arrays, warn_at)

    return recorded.output, pullback


def _apart(recorded: _Recorded) -> _Recorded:
    """The same with an output that its caller may write into: rules read their results again."""
    pairs = zip(recorded.leaves, recorded.nodes, strict=True)
    leaves = [leaf.copy() if node and isinstance(leaf, onp.ndarray) else leaf for leaf, node in pairs]
    return recorded._replace(output=tree.flatten(recorded.output)[1](leaves), leaves=leaves)


def _like(expected: Any, nesting: Any, what: str) -> list[Any]:
    """The leaves of `nesting`, which must be nested, shaped and typed as `expected`."""

    def check(like: Any, value: Any) -> Any:
        shape, dtype = shape_of(like), dtype_of(like)
        if dtype.kind != "f":
            raise TypeError(f"{what}: an array of {dtype} cannot be differentiated; float arrays can")
        if shape_of(value) != shape:
            raise ValueError(f"{what} has shape {shape_of(value)}, {shape} was expected")
        if isinstance(value, (int, float)):
            return onp.asarray(value, dtype)
        if dtype_of(value) != dtype:
            raise ValueError(f"{what} has dtype {dtype_of(value)}, {dtype} was expected; astype makes it so")
        return value

    for path, leaf in tree.named_leaves(nesting):
        if isbox(leaf):
            check_alive(leaf, f"{what} {path}".rstrip())
    return tree.leaves(tree.map(check, expected, nesting))


def jacobian(fn: Function, argnums: Argnums = 0) -> Function:
    """A function of fn's arguments that returns d fn / d argument: fn's nesting of the argument's nestings.

    Each array has the shape of fn's array followed by the shape of the argument's. One backward pass for each number
    that fn returns.
    """

    @wraps(fn)
    def differentiated(*args: Any, **kwargs: Any) -> Any:
        arrays, insert = select(argnums, args)
        recorded = _record(lambda new: fn(*insert(new), **kwargs), arrays)
        return tree.flatten(recorded.output)[1]([_block(recorded, i, arrays) for i in range(len(recorded.leaves))])

    return differentiated


def _block(recorded: _Recorded, i: int, arrays: Arrays) -> Any:
    """The Jacobian of the i-th output array, row by row."""
    output = recorded.leaves[i]
    shape, rows = shape_of(output), []
    seeds: list[Any] = [None] * len(recorded.leaves)
    for j in range(int(onp.prod(shape))):
        seeds[i] = onp.zeros(shape, dtype_of(output))
        seeds[i].flat[j] = 1
        rows.append(_gradient(recorded, seeds, arrays, None))
    no_rows = arrays.gradient([onp.zeros((0, *shape_of(root.value)), root.dtype) for root in recorded.roots])

    def join(empty: Any, *below: Any) -> Any:
        return np.reshape(np.concatenate([empty, *[row[None] for row in below]]), (*shape, *shape_of(empty)[1:]))

    return tree.map(join, no_rows, *rows)


# ---------------------------------------------------------------- forward mode
def jvp(fn: Function, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
    """(fn(*primals), its derivative along `tangents`) in one forward pass.

    `tangents` holds one for each primal, nested as a gradient is: a Module's is a dict keyed like `model.parameters()`.
    ValueError: a tangent of another nesting, shape or dtype.
    """
    if len(primals) != len(tangents):
        raise ValueError(
            f"jvp: {len(primals)} primals and {len(tangents)} tangents came; one tangent a primal was expected"
        )
    arrays, insert = select(tuple(range(len(primals))), tuple(primals))
    moves = _like(arrays.gradient(arrays.values), tuple(tangents), "the tangent")
    with new_trace() as number:
        boxes = [
            ArrayBox(value, number, _ForwardNode.new_root(move))
            for value, move in zip(arrays.values, moves, strict=True)
        ]
        leaves, rebuild = tree.flatten(fn(*insert(arrays.rebuild(boxes))))
        values, moved = [], []
        for leaf in leaves:
            inside = isbox(leaf) and leaf._trace == number
            values.append(leaf._value if inside else leaf)
            moved.append(np.array(leaf._node.g) if inside else onp.zeros_like(leaf))
            check_alive((values[-1], moved[-1]), "the result")
        return rebuild(values), rebuild(moved)


def hvp(fn: Function, argnums: Argnums = 0) -> Function:
    """A function of (*args, vector) that returns the Hessian of fn times the vector, nested as the gradient.

    Forward over reverse, the gradient's derivative along the vector (Pearlmutter 1994, doi:10.1162/neco.1994.6.1.147).
    """

    @wraps(fn)
    def differentiated(*args_and_vector: Any, **kwargs: Any) -> Any:
        *args, vector = args_and_vector
        chosen = (argnums,) if isinstance(argnums, int) else tuple(argnums)
        _, insert = select(chosen, tuple(args))

        def gradient(*moved: Any) -> Any:
            return _scalar_loss_and_grad(fn, argnums, False, insert(moved), kwargs, None)[1]

        vectors = (vector,) if isinstance(argnums, int) else tuple(vector)
        return jvp(gradient, [args[i] for i in chosen], vectors)[1]

    return differentiated


def stop_gradient(nesting: Any) -> Any:
    """The same values as constants: no derivative of any order flows through them."""

    return tree.map(unboxed, nesting)
