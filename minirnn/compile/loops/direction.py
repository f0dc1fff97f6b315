"""A placed graph's forward or backward pass over a block of steps as a loop program, and what its call brings.

    before    for all rows of the block
    loop      for t in 0..n (backward: from the last on): a step's rows
    after     for all rows again
    sums      weights' gradients: products over all rows, those of one left side together

`outside` marks rows whose sequence is over: their states are held, and their cotangents pass by.
"""

import math
from collections.abc import Sequence

import numpy as np

from minirnn.compile.errors import CannotCompile
from minirnn.compile.ir import Node
from minirnn.compile.loops.groups import Loops
from minirnn.compile.loops.memory import Argument, Place, dense
from minirnn.compile.loops.program import (
    BLOCK_STEPS,
    ROWS,
    ColumnSum,
    For,
    Function,
    Index,
    Let,
    Line,
    Map,
    Multiply,
    MultiplyTransposed,
    Number,
    Pack,
    Ref,
    Statement,
    When,
    index,
)
from minirnn.compile.place import Placed, Program
from minirnn.compile.when import When as Known

__all__ = ["FLAGS", "Direction", "parts_of"]


def parts_of(placed: Placed) -> tuple[tuple[Program, bool], tuple[Program, bool]]:
    """What the two Directions of a graph are made of."""
    return (placed.forward, False), (placed.backward, True)


FLAGS = {False: ("keep", "ragged"), True: ("starts", "want_x", "want_p", "ragged")}
Body = list[Statement]


class Direction(Loops):
    """`function` is the loop program; `arguments` says what its call brings for each name of memory."""

    def __init__(self, placed: Placed, program: Program, backward: bool):
        if not placed.row_wise:
            raise CannotCompile("rows of the batch meet")
        super().__init__(placed, program, backward)
        floats = [n.dtype for n in placed.graph.nodes() if n.op == "matmul" and n.dtype.kind == "f"]
        floats += [n.dtype for n in placed.graph.inputs if n.dtype.kind == "f"]
        if len({dtype.name for dtype in floats}) > 1:
            raise CannotCompile("it mixes float32 and float64")
        self.dtype = floats[0] if floats else np.dtype(np.float32)
        if self.dtype.name not in ("float32", "float64"):
            raise CannotCompile(f"its numbers are {self.dtype.name}")
        body = tuple(self._composed())
        name = "backward" if backward else "forward"
        self.function = Function(name, self.dtype.name, tuple(self.arguments), ("n", "b", *FLAGS[backward]), body)

    # ------------------------------------------------------------ order
    def _composed(self) -> Body:
        before = self._phase("before")
        step: Body = []
        if self.backward:
            step += [Let("now", index((1, "n"), -1, (-1, "t"))), *self._hold()]
        step += self._phase("loop")
        step += self._end_of_step()
        body = [*before, For("t", index((1, "n")), tuple(step), self.backward), *self._phase("after")]
        if self.backward:
            sums = self._sums()
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
        rows, needs = ROWS if phase == "loop" else BLOCK_STEPS, self._needs(phase)
        body: Body = []
        for stage in self.staged[phase]:
            for group in stage.groups:
                body += _guarded(group.needs, [self.group(group, phase, rows)])
            for node in stage.whole:
                body += _guarded(needs.get(node, ()), [self._whole(node, phase, rows)])
        return body

    def _whole(self, node: Node, phase: str, rows: Index) -> Statement:
        if node.op == "matmul":
            return self._product(node, phase, rows)
        if node.op in ("sum", "amax", "amin", "prod"):
            return self.reduction(node, phase, rows)
        if node.op == "einsum":
            return self.contraction(node, phase, rows)
        raise CannotCompile(f"it has {node.op}")

    def _product(self, node: Node, phase: str, rows: Index) -> Statement:
        a, w = node.operands
        if self.placed.known[w] != Known.ONCE:
            raise CannotCompile("it has a product with what is no parameter")
        left, out = self.place(a, phase), self.place(node, phase)
        if out.strides != (1,) and node.shape[1] != 1:
            raise CannotCompile("it has a product into a strided side")
        k = self.packs.setdefault((w, node.attrs[1]), len(self.packs))
        memory = self.argument(f"m{k}", Argument("packed", k))
        refs = self.ref(out, node.dtype), self.ref(left, a.dtype)
        return Multiply(*refs, memory, rows, a.shape[1], node.shape[1])

    # ------------------------------------------------------------ ends of steps
    def _copied(
        self, source: str, at: Index, to: str, to_at: Index, width: int, dtype: str, where: Ref | None = None
    ) -> Statement:
        for name in (source, to):
            self.of_call(Place(name, (), 0, ()))
        loads = (("a", Ref(source, dtype, at, width, (1,))),)
        return Map(ROWS, (width,), loads, (), (("a", Ref(to, dtype, to_at, width, (1,))),), where)

    def _over(self) -> Ref:
        """The flags of a step's rows whose sequence is over."""
        self.argument("outside", Argument("outside"))
        return Ref("outside", "bool", index((1, "t", "b")), 1, ())

    def _hold(self) -> Body:
        """Before a backward step: where sequences are over, the cotangents put aside, and zeros in their place."""
        body: Body = []
        for k, node in enumerate(self.of_kind("d_state")):
            width, dtype = math.prod(node.shape[1:]), node.dtype.name
            held = self.scratch(f"h{k}", ROWS, width, node.dtype)
            now = index((width, "now", "b"))
            body.append(self._copied(f"d{k}", now, held, (), width, dtype, self._over()))
            zeros = (Line("zero", "copy", (Number(0.0),), dtype, dtype),)
            stores = (("zero", Ref(f"d{k}", dtype, now, width, (1,))),)
            body.append(Map(ROWS, (width,), (), zeros, stores, self._over()))
        return [When(("ragged",), tuple(body))] if body else []

    def _end_of_step(self) -> Body:
        body: Body = []
        for k, node in enumerate(self.of_kind("d_state" if self.backward else "state")):
            width, dtype = math.prod(node.shape[1:]), node.dtype.name
            if self.backward:
                there = index((width, "b"), (-width, "now", "b"))
                body.append(self._copied(f"h{k}", (), f"d{k}", there, width, dtype, self._over()))
            else:
                now = index((width, "t", "b"))
                body.append(self._copied(f"s{k}", now, f"s{k}", index(now, (width, "b")), width, dtype, self._over()))
        return [When(("ragged",), tuple(body))] if body else []

    # ------------------------------------------------------------ sums over all rows
    def _sums(self) -> Body:
        body: Body = []
        rights: dict[Node, str] = {}
        for k, node in enumerate(self.program.sums):
            total = self.argument(f"g{k}", Argument("sums", k))
            if node.op == "sum":
                body.append(self._sum_of_rows(total, node))
                continue
            if node.op != "matmul":
                raise CannotCompile(f"it has {node.op} over rows of the batch")
            left, right = node.operands
            if right not in rights:
                body.append(self._packed_right(right, rights))
            place = self._plain(left)
            room = self.argument("room", Argument("room"))
            ref = self.ref(place, left.dtype)
            body.append(MultiplyTransposed(total, ref, rights[right], left.shape[1], BLOCK_STEPS, right.shape[1], room))
        return body

    def _plain(self, node: Node) -> Place:
        place = self.place(node, "after")
        if place.strides != (1,) and node.shape[1] != 1:
            raise CannotCompile("it has a product of a strided side over rows of the batch")
        return place

    def _packed_right(self, node: Node, rights: dict[Node, str]) -> Statement:
        width, name = node.shape[1], f"w{len(rights)}"
        rights[node] = self.argument(name, Argument("right", 0, f"right {name}", BLOCK_STEPS, width, node.dtype.name))
        return Pack(self.ref(self._plain(node), node.dtype), BLOCK_STEPS, width, name)

    def _sum_of_rows(self, total: str, node: Node) -> Statement:
        (x,) = node.operands
        place = self.place(x, "after")
        if node.attrs != (0,) or place.strides != dense(x.shape[1:]):
            raise CannotCompile("it sums over rows of the batch and more")
        if not place.row:
            raise CannotCompile("it sums over rows what is the same for all")
        return ColumnSum(total, self.ref(place, x.dtype), BLOCK_STEPS, math.prod(x.shape[1:]))


def _guarded(needs: Sequence[str], body: Body) -> Body:
    return [When(tuple(needs), tuple(body))] if needs else body
