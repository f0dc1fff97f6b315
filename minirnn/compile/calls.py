"""What calls of a cell's loop programs bring for each name of memory, and what follows from the parameters alone.

Printed code is the same for all sizes of a cell for which the loop programs are the same but for their numbers: these
come with every call.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from minirnn.compile.ir import Node, apply
from minirnn.compile.loops.direction import FLAGS, Direction
from minirnn.compile.loops.program import Function, with_slots
from minirnn.compile.operations import ELEMENTWISE
from minirnn.compile.place import Placed, Program, once_nodes
from minirnn.compile.shares import Task
from minirnn.compile.tape import Beginnings
from minirnn.module import Array

__all__ = ["Calls", "OfParameters", "Once", "Values", "flat"]

Arrays = Sequence[Any]
Values = dict[Node, Any]


class Once(NamedTuple):
    """What follows from the parameters: values, arrays by kind of Argument, and the memory of packed matrices."""

    known: Values
    arrays: dict[str, list[Any]]
    memory: Any


class OfParameters:
    """What one direction of a cell computes of the parameters alone, and of the sums over all steps."""

    def __init__(self, placed: Placed, part: Program):
        self.placed, self.part = placed, part
        self._parameters, self._results = placed.of_kind("parameter"), placed.results("d_parameter")
        self._fixed = {node: node.attrs[0] for node in part.once if node.op == "const"}
        self._once = [(node, _computed(node)) for node in part.once if node.op != "const"]
        self._finish = [(node, _computed(node)) for node in part.finish]
        read = {operand for node in part.once for operand in node.operands}
        self.computed_with = [k for k, node in enumerate(self._parameters) if node in read]
        place = {node: k for k, node in enumerate(part.sums)}
        self._plain = None
        if place.keys() >= {node for node in self._results if node is not None}:
            self._plain = [None if node is None else place[node] for node in self._results]

    def known(self, parameters: Arrays) -> Values:
        return self.known_of(dict(enumerate(parameters)))

    def known_of(self, parameters: Mapping[int, Any]) -> Values:
        """What follows from some parameters, by their number: those that anything is computed with."""
        found = {**self._fixed, **{self._parameters[k]: array for k, array in parameters.items()}}
        _add(found, self._once)
        return found

    def gradients(self, parameters: Arrays, known: Values, sums: Arrays) -> list[Any]:
        """Of the parameters; None where there is none."""
        if self._plain is not None:
            return [None if k is None else sums[k] for k in self._plain]
        found = {**known, **dict(zip(self._parameters, parameters, strict=True))}
        found |= zip(self.part.sums, sums, strict=True)
        _add(found, self._finish)
        return [None if node is None else np.asarray(found[node], node.dtype) for node in self._results]


def _computed(node: Node) -> Callable[[list[Any]], Any]:
    """What a node computes of its operands' values, looked up once."""
    if node.op in ELEMENTWISE:
        function = ELEMENTWISE[node.op]
        return lambda values: function(*values)
    return lambda values: apply(node, values, 1)


def _add(known: Values, steps: Sequence[tuple[Node, Callable[[list[Any]], Any]]]) -> None:
    for node, compute in steps:
        known[node] = compute([known[operand] for operand in node.operands])


class Calls(OfParameters):
    """One direction of a cell. A subclass says how matrices are packed, and what runs a block. change: of the
    direction's program, for which the same memory is brought."""

    def __init__(self, direction: Direction, placed: Placed, change: Callable[[Function], Function] = lambda f: f):
        super().__init__(placed, direction.program)
        self.function, self.sizes = with_slots(change(direction.function))
        self.arguments = [direction.arguments[name] for name in self.function.memory]
        self.packs = list(direction.packs)
        self.constants = [flat(node.attrs[0], node.dtype) for node in direction.constants]
        self.dtype, self.flags = direction.dtype, FLAGS[direction.backward]
        self._kept = once_nodes(self.part)
        self._used = {argument.number for argument in self.arguments if argument.kind == "p"}

    def pack(self, matrices: Sequence[tuple[Any, bool]]) -> tuple[list[Array], Any]:
        """(matrix, whether it is transposed) as right sides of products, and what they lie in."""
        raise NotImplementedError

    def call(self, n: int, b: int, flags: Sequence[bool], given: dict[str, Arrays], once: Any, work: Any) -> Task:
        """What runs n steps of b rows on the arrays given, by kind of Argument."""
        raise NotImplementedError

    def once(self, parameters: Arrays) -> Any:
        """What follows from the parameters: a Once, or what a subclass makes of it."""
        known = self.known(parameters)
        packed, memory = self.pack([(known[node], turned) for node, turned in self.packs])
        c = [flat(known[node], node.dtype) for node in self._kept]
        p = [flat(array, array.dtype) if k in self._used else None for k, array in enumerate(parameters)]
        return Once(known, {"p": p, "c": c, "packed": packed, "constant": self.constants}, memory)

    def finish(self, parameters: Arrays, once: Any, sums: Arrays) -> list[Any]:
        """The parameters' gradients; None where there is none."""
        return self.gradients(parameters, once.known, sums)

    def forward(
        self, n: int, b: int, p: Arrays, once: Any, x: Arrays, s: Arrays, k: Arrays, y: Arrays, keep: bool,
        outside: Any, anew: Beginnings | None, work: Any,
    ) -> Task:  # fmt: skip
        """The call that runs n steps of b rows."""
        given = {"x": x, "s": s, "k": k, "y": y, "outside": (outside,), **_beginnings(s, anew)}
        return self.call(n, b, (keep, outside is not None, anew is not None, False), given, once, work)

    def backward(
        self, n: int, b: int, p: Arrays, once: Any, x: Arrays, s: Arrays, k: Arrays, y: Arrays, d: Arrays,
        dx: Arrays, sums: Arrays, starts: bool, wants: tuple[bool, bool], outside: Any,
        anew: Beginnings | None, work: Any,
    ) -> Task:  # fmt: skip
        given = {"x": x, "s": s, "k": k, "y": y, "d": d, "dx": dx, "sums": sums, "outside": (outside,)}
        given |= _beginnings(s, anew)
        return self.call(n, b, (starts, *wants, outside is not None, anew is not None, False), given, once, work)


def _beginnings(s: Arrays, anew: Beginnings | None) -> dict[str, Arrays]:
    """What steps are given, and what it is made anew of."""
    if anew is None:
        return {"in": s, "begins": (None,), "anew": (), "danew": ()}
    return {"in": anew.given, "begins": (anew.flags(),), "anew": anew.states, "danew": anew.d_states}


def flat(value: Any, dtype: Any) -> Array:
    return np.ascontiguousarray(value, dtype).reshape(-1)
