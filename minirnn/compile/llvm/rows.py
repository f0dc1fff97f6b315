"""Loops over rows as LLVM text: Map, Reduce and Gather.

The inner loop runs over whole vectors, and once more, masked, over what is left.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from minirnn.compile.llvm import curves
from minirnn.compile.llvm.target import Target
from minirnn.compile.llvm.text import Text, element, in_name, size_of
from minirnn.compile.loops.program import Gather, Line, Map, Number, Reduce, Ref, Slot

__all__ = ["Rows"]


class Rows(Text):
    """Writes the statements that go over rows."""

    target: Target
    dtype: str  # of the program's products

    # ------------------------------------------------------------ memory
    def start(self, ref: Ref) -> str:
        return self.address(self.variables[ref.memory], self.integer(ref.at), _stored(ref.dtype))

    def _moved(self, pointer: str, by: Any, times: str, dtype: str) -> str:
        """The pointer, `times` strides of `by` numbers further."""
        return self.address(pointer, self.times(self.size(by), times), _stored(dtype))

    def _along(self, refs: Sequence[Ref], pointers: Sequence[str], k: int, *entries: str) -> list[str]:
        """The pointers, moved along the k-th axis to one entry, or each to its own."""
        given = zip(refs, pointers, entries * len(refs) if len(entries) == 1 else entries, strict=True)
        return [self._moved(p, ref.strides[k], entry, ref.dtype) for ref, p, entry in given]

    def _read(self, ref: Ref, pointer: str, column: str, mask: str | None) -> str:
        """The vector of a row's entries from `column` on."""
        stride, kind = ref.strides[-1] if ref.strides else 0, _stored(ref.dtype)
        if stride == 0:
            value = self.splat(kind, self.value(f"load {kind}, ptr {pointer}"))
        elif stride == 1:
            value = self.load(kind, self.address(pointer, column, kind), mask)
        else:
            pointers = self._pointers(pointer, stride, column, kind)
            name = f"llvm.masked.gather.v{self.lanes}{in_name(kind)}.v{self.lanes}p0"
            given = (
                (self.vector("ptr"), pointers),
                ("i32", str(size_of(kind))),
                (self.vector("i1"), mask or self.constant("i1", True)),
                (self.vector(kind), "zeroinitializer"),
            )
            value = self.call(self.vector(kind), name, *given)
        if ref.dtype == "bool":
            return self.compare("ne", "i8", value, self.constant("i8", 0))
        return value

    def _write(self, ref: Ref, pointer: str, column: str, value: str, mask: str | None) -> None:
        stride, kind = ref.strides[-1] if ref.strides else 0, _stored(ref.dtype)
        if ref.dtype == "bool":
            value = self.value(f"zext {self.vector('i1')} {value} to {self.vector('i8')}")
        if stride == 1:
            self.store(kind, value, self.address(pointer, column, kind), mask)
        elif stride == 0:  # an axis of one entry
            one = self.value(f"extractelement {self.vector(kind)} {value}, i32 0")
            self.put(f"store {kind} {one}, ptr {pointer}")
        else:
            pointers = self._pointers(pointer, stride, column, kind)
            name = f"llvm.masked.scatter.v{self.lanes}{in_name(kind)}.v{self.lanes}p0"
            self.call(
                "void",
                name,
                (self.vector(kind), value),
                (self.vector("ptr"), pointers),
                ("i32", str(size_of(kind))),
                (self.vector("i1"), mask or self.constant("i1", True)),
            )

    def _pointers(self, pointer: str, stride: Any, column: str, kind: str) -> str:
        lanes = "<" + ", ".join([f"i64 {k}" for k in range(self.lanes)]) + ">"
        columns = self.value(f"add {self.vector('i64')} {lanes}, {self.splat('i64', column)}")
        offsets = self.value(f"mul {self.vector('i64')} {columns}, {self.splat('i64', self.size(stride))}")
        return self.value(f"getelementptr {kind}, ptr {pointer}, {self.vector('i64')} {offsets}")

    # ------------------------------------------------------------ loops over rows
    def map(self, work: Map) -> None:
        refs = [ref for _, ref in (*work.loads, *work.stores)]
        kinds = {ref.dtype for ref in refs} | {line.dtype for line in work.lines}
        self.lanes = self._lanes_of(kinds)
        starts = [self.start(ref) for ref in refs]
        flags = "" if work.where is None else self.start(work.where)
        with self.loop("row", "0", self.integer(work.rows)) as row, ExitStack() as stack:
            if work.where is not None:
                pointer = self._moved(flags, work.where.row, row, "bool")
                flag = self.value(f"load i8, ptr {pointer}")
                stack.enter_context(self.when(self.value(f"icmp ne i8 {flag}, 0")))
            pointers = [self._moved(s, ref.row, row, ref.dtype) for s, ref in zip(starts, refs, strict=True)]
            for depth, dim in enumerate(work.dims[:-1]):
                entry = stack.enter_context(self.loop(f"axis {depth}", "0", self.size(dim)))
                pointers = self._along(refs, pointers, depth, entry)
            self._columns(
                self.size(work.dims[-1]) if work.dims else "1",
                lambda column, mask: self._entries(work, pointers, column, mask),
            )

    def _columns(self, count: str, write: Callable[[str, str | None], None]) -> None:
        """write(column, mask) for whole vectors, and for what is left."""
        whole = "0"
        if count != "1":
            whole = self.times(self.value(f"sdiv i64 {count}, {self.lanes}"), str(self.lanes))
            with self.loop("column", "0", whole, self.lanes) as column:
                write(column, None)
        with self.when(self.value(f"icmp slt i64 {whole}, {count}")):
            write(whole, self.mask(self.minus(count, whole)))

    def _entries(self, work: Map, pointers: Sequence[str], column: str, mask: str | None) -> None:
        values, kinds = dict[str, str](), dict[str, str]()
        for (name, ref), pointer in zip(work.loads, pointers, strict=False):
            values[name], kinds[name] = self._read(ref, pointer, column, mask), element(ref.dtype)
        for line in work.lines:
            kinds[line.name] = element(line.dtype)
            values[line.name] = self._line(line, values, kinds)
        for (name, ref), pointer in zip(work.stores, pointers[len(work.loads) :], strict=True):
            self._write(ref, pointer, column, values[name], mask)

    def _line(self, line: Line, values: dict[str, str], kinds: dict[str, str]) -> str:
        usual = element(line.of)
        given, of = list[str](), list[str]()
        for k, operand in enumerate(line.operands):
            kind = "i1" if line.op == "where" and k == 0 else usual
            if isinstance(operand, Number):
                given.append(self._number(operand.value, kind))
            else:
                given.append(self._as(values[operand], kinds[operand], kind))
            of.append(kind)
        return curves.emit(self, line, given, of)

    def _number(self, value: Any, kind: str) -> str:
        """A constant throughout; one that the call brings comes as a double's bits, and an Index has a whole value."""
        if isinstance(value, Slot):
            one = self.value(f"bitcast i64 {self.slots[value.k]} to double")
        elif isinstance(value, tuple):
            one = self.value(f"sitofp i64 {self.integer(value)} to double")
        else:
            return self.constant(kind, value)
        if kind == "float":
            one = self.value(f"fptrunc double {one} to float")
        elif kind[0] == "i":
            one = self.value(f"fptosi double {one} to {kind}")
        return self.splat(kind, one)

    def _as(self, value: str, old: str, new: str) -> str:
        if old == new:
            return value
        return curves.emit(self, Line("", "cast", (), _dtype_of(old), _dtype_of(new)), [value], [old])

    def _lanes_of(self, dtypes: set[str]) -> int:
        return min([self.target.lanes(dtype) for dtype in dtypes if dtype != "bool"] or [self.target.lanes(self.dtype)])

    # ------------------------------------------------------------ reductions
    def reduce(self, work: Reduce) -> None:
        """Over the last axis by vectors, where it is one; over an axis of `free` by vectors, where it lies better."""
        self.lanes = self._lanes_of({ref.dtype for ref in (*work.sources, work.out)})
        kind, free = element(work.out.dtype), len(work.free)
        across = bool(work.axes) and all(s.strides[-1] in (0, 1) for s in work.sources)
        sideways = bool(free) and work.out.strides[-1] == 1 and all(s.strides[free - 1] in (0, 1) for s in work.sources)
        refs = (*work.sources, work.out)
        starts = [self.start(ref) for ref in refs]
        with self.loop("row", "0", self.integer(work.rows)) as row, ExitStack() as stack:
            pointers = [self._moved(s, ref.row, row, ref.dtype) for s, ref in zip(starts, refs, strict=True)]
            outer = work.free[:-1] if sideways and not across else work.free
            for depth, dim in enumerate(outer):
                entry = stack.enter_context(self.loop(f"axis {depth}", "0", self.size(dim)))
                pointers = self._along(refs, pointers, depth, entry)
            if sideways and not across:
                self._columns(
                    self.size(work.free[-1]),
                    lambda column, mask: self._sideways(work, pointers, column, mask),
                )
                return
            total = self.at_entry(f"alloca {self.vector(kind)}")
            start = self.constant(kind, _start(work.op, kind))
            self.put(f"store {self.vector(kind)} {start}, ptr {total}")
            with ExitStack() as inner:
                for depth, dim in enumerate(work.axes[:-1]):
                    entry = inner.enter_context(self.loop(f"inner {depth}", "0", self.size(dim)))
                    pointers[:-1] = self._along(work.sources, pointers[:-1], free + depth, entry)
                self._columns(
                    self.size(work.axes[-1]),
                    lambda column, mask: self._gather(work, pointers, column, mask, total, start),
                )
            value = self._within(work.op, kind, self.value(f"load {self.vector(kind)}, ptr {total}"))
            self.put(f"store {kind} {value}, ptr {pointers[-1]}")

    def _product(self, work: Reduce, pointers: Sequence[str], column: str, mask: str | None, axis: int) -> str:
        """The product of the sources' vectors along one of their axes."""
        kind = element(work.out.dtype)
        found = ""
        for ref, pointer in zip(work.sources, pointers, strict=False):
            value = self._read(ref._replace(strides=(ref.strides[axis],)), pointer, column, mask)
            value = self._as(value, element(ref.dtype), kind)
            found = self._joined("prod", kind, found, value) if found else value
        return found

    def _gather(
        self, work: Reduce, pointers: Sequence[str], column: str, mask: str | None, total: str, start: str
    ) -> None:
        kind = element(work.out.dtype)
        value = self._product(work, pointers, column, mask, -1)
        if mask is not None:
            value = self.select(kind, mask, value, start)
        before = self.value(f"load {self.vector(kind)}, ptr {total}")
        self.put(f"store {self.vector(kind)} {self._joined(work.op, kind, before, value)}, ptr {total}")

    def _sideways(self, work: Reduce, pointers: Sequence[str], column: str, mask: str | None) -> None:
        """A vector of results at once, entry by entry of the axes."""
        kind, free = element(work.out.dtype), len(work.free)
        total = self.at_entry(f"alloca {self.vector(kind)}")
        self.put(f"store {self.vector(kind)} {self.constant(kind, _start(work.op, kind))}, ptr {total}")
        with ExitStack() as inner:
            now = list(pointers)
            for depth, dim in enumerate(work.axes):
                entry = inner.enter_context(self.loop(f"inner {depth}", "0", self.size(dim)))
                now[:-1] = self._along(work.sources, now[:-1], free + depth, entry)
            value = self._product(work, now, column, mask, free - 1)
            before = self.value(f"load {self.vector(kind)}, ptr {total}")
            self.put(f"store {self.vector(kind)} {self._joined(work.op, kind, before, value)}, ptr {total}")
        found = self.value(f"load {self.vector(kind)}, ptr {total}")
        self._write(work.out, pointers[-1], column, found, mask)

    def _joined(self, op: str, kind: str, a: str, b: str) -> str:
        name = {"sum": "add", "prod": "mul", "amax": "maximum", "amin": "minimum"}[op]
        return curves.emit(self, Line("", name, (), _dtype_of(kind), _dtype_of(kind)), [a, b], [kind, kind])

    def _within(self, op: str, kind: str, vector: str) -> str:
        """The reduction of a vector's lanes, by halves."""
        lanes = self.lanes
        width = lanes
        while width > 1:
            width //= 2
            order = ", ".join([f"i32 {k + width if k < width else k}" for k in range(lanes)])
            moved = self.value(
                f"shufflevector {self.vector(kind)} {vector}, {self.vector(kind)} poison, <{lanes} x i32> <{order}>"
            )
            vector = self._joined(op, kind, vector, moved)
        return self.value(f"extractelement {self.vector(kind)} {vector}, i32 0")

    # ------------------------------------------------------------ by numbers
    def gather(self, work: Gather) -> None:
        """Number by number; the last of the other axes by vectors."""
        self.lanes = self._lanes_of({work.source.dtype})
        refs, axis = (work.source, work.out), work.axis
        others = [k for k in range(len(work.dims)) if k != axis]
        starts = [self.start(ref) for ref in refs]
        with ExitStack() as stack:
            row = stack.enter_context(self.loop("row", "0", self.integer(work.rows)))
            pointers = [self._moved(s, ref.row, row, ref.dtype) for s, ref in zip(starts, refs, strict=True)]
            here = stack.enter_context(self.loop("number", "0", self.size(work.dims[axis])))
            there = self.value(f"load i64, ptr {self.address(self.variables[work.numbers], here, 'i64')}")
            places = (here, there) if work.add else (there, here)
            pointers = self._along(refs, pointers, axis, *places)
            for k in others[:-1]:
                entry = stack.enter_context(self.loop(f"axis {k}", "0", self.size(work.dims[k])))
                pointers = self._along(refs, pointers, k, entry)
            last = [ref._replace(strides=tuple([ref.strides[k] for k in others[-1:]])) for ref in refs]

            def move(column: str, mask: str | None) -> None:
                source, out = (self._read(ref, p, column, mask) for ref, p in zip(last, pointers, strict=True))
                kind = element(work.out.dtype)
                value = self._joined("sum", kind, out, source) if work.add else source
                self._write(last[1], pointers[1], column, value, mask)

            self._columns(self.size(work.dims[others[-1]]) if others else "1", move)


_STARTS = {"sum": 0.0, "prod": 1.0, "amax": -np.inf, "amin": np.inf}


def _start(op: str, kind: str) -> float:
    """What a reduction of nothing is."""
    if kind[0] != "i" or op in ("sum", "prod"):
        return _STARTS[op]
    limit: int = 1 << (int(kind[1:]) - 1)
    return -limit if op == "amax" else limit - 1


def _stored(dtype: str) -> str:
    """LLVM's type of a number in memory."""
    return "i8" if dtype == "bool" else element(dtype)


def _dtype_of(kind: str) -> str:
    return {"float": "float32", "double": "float64", "i1": "bool"}.get(kind) or f"int{kind[1:]}"
