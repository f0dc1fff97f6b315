"""A loop program run in Python, one number at a time, every index checked: what printed code is held equal to.

Memory is given as flat arrays by name. Packed matrices are kept as they are, in the order of their rows.

A team's program runs once for each of its threads, with `rank` and `team` among the integers and what a Barrier does.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from minirnn.compile.loops.program import (
    Barrier,
    ColumnSum,
    For,
    Function,
    Gather,
    Index,
    Let,
    Line,
    Map,
    Multiply,
    MultiplyDirect,
    MultiplyTransposed,
    Number,
    Pack,
    Part,
    Reduce,
    Ref,
    Slot,
    Statement,
    When,
)
from minirnn.compile.operations import ELEMENTWISE

__all__ = ["interpret"]

Array = np.ndarray
UNITS = {"one": 1, "vector": 4, "rows": 2}  # of a Part
_STARTS = {"sum": 0.0, "prod": 1.0, "amax": -math.inf, "amin": math.inf}
_JOIN: dict[str, Any] = {"sum": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum}


def _start(op: str, dtype: Any) -> Any:
    """What a reduction of nothing is."""
    if np.dtype(dtype).kind == "f" or op in ("sum", "prod"):
        return dtype(_STARTS[op])
    return np.iinfo(dtype).min if op == "amax" else np.iinfo(dtype).max


def interpret(
    function: Function,
    memory: Mapping[str, Array],
    integers: Mapping[str, int],
    sizes: Sequence[int | float] = (),
    meet: Callable[[], None] = lambda: None,
) -> None:
    """Run the program on this memory, which it writes to; meet: what a Barrier does. IndexError: it reaches beyond one
    of the arrays."""
    with np.errstate(all="ignore"):
        _Run(memory, integers, sizes, meet).body(function.body)


class _Run:
    def __init__(
        self,
        memory: Mapping[str, Array],
        integers: Mapping[str, int],
        sizes: Sequence[int | float],
        meet: Callable[[], None],
    ):
        self.memory, self.variables, self.sizes, self.meet = memory, dict(integers), sizes, meet

    def body(self, body: Sequence[Statement]) -> None:
        for statement in body:
            getattr(self, f"_{type(statement).__name__}")(statement)

    # ------------------------------------------------------------ integers and memory
    def _size(self, size: Any) -> int:
        return int(self._number(size))

    def _number(self, number: Any) -> Any:
        if isinstance(number, Slot):
            return self.sizes[number.k]
        return self._value(number) if isinstance(number, tuple) else number

    def _value(self, index: Index) -> int:
        return sum(self._size(k) * math.prod([self.variables[name] for name in names]) for k, names in index)

    def _at(self, ref: Ref, row: int, entries: Sequence[int] = ()) -> int:
        strides = ref.strides[len(ref.strides) - len(entries) :] if entries else ()
        offset = sum(self._size(s) * k for s, k in zip(strides, entries, strict=True))
        return self._checked(ref.memory, self._value(ref.at) + self._size(ref.row) * row + offset)

    def _checked(self, name: str, at: int) -> int:
        if not 0 <= at < len(self.memory[name]):
            raise IndexError(f"{name}[{at}], of {len(self.memory[name])} numbers")
        return at

    def _load(self, ref: Ref, row: int, entries: Sequence[int] = ()) -> Any:
        value = self.memory[ref.memory][self._at(ref, row, entries)]
        return value != 0 if ref.dtype == "bool" else value

    def _matrix(self, ref: Ref, rows: int, columns: int) -> Array:
        stride = ref._replace(strides=ref.strides or (0,))
        return np.array([[self._load(stride, r, (c,)) for c in range(columns)] for r in range(rows)], ref.dtype)

    # ------------------------------------------------------------ control
    def _For(self, loop: For) -> None:
        steps = range(self._value(loop.times))
        for k in reversed(steps) if loop.reverse else steps:
            self.variables[loop.var] = k
            self.body(loop.body)

    def _When(self, when: When) -> None:
        if any(self.variables[flag] for flag in when.flags):
            self.body(when.body)

    def _Let(self, let: Let) -> None:
        self.variables[let.name] = self._value(let.value) % 2

    # ------------------------------------------------------------ teams
    def _Part(self, part: Part) -> None:
        count, unit, rank, team = (
            self._value(part.many),
            UNITS[part.unit],
            self.variables["rank"],
            self.variables["team"],
        )
        units = -(-count // unit)
        self.variables[part.first] = min(count, units * rank // team * unit)
        self.variables[part.end] = min(count, units * (rank + 1) // team * unit)

    def _Barrier(self, _: Barrier) -> None:
        self.meet()

    def _made(self, part: tuple[str, str] | None, count: int) -> tuple[int, int]:
        """The first and the end of what is made, of so many."""
        return (0, count) if part is None else (self.variables[part[0]], self.variables[part[1]])

    # ------------------------------------------------------------ loops over rows
    def _Map(self, work: Map) -> None:
        spans = [range(self._size(dim)) for dim in work.dims]
        for row in range(self._value(work.rows)):
            if work.where is not None and not self._load(work.where, row):
                continue
            for entries in itertools.product(*spans):
                values = {name: self._load(ref, row, entries) for name, ref in work.loads}
                for line in work.lines:
                    values[line.name] = self._line(line, values)
                for name, ref in work.stores:
                    self.memory[ref.memory][self._at(ref, row, entries)] = values[name]

    def _line(self, line: Line, values: Mapping[str, Any]) -> Any:
        of, made = np.dtype(line.of).type, []
        for k, operand in enumerate(line.operands):
            value = self._number(operand.value) if isinstance(operand, Number) else values[operand]
            made.append(np.bool_(value) if line.op == "where" and k == 0 else of(value))
        if line.op in ("copy", "cast"):
            return np.dtype(line.dtype).type(made[0])
        return np.dtype(line.dtype).type(ELEMENTWISE[line.op](*made))

    def _Reduce(self, work: Reduce) -> None:
        free, axes = ([range(self._size(dim)) for dim in dims] for dims in (work.free, work.axes))
        dtype = np.dtype(work.out.dtype).type
        for row in range(self._value(work.rows)):
            for outer in itertools.product(*free):
                total = _start(work.op, dtype)
                for inner in itertools.product(*axes):
                    product = dtype(1)
                    for ref in work.sources:
                        product = product * dtype(self._load(ref, row, (*outer, *inner)))
                    total = _JOIN[work.op](total, product)
                self.memory[work.out.memory][self._at(work.out, row, outer)] = total

    def _Gather(self, work: Gather) -> None:
        numbers, values = self.memory[work.numbers], self.memory[work.out.memory]
        for row in range(self._value(work.rows)):
            for here in itertools.product(*[range(self._size(dim)) for dim in work.dims]):
                there = (*here[: work.axis], int(numbers[here[work.axis]]), *here[work.axis + 1 :])
                if work.add:
                    values[self._at(work.out, row, there)] += self._load(work.source, row, here)
                else:
                    values[self._at(work.out, row, here)] = self._load(work.source, row, there)

    # ------------------------------------------------------------ products
    def _Pack(self, work: Pack) -> None:
        rows, width = self._value(work.rows), self._size(work.width)
        matrix = self._matrix(work.source, rows, width)
        first, end = self._made(work.part, width)
        self._checked(work.memory, rows * width - 1)
        self.memory[work.memory][: rows * width].reshape(rows, width)[:, first:end] = matrix[:, first:end]

    def _Multiply(self, work: Multiply) -> None:
        k, n = self._size(work.k), self._size(work.n)
        self._product(work, self.memory[work.packed][: k * n].reshape(k, n), *self._made(work.part, n))

    def _MultiplyDirect(self, work: MultiplyDirect) -> None:
        k, n = self._size(work.k), self._size(work.n)
        self._product(work, self._matrix(work.right, k, n), 0, n)

    def _product(self, work: Multiply | MultiplyDirect, right: Array, first: int, end: int) -> None:
        rows, k = self._value(work.rows), self._size(work.k)
        product = self._matrix(work.left, rows, k) @ right
        for r, c in itertools.product(range(rows), range(first, end)):
            self.memory[work.out.memory][self._at(work.out._replace(strides=(1,)), r, (c,))] = product[r, c]

    def _MultiplyTransposed(self, work: MultiplyTransposed) -> None:
        rows, m, n = self._value(work.rows), self._size(work.m), self._size(work.n)
        right = self.memory[work.packed][: rows * n].reshape(rows, n)
        first, end = self._made(work.part, m)
        product = self._matrix(work.left, rows, m).T @ right
        self._add(work.out, first * n, product[first:end].reshape(-1))

    def _ColumnSum(self, work: ColumnSum) -> None:
        rows, width = self._value(work.rows), self._size(work.width)
        first, end = self._made(work.part, width)
        total = self._matrix(work.source._replace(strides=(1,)), rows, width).sum(0)
        self._add(work.out, first, total[first:end])

    def _add(self, name: str, first: int, values: Array) -> None:
        if len(values):
            self._checked(name, first + len(values) - 1)
        before = 0 if self.variables["starts"] else self.memory[name][first : first + len(values)]
        self.memory[name][first : first + len(values)] = before + values
