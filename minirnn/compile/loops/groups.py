"""Loops over rows: a group of elementwise operations as one Map, a reduction or a small product as one Reduce."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minirnn.compile.errors import CannotCompile
from minirnn.compile.fuse import Group
from minirnn.compile.ir import COMPARISONS, Node, is_scalar
from minirnn.compile.loops.memory import Memory, Place
from minirnn.compile.loops.program import Index, Line, Map, Number, Reduce, Ref, Statement

__all__ = ["Loops"]


class Loops(Memory):
    """Makes the statements of a phase that go over rows."""

    def ref(self, place: Place, dtype: Any, strides: Sequence[int] | None = None) -> Ref:
        self.of_call(place)
        return Ref(place.memory, dtype.name, place.at, place.row, place.strides if strides is None else tuple(strides))

    def group(self, group: Group, phase: str, rows: Index) -> Statement:
        """The group's operations on every entry of every row."""
        shape = group.nodes[0].shape[1:]
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
        return _flattened(rows, shape, [(n, r) for r, n in loads.items()], lines, stores)

    def reduction(self, node: Node, phase: str, rows: Index) -> Statement:
        """sum, amax, amin or prod over some axes of a row's entries."""
        (x,) = node.operands
        source, out = self.place(x, phase), self.place(node, phase)
        if 0 in node.attrs:
            raise CannotCompile(f"it takes the {node.op} over rows of the batch and more")
        axes = [axis - 1 for axis in node.attrs]
        free = [k for k in range(len(x.shape) - 1) if k not in axes]
        strides = [source.strides[k] for k in (*free, *axes)]
        dims = x.shape[1:]
        return self._reduced(
            node.op, rows, [dims[k] for k in free], [dims[k] for k in axes], [(source, x, strides)], (out, node)
        )

    def contraction(self, node: Node, phase: str, rows: Index) -> Statement:
        """An einsum of values of the same row, or with a parameter: sums of products."""
        inputs, output = node.attrs[0].split("->")
        letters = inputs.split(",")
        batch = output[0]
        inner = sorted({c for part in letters for c in part} - set(output))
        pairs = zip(letters, node.operands, strict=True)
        sizes = {c: dim for part, operand in pairs for c, dim in zip(part, operand.shape, strict=True)}
        order = [*output[1:], *inner]
        sources = []
        for part, operand in zip(letters, node.operands, strict=True):
            place = self.place(operand, phase)
            tail = part[1:] if part[:1] == batch else part
            if len(place.strides) != len(tail):
                raise CannotCompile("it has a product of several axes at once")
            dims = operand.shape[len(part) - len(tail) :]
            by = {c: 0 if dim == 1 else s for c, dim, s in zip(tail, dims, place.strides, strict=True)}
            sources.append((place, operand, [by.get(c, 0) for c in order]))
        if not inner:
            inner, sources = ["1"], [(place, operand, [*s, 0]) for place, operand, s in sources]
            sizes["1"] = 1
        free = [sizes[c] for c in output[1:]]
        return self._reduced("sum", rows, free, [sizes[c] for c in inner], sources, (self.place(node, phase), node))

    def _reduced(
        self,
        op: str,
        rows: Index,
        free: Sequence[int],
        axes: Sequence[int],
        sources: Sequence[tuple[Place, Node, Sequence[int]]],
        out: tuple[Place, Node],
    ) -> Statement:
        place, node = out
        if node.dtype.kind != "f" or any(x.dtype != node.dtype for _, x, _ in sources):
            raise CannotCompile(f"it takes the {op} of numbers that are no floats")
        refs = [self.ref(source, x.dtype, strides) for source, x, strides in sources]
        return Reduce(op, rows, tuple(free), tuple(axes), tuple(refs), self.ref(place, node.dtype))


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
    shape: Sequence[int],
    loads: Sequence[tuple[str, Ref]],
    lines: Sequence[Line],
    stores: Sequence[tuple[str, Ref]],
) -> Map:
    """A Map in which neighbouring axes are one where every access goes through them as through one; and rows too."""
    dims, refs = list(shape), [ref for _, ref in (*loads, *stores)]
    strides = [list(ref.strides) for ref in refs]
    k = len(dims) - 2
    while k >= 0:
        if all(s[k] == s[k + 1] * dims[k + 1] for s in strides) or dims[k] == 1 or dims[k + 1] == 1:
            for s in strides:
                if dims[k + 1] == 1:
                    s[k + 1] = s[k]
                del s[k]
            dims[k : k + 2] = [dims[k] * dims[k + 1]]
        k -= 1
    found = [ref._replace(strides=tuple(s)) for ref, s in zip(refs, strides, strict=True)]
    names = [name for name, _ in (*loads, *stores)]
    pairs = list(zip(names, found, strict=True))
    return Map(rows, tuple(dims), tuple(pairs[: len(loads)]), tuple(lines), tuple(pairs[len(loads) :]))
