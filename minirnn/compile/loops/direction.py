"""A placed graph's forward or backward pass over a block of steps as a loop program, and what its call brings.

    before    for all rows of the block
    loop      for t in 0..n (backward: from the last on): a step's rows
    after     for all rows again
    sums      weights' gradients: products over all rows, those of one left side together

`outside` marks rows whose sequence is over: their states are held, and their cotangents pass by. `begins` marks rows
whose state is made anew before a step. What a step is given lies in `in`, and what it makes of it in `s`, one step on;
where nothing begins within a sequence, they are one memory.

Where rows of the batch meet, everything stands in the loop, and the weights' gradients are added up step by step.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minirnn.compile.errors import CannotCompile
from minirnn.compile.ir import Node
from minirnn.compile.loops.groups import Loops
from minirnn.compile.loops.places import Argument, Place
from minirnn.compile.loops.program import (
    ROWS,
    ColumnSum,
    For,
    Function,
    Index,
    Let,
    Line,
    Map,
    Multiply,
    MultiplyDirect,
    MultiplyTransposed,
    Number,
    Pack,
    Ref,
    Statement,
    When,
    index,
)
from minirnn.compile.loops.scratch import with_shared_scratch
from minirnn.compile.loops.sizes import dense, times
from minirnn.compile.place import Placed, Program
from minirnn.compile.when import When as Known

__all__ = ["FLAGS", "Direction", "parts_of"]


def parts_of(placed: Placed) -> tuple[tuple[Program, bool], tuple[Program, bool]]:
    """What the two Directions of a graph are made of."""
    return (placed.forward, False), (placed.backward, True)


FLAGS = {
    False: ("keep", "ragged", "resets", "direct"),
    True: ("starts", "want_x", "want_p", "ragged", "resets", "direct"),
}
Body = list[Statement]


class Direction(Loops):
    """`function` is the loop program; `arguments` says what its call brings for each name of memory.

    native: the flag `direct` says that there are few rows, and no packed matrices.
    """

    def __init__(self, placed: Placed, program: Program, backward: bool, native: bool = False):
        super().__init__(placed, program, backward)
        self.native = native
        self.direct = native and self.first == 1  # whether it can do without matrices packed beforehand
        self.own: dict[tuple[Node, bool], str] = {}  # matrices that a call packs for itself, and where to
        self.ahead: Body = []  # how it does
        self.scratches = 0
        floats = [n.dtype for n in placed.graph.nodes() if n.op == "matmul" and n.dtype.kind == "f"]
        floats += [n.dtype for n in placed.graph.inputs if n.dtype.kind == "f"]
        if len({dtype.name for dtype in floats}) > 1:
            raise CannotCompile("it mixes float32 and float64")
        self.dtype = floats[0] if floats else np.dtype(np.float32)
        if self.dtype.name not in ("float32", "float64"):
            raise CannotCompile(f"its numbers are {self.dtype.name}")
        body = tuple(self._composed())
        name = "backward" if backward else "forward"
        whole = Function(name, self.dtype.name, tuple(self.arguments), ("n", "b", *FLAGS[backward]), body)
        self.function = with_shared_scratch(whole, self.arguments)

    # ------------------------------------------------------------ order
    def _composed(self) -> Body:
        before = self._phase("before")
        step: Body = []
        if self.backward:
            step += [Let("now", index((1, "n"), -1, (-1, "t"))), *(self._hold() if self.first else [])]
        else:
            step += self._begin()
        step += self._phase("loop")
        if self.first:
            step += self._end_of_step()
        elif self.program.sums:
            step.append(When(("want_p",), tuple(self._added())))
        if self.backward:
            step += self._return_to_beginning()
        after = self._phase("after")
        if self.native:
            ahead = [When(("direct",), tuple(self.ahead))] if self.ahead else []
            before = [Let("packed", index(1, (-1, "direct"))), *ahead, *before]
        body = [*before, For("t", index((1, "n")), tuple(step), self.backward), *after]
        if self.backward:
            sums = self._sums() if self.first else []
            body += [When(("want_p",), tuple(sums))] if sums else []
            body += [Let("now", index((1, "n")))]
            moved = [
                self._copied(f"d{k}", index((width, "now", "b")), f"d{k}", (), width, node.dtype.name)
                for k, node in enumerate(self.of_kind("d_state"))
                for width in [math.prod(node.shape[1:])]
            ]
            body += [When(("now",), tuple(moved))] if moved else []
        return body

    def _phase(self, phase: str) -> Body:
        needs = self._needs(phase)
        body: Body = []
        for stage in self.staged[phase]:
            for group in stage.groups:
                body += _guarded(group.needs, [self.group(group, phase)])
            for node in stage.whole:
                body += _guarded(needs.get(node, ()), self._whole(node, phase))
        return body

    def _whole(self, node: Node, phase: str) -> Body:
        if node.op == "matmul":
            return self._product(node, phase)
        if node.op in ("sum", "amax", "amin", "prod"):
            return [self.reduction(node, phase)]
        if node.op == "einsum":
            return [self.contraction(node, phase)]
        if node.op == "put":
            return self.in_zeros(node, phase)
        if node.op in ("take", "untake"):
            return self.by_numbers(node, phase)
        if node.op in ("cumsum", "cumprod"):
            return self.running(node, phase)
        raise CannotCompile(f"it calls {node.attrs[1]}, which is a function of its own")

    def _product(self, node: Node, phase: str) -> Body:
        (a, w), (turned, turned_w) = node.operands, node.attrs
        left, out = self.place(a, phase), self.place(node, phase)
        if out.strides[-1] != 1 and node.shape[1] != 1:
            raise CannotCompile("it has a product into a strided side")
        body: Body = []
        if self.placed.known[w] == Known.ONCE and w not in self.phase_of:
            k = self.packs.setdefault((w, turned_w), len(self.packs))
            memory = self.argument(f"m{k}", Argument("packed", k))
        elif self.first:
            raise CannotCompile("it has a product with what is no parameter")
        else:
            memory = self._packed_step(w, turned_w, phase, body)
        if self.first:
            sides = self.ref(out, node.dtype), self.ref(left, a.dtype)
            packed = Multiply(*sides, memory, self.rows(node, phase), a.shape[1], node.shape[1])
            return self._direct(packed, w, turned_w, phase) if self.native else [packed]
        (m, k), n = self.tail(a.shape)[:: -1 if turned else 1], self.tail(node.shape)[1]
        side = self._matrix(out, node.dtype), self._matrix(left, a.dtype, turned)
        return [*body, Multiply(*side, memory, index(m), k, n)]

    def _direct(self, packed: Multiply, w: Node, turned: bool, phase: str) -> Body:
        """The product as it is for one row: of a matrix that is read as it lies, where that is by rows and within the
        loop, and otherwise of one that the call packs for itself."""
        try:
            place = self._once_place(w)
        except CannotCompile:
            self.direct = False
            return [packed]
        right = self._matrix(place._replace(strides=dense(w.shape)), w.dtype, turned)
        if phase == "loop" and not turned and packed.left.strides[-1:] == (1,):
            few: Statement = MultiplyDirect(packed.out, packed.left, right, packed.rows, packed.k, packed.n)
        else:
            if (w, turned) not in self.own:
                name = self.own[w, turned] = f"u{len(self.own)}"
                self.argument(name, Argument("right", 0, f"right {name}", index(packed.k), packed.n, w.dtype.name))
                self.ahead.append(Pack(right, index(packed.k), packed.n, name))
            few = packed._replace(packed=self.own[w, turned])
        return [When(("direct",), (few,)), When(("packed",), (packed,))]

    def _matrix(self, place: Place, dtype: Any, turned: bool = False) -> Ref:
        """A matrix of a step's as rows."""
        row, column = place.strides[:: -1 if turned else 1]
        return self.ref(place._replace(row=row, strides=(column,)), dtype)

    def _packed_step(self, w: Node, turned: bool, phase: str, body: Body) -> str:
        """A step's own right side, packed where it is needed."""
        rows, width = self.tail(w.shape)[:: -1 if turned else 1]
        place, name = self.place(w, phase), f"w{self.scratches}"
        self.scratches += 1
        if 1 not in place.strides and w.shape != (1, 1):
            copy = self.scratch(name.replace("w", "r"), index(times(*self.tail(w.shape))), 1, w.dtype)
            whole = Place(copy, (), 0, dense(self.tail(w.shape)))
            body.append(self.copied(place, whole, self.tail(w.shape), w.dtype))
            place = whole
        self.argument(name, Argument("right", 0, f"right {name}", index(rows), width, w.dtype.name))
        body.append(Pack(self._matrix(place, w.dtype, turned), index(rows), width, name))
        return name

    # ------------------------------------------------------------ ends of steps
    def _copied(
        self, source: str, at: Index, to: str, to_at: Index, width: int, dtype: str, where: Ref | None = None
    ) -> Statement:
        for name in (source, to):
            self.of_call(Place(name, (), 0, ()))
        loads = (("a", Ref(source, dtype, at, width, (1,))),)
        return Map(ROWS, (width,), loads, (), (("a", Ref(to, dtype, to_at, width, (1,))),), where)

    def _flags(self, name: str) -> Ref:
        """The flags of a step's rows: whose sequence is over, or whose state is made anew."""
        self.argument(name, Argument(name))
        return Ref(name, "bool", index((1, "t", "b")), 1, ())

    def _begin(self) -> Body:
        """Before a step: what it is given, which is what the step before it left, or a state made anew."""
        body: Body = []
        for k, node in enumerate(self.of_kind("state")):
            width, dtype = math.prod(node.shape[1:]), node.dtype.name
            now = index((width, "t", "b"))
            body.append(self._copied(f"s{k}", now, f"in{k}", now, width, dtype))
            body.append(self._copied(f"anew{k}", (), f"in{k}", now, width, dtype, self._flags("begins")))
        return [When(("resets",), tuple(body))] if body else []

    def _return_to_beginning(self) -> Body:
        """Behind a backward step: the cotangents of states made anew, added up, and zeros in their place."""
        body: Body = []
        for k, node in enumerate(self.of_kind("d_state")):
            width, dtype, total = math.prod(node.shape[1:]), node.dtype.name, f"danew{k}"
            there = Ref(f"d{k}", dtype, index((width, "b"), (-width, "now", "b")), width, (1,))
            sums = Ref(total, dtype, (), width, (1,))
            self.of_call(Place(total, (), 0, ()))
            added = (Line("v", "add", ("a", "b"), dtype, dtype),)
            where = self._flags("begins")
            body.append(Map(ROWS, (width,), (("a", sums), ("b", there)), added, (("v", sums),), where))
            body.append(_zeroed(there, width, where))
        return [When(("resets",), tuple(body))] if body else []

    def _hold(self) -> Body:
        """Before a backward step: where sequences are over, the cotangents put aside, and zeros in their place."""
        body: Body = []
        for k, node in enumerate(self.of_kind("d_state")):
            width, dtype = math.prod(node.shape[1:]), node.dtype.name
            held = self.scratch(f"h{k}", ROWS, width, node.dtype)
            now = index((width, "now", "b"))
            over = self._flags("outside")
            body.append(self._copied(f"d{k}", now, held, (), width, dtype, over))
            body.append(_zeroed(Ref(f"d{k}", dtype, now, width, (1,)), width, over))
        return [When(("ragged",), tuple(body))] if body else []

    def _end_of_step(self) -> Body:
        body: Body = []
        for k, node in enumerate(self.of_kind("d_state" if self.backward else "state")):
            width, dtype = math.prod(node.shape[1:]), node.dtype.name
            if self.backward:
                there = index((width, "b"), (-width, "now", "b"))
                body.append(self._copied(f"h{k}", (), f"d{k}", there, width, dtype, self._flags("outside")))
            else:
                now = index((width, "t", "b"))
                over = self._flags("outside")
                body.append(self._copied(f"s{k}", now, f"s{k}", index(now, (width, "b")), width, dtype, over))
        return [When(("ragged",), tuple(body))] if body else []

    # ------------------------------------------------------------ sums over all rows
    def _added(self) -> Body:
        """A step's part of the weights' gradients, added to that of the others."""
        body: Body = []
        for k, node in enumerate(self.program.sums):
            total = Place(self.argument(f"g{k}", Argument("sums", k)), (), 0, dense(node.shape))
            body.append(self.copied(self.place(node, "loop"), total, self.tail(node.shape), node.dtype, add=True))
        return body

    def _sums(self) -> Body:
        body: Body = []
        rights: dict[Node, str] = {}
        for k, node in enumerate(self.program.sums):
            total = self.argument(f"g{k}", Argument("sums", k))
            if node.op == "sum":
                body.append(self._sum_of_rows(total, node, body))
                continue
            if node.op != "matmul":
                raise CannotCompile(f"it has {node.op} over rows of the batch")
            left, right = node.operands
            if right not in rights:
                rights[right] = self._packed_right(right, f"w{len(rights)}", body)
            place = self._side_by_side(left, body)
            room = self.argument("room", Argument("room"))
            ref = self.ref(place, left.dtype)
            rows = self.rows(left, "after")
            body.append(MultiplyTransposed(total, ref, rights[right], left.shape[1], rows, right.shape[1], room))
        return body

    def _side_by_side(self, node: Node, body: Body) -> Place:
        """A value of all steps whose rows have their numbers side by side: itself, or a copy."""
        place, shape, width = self.place(node, "after"), self.tail(node.shape), self.width(node)
        strides = dense(shape)
        if place.row and all(d == 1 or a == b for d, a, b in zip(shape, place.strides, strides, strict=True)):
            return place
        name, rows = f"r{self.scratches}", self.rows(node, "after")
        self.scratches += 1
        whole = Place(self.scratch(name, rows, width, node.dtype), (), width, strides)
        body.append(self.copied(place, whole, shape, node.dtype, rows=rows))
        return whole

    def _packed_right(self, node: Node, name: str, body: Body) -> str:
        width, rows, place = node.shape[1], self.rows(node, "after"), self._side_by_side(node, body)
        self.argument(name, Argument("right", 0, f"right {name}", rows, width, node.dtype.name))
        body.append(Pack(self.ref(place, node.dtype), rows, width, name))
        return name

    def _sum_of_rows(self, total: str, node: Node, body: Body) -> Statement:
        (x,) = node.operands
        if node.attrs != (0,):
            raise CannotCompile("it sums over rows of the batch and more")
        place = self._side_by_side(x, body)
        return ColumnSum(total, self.ref(place, x.dtype), self.rows(x, "after"), math.prod(x.shape[1:]))


def _zeroed(ref: Ref, width: int, where: Ref) -> Map:
    """Zeros in the rows that are marked."""
    zeros = (Line("zero", "copy", (Number(0.0),), ref.dtype, ref.dtype),)
    return Map(ROWS, (width,), (), zeros, (("zero", ref),), where)


def _guarded(needs: Sequence[str], body: Body) -> Body:
    return [When(tuple(needs), tuple(body))] if needs else body
