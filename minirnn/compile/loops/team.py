"""A loop program that several threads go through together, each doing a part of every statement.

    Part first0, end0 of 1024                      in front of everything: this thread's share of so many
    For t in n
      Barrier                                      the state that the others made is there
      Multiply out = left @ packed, first .. end   its columns: of the weights it reads these alone
      Barrier
      Map rows=b, first0 .. end0                   its entries of every row

Of a step, columns are shared out; of all steps of a block, rows. A barrier stands where a statement uses what another
thread may have written, or may still use. A number is computed as one thread computes it, by the same sums in the same
order: results are the same to the bit.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from minirnn.compile.loops.program import (
    Barrier,
    ColumnSum,
    For,
    Function,
    Gather,
    Index,
    Let,
    Map,
    Multiply,
    MultiplyTransposed,
    Pack,
    Part,
    Reduce,
    Ref,
    Statement,
    When,
    index,
    statements,
)
from minirnn.compile.loops.sizes import Size, scaled

__all__ = ["for_team", "meets_each_step"]

NARROW = 32  # entries of a row that are too few to be shared out


Pending = frozenset["_Access"]


class _Access(NamedTuple):
    """A use of memory. period: the thread that has entry j of a row of so many has every number at j modulo that, and
    no other number; 0: unknown."""

    memory: str
    writes: bool
    period: int


def for_team(function: Function) -> Function:
    """The program for each thread of a team; besides what the function's call brings, it is given `rank`, which thread
    it is, and `team`, how many there are."""
    made = _Shares()
    body, _ = made.body(tuple(_packed_before(function.body)), frozenset())
    return function._replace(name=f"{function.name}_team", body=(*made.parts, *body))


def _packed_before(body: Sequence[Statement]) -> Iterator[Statement]:
    """The statements of calls whose matrices are packed before them: a team's never have the flag `direct`."""
    for statement in body:
        match statement:
            case When(("direct",)) | Let("packed"):
                continue
            case When(("packed",), inner):
                yield from _packed_before(inner)
            case For() | When():
                yield statement._replace(body=tuple(_packed_before(statement.body)))
            case _:
                yield statement


def meets_each_step(function: Function) -> bool:
    """Whether a team's threads wait for each other at every step."""
    loops = [statement for statement in function.body if isinstance(statement, For)]
    return any(isinstance(statement, Barrier) for loop in loops for statement in statements(loop.body))


class _Shares:
    """Shares statements out; `parts` holds the Parts that this takes."""

    def __init__(self) -> None:
        self.parts: list[Part] = []

    # ------------------------------------------------------------ barriers
    def body(self, body: Sequence[Statement], pending: Pending) -> tuple[tuple[Statement, ...], Pending]:
        """The statements, shared out, with barriers among them; pending: uses of memory since the last barrier, before
        and after."""
        made: list[Statement] = []
        for statement in body:
            if isinstance(statement, When):
                inner, after = self.body(statement.body, pending)
                made.append(statement._replace(body=inner))
                pending |= after
                continue
            uses = frozenset(_uses(statement))
            if any(_clash(a, b) for a in pending for b in uses):
                made.append(Barrier())
                pending = frozenset()
            if isinstance(statement, For):
                inner, after = self.body(statement.body, pending)
                while not after <= pending:  # a step follows another
                    pending |= after
                    inner, after = self.body(statement.body, pending)
                made.append(statement._replace(body=inner))
            else:
                made.append(self._shared(statement))
                pending |= uses
        return tuple(made), pending

    # ------------------------------------------------------------ parts
    def _part(self, many: Index, unit: str) -> tuple[str, str]:
        for part in self.parts:
            if (part.many, part.unit) == (many, unit):
                return part.first, part.end
        k = len(self.parts)
        self.parts.append(Part(f"first{k}", f"end{k}", many, unit))
        return f"first{k}", f"end{k}"

    def _shared(self, statement: Statement) -> Statement:
        match statement:
            case Map():
                return self._map(statement)
            case Multiply() if _of_a_step(statement.rows):
                return statement._replace(part=self._part(index(statement.n), "vector"))
            case Multiply():
                first, rows = self._rows(statement.rows, "rows")
                return statement._replace(
                    out=_rows_from(statement.out, first), left=_rows_from(statement.left, first), rows=rows
                )
            case MultiplyTransposed():
                return statement._replace(part=self._part(index(statement.m), "rows"))
            case Pack() | ColumnSum():
                return statement._replace(part=self._part(index(statement.width), "vector"))
            case Reduce():
                first, rows = self._rows(statement.rows)
                sources = tuple([_rows_from(ref, first) for ref in statement.sources])
                return statement._replace(rows=rows, sources=sources, out=_rows_from(statement.out, first))
            case Gather():
                first, rows = self._rows(statement.rows)
                source, out = _rows_from(statement.source, first), _rows_from(statement.out, first)
                return statement._replace(rows=rows, source=source, out=out)
        return statement

    def _rows(self, rows: Index, unit: str = "one") -> tuple[str, Index]:
        """The first of this thread's rows, and how many these are."""
        first, end = self._part(rows, unit)
        return first, index((1, end), (-1, first))

    def _map(self, work: Map) -> Map:
        width = _shared_columns(work)
        if width:
            first, end = self._part(index(width), "vector")
            changed = work._replace(dims=(*work.dims[:-1], index((1, end), (-1, first))))
        else:
            first, rows = self._rows(work.rows)
            where = None if work.where is None else _rows_from(work.where, first)
            changed = work._replace(rows=rows, where=where)

        def moved(pairs: tuple[tuple[str, Ref], ...]) -> tuple[tuple[str, Ref], ...]:
            return tuple([(name, _further(ref, ref.strides[-1] if width else ref.row, first)) for name, ref in pairs])

        return changed._replace(loads=moved(work.loads), stores=moved(work.stores))


def _of_a_step(rows: Index) -> bool:
    return not any("n" in names for _, names in rows)


def _shared_columns(work: Map) -> int:
    """Of how many entries each thread does its own, for all rows; 0 where each does its rows."""
    width = work.dims[-1] if work.dims else 0
    return width if _of_a_step(work.rows) and isinstance(width, int) and width >= NARROW else 0


def _rows_from(ref: Ref, first: str) -> Ref:
    return _further(ref, ref.row, first)


def _further(ref: Ref, stride: Size, first: str) -> Ref:
    return ref._replace(at=index(ref.at, scaled(stride, first)))


# ---------------------------------------------------------------- what statements use
_ONE_MEMORY = re.compile(r"^in(?=\d+$)")  # what a step is given may lie where the step before it left it: in s


def _clash(a: _Access, b: _Access) -> bool:
    """Whether two threads may use the same number, one of them to write it."""
    return a.memory == b.memory and (a.writes or b.writes) and not (a.period == b.period != 0)


def _uses(statement: Statement) -> Iterator[_Access]:
    read, written, period = list[Ref | str](), list[Ref | str](), 0
    match statement:
        case For(body=body) | When(body=body):
            for inner in body:
                yield from _uses(inner)
        case Map(loads=loads, stores=stores, where=where):
            period = _shared_columns(statement)
            read, written = [ref for _, ref in loads], [ref for _, ref in stores]
            if where is not None:
                read.append(where.memory)
        case Reduce(sources=sources, out=out):
            read, written = [ref.memory for ref in sources], [out.memory]
        case Gather(source=source, out=out):
            read, written = [source.memory], [out.memory]
        case Multiply(left=left, packed=packed, out=out):
            read, written = [left.memory, packed], [out.memory]
        case MultiplyTransposed(left=left, packed=packed, out=name):
            read, written = [left.memory, packed], [name]
        case ColumnSum(source=source, out=name) | Pack(source=source, memory=name):
            read, written = [source.memory], [name]
    for refs, writes in ((read, False), (written, True)):
        for ref in refs:
            name, period_of = (ref, 0) if isinstance(ref, str) else (ref.memory, _period(ref, period))
            yield _Access(_ONE_MEMORY.sub("s", name), writes, period_of)


def _period(ref: Ref, width: int) -> int:
    """width, where entry j of every row lies at a number that is j modulo width; else 0."""
    strides = [*(coefficient for coefficient, _ in ref.at), ref.row, *ref.strides[:-1]]
    alike = ref.strides[-1:] == (1,) and all(isinstance(s, int) and s % width == 0 for s in strides) if width else False
    return width if alike else 0
