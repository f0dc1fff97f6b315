"""A compiled cell: its functions, and what a sequence must know to call them."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from minirnn.compile.frames import Frames
from minirnn.compile.ir import BATCH, Node
from minirnn.compile.place import Placed
from minirnn.compile.shares import Task
from minirnn.compile.trace import Leaf, Traced

__all__ = ["Layout", "Program", "Together", "layout_of"]


class Layout(NamedTuple):
    """Shapes and dtypes of what these functions take. Of arrays with a batch, the shape without it.

    floats: which states, inputs and parameters have a gradient; widths: numbers a row that a block holds beside what
    it is given, forward and backward.
    """

    row_wise: bool
    states: tuple[Leaf, ...]
    inputs: tuple[Leaf, ...]
    outputs: tuple[Leaf, ...]
    stored: tuple[Leaf, ...]
    sums: tuple[Leaf, ...]
    parameters: tuple[Leaf, ...]
    widths: tuple[int, int]
    work: float  # multiplications and additions a row and step
    coarsest: str  # the least precise floats that the step computes with
    least: int  # rows that the batch must have: those that the step names by number


def _tail(leaf: Leaf) -> Leaf:
    return leaf._replace(shape=tuple(leaf.shape[1:]), dtype=leaf.dtype)


def _leaf(name: str, node: Node, rows: bool) -> Leaf:
    if not rows:
        return Leaf(name, node.shape, node.dtype)
    many = node.shape[0] // BATCH  # rows of the value for a row of the batch
    return Leaf(name, (*([many] if many > 1 else []), *node.shape[1:]), node.dtype)


def layout_of(traced: Traced, placed: Placed) -> Layout:
    """The layout of a placed graph's code."""
    signature, programs = traced.signature, (placed.forward, placed.backward)
    widths = [sum(_width(node) for node in (*p.before, *p.after)) for p in programs]
    nodes = [*(n for p in programs for part in p for n in part)]
    products = [n for n in dict.fromkeys(nodes) if n.op == "matmul"]
    return Layout(
        placed.row_wise,
        tuple(map(_tail, signature.states)),
        tuple(map(_tail, signature.inputs)),
        tuple(map(_tail, traced.outputs)),
        tuple([_leaf(str(k), node, True) for k, node in enumerate(placed.stored)]),
        tuple([_leaf(str(k), node, False) for k, node in enumerate(placed.backward.sums)]),
        signature.parameters,
        (max(1, widths[0]), max(1, widths[1])),
        float(sum(_work(node) for node in products)),
        _coarsest(placed.graph.nodes()),
        max([1, *(_named(node) for node in placed.graph.nodes())]),
    )


def _coarsest(nodes: Sequence[Node]) -> str:
    floats = {node.dtype for node in nodes if node.dtype.kind == "f"}
    return str(min(floats, key=lambda dtype: dtype.itemsize).name) if floats else "float64"


def _named(node: Node) -> int:
    """How many rows of the batch there must be for those that an operation names by number."""
    match node.op:
        case "slice":
            parts = zip(node.operands[0].shape, node.attrs, strict=True)
            named = [(dim, max(part[:2])) for dim, part in parts]
        case "put":
            named = [(dim, max(part[:2])) for dim, part in zip(node.attrs[0], node.attrs[1:], strict=True)]
        case "take":
            named = [(node.operands[0].shape[node.attrs[0]], max(node.attrs[1:], default=-1) + 1)]
        case "untake":
            named = [(node.attrs[1], max(node.attrs[2:], default=-1) + 1)]
        case _:
            return 1
    rows = [(dim // BATCH, last) for dim, last in named if dim and dim % BATCH == 0 and last % BATCH]
    return max([-(-last // many) for many, last in rows], default=1)


def _width(node: Node) -> int:
    return math.prod(node.shape) // BATCH if node.shape and node.shape[0] % BATCH == 0 else 0


def _work(node: Node) -> float:
    (a, _), (turned, _) = node.operands, node.attrs
    inner = a.shape[0] if turned else a.shape[1]
    return 2.0 * math.prod(node.shape) * inner / BATCH


class Program(NamedTuple):
    """once_forward and once_backward compute what follows from the parameters alone; forward and backward give the call
    that runs a block of steps; finish gives the parameters' gradients, of the sums over all blocks.

    Arrays of all steps are rows, (n*b, ...), so that step t is the rows t*b to (t+1)*b; states have one step more. Of
    the states' cotangents d there are two steps, (2*b, ...), of which the first comes in and leaves.

    native: calls do without the interpreter's lock and without BLAS, so that threads may run rows of the batch each for
    itself. team: the same as what all threads run together, where there is that.
    """

    layout: Layout
    once_forward: Callable[[Sequence[Any]], Any]
    once_backward: Callable[[Sequence[Any]], Any]
    forward: Callable[..., Task]
    backward: Callable[..., Task]
    finish: Callable[..., list[Any]]
    native: bool
    listing: Callable[[], str]  # its code, for a reader
    team: "Together | None" = None
    frames: Callable[[int, int], Frames] | None = None  # of so many steps and rows, for calls of one block


class Together(NamedTuple):
    """program() gives one whose calls are each run by all threads together; meets_each_step(): whether these wait for
    each other at every step."""

    program: Callable[[], Program]
    meets_each_step: Callable[[], bool]
