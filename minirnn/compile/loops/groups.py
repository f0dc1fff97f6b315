"""Loops over rows: a group of elementwise operations as one Map, a reduction or a small product as one Reduce, a part
in zeros as two Maps."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minirnn.compile.errors import CannotCompile
from minirnn.compile.fuse import Group
from minirnn.compile.ir import Node, is_scalar, precision
from minirnn.compile.loops.memory import Memory
from minirnn.compile.loops.places import Place
from minirnn.compile.loops.program import For, Gather, Index, Line, Map, Number, Reduce, Ref, Statement, index
from minirnn.compile.loops.sizes import Size, plus, scaled, size_of, times
from minirnn.compile.operations import COMPARISONS

__all__ = ["Loops"]


ONE_ROW = index(1)


class Loops(Memory):
    """Makes the statements of a phase that go over rows."""

    def ref(self, place: Place, dtype: Any, strides: Sequence[Size] | None = None) -> Ref:
        self.of_call(place)
        return Ref(place.memory, dtype.name, place.at, place.row, place.strides if strides is None else tuple(strides))

    def group(self, group: Group, phase: str) -> Statement:
        """The group's operations on every entry of every row."""
        shape = self.tail(group.nodes[0].shape)
        loads, stores = dict[Ref, str](), list[tuple[str, Ref]]()
        lines, names = list[Line](), dict[Node, str]()

        def reference(place: Place, node: Node) -> Ref:
            strides = place.strides[max(0, len(place.strides) - len(shape)) :]
            missing = len(shape) - len(strides)
            own = (1,) * missing + tuple(node.shape[len(node.shape) - len(strides) :])
            at_one = [0 if d == 1 else s for d, s in zip(own, (0,) * missing + strides, strict=True)]
            return self.ref(place, node.dtype, at_one)

        def operand(node: Node) -> Any:
            filled = self._filled(node)
            if is_scalar(filled):
                return Number(filled.attrs[0])
            if filled.op == "size":
                return self._size(filled, lines)
            if node not in names:
                found = reference(self.place(node, phase), node)
                names[node] = loads.setdefault(found, f"a{len(loads)}")
            return names[node]

        for node in group.nodes:
            given = tuple([operand(o) for o in node.operands])
            names[node] = f"v{len(lines)}"
            lines.append(Line(names[node], node.op, given, _taken_in(node).name, node.dtype.name))
            homes = [self.memory[node]] if node in self.memory else []
            for where in [*homes, *self.stores.get(node, [])]:
                stores.append((names[node], reference(self._memory_place(where, node, phase), node)))
        return _flattened(self.rows(group.nodes[0], phase), shape, [(n, r) for r, n in loads.items()], lines, stores)

    def _size(self, node: Node, lines: list[Line]) -> Any:
        """A number that follows from the size of the batch."""
        many, more, power = node.attrs
        value = Number(index((many, "b"), more))
        if power == 1:
            return value
        lines.append(Line(f"v{len(lines)}", "div", (Number(1.0), value), "float64", "float64"))
        return lines[-1].name

    def reduction(self, node: Node, phase: str) -> Statement:
        """sum, amax, amin or prod over some axes of a row's entries."""
        (x,) = node.operands
        source, out = self.place(x, phase), self.place(node, phase)
        axes, dims = [axis - self.first for axis in node.attrs], self.tail(x.shape)
        free = [k for k in range(len(dims)) if k not in axes]
        strides = [source.strides[k] for k in (*free, *axes)]
        sides = [dims[k] for k in free], [dims[k] for k in axes]
        return self._reduced(node.op, phase, *sides, [(source, x, strides)], (out, node))

    def contraction(self, node: Node, phase: str) -> Statement:
        """An einsum of values of the same row, or with a parameter: sums of products."""
        inputs, output = node.attrs[0].split("->")
        letters = inputs.split(",")
        batch = output[: self.first]
        inner = sorted({c for part in letters for c in part} - set(output))
        sizes = dict[str, Size]()
        for part, operand in zip(letters, node.operands, strict=True):
            sizes |= {c: size_of(d) for c, d in zip(part, operand.shape, strict=True) if d != 1 or c not in sizes}
        order = [*output[self.first :], *inner]
        sources = []
        for part, operand in zip(letters, node.operands, strict=True):
            place = self.place(operand, phase)
            tail = part[1:] if batch and part[:1] == batch else part
            if len(place.strides) != len(tail):
                raise CannotCompile("it has a product of several axes at once")
            dims = operand.shape[len(part) - len(tail) :]
            by = {c: 0 if dim == 1 else s for c, dim, s in zip(tail, dims, place.strides, strict=True)}
            sources.append((place, operand, [by.get(c, 0) for c in order]))
        if not inner:
            inner, sources = ["1"], [(place, operand, [*s, 0]) for place, operand, s in sources]
            sizes["1"] = 1
        free = [sizes[c] for c in output[self.first :]]
        return self._reduced("sum", phase, free, [sizes[c] for c in inner], sources, (self.place(node, phase), node))

    def _reduced(
        self,
        op: str,
        phase: str,
        free: Sequence[Size],
        axes: Sequence[Size],
        sources: Sequence[tuple[Place, Node, Sequence[Size]]],
        out: tuple[Place, Node],
    ) -> Statement:
        place, node = out
        refs = [self.ref(source, x.dtype, strides) for source, x, strides in sources]
        return Reduce(op, self.rows(node, phase), tuple(free), tuple(axes), tuple(refs), self.ref(place, node.dtype))

    def copied(
        self,
        source: Place,
        to: Place,
        shape: Sequence[Size],
        dtype: Any,
        *,
        rows: Index = ONE_ROW,
        add: bool = False,
    ) -> Statement:
        """A copy of a value, or its sum with what is there."""
        name = dtype.name
        loads, there = [("a", self.ref(source, dtype))], self.ref(to, dtype)
        if add:
            lines = [Line("v", "add", ("a", "b"), name, name)]
            loads.append(("b", there))
        else:
            lines = [Line("v", "copy", ("a",), name, name)]
        return _flattened(rows, shape, loads, lines, [("v", there)])

    def in_zeros(self, node: Node, phase: str) -> list[Statement]:
        """A part of an array of zeros."""
        (x,), dtype, rows = node.operands, node.dtype, self.rows(node, phase)
        out = self.place(node, phase)
        cleared = self._cleared(node, out, phase)
        parts = node.attrs[1 + self.first :]
        at = [times(size_of(part[0]), stride) for part, stride in zip(parts, out.strides, strict=True)]
        by = [times(part[2], stride) for part, stride in zip(parts, out.strides, strict=True)]
        there = self.ref(out._replace(at=index(out.at, *map(index, at))), dtype, by)
        filled = self._filled(x)
        if is_scalar(filled):
            line = Line("v", "copy", (Number(filled.attrs[0]),), dtype.name, dtype.name)
            return [cleared, _flattened(rows, self.tail(x.shape), [], [line], [("v", there)])]
        line = Line("v", "copy", ("a",), x.dtype.name, dtype.name)
        loads = [("a", self.ref(self.place(x, phase), x.dtype))]
        return [cleared, _flattened(rows, self.tail(x.shape), loads, [line], [("v", there)])]

    def _cleared(self, node: Node, out: Place, phase: str) -> Statement:
        zero, to = Line("zero", "copy", (Number(0.0),), node.dtype.name, node.dtype.name), self.ref(out, node.dtype)
        return _flattened(self.rows(node, phase), self.tail(node.shape), [], [zero], [("zero", to)])

    def by_numbers(self, node: Node, phase: str) -> list[Statement]:
        """Entries by their numbers along an axis; or, into zeros, added up by their numbers."""
        (x,), (axis, *numbers), add = node.operands, node.attrs, node.op == "untake"
        body: list[Statement] = []
        out, source = self.place(node, phase), self.ref(self.place(x, phase), x.dtype)
        if add:
            numbers = numbers[1:]
            body.append(self._cleared(node, out, phase))
        held = Node("const", (), (np.array(numbers, np.int64),), (len(numbers),), np.int64)
        name = self.constant(held)
        dims, rows = self.tail(x.shape if add else node.shape), self.rows(node, phase)
        body.append(Gather(rows, dims, axis - self.first, name, source, self.ref(out, node.dtype), add))
        return body

    def running(self, node: Node, phase: str) -> list[Statement]:
        """A running sum or product along an axis: its first entry, and then each of the one before."""
        (x,), axis, name = node.operands, node.attrs[0] - self.first, node.dtype.name
        dims, rows = self.tail(node.shape), self.rows(node, phase)
        source, out = self.place(x, phase), self.place(node, phase)

        def column(place: Place, dtype: Any, *more: int | None) -> Ref:
            stride = place.strides[axis]
            at = index(place.at, *[scaled(stride, "column") if m is None else index(times(m, stride)) for m in more])
            return self.ref(place._replace(at=at), dtype, (*place.strides[:axis], *place.strides[axis + 1 :]))

        others = (*dims[:axis], *dims[axis + 1 :])
        copy = Line("v", "copy", ("a",), x.dtype.name, name)
        first = _flattened(rows, others, [("a", column(source, x.dtype))], [copy], [("v", column(out, node.dtype))])
        join = Line("v", "add" if node.op == "cumsum" else "mul", ("before", "a"), name, name)
        loads = [("before", column(out, node.dtype, None)), ("a", column(source, x.dtype, None, 1))]
        then = _flattened(rows, others, loads, [join], [("v", column(out, node.dtype, None, 1))])
        return [first, For("column", index(plus(dims[axis], -1)), (then,))] if dims[axis] else []


def _taken_in(node: Node) -> Any:
    """The dtype in which an operation takes its numbers."""
    if node.op in ("cast", "isfinite", "isnan"):
        return node.operands[0].dtype
    if node.op.startswith("logical"):
        return np.dtype(bool)
    if node.op in COMPARISONS:
        return np.result_type(*[precision(o) for o in node.operands])
    return node.dtype


def _flattened(
    rows: Index,
    shape: Sequence[Size],
    loads: Sequence[tuple[str, Ref]],
    lines: Sequence[Line],
    stores: Sequence[tuple[str, Ref]],
) -> Map:
    """A Map in which neighbouring axes are one where every access goes through them as through one; and rows too."""
    dims, refs = list(shape), [ref for _, ref in (*loads, *stores)]
    strides = [list(ref.strides) for ref in refs]
    k = len(dims) - 2
    while k >= 0:
        if all(s[k] == times(s[k + 1], dims[k + 1]) for s in strides) or dims[k] == 1 or dims[k + 1] == 1:
            for s in strides:
                if dims[k + 1] == 1:
                    s[k + 1] = s[k]
                del s[k]
            dims[k : k + 2] = [times(dims[k], dims[k + 1])]
        k -= 1
    found = [ref._replace(strides=tuple(s)) for ref, s in zip(refs, strides, strict=True)]
    names = [name for name, _ in (*loads, *stores)]
    pairs = list(zip(names, found, strict=True))
    return Map(rows, tuple(dims), tuple(pairs[: len(loads)]), tuple(lines), tuple(pairs[len(loads) :]))
