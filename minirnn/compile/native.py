"""A cell's program in native code: its loop programs printed as LLVM, and the calls that run a block of steps.

The code is the same for all sizes of a cell for which the loop programs are the same but for their numbers; these come
with every call, in one block of integers: addresses, flags, sizes.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from minirnn.compile.ir import ELEMENTWISE, Node, apply
from minirnn.compile.llvm import objects, printer, products
from minirnn.compile.llvm.target import host
from minirnn.compile.loops.direction import FLAGS, Direction, parts_of
from minirnn.compile.loops.listing import listing
from minirnn.compile.loops.places import Argument
from minirnn.compile.loops.program import Index, with_slots
from minirnn.compile.loops.sizes import Size
from minirnn.compile.place import Placed, once_nodes
from minirnn.compile.program import Program, layout_of
from minirnn.compile.shares import Task
from minirnn.compile.trace import Traced
from minirnn.compile.workspace import Workspace
from minirnn.module import Array

__all__ = ["native_of"]

Arrays = Sequence[Any]


def native_of(traced: Traced, placed: Placed) -> Program:
    """The program of a graph placed with sink=True. CannotCompile: says what native code has not."""
    ahead, back = [Direction(placed, *part) for part in parts_of(placed)]
    forward, backward = _Native(ahead, placed), _Native(back, placed)
    _load_all((forward, backward), ahead.dtype.name)
    runs = forward.forward, backward.backward
    text = lambda: "\n".join([listing(ahead.function), listing(back.function)])
    return Program(layout_of(traced, placed), forward.once, backward.once, *runs, backward.finish, True, text)


def _load_all(parts: "Sequence[_Native]", dtype: str) -> None:
    """The functions of both directions, in one object; what they call, in another."""
    _load_products(dtype)
    digest = hashlib.sha256(repr([part.function for part in parts]).encode()).hexdigest()[:24]
    names = [f"{part.function.name}_{digest}" for part in parts]
    write = lambda: printer.module(
        host(), [(name, p.function, len(p.sizes)) for name, p in zip(names, parts, strict=True)]
    )
    _load_cell(names[0], repr([part.function for part in parts]), write)
    for name, part in zip(names, parts, strict=True):
        part.run = objects.function(name)


@cache
def _load_products(dtype: str) -> None:
    objects.load(f"{_printers()} products {dtype}", lambda: products.module(host(), dtype), thorough=True)


_cells: set[str] = set()


def _load_cell(name: str, text: str, write: Callable[[], str]) -> None:
    if name not in _cells:
        objects.load(f"{_printers()} {text}", write)
        _cells.add(name)


@cache
def _printers() -> str:
    """The source of what makes code of a program: another source makes other code."""
    from pathlib import Path

    source = hashlib.sha256()
    for path in sorted((Path(__file__).parent / "llvm").glob("*.py")):
        source.update(path.read_bytes())
    return source.hexdigest()


class _Once(NamedTuple):
    """What follows from the parameters: values, packed matrices, and the memory that these lie in."""

    values: list[Any]
    packed: list[Any]
    memory: Workspace


class _Native:
    """One direction of a cell."""

    def __init__(self, direction: Direction, placed: Placed):
        self.placed, self.part = placed, direction.program
        self.function, self.sizes = with_slots(direction.function)
        self.arguments = [direction.arguments[name] for name in self.function.memory]
        self.packs = list(direction.packs)
        self.constants = [_flat(node.attrs[0], node.dtype) for node in direction.constants]
        self.dtype, self.flags = direction.dtype, FLAGS[direction.backward]
        self.run: Any = None
        self.name = self.dtype.name
        self.steps = [(node, _computed(node)) for node in direction.program.once]
        self.tail = np.array([_bits(size) for size in self.sizes], np.int64)

    # ------------------------------------------------------------ of the parameters
    def _known(self, parameters: Arrays) -> dict[Node, Any]:
        return dict(zip(self.placed.of_kind("parameter"), parameters, strict=True))

    def once(self, parameters: Arrays) -> _Once:
        known, memory = self._known(parameters), Workspace("packed")
        with np.errstate(all="ignore"):
            for node, compute in self.steps:
                known[node] = compute([known[operand] for operand in node.operands])
        packed = [self._packed(memory, k, known[node], turned) for k, (node, turned) in enumerate(self.packs)]
        return _Once([_flat(known[node], node.dtype) for node in once_nodes(self.part)], packed, memory)

    def _packed(self, memory: Workspace, k: int, matrix: Any, turned: bool) -> Array:
        matrix = np.asarray(matrix, self.dtype)
        if matrix.strides[1] != matrix.itemsize or matrix.strides[0] % matrix.itemsize:
            matrix = np.ascontiguousarray(matrix)
        rows, columns = matrix.shape[::-1] if turned else matrix.shape
        size = products.packed_size(host(), self.name, rows, columns)
        out = memory.array(f"m{k}", (size,), self.dtype)
        pack = _products(self.name, "pack_transposed" if turned else "pack")
        pack(_address(matrix), matrix.strides[0] // matrix.itemsize, rows, columns, _address(out))
        return out

    def finish(self, parameters: Arrays, once: _Once, sums: Arrays) -> list[Any]:
        """The parameters' gradients; None where there is none."""
        known = self._known(parameters)
        for node, value in zip(once_nodes(self.part), once.values, strict=True):
            known[node] = value.reshape(node.shape)
        known |= dict(zip(self.part.sums, sums, strict=True))
        results = self.placed.results("d_parameter")
        _evaluate((*self.part.finish, *(node for node in results if node is not None)), known)
        return [None if node is None else np.asarray(known[node], node.dtype) for node in results]

    # ------------------------------------------------------------ calls
    def forward(
        self, n: int, b: int, p: Arrays, once: _Once, x: Arrays, s: Arrays, k: Arrays, y: Arrays, keep: bool,
        outside: Any, work: Any,
    ) -> Task:  # fmt: skip
        """The call that runs n steps of b rows."""
        given = {"p": p, "x": x, "s": s, "k": k, "y": y}
        return self._call(n, b, given, once, (keep, outside is not None), outside, work)

    def backward(
        self, n: int, b: int, p: Arrays, once: _Once, x: Arrays, s: Arrays, k: Arrays, y: Arrays, d: Arrays,
        dx: Arrays, sums: Arrays, starts: bool, wants: tuple[bool, bool], outside: Any, work: Any,
    ) -> Task:  # fmt: skip
        given = {"p": p, "x": x, "s": s, "k": k, "y": y, "d": d, "dx": dx, "sums": sums}
        flags = (starts, *wants, outside is not None)
        return self._call(n, b, given, once, flags, outside, work)

    def _call(
        self, n: int, b: int, given: dict[str, Arrays], once: _Once, flags: Sequence[bool], outside: Any, work: Any
    ) -> Task:
        arrays = [self._array(argument, n, b, given, once, outside, work) for argument in self.arguments]
        block = np.empty(len(arrays) + 2 + len(flags) + len(self.tail), np.int64)
        for place, array in enumerate(arrays):
            block[place] = 0 if array is None else array.__array_interface__["data"][0]
        block[len(arrays) : len(arrays) + 2 + len(flags)] = (n, b, *flags)
        block[len(block) - len(self.tail) :] = self.tail
        return partial(_run, self.run, block, (arrays, once))

    def _array(
        self, argument: Argument, n: int, b: int, given: dict[str, Arrays], once: _Once, outside: Any, work: Any
    ) -> Any:
        match argument.kind:
            case "c":
                return once.values[argument.number]
            case "packed":
                return once.packed[argument.number]
            case "constant":
                return self.constants[argument.number]
            case "outside":
                return outside
            case "room":
                return work("room", (products.room_size(host()),), self.dtype)
            case "work":
                return work(
                    argument.name,
                    (_rows(argument.rows, n, b) * _count(argument.width, n, b),),
                    np.dtype(argument.dtype),
                )
            case "right":
                size = products.packed_size(
                    host(), argument.dtype, _rows(argument.rows, n, b), _count(argument.width, n, b)
                )
                return work(argument.name, (size,), np.dtype(argument.dtype))
            case "sums" if not given["sums"]:
                return None
        array = given[argument.kind][argument.number]
        return array if array is None or array.flags.c_contiguous else np.ascontiguousarray(array)


def _run(function: Any, block: Array, alive: Any) -> None:
    function(block.__array_interface__["data"][0])


def _rows(rows: Index, n: int, b: int) -> int:
    """An index's value that is made of n and b alone."""
    sizes = {"n": n, "b": b}
    return sum([math.prod([sizes[name] for name in names]) * (k if isinstance(k, int) else 0) for k, names in rows])


def _count(size: Size, n: int, b: int) -> int:
    return size if isinstance(size, int) else _rows(size, n, b)


def _bits(size: int | float) -> int:
    """A size as it is, a constant as the bits of a double."""
    return int(np.float64(size).view(np.int64)) if isinstance(size, float) else size


def _flat(value: Any, dtype: Any) -> Array:
    return np.ascontiguousarray(value, dtype).reshape(-1)


def _address(array: Array) -> int:
    found: int = array.__array_interface__["data"][0]
    return found


@cache
def _products(dtype: str, name: str) -> Any:
    return objects.function(f"{name}_{dtype}", len(products.SIGNATURES[name].split(",")))


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


def _evaluate(nodes: Sequence[Node], known: dict[Node, Any]) -> None:
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
