"""Loops over rows: a group of elementwise operations as one Map, a reduction or a small product as one Reduce, a part
in zeros as two Maps."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minirnn.compile.errors import CannotCompile
from minirnn.compile.fuse import Group
from minirnn.compile.ir import COMPARISONS, Node, is_scalar
from minirnn.compile.loops.memory import Memory
from minirnn.compile.loops.places import Place
from minirnn.compile.loops.program import Index, Line, Map, Number, Reduce, Ref, Statement, index
from minirnn.compile.loops.sizes import Size, size_of, times

__all__ = ["Loops"]


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

    def copied(self, source: Place, to: Place, shape: Sequence[Size], dtype: Any, *, add: bool = False) -> Statement:
        """A copy of a step's value, or its sum with what is there; in one precision."""
        name = dtype.name
        loads, there = [("a", self.ref(source, dtype))], self.ref(to, dtype)
        if add:
            lines = [Line("v", "add", ("a", "b"), name, name)]
            loads.append(("b", there))
        else:
            lines = [Line("v", "copy", ("a",), name, name)]
        return _flattened(index(1), shape, loads, lines, [("v", there)])

    def in_zeros(self, node: Node, phase: str) -> list[Statement]:
        """A part of an array of zeros."""
        (x,), dtype, rows = node.operands, node.dtype, self.rows(node, phase)
        out, shape = self.place(node, phase), self.tail(node.shape)
        zero = Line("zero", "copy", (Number(0.0),), dtype.name, dtype.name)
        cleared = _flattened(rows, shape, [], [zero], [("zero", self.ref(out, dtype))])
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


def _taken_in(node: Node) -> Any:
    """The dtype in which an operation takes its numbers."""
    if node.op in ("cast", "isfinite", "isnan"):
        return node.operands[0].dtype
    if node.op.startswith("logical"):
        return np.dtype(bool)
    if node.op in COMPARISONS:
        return np.result_type(*[o.attrs[0] if is_scalar(o) else o.dtype for o in node.operands])
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
