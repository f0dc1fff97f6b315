"""A loop program as LLVM text: one function of one pointer, to the integers of its call.

The call's integers are addresses of its memory, then n, b and flags, then the sizes of the program's slots.
"""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from minirnn.compile.llvm import products
from minirnn.compile.llvm.rows import Rows
from minirnn.compile.llvm.target import Target
from minirnn.compile.llvm.text import Text
from minirnn.compile.loops.program import (
    ColumnSum,
    For,
    Function,
    Gather,
    Let,
    Map,
    Multiply,
    MultiplyTransposed,
    Pack,
    Reduce,
    Statement,
    When,
)

__all__ = ["each", "module", "sources"]


def module(target: Target, functions: Sequence[tuple[str, Function, int]]) -> str:
    """The text of a module of (name, program with slots, number of slots)."""
    intrinsics: set[str] = set()
    made = [_Printer(target, name, function, slots, intrinsics).text() for name, function, slots in functions]
    return "\n".join([*sorted(intrinsics), "", *made])


def each() -> str:
    """The text of a module of one function: it calls another for every row of integers."""
    text = Text("each", [("ptr", "function"), ("ptr", "calls"), ("i64", "count"), ("i64", "integers")], set())
    with text.loop("call", "0", "%count") as k:
        text.put(f"call void %function(ptr {text.address('%calls', text.times(k, '%integers'), 'i64')})")
    return text.text()


@cache
def sources() -> str:
    """A digest of the source of all that makes code of a program: another source makes other code."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


class _Printer(Rows):
    def __init__(self, target: Target, name: str, function: Function, slots: int, intrinsics: set[str]):
        super().__init__(name, [("ptr", "call")], intrinsics)
        self.target, self.dtype = target, function.dtype
        given = [("ptr", m) for m in function.memory] + [("i64", i) for i in function.integers] + [("i64", "")] * slots
        for k, (kind, variable) in enumerate(given):
            value = self.at_entry(f"load {kind}, ptr {self.at_entry(f'getelementptr i64, ptr %call, i64 {k}')}")
            if variable:
                self.variables[variable] = value
            else:
                self.slots.append(value)
        self._run(function.body)

    def _run(self, body: Sequence[Statement]) -> None:
        for statement in body:
            self._DO[type(statement)](self, statement)

    # ------------------------------------------------------------ control
    def _for(self, loop: For) -> None:
        count = self.integer(loop.times)
        ends = (self.minus(count, "1"), "0", -1) if loop.reverse else ("0", count, 1)
        with self.loop(loop.var, *ends):
            self._run(loop.body)

    def _when(self, condition: When) -> None:
        total = "0"
        for flag in condition.flags:
            total = self.value(f"or i64 {total}, {self.variables[flag]}")
        with self.when(self.value(f"icmp ne i64 {total}, 0")):
            self._run(condition.body)

    def _let(self, let: Let) -> None:
        self.variables[let.name] = self.value(f"and i64 {self.integer(let.value)}, 1")

    # ------------------------------------------------------------ products
    def _call_product(self, name: str, **given: str) -> None:
        pairs = [part.split() for part in products.SIGNATURES[name].split(", ")]
        self.call("void", f"{name}_{self.dtype}", *[(kind, given[argument]) for kind, argument in pairs])

    def _pack(self, work: Pack) -> None:
        turned = work.source.strides[-1:] != (1,) and work.source.row == 1  # a column's numbers lie side by side
        row = self.size(work.source.strides[-1] if turned else work.source.row)
        source, to, rows = self.start(work.source), self.variables[work.memory], self.integer(work.rows)
        name = "pack_transposed" if turned else "pack"
        self._call_product(name, source=source, row=row, k=rows, n=self.size(work.width), to=to)

    def _multiply(self, work: Multiply) -> None:
        k = self.size(work.k)
        self._call_product(
            "multiply",
            c=self.start(work.out),
            c_row=self.size(work.out.row),
            a=self.start(work.left),
            a_row=self.size(work.left.row),
            a_k=self.size(work.left.strides[-1]),
            b=self.variables[work.packed],
            m=self.integer(work.rows),
            k=k,
            n=self.size(work.n),
            strip=self.times(k, str(self.target.lanes(self.dtype))),
            add="0",
        )

    def _adds(self) -> str:
        return self.value(f"sub i64 1, {self.variables['starts']}")

    def _multiply_transposed(self, work: MultiplyTransposed) -> None:
        self._call_product(
            "multiply_transposed",
            c=self.variables[work.out],
            a=self.start(work.left),
            a_row=self.size(work.left.row),
            b=self.variables[work.packed],
            m=self.size(work.m),
            k=self.integer(work.rows),
            n=self.size(work.n),
            room=self.variables[work.room],
            add=self._adds(),
        )

    def _column_sum(self, work: ColumnSum) -> None:
        self._call_product(
            "column_sum",
            to=self.variables[work.out],
            a=self.start(work.source),
            a_row=self.size(work.source.row),
            rows=self.integer(work.rows),
            n=self.size(work.width),
            add=self._adds(),
        )

    _DO: ClassVar[dict[Any, Any]] = {
        For: _for,
        When: _when,
        Let: _let,
        Map: Rows.map,
        Reduce: Rows.reduce,
        Gather: Rows.gather,
        Pack: _pack,
        Multiply: _multiply,
        MultiplyTransposed: _multiply_transposed,
        ColumnSum: _column_sum,
    }
