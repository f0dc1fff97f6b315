"""From a cell to the graph of its step and of that step's derivative.

The step runs once with every array of cell, state and input boxed, in a trace of autograd that only writes down what is
called; inside it minirnn's own vjp differentiates the step, and its backward pass is written down the same way. So the
derivative in the graph is the one that the engine "python" computes, rule for rule.

This is done twice, with batches of two sizes and other numbers in the arrays. What differs between the two tells what
depends on the batch. Where rows of the batch meet, a third size must agree: a number may differ as the sizes do (that
of rows, in a mean over them), and rows may be named by number. Any other constant that differs would be a value that a
trace cannot see, and is refused.
"""

import os
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.tracer import Node as TracedNode
from autograd.tracer import isbox

from minirnn import tree, untraced
from minirnn.boxes import new_trace, unboxed
from minirnn.compile.errors import CannotCompile
from minirnn.compile.ir import BATCH, Graph, Node, concrete, const, input_node, make, size_value
from minirnn.compile.lower import lower
from minirnn.compile.place import is_row_wise
from minirnn.compile.when import when
from minirnn.transform import silent_vjp

__all__ = ["Signature", "Traced", "signature_of", "trace"]

BATCHES = (3, 5, 19)
_PLUS = 2  # what a number may have beside a multiple of the batch: mean(..., ddof=1)


class Leaf(NamedTuple):
    """One array of the arguments: its path, its shape without T and with BATCH for the batch, its dtype."""

    name: str
    shape: tuple[int, ...]
    dtype: Any


class Signature(NamedTuple):
    parameters: tuple[Leaf, ...]
    states: tuple[Leaf, ...]
    inputs: tuple[Leaf, ...]


class Traced(NamedTuple):
    """The graph, and what its outputs are: `outputs` are the leaves of a step's output, in the nesting `rebuild`."""

    graph: Graph
    signature: Signature
    outputs: tuple[Leaf, ...]
    rebuild: Callable[..., Any]


def signature_of(cell: Any, state: Any, xs: Any) -> Signature:
    """Shapes and dtypes of a call of scan."""

    def leaves(nesting: Any, cut: int, batch: bool) -> tuple[Leaf, ...]:
        made = []
        for name, leaf in tree.named_leaves(nesting):
            leaf = unboxed(leaf)
            shape = np.shape(leaf)[cut:]
            made.append(Leaf(name, (BATCH, *shape[1:]) if batch else shape, np.asarray(leaf).dtype))
        return tuple(made)

    return Signature(leaves(cell, 0, False), leaves(state, 0, True), leaves(xs, 1, True))


def trace(cell: Any, state: Any, xs: Any) -> Traced:
    """The graph of the cell's step and of its derivative. CannotCompile: says what stands in the way.

    Outputs of the graph: ("state", path) and ("output", path); and for every float array ("d_state", path), ("d_input",
    path), ("d_parameter", path), of the cotangents ("d_state", path) and ("d_output", path) among its inputs.
    """
    signature = signature_of(cell, state, xs)
    rebuild = tree.flatten(cell)[1], tree.flatten(state)[1], tree.flatten(xs)[1]
    values = [unboxed(leaf) for leaf in tree.leaves(cell)]
    try:
        first, second = (_record(signature, rebuild, values, batch) for batch in BATCHES[:2])
    except CannotCompile:
        raise
    except Exception as error:  # the step, whatever it does, on traced arrays
        raise CannotCompile(untraced.cause(error)) from error
    third = lambda: _record(signature, rebuild, values, BATCHES[2], low=-0.9).graph
    graph = _generalised(first.graph, second.graph, third)
    outputs = tuple([leaf._replace(shape=graph.outputs["output", leaf.name].shape) for leaf in first.outputs])
    for leaf in signature.states:
        new = graph.outputs["state", leaf.name]
        if (new.shape, new.dtype) != (leaf.shape, leaf.dtype):
            raise CannotCompile(f"the state {leaf.name} does not keep its shape and dtype")
    for leaf in outputs:
        if leaf.shape[:1] != (BATCH,):
            raise CannotCompile(f"the output {leaf.name} has no batch axis in front")
    return Traced(graph, signature, outputs, first.rebuild)


# ---------------------------------------------------------------- recording
class _Recorder(TracedNode):  # type: ignore[misc]
    """What autograd calls for every function of a traced array."""

    __slots__ = ("ir",)

    def __init__(self, value: Any, fun: Any, args: Any, kwargs: Any, parent_argnums: Any, parents: Any):
        given = list(args)
        for k, parent in zip(parent_argnums, parents, strict=True):
            given[k] = parent.ir
        found = lower(fun, given, kwargs)
        if isinstance(found, tuple) and found and found[0] == "call":
            _, module, name, places, nodes = found
            attrs = (module, name, np.shape(value), *places)
            found = make("call", *nodes, attrs=attrs, dtype=value.dtype)
        if isinstance(found, Node) and isinstance(value, np.ndarray) and found.shape != value.shape:
            name = getattr(fun, "__name__", str(fun))
            raise CannotCompile(f"{name} gives shape {value.shape}, and its translation {found.shape}")
        self.ir = found

    @classmethod
    def root(cls, node: Node) -> "_Recorder":
        made = cls.__new__(cls)
        made.ir = node
        return made


def _is_recorded(value: Any) -> bool:
    while isbox(value):
        if type(value._node) is _Recorder:
            return True
        value = value._value
    return False


def _branch(box: Any) -> bool:
    """bool(box): a branch on a value that a trace does not know is refused, with the line that takes it."""
    if _is_recorded(box):
        stack = traceback.extract_stack()[:-1]
        if f"{os.sep}numpy{os.sep}" in stack[-1].filename:
            raise CannotCompile(f"{untraced.PLAIN_NUMPY} ({untraced.users_line(stack)})")
        raise CannotCompile(f"it branches on the value of an array; use np.where ({untraced.users_line(stack)})")
    return bool(box._value)


ArrayBox.__bool__ = _branch
for _kind in (np.bool, np.int32, np.int64):  # of a whole array's sum or comparison, which only a recording boxes
    ArrayBox.register(_kind)


class _Recording(NamedTuple):
    graph: Graph
    outputs: tuple[Leaf, ...]
    rebuild: Callable[..., Any]


def _record(
    signature: Signature, rebuild: Sequence[Any], cell_values: Sequence[Any], batch: int, low: float = 0.1
) -> _Recording:
    """The step and its derivative at one size of the batch, with numbers drawn anew."""
    rng = np.random.default_rng(batch)
    with new_trace() as number, np.errstate(all="ignore"):
        nodes: list[Node] = []

        def boxed(kind: str, leaf: Leaf, like: Any = None) -> Any:
            shape = tuple([batch if dim == BATCH else dim for dim in leaf.shape])
            if leaf.dtype.kind == "f":
                value = rng.uniform(low, 0.9, shape).astype(leaf.dtype)
            else:
                value = np.ones(shape, leaf.dtype) if like is None else np.array(like)
            nodes.append(input_node(kind, leaf.name, shape, leaf.dtype))
            return ArrayBox(value, number, _Recorder.root(nodes[-1]))

        arguments = [boxed("parameter", leaf, v) for leaf, v in zip(signature.parameters, cell_values, strict=True)]
        arguments += [boxed("state", leaf) for leaf in signature.states]
        arguments += [boxed("input", leaf) for leaf in signature.inputs]
        moving = [k for k, box in enumerate(arguments) if box.dtype.kind == "f"]
        counts = len(signature.parameters), len(signature.parameters) + len(signature.states)
        shown: dict[str, Any] = {}

        def step(*moved: Any) -> tuple[Any, ...]:
            given = list(arguments)
            for k, box in zip(moving, moved, strict=True):
                given[k] = box
            parts = given[: counts[0]], given[counts[0] : counts[1]], given[counts[1] :]
            cell, state, x = (put(part) for put, part in zip(rebuild, parts, strict=True))
            new, output = cell.step(state, x)
            states, outputs = list(tree.named_leaves(new)), list(tree.named_leaves(output))
            if any(_dtype(leaf).kind == "O" for _, leaf in (*states, *outputs)):
                raise CannotCompile(untraced.PLAIN_NUMPY)
            if [name for name, _ in states] != [leaf.name for leaf in signature.states]:
                raise CannotCompile("the step returns a state of another nesting")
            shown["rebuild"] = tree.flatten(output)[1]
            results = [("state", *named) for named in states] + [("output", *named) for named in outputs]
            shown["all"] = [(kind, name, _outside(leaf)) for kind, name, leaf in results]
            shown["float"] = [(kind, name, leaf) for kind, name, leaf in results if _dtype(leaf).kind == "f"]
            return tuple([leaf for _, _, leaf in shown["float"]])

        values, pullback = silent_vjp(step, *[arguments[k] for k in moving])
        cotangents = [
            boxed(f"d_{kind}", Leaf(name, np.shape(unboxed(value)), _dtype(value)))
            for (kind, name, _), value in zip(shown["float"], values, strict=True)
        ]
        gradients = pullback(tuple(cotangents))
        outputs = {(kind, name): _node(value) for kind, name, value in shown["all"]}
        names = [("d_parameter", leaf.name) for leaf in signature.parameters]
        names += [("d_state", leaf.name) for leaf in signature.states]
        names += [("d_input", leaf.name) for leaf in signature.inputs]
        outputs |= {names[k]: _node(g) for k, g in zip(moving, gradients, strict=True)}
        leaves = [Leaf(name, (), _dtype(leaf)) for kind, name, leaf in shown["all"] if kind == "output"]
        return _Recording(Graph(tuple(nodes), outputs), tuple(leaves), shown["rebuild"])


def _dtype(value: Any) -> Any:
    return np.asarray(unboxed(value)).dtype


def _outside(value: Any) -> Any:
    """The recorded box within the box of the inner trace."""
    while isbox(value) and type(value._node) is not _Recorder:
        value = value._value
    return value


def _node(value: Any) -> Node:
    value = _outside(value)
    node: Node = value._node.ir if isbox(value) else const(value)
    if not isbox(value) and np.ndim(value):
        node = const(np.asarray(value))
    dtype = _dtype(value)
    return node if node.dtype == dtype else make("cast", node, attrs=(dtype,))


# ---------------------------------------------------------------- the size of the batch
def _generalised(first: Graph, second: Graph, third: Callable[[], Graph]) -> Graph:
    """One graph for every batch, of the two recorded ones; the third is asked where a number follows the batch."""
    these, those = first.nodes(), second.nodes()
    if len(these) != len(those) or list(first.outputs) != list(second.outputs):
        raise CannotCompile("the step takes another course at another size of the batch")
    new: dict[Node, Node] = {}
    for a, b in zip(first.inputs, second.inputs, strict=True):
        new[a] = Node("input", (), a.attrs, _symbolic(a.shape, b.shape), a.dtype)
    sources, others = _sources(these), _sources(those)
    if _ends(first) != _ends(second):
        raise CannotCompile("the step takes another course at another size of the batch")
    for k, (a, b) in enumerate(zip(these, those, strict=True)):
        if a.op != b.op or sources[k] != others[k] or (a in new and a.attrs != b.attrs):
            raise CannotCompile(f"the step takes another course at another size of the batch (at its {k}th operation)")
        if a in new:
            continue
        if a.op == "const":
            new[a] = _constant(a, b)
            continue
        operands = tuple([new[operand] for operand in a.operands])
        attrs = _symbolic_attrs(a.attrs, b.attrs)
        new[a] = Node(a.op, operands, attrs, _symbolic(a.shape, b.shape), a.dtype)
    graph = Graph(tuple([new[a] for a in first.inputs]), {key: new[node] for key, node in first.outputs.items()})
    if any(node.op == "size" for node in new.values()) or not is_row_wise(graph, when(graph)):
        other = third()
        _check([new[a] for a in these], other.nodes(), BATCHES[2])
        if _ends(first) != _ends(other):
            raise CannotCompile("the step takes another course at another size of the batch")
    return graph


def _sources(nodes: Sequence[Node]) -> list[list[int | None]]:
    """For each node, where its operands stand among the nodes."""
    place = {node: k for k, node in enumerate(nodes)}
    return [[place.get(operand) for operand in node.operands] for node in nodes]


def _ends(graph: Graph) -> list[int]:
    """Where the outputs stand among the nodes."""
    place = {node: k for k, node in enumerate(graph.nodes())}
    return [place[node] for node in graph.outputs.values()]


def _check(nodes: Sequence[Node], seen: Sequence[Node], batch: int) -> None:
    """Refuse a graph that is not what was recorded at another size of the batch."""
    if len(nodes) != len(seen):
        raise CannotCompile("the step takes another course at another size of the batch")
    for node, other, sources, others in zip(nodes, seen, _sources(nodes), _sources(seen), strict=True):
        if other.op != "const" and sources != others:
            raise CannotCompile("the step takes another course at another size of the batch")
        if node.op == "size" and (other.op != "const" or other.attrs[0] != size_value(node.attrs, batch)):
            raise CannotCompile(_LEAVES)
        same = other.op == "const" or (node.op == other.op and _at(node.attrs, batch) == other.attrs)
        if concrete(node.shape, batch) != other.shape or not same:
            raise CannotCompile("it takes rows of the batch by numbers that do not follow the size of the batch")


def _at(attrs: Any, batch: int) -> Any:
    """A node's attributes at a size of the batch."""
    if isinstance(attrs, tuple):
        return tuple([_at(part, batch) for part in attrs])
    return concrete((attrs,), batch)[0] if type(attrs) is int else attrs


_LEAVES = "a value leaves its trace (stop_gradient, float(...), np.asarray, or random numbers inside the step)"


def _constant(a: Node, b: Node) -> Node:
    """A constant that is the same in both recordings, or one number throughout, in a shape with a batch."""
    x, y = np.asarray(a.attrs[0]), np.asarray(b.attrs[0])
    if x.shape == y.shape and np.array_equal(x, y, equal_nan=x.dtype.kind == "f"):
        if x.ndim and x.size and (x == x.flat[0]).all():
            return make("broadcast", const(x.flat[0].item()), attrs=x.shape, dtype=x.dtype)
        return a
    if x.size == y.size == 0:
        return make("broadcast", const(0.0), attrs=_symbolic(x.shape, y.shape), dtype=x.dtype)
    if x.size and y.size and x.shape != y.shape and (x == x.flat[0]).all() and (y == x.flat[0]).all():
        return make("broadcast", const(x.flat[0].item()), attrs=_symbolic(x.shape, y.shape), dtype=x.dtype)
    if x.ndim == y.ndim == 0 and {x.dtype.kind, y.dtype.kind} <= set("if"):
        return _size(x.item(), y.item(), x.dtype)
    raise CannotCompile(_LEAVES)


def _size(x: float, y: float, dtype: Any) -> Node:
    """The number that is x and y at the two sizes of the batch, where it is a multiple of that, or 1 over one."""
    for power in (1, -1):
        if power == -1 and (0 in (x, y) or dtype.kind != "f"):
            break
        many = round((y**power - x**power) / (BATCHES[1] - BATCHES[0]))
        attrs = (many, round(x**power) - many * BATCHES[0], power)
        exact = many > 0 and abs(attrs[1]) <= _PLUS
        if exact and (x, y) == (size_value(attrs, BATCHES[0]), size_value(attrs, BATCHES[1])):
            return Node("size", (), attrs, (), dtype)
    raise CannotCompile(_LEAVES)


def _symbolic(a: Sequence[int], b: Sequence[int]) -> tuple[int, ...]:
    if len(a) != len(b):
        raise CannotCompile("an array's number of axes depends on the batch")
    return tuple([_symbol(x, y) for x, y in zip(a, b, strict=True)])


def _symbol(x: int, y: int) -> int:
    """The number that is x at the first size of the batch and y at the second."""
    if x == y:
        return x
    times, rest = divmod(y - x, BATCHES[1] - BATCHES[0])
    if rest or times < 1 or x != times * BATCHES[0]:
        raise CannotCompile(f"a size is {x} and {y} at batches of {BATCHES[0]} and {BATCHES[1]}, no multiple of them")
    return times * BATCH


def _symbolic_attrs(a: Any, b: Any) -> Any:
    if isinstance(a, tuple) and isinstance(b, tuple) and len(a) == len(b):
        return tuple([_symbolic_attrs(x, y) for x, y in zip(a, b, strict=True)])
    if type(a) is int and type(b) is int:
        return _symbol(a, b)
    if a != b:
        raise CannotCompile(f"{a!r} and {b!r} stand in the same place at two sizes of the batch")
    return a
