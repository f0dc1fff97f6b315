"""A loop program as LLVM text: one function of one pointer, to the integers of its call.

The call's integers are addresses of its memory, then n, b and flags, then the sizes of the program's slots. A thread of
a team brings a second pointer, to its own integers: its rank, how many there are, the address of the barrier, and that
of a `room` of its own, and its arrivals at barriers.
"""

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from minirnn.compile.llvm import barrier, moves, products
from minirnn.compile.llvm.rows import Rows
from minirnn.compile.llvm.target import Target
from minirnn.compile.llvm.text import Text, element
from minirnn.compile.loops.program import (
    Barrier,
    ColumnSum,
    For,
    Function,
    Gather,
    Let,
    Map,
    Multiply,
    MultiplyDirect,
    MultiplyTransposed,
    Pack,
    Part,
    Reduce,
    Statement,
    When,
)

__all__ = ["each", "module", "sources"]


def module(target: Target, functions: Sequence[tuple[str, Function, int]], team: bool = False) -> str:
    """The text of a module of (name, program with slots, number of slots); team: they are programs for teams."""
    intrinsics: set[str] = set()
    made = [_Printer(target, name, function, slots, intrinsics, team).text() for name, function, slots in functions]
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
    def __init__(self, target: Target, name: str, function: Function, slots: int, intrinsics: set[str], team: bool):
        super().__init__(name, [("ptr", "call"), ("ptr", "me")] if team else [("ptr", "call")], intrinsics)
        self.target, self.dtype = target, function.dtype
        given = [("ptr", m) for m in function.memory] + [("i64", i) for i in function.integers] + [("i64", "")] * slots
        for k, (kind, variable) in enumerate(given):
            value = self._given("%call", k, kind)
            if variable:
                self.variables[variable] = value
            else:
                self.slots.append(value)
        if team:
            mine = enumerate(barrier.THREAD)
            self.variables |= {variable: self._given("%me", k, kind) for k, (kind, variable) in mine}
            self.passed = self.at_entry(f"getelementptr i64, ptr %me, i64 {len(barrier.THREAD) - 1}")
        self._run(function.body)

    def _given(self, call: str, k: int, kind: str) -> str:
        return self.at_entry(f"load {kind}, ptr {self.at_entry(f'getelementptr i64, ptr {call}, i64 {k}')}")

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

    def _map(self, work: Map) -> None:
        name = moves.name_of(work, self.dtype)
        if name is None:
            self.map(work)
            return
        given = {"rows": self.integer(work.rows), "width": self.size(work.dims[0])}
        for part, ref in (*zip(("a", "b"), [ref for _, ref in work.loads], strict=False), ("to", work.stores[0][1])):
            given |= {part: self.start(ref), f"{part}_row": self.size(ref.row)}
        if work.where is not None:
            given |= {"where": self.start(work.where), "where_row": self.size(work.where.row)}
        passed = [(kind, given[argument]) for kind, argument in moves.arguments(name)]
        self.call("void", f"{name}_{self.dtype}", *passed)

    # ------------------------------------------------------------ teams
    def _part(self, part: Part) -> None:
        unit = {"one": 1, "vector": self.target.lanes(self.dtype), "rows": self.target.tiles[0][0]}[part.unit]
        count, (rank, team) = self.integer(part.many), (self.variables[name] for name in ("rank", "team"))
        units = self.value(f"sdiv i64 {self.plus(count, str(unit - 1))}, {unit}")
        for name, k in ((part.first, rank), (part.end, self.plus(rank, "1"))):
            whole = self.value(f"sdiv i64 {self.times(units, k)}, {team}")
            self.variables[name] = self.least(count, self.times(whole, str(unit)))

    def _barrier(self, _: Barrier) -> None:
        given = ("ptr", self.variables["barrier"]), ("i64", self.variables["team"]), ("ptr", self.passed)
        self.call("void", barrier.NAME, *given)

    def _made(self, part: tuple[str, str] | None, count: str) -> tuple[str, str]:
        """The first of what is made, and how much that is, of so many."""
        if part is None:
            return "0", count
        first, end = (self.variables[name] for name in part)
        return first, self.minus(end, first)

    # ------------------------------------------------------------ products
    def _call_product(self, name: str, **given: str) -> None:
        pairs = [part.split() for part in products.SIGNATURES[name].split(", ")]
        self.call("void", f"{name}_{self.dtype}", *[(kind, given[argument]) for kind, argument in pairs])

    def _pack(self, work: Pack) -> None:
        turned = work.source.strides[-1:] != (1,) and work.source.row == 1  # a column's numbers lie side by side
        row = self.size(work.source.strides[-1] if turned else work.source.row)
        rows, (first, count) = self.integer(work.rows), self._made(work.part, self.size(work.width))
        source = self._number_at(self.start(work.source), first, row if turned else "1")
        to = self._number_at(self.variables[work.memory], first, rows)
        name = "pack_transposed" if turned else "pack"
        self._call_product(name, source=source, row=row, k=rows, n=count, to=to)

    def _number_at(self, base: str, count: str, width: str) -> str:
        """Where the products' number of this place lies, `count` times `width` behind base."""
        return self.address(base, self.times(count, width), element(self.dtype))

    def _multiply(self, work: Multiply) -> None:
        k, (first, count) = self.size(work.k), self._made(work.part, self.size(work.n))
        self._call_product(
            "multiply",
            c=self._number_at(self.start(work.out), first, "1"),
            c_row=self.size(work.out.row),
            a=self.start(work.left),
            a_row=self.size(work.left.row),
            a_k=self.size(work.left.strides[-1]),
            b=self._number_at(self.variables[work.packed], first, k),
            m=self.integer(work.rows),
            k=k,
            n=count,
            strip=self.times(k, str(self.target.lanes(self.dtype))),
            add="0",
        )

    def _multiply_direct(self, work: MultiplyDirect) -> None:
        self._call_product(
            "multiply_direct",
            c=self.start(work.out),
            c_row=self.size(work.out.row),
            a=self.start(work.left),
            a_row=self.size(work.left.row),
            b=self.start(work.right),
            b_row=self.size(work.right.row),
            m=self.integer(work.rows),
            k=self.size(work.k),
            n=self.size(work.n),
        )

    def _adds(self) -> str:
        return self.value(f"sub i64 1, {self.variables['starts']}")

    def _multiply_transposed(self, work: MultiplyTransposed) -> None:
        n, (first, count) = self.size(work.n), self._made(work.part, self.size(work.m))
        self._call_product(
            "multiply_transposed",
            c=self._number_at(self.variables[work.out], first, n),
            a=self._number_at(self.start(work.left), first, "1"),
            a_row=self.size(work.left.row),
            b=self.variables[work.packed],
            m=count,
            k=self.integer(work.rows),
            n=n,
            room=self.variables[work.room],
            add=self._adds(),
        )

    def _column_sum(self, work: ColumnSum) -> None:
        first, count = self._made(work.part, self.size(work.width))
        self._call_product(
            "column_sum",
            to=self._number_at(self.variables[work.out], first, "1"),
            a=self._number_at(self.start(work.source), first, "1"),
            a_row=self.size(work.source.row),
            rows=self.integer(work.rows),
            n=count,
            add=self._adds(),
        )

    _DO: ClassVar[dict[Any, Any]] = {
        For: _for,
        When: _when,
        Let: _let,
        Map: _map,
        Reduce: Rows.reduce,
        Gather: Rows.gather,
        Pack: _pack,
        Multiply: _multiply,
        MultiplyDirect: _multiply_direct,
        MultiplyTransposed: _multiply_transposed,
        ColumnSum: _column_sum,
        Part: _part,
        Barrier: _barrier,
    }
