"""A cell's program in native code: its loop programs printed as LLVM, and the calls that run a block of steps.

The code is the same for all sizes of a cell for which the loop programs are the same but for their numbers; these come
with every call, in one block of integers: addresses, flags, sizes.
"""

import hashlib
import math
import os
from collections.abc import Callable, Sequence
from functools import cache, lru_cache, partial
from typing import Any, NamedTuple

import numpy as np

from minirnn.compile.address import address
from minirnn.compile.calls import Calls, Once, flat
from minirnn.compile.frames import Frames
from minirnn.compile.llvm import moves, objects, printer, products
from minirnn.compile.llvm.target import host
from minirnn.compile.loops.direction import Direction, parts_of
from minirnn.compile.loops.listing import listing
from minirnn.compile.loops.places import Argument
from minirnn.compile.loops.program import Function, Index
from minirnn.compile.loops.sizes import Size
from minirnn.compile.loops.team import for_team, meets_each_step
from minirnn.compile.place import Placed
from minirnn.compile.program import Program, Together, layout_of
from minirnn.compile.shares import Task
from minirnn.compile.team import Block, Team, through_calls
from minirnn.compile.trace import Traced
from minirnn.compile.while_unchanged import WhileUnchanged
from minirnn.compile.workspace import ALIGNMENT, Workspace
from minirnn.locks import Lock
from minirnn.module import Array

__all__ = ["native_of"]

Arrays = Sequence[Any]

FEW_BYTES = 1 << 14  # of parameters, of which a copy takes no time
SIZES_KEPT = 64  # whose scratch is laid out
_OF_KIND = dict.fromkeys(("p", "c", "packed", "constant"), "once") | dict.fromkeys(("work", "right", "room"), "scratch")


def native_of(traced: Traced, placed: Placed) -> Program:
    """The program of a graph placed with sink=True. CannotCompile: says what native code has not."""
    ahead, back = [Direction(placed, *part, native=True) for part in parts_of(placed)]
    forward, backward = _Native(ahead, placed), _Native(back, placed)
    _load_all((forward, backward), ahead.dtype.name)
    runs = forward.forward, backward.backward
    text = lambda: "\n".join([listing(ahead.function), listing(back.function)])
    layout = layout_of(traced, placed)
    program = Program(layout, forward.once, backward.once, *runs, backward.finish, True, text)
    if os.name == "posix":  # the barrier lets others have the processor as POSIX says
        made = cache(partial(_for_teams, program, (ahead, back), placed))
        program = program._replace(team=Together(made, cache(partial(_meet_each_step, (ahead, back)))))
    if layout.row_wise:
        program = program._replace(frames=lru_cache(SIZES_KEPT)(partial(Frames, (forward, backward), layout)))
    return program


def _meet_each_step(directions: Sequence[Direction]) -> bool:
    return any(meets_each_step(for_team(direction.function)) for direction in directions)


_making = Lock()


def _for_teams(program: Program, directions: Sequence[Direction], placed: Placed) -> Program:
    """The program whose blocks are run by teams of threads."""
    with _making:
        parts = [_OfTeam(direction, placed, for_team) for direction in directions]
        dtype = directions[0].dtype
        _load_all(parts, dtype.name, team=True)
    for part in parts:
        part.team = Team(part.run, products.room_size(host()) * dtype.itemsize)
    return program._replace(forward=parts[0].forward, backward=parts[1].backward, team=None)


def _load_all(parts: "Sequence[_Native]", dtype: str, team: bool = False) -> None:
    """The functions of both directions, in one object; what they call, in another. team: they are teams' programs."""
    _load_shared(dtype)
    if team:
        through_calls()
    digest = hashlib.sha256(repr([part.function for part in parts]).encode()).hexdigest()[:24]
    names = [f"{part.function.name}_{digest}" for part in parts]
    functions = [(name, p.function, len(p.sizes)) for name, p in zip(names, parts, strict=True)]
    write = lambda: printer.module(host(), functions, team)
    _load_cell(names[0], repr([part.function for part in parts]), write)
    for name, part in zip(names, parts, strict=True):
        part.run = objects.address_of(name) if team else objects.function(name)


@cache
def _load_shared(dtype: str) -> None:
    """What the code of all cells calls."""
    objects.load(f"{printer.sources()} products {dtype}", lambda: products.module(host(), dtype), thorough=True)
    objects.load(f"{printer.sources()} moves {dtype}", lambda: moves.module(host(), dtype))


_cells: set[str] = set()


def _load_cell(name: str, text: str, write: Callable[[], str]) -> None:
    if name not in _cells:
        objects.load(f"{printer.sources()} {text}", write)
        _cells.add(name)


class _Ready(NamedTuple):
    """What follows from the parameters, and the addresses of it that a call brings."""

    once: Once
    addresses: Array


class _Native(Calls):
    """One direction of a cell."""

    def __init__(self, direction: Direction, placed: Placed, change: Callable[[Function], Function] = lambda f: f):
        super().__init__(direction, placed, change)
        self.run: Any = None
        self.direct = direction.direct
        self._small = WhileUnchanged(self._of_small)
        self._last: tuple[list[bytes], Once | None] = [], None
        self.tail = np.array([_bits(size) for size in self.sizes], np.int64)
        places: dict[str, list[int]] = {"once": [], "scratch": [], "call": []}
        for place, argument in enumerate(self.arguments):
            places[_OF_KIND.get(argument.kind, "call")].append(place)
        self._asked = [(self.arguments[k].kind, self.arguments[k].number) for k in places["once"]]
        self._kept_ready = WhileUnchanged(self._ready)
        self.scratch = Scratch([self.arguments[k] for k in places["scratch"]], self.dtype.name)
        self.at_once, self.at_scratch = places["once"], places["scratch"]
        self._at_once, self._at_scratch = (np.array(places[name], np.int64) for name in ("once", "scratch"))
        self._of_call = [(k, self.arguments[k].kind, self.arguments[k].number) for k in places["call"]]
        self.integers = len(self.arguments) + 2 + len(self.flags) + len(self.tail)
        self._block = np.zeros(self.integers, np.int64)
        self._block[len(self._block) - len(self.tail) :] = self.tail

    def once(self, parameters: Arrays) -> _Ready:
        found: _Ready = self._kept_ready(parameters)
        return found

    def once_direct(self, parameters: Arrays) -> Once | None:
        """What a call with the flag `direct` brings: of the parameters that are computed with, and no more is looked
        at; None where the others do not lie as they are read."""
        if not self.direct or not all(array.flags.c_contiguous for array in parameters):
            return None
        some = [parameters[k] for k in self.computed_with]
        if sum([array.nbytes for array in some]) > FEW_BYTES:
            found: Once = self._small(some)
            return found
        now, (before, known) = [array.tobytes() for array in some], self._last
        if known is None or now != before:
            known = self._of_small([array.copy() for array in some])
            self._last = now, known
        return known

    def _of_small(self, some: Arrays) -> Once:
        with np.errstate(all="ignore"):
            known = self.known_of(dict(zip(self.computed_with, some, strict=True)))
        return Once(known, {"c": [flat(known[node], node.dtype) for node in self._kept]}, None)

    def _ready(self, parameters: Arrays) -> _Ready:
        with np.errstate(all="ignore"):
            once = super().once(parameters)
        return _Ready(once, np.array([address(once.arrays[kind][k]) for kind, k in self._asked], np.int64))

    def finish(self, parameters: Arrays, once: _Ready | Once, sums: Arrays) -> list[Any]:
        with np.errstate(all="ignore"):
            return super().finish(parameters, once if isinstance(once, Once) else once.once, sums)

    def pack(self, matrices: Sequence[tuple[Any, bool]]) -> tuple[list[Array], Any]:
        memory, packed = Workspace("packed"), []
        for k, (given, turned) in enumerate(matrices):
            matrix = np.asarray(given, self.dtype)
            if matrix.strides[1] != matrix.itemsize or matrix.strides[0] % matrix.itemsize:
                matrix = np.ascontiguousarray(matrix)
            rows, columns = matrix.shape[::-1] if turned else matrix.shape
            size = products.packed_size(host(), self.dtype.name, rows, columns)
            packed.append(memory.array(f"m{k}", (size,), self.dtype))
            call = _product(self.dtype.name, "pack_transposed" if turned else "pack")
            call(address(matrix), matrix.strides[0] // matrix.itemsize, rows, columns, address(packed[-1]))
        return packed, memory

    def call(self, n: int, b: int, flags: Sequence[bool], given: dict[str, Arrays], once: _Ready, work: Any) -> Task:
        return partial(_run, self.run, *self.block(n, b, flags, given, once, work))

    def block(
        self, n: int, b: int, flags: Sequence[bool], given: dict[str, Arrays], once: _Ready, work: Any
    ) -> tuple[Array, list[Any]]:
        """The integers of a call, and what must live until it is made."""
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
        block[self._at_scratch] = self.scratch(n, b, work)
        start = len(self.arguments)
        block[start : start + 2 + len(flags)] = (n, b, *flags)
        return block, alive


class _OfTeam(_Native):
    """One direction of a cell whose calls are made by teams."""

    team: Team

    def call(self, n: int, b: int, flags: Sequence[bool], given: dict[str, Arrays], once: _Ready, work: Any) -> Task:
        lent: list[Array] = []  # another block may be lent more by that name before this one's call is made

        def lend(*what: Any) -> Array:
            lent.append(work(*what))
            return lent[-1]

        block, alive = self.block(n, b, flags, given, once, lend)
        return Block(self.team, block, (alive, lent))


@cache
def _product(dtype: str, name: str) -> Any:
    return objects.function(f"{name}_{dtype}", len(products.SIGNATURES[name].split(",")))


class Scratch:
    """The memory that a call needs for itself, as parts of one array: their addresses."""

    def __init__(self, arguments: Sequence[Argument], dtype: str):
        self._arguments, self._dtype = arguments, dtype
        self._offsets: dict[tuple[int, int], tuple[int, Array]] = {}

    def __call__(self, n: int, b: int, work: Any) -> Array:
        """work(name, shape, dtype) lends the array."""
        size, offsets = self.laid_out(n, b)
        return offsets + address(work("scratch", (size,), np.uint8))

    def laid_out(self, n: int, b: int) -> tuple[int, Array]:
        """How many bytes n steps of b rows need, and where each part begins."""
        found = self._offsets.get((n, b))
        if found is None:
            if len(self._offsets) >= SIZES_KEPT:
                self._offsets.clear()
            found = self._offsets[n, b] = self._lay_out(n, b)
        return found

    def _lay_out(self, n: int, b: int) -> tuple[int, Array]:
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
