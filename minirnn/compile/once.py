"""What follows from a cell's parameters alone, before any step: packed matrices, and values such as a sum of biases.

It is kept for as long as the parameters are seen to be what they were. Anybody may write into them, so that their
bytes are compared with a copy, a quarter of the time that packing takes. A copy is worth its time where parameters
come a second time unchanged, which a training's never do.
"""

import ctypes
import os
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from minirnn.compile.address import address
from minirnn.compile.ir import Node, apply
from minirnn.compile.llvm import objects, products
from minirnn.compile.llvm.target import host
from minirnn.compile.loops.direction import Direction
from minirnn.compile.operations import ELEMENTWISE
from minirnn.compile.place import Placed, once_nodes
from minirnn.compile.workspace import Workspace
from minirnn.module import Array

__all__ = ["Followed", "Once", "evaluate", "flat"]

Arrays = Sequence[Any]

KEPT = 16  # models whose parameters' consequences are kept, of one cell and its sizes
KEPT_BYTES = 1 << 26  # of their parameters
GLANCE = 64  # bytes of each array


class Once(NamedTuple):
    """values: one a node of `once_nodes`, flat; addresses: of values and packed matrices, in the order asked for."""

    values: list[Array]
    packed: list[Array]
    memory: Workspace  # that the packed ones lie in
    addresses: Array


class _Known(NamedTuple):
    """glance: the first bytes of each parameter; copies: the parameters that `once` follows from."""

    glance: list[bytes]
    copies: list[Array]
    places: list[int]
    once: Once | None


class Followed:
    """followed(parameters) is their Once. asked: ("c" or "packed", number) for each address."""

    def __init__(self, direction: Direction, placed: Placed, asked: Sequence[tuple[str, int]]):
        self._asked = asked
        self._parameters = placed.of_kind("parameter")
        self._steps = [(node, _computed(node)) for node in direction.program.once]
        self._nodes = once_nodes(direction.program)
        self._packs, self._dtype = list(direction.packs), direction.dtype
        self._known: dict[tuple[int, ...], _Known] = {}

    def __call__(self, parameters: Arrays) -> Once:
        if not all(array.flags.c_contiguous for array in parameters):
            return self._made(parameters)
        where = tuple([address(array) for array in parameters])
        sizes = [array.nbytes for array in parameters]
        known = self._known.get(where)
        if known is not None and known.once is not None and all(map(_same, where, known.places, sizes)):
            return known.once
        glance = [ctypes.string_at(place, min(size, GLANCE)) for place, size in zip(where, sizes, strict=True)]
        if known is None or known.glance != glance:
            self._keep(where, sizes, _Known(glance, [], [], None))
            return self._made(parameters)
        copies = [array.copy() for array in parameters]  # before: others may write at the same time
        once = self._made(copies)
        self._keep(where, sizes, _Known(glance, copies, [address(array) for array in copies], once))
        return once

    def _keep(self, where: tuple[int, ...], sizes: Sequence[int], known: _Known) -> None:
        limit = min(KEPT, KEPT_BYTES // max(1, sum(sizes)))
        if where not in self._known and len(self._known) >= limit:
            self._known.clear()
        if limit:
            self._known[where] = known

    def _made(self, parameters: Arrays) -> Once:
        known, memory = dict(zip(self._parameters, parameters, strict=True)), Workspace("packed")
        with np.errstate(all="ignore"):
            for node, compute in self._steps:
                known[node] = compute([known[operand] for operand in node.operands])
        packed = [self._packed(memory, k, known[node], turned) for k, (node, turned) in enumerate(self._packs)]
        values = [flat(known[node], node.dtype) for node in self._nodes]
        of = {"c": values, "packed": packed}
        addresses = np.array([address(of[kind][number]) for kind, number in self._asked], np.int64)
        return Once(values, packed, memory, addresses)

    def _packed(self, memory: Workspace, k: int, matrix: Any, turned: bool) -> Array:
        matrix = np.asarray(matrix, self._dtype)
        if matrix.strides[1] != matrix.itemsize or matrix.strides[0] % matrix.itemsize:
            matrix = np.ascontiguousarray(matrix)
        rows, columns = matrix.shape[::-1] if turned else matrix.shape
        size = products.packed_size(host(), self._dtype.name, rows, columns)
        out = memory.array(f"m{k}", (size,), self._dtype)
        pack = _product(self._dtype.name, "pack_transposed" if turned else "pack")
        pack(address(matrix), matrix.strides[0] // matrix.itemsize, rows, columns, address(out))
        return out


_compare = (ctypes.cdll.msvcrt if os.name == "nt" else ctypes.PyDLL(None)).memcmp
_compare.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]


def _same(a: int, b: int, size: int) -> bool:
    return bool(_compare(a, b, size) == 0)


@cache
def _product(dtype: str, name: str) -> Any:
    return objects.function(f"{name}_{dtype}", len(products.SIGNATURES[name].split(",")))


def flat(value: Any, dtype: Any) -> Array:
    """The value as contiguous numbers of a dtype, one axis."""
    return np.ascontiguousarray(value, dtype).reshape(-1)


def _computed(node: Node) -> Callable[[list[Any]], Any]:
    """What a node computes of its operands' values, looked up once."""
    if node.op in ELEMENTWISE:
        function = ELEMENTWISE[node.op]
        return lambda values: function(*values)
    if node.op == "slice":
        parts = tuple([slice(start, stop if stop >= 0 else None, step) for start, stop, step in node.attrs])
        return lambda values: values[0][parts]
    if node.op == "transpose":
        return lambda values: values[0].transpose(node.attrs)
    return lambda values: apply(node, values, 1)


def evaluate(nodes: Sequence[Node], known: dict[Node, Any]) -> None:
    """Add the nodes' values, and what they need, to those that are known."""
    with np.errstate(all="ignore"):
        for root in nodes:
            stack = [root]
            while stack:
                node = stack[-1]
                waiting = [o for o in node.operands if o not in known] if node not in known else []
                if waiting:
                    stack += waiting
                    continue
                stack.pop()
                if node not in known:
                    known[node] = apply(node, [known[o] for o in node.operands], 1)
