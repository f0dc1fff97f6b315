"""A cell's program in native code: its loop programs printed as LLVM, and the calls that run a block of steps.

The code is the same for all sizes of a cell for which the loop programs are the same but for their numbers; these come
with every call, in one block of integers: addresses, flags, sizes.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np

from minirnn.compile.address import address
from minirnn.compile.llvm import objects, printer, products
from minirnn.compile.llvm.target import host
from minirnn.compile.loops.direction import FLAGS, Direction, parts_of
from minirnn.compile.loops.listing import listing
from minirnn.compile.loops.places import Argument
from minirnn.compile.loops.program import Index, with_slots
from minirnn.compile.loops.sizes import Size
from minirnn.compile.once import Followed, Once, evaluate, flat
from minirnn.compile.place import Placed, once_nodes
from minirnn.compile.program import Program, layout_of
from minirnn.compile.shares import Task
from minirnn.compile.trace import Traced
from minirnn.compile.workspace import ALIGNMENT
from minirnn.module import Array

__all__ = ["native_of"]

Arrays = Sequence[Any]

SIZES_KEPT = 64  # whose scratch is laid out


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


class _Native:
    """One direction of a cell."""

    def __init__(self, direction: Direction, placed: Placed):
        self.placed, self.part = placed, direction.program
        self.function, self.sizes = with_slots(direction.function)
        self.run: Any = None
        self.arguments = [direction.arguments[name] for name in self.function.memory]
        self.packs, self.dtype, self.flags = list(direction.packs), direction.dtype, FLAGS[direction.backward]
        self.constants = [flat(node.attrs[0], node.dtype) for node in direction.constants]
        self.tail = np.array([_bits(size) for size in self.sizes], np.int64)
        places: dict[str, list[int]] = {}
        for place, argument in enumerate(self.arguments):
            kind = {"packed": "c", "right": "work", "room": "work"}.get(argument.kind, argument.kind)
            places.setdefault(kind, []).append(place)
        follows, scratch = places.pop("c", []), places.pop("work", [])
        asked = [(self.arguments[k].kind, self.arguments[k].number) for k in follows]
        self.once, self._at_once = Followed(direction, placed, asked), np.array(follows, np.int64)
        self._scratch = Scratch([self.arguments[k] for k in scratch], self.dtype.name)
        self._at_scratch = np.array(scratch, np.int64)
        self._block = self._template(places.pop("constant", []))
        self._of_call = [(k, kind, self.arguments[k].number) for kind, found in places.items() for k in found]

    def _template(self, constants: Sequence[int]) -> Array:
        """The block of a call, with what is the same in all calls."""
        block = np.zeros(len(self.arguments) + 2 + len(self.flags) + len(self.tail), np.int64)
        for place in constants:
            block[place] = address(self.constants[self.arguments[place].number])
        block[len(block) - len(self.tail) :] = self.tail
        return block

    def finish(self, parameters: Arrays, once: Once, sums: Arrays) -> list[Any]:
        """The parameters' gradients; None where there is none."""
        known = dict(zip(self.placed.of_kind("parameter"), parameters, strict=True))
        for node, value in zip(once_nodes(self.part), once.values, strict=True):
            known[node] = value.reshape(node.shape)
        known |= dict(zip(self.part.sums, sums, strict=True))
        results = self.placed.results("d_parameter")
        evaluate((*self.part.finish, *(node for node in results if node is not None)), known)
        return [None if node is None else np.asarray(known[node], node.dtype) for node in results]

    # ------------------------------------------------------------ calls
    def forward(
        self, n: int, b: int, p: Arrays, once: Once, x: Arrays, s: Arrays, k: Arrays, y: Arrays, keep: bool,
        outside: Any, work: Any,
    ) -> Task:  # fmt: skip
        """The call that runs n steps of b rows."""
        given = {"p": p, "x": x, "s": s, "k": k, "y": y, "outside": (outside,)}
        return self._call((n, b, keep, outside is not None), given, once, work)

    def backward(
        self, n: int, b: int, p: Arrays, once: Once, x: Arrays, s: Arrays, k: Arrays, y: Arrays, d: Arrays,
        dx: Arrays, sums: Arrays, starts: bool, wants: tuple[bool, bool], outside: Any, work: Any,
    ) -> Task:  # fmt: skip
        given = {"p": p, "x": x, "s": s, "k": k, "y": y, "d": d, "dx": dx, "sums": sums, "outside": (outside,)}
        return self._call((n, b, starts, *wants, outside is not None), given, once, work)

    def _call(self, numbers: tuple[int, ...], given: dict[str, Arrays], once: Once, work: Any) -> Task:
        block, alive = self._block.copy(), list[Any]([once])
        for place, kind, number in self._of_call:
            arrays = given[kind]
            array = arrays[number] if arrays else None  # no sums: none are asked for
            if array is not None:
                if not array.flags.c_contiguous:
                    array = np.ascontiguousarray(array)
                block[place] = address(array)
                alive.append(array)
        block[self._at_once] = once.addresses
        block[self._at_scratch] = self._scratch(numbers[0], numbers[1], work)
        block[len(self.arguments) : len(self.arguments) + len(numbers)] = numbers
        return partial(_run, self.run, block, alive)


class Scratch:
    """The memory that a call needs for itself, as parts of one array: their addresses."""

    def __init__(self, arguments: Sequence[Argument], dtype: str):
        self._arguments, self._dtype = arguments, dtype
        self._offsets: dict[tuple[int, int], tuple[int, Array]] = {}

    def __call__(self, n: int, b: int, work: Any) -> Array:
        """work(name, shape, dtype) lends the array."""
        found = self._offsets.get((n, b))
        if found is None:
            if len(self._offsets) >= SIZES_KEPT:
                self._offsets.clear()
            found = self._offsets[n, b] = self._laid_out(n, b)
        size, offsets = found
        return offsets + address(work("scratch", (size,), np.uint8))

    def _laid_out(self, n: int, b: int) -> tuple[int, Array]:
        offsets, end = list[int](), 0
        for argument in self._arguments:
            offsets.append(end)
            end += -(-self._bytes(argument, n, b) // ALIGNMENT) * ALIGNMENT
        return end, np.array(offsets, np.int64)

    def _bytes(self, argument: Argument, n: int, b: int) -> int:
        if argument.kind == "room":
            return products.room_size(host()) * np.dtype(self._dtype).itemsize
        rows, width = _rows(argument.rows, n, b), _count(argument.width, n, b)
        packed = argument.kind == "right"
        size = products.packed_size(host(), argument.dtype, rows, width) if packed else rows * width
        return size * np.dtype(argument.dtype).itemsize


def _run(function: Any, block: Array, alive: Any) -> None:
    function(address(block))


def _rows(rows: Index, n: int, b: int) -> int:
    """An index's value that is made of n and b alone."""
    sizes = {"n": n, "b": b}
    return sum([math.prod([sizes[name] for name in names]) * (k if isinstance(k, int) else 0) for k, names in rows])


def _count(size: Size, n: int, b: int) -> int:
    return size if isinstance(size, int) else _rows(size, n, b)


def _bits(size: int | float) -> int:
    """A size as it is, a constant as the bits of a double."""
    return int(np.float64(size).view(np.int64)) if isinstance(size, float) else size
