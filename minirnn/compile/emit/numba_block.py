"""Numba code for a placed graph: every group of elementwise operations one loop, products on packed weights.

A generated module holds what numpy_block's does, but that forward and backward give the call that runs a block: of one
compiled function each, _forward and _backward, on plain memory. The loop over time runs in them. In them

    g3(b, a0, i0, a1, i1, ...)     a group: a loop over b rows and their numbers; a0 is read or written from i0 on
    multiply(...)                  a product with a matrix that is packed once a sequence

Only cells whose rows never meet, and whose operations are elementwise, products with parameters, and sums, are written
in this way; `Unsupported` says what is not.
"""

import math
from collections.abc import Sequence
from typing import Any

from minirnn.compile.emit.numba_loops import Loops, intp
from minirnn.compile.emit.numba_memory import Module, Place, Unsupported, dense
from minirnn.compile.emit.writer import HEADER, Finish, Once
from minirnn.compile.ir import Node
from minirnn.compile.place import Placed, Program
from minirnn.compile.when import When

__all__ = ["emit"]

MOST_LOOPS = 20

_IMPORTS = """from functools import partial
from minirnn.compile.native import (
    add_sums, compiled, exp, flags_of, flat, loop, multiply, multiply_transposed, pack, packed, packed_size,
    packed_transposed, peek, poke, tanh,
)
from minirnn.compile.ir import load
from minirnn.kernels.workspace import Workspace
"""


def emit(placed: Placed, title: str) -> str:
    """The source of a module. Unsupported: names what has no loop."""
    if not placed.row_wise:
        raise Unsupported("rows of the batch meet")
    module = Module(placed)
    graph = "\n".join(f"    {line}" for line in str(placed.graph).splitlines())
    directions = [Direction(module, placed.forward, False), Direction(module, placed.backward, True)]
    if len(module.groups) > MOST_LOOPS:
        raise Unsupported(f"{len(module.groups)} loops, each a quarter of a second to compile")
    onces = [
        PackedOnce(placed, placed.forward, "once_forward", module.arrays, directions[0].packs).text(),
        PackedOnce(placed, placed.backward, "once_backward", module.arrays, directions[1].packs).text(),
    ]
    finish = Finish(placed, module.arrays).text()
    constants = [f"{name} = np.{dtype}({value})" for (value, dtype), name in module.numbers.items()]
    arrays = [f"{name} = np.array({n.attrs[0].tolist()!r}, np.{n.dtype.name})" for n, name in module.arrays.items()]
    arrays += [f"{name}_flat = {name}.reshape(-1)" for name in module.arrays.values()]
    header = HEADER.format(title=title, graph=graph).replace("from minirnn.compile.ir import load\n", "")
    head = [header.rstrip(), _IMPORTS, "import math", *constants, *arrays]
    bodies = [text for direction in directions for text in direction.texts()]
    return "\n\n".join(["\n".join(head), *onces, *module.groups, *bodies, finish]) + "\n"


class PackedOnce(Once):
    """What follows from the parameters, as flat memory, and matrices packed for products."""

    def __init__(
        self, placed: Placed, program: Program, name: str, constants: dict[Node, str], packs: dict[Any, int]
    ) -> None:
        super().__init__(placed, program, name, constants)
        last = self.lines.pop()
        names = last.split("return (")[1].rstrip(")").rstrip(",")
        self.put('memory = Workspace("packed")')
        made = []
        for (node, turned), k in packs.items():
            matrix = self.name(node, "")
            if turned:
                ones = f"np.ones({node.shape[0]}, np.{node.dtype.name})"
                self.put(f"m{k} = packed_transposed(memory, 'm{k}', {matrix}, {ones})")
            else:
                self.put(f"m{k} = packed(memory, 'm{k}', {matrix})")
            made.append(f"m{k}")
        self.put(f"return ({names}{', ' if names else ''}{''.join(f'{m}, ' for m in made)}memory,)")


class Direction(Loops):
    """forward or backward: what happens in which order, and the two functions as text."""

    def __init__(self, module: Module, program: Program, backward: bool):
        super().__init__(module, program, backward)
        self._compose()

    # ------------------------------------------------------------ order
    def _compose(self) -> None:
        self._phase("before", 1)
        if self.backward:
            self.body.append("    now = 0")
        self.body.append(f"    for t in range({'n - 1, -1, -1' if self.backward else 'n'}):")
        if self.backward:
            self._hold()
        self._phase("loop", 2)
        self._end_of_step()
        self._phase("after", 1)
        if self.backward:
            self._sums()
            for k, node in enumerate(self.of_kind("d_state")):
                self.body.append("    if now:")
                size = math.prod(node.shape[1:])
                self.body.append(f"        d{k}[: b * {size}] = d{k}[b * {size} :]")

    def _phase(self, phase: str, indent: int) -> None:
        pad = "    " * indent
        rows = "b" if phase == "loop" else "n * b"
        needs = self._needs(phase)
        for stage in self.staged[phase]:
            for group in stage.groups:
                self.body += _guarded(group.needs, self._group(group, phase, rows), pad)
            for node in stage.whole:
                self.body += _guarded(needs.get(node, ()), self._whole(node, phase, rows), pad)

    def _whole(self, node: Node, phase: str, rows: str) -> list[str]:
        if node.op == "matmul":
            return [self._product(node, phase, rows)]
        if node.op in ("sum", "amax", "amin"):
            return [self._reduction(node, phase, rows)]
        raise Unsupported(node.op)

    def _product(self, node: Node, phase: str, rows: str) -> str:
        a, w = node.operands
        if self.placed.known[w] != When.ONCE:
            raise Unsupported("a product with what is no parameter")
        left, out = self.place(a, phase), self.place(node, phase)
        if left.strides != (1,) and a.shape[1] != 1:
            raise Unsupported("a product of a strided side")
        k = self.packs.setdefault((w, node.attrs[1]), len(self.packs))
        m = self.argument(f"m{k}", f"c[{len(self.once_index) + k}]")
        self._argument_of(left)
        self._argument_of(out)
        sizes = f"{m}, {intp(a.shape[1])}, {intp(node.shape[1])}, np.bool_(False)"
        first = f"{out.memory}, {intp(out.at)}, {intp(out.row)}, {left.memory}, {intp(left.at)}, {intp(left.row)}"
        return f"multiply({first}, {rows}, {sizes})"

    # ------------------------------------------------------------ ends of steps, and sums
    def _hold(self) -> None:
        lines = []
        for k, node in enumerate(self.of_kind("d_state")):
            size = math.prod(node.shape[1:])
            self._argument_of(Place(f"d{k}", "", 0, ()))
            self.argument(f"h{k}", f"work('held {k}', (b * {size},), np.{node.dtype.name})")
            lines.append(f"for j in range(r * {size}, (r + 1) * {size}):")
            lines.append(f"    h{k}[j] = d{k}[now * b * {size} + j]")
            lines.append(f"    d{k}[now * b * {size} + j] = 0")
        self._where_over(lines)

    def _where_over(self, lines: list[str]) -> None:
        if lines:
            self.body.append("        if outside.size:")
            self.body.append("            for r in range(b):")
            self.body.append("                if outside[t * b + r]:")
            self.body += ["                    " + line for line in lines]

    def _end_of_step(self) -> None:
        lines = []
        if not self.backward:
            for k, node in enumerate(self.of_kind("state")):
                size = math.prod(node.shape[1:])
                self._argument_of(Place(f"s{k}", "", 0, ()))
                lines.append(f"for j in range((t * b + r) * {size}, (t * b + r + 1) * {size}):")
                lines.append(f"    s{k}[b * {size} + j] = s{k}[j]")
            self._where_over(lines)
            return
        for k, node in enumerate(self.of_kind("d_state")):
            size = math.prod(node.shape[1:])
            lines.append(f"for j in range(r * {size}, (r + 1) * {size}):")
            lines.append(f"    d{k}[(1 - now) * b * {size} + j] = h{k}[j]")
        self._where_over(lines)
        self.body.append("        now = 1 - now")

    def _sums(self) -> None:
        """Weights' gradients: products over all rows of the block, those of one left side together."""
        if not self.program.sums:
            return
        self.body.append("    if want_p:")
        put: Any = lambda line: self.body.append("        " + line)
        rights: dict[Node, str] = {}
        waiting: dict[Node, list[tuple[int, Node]]] = {}
        for k, node in enumerate(self.program.sums):
            none = f"np.empty(0, np.{node.dtype.name})"
            self.argument(f"g_{k}", f"sums[{k}].reshape(-1) if wants[1] else {none}")
            if node.op == "matmul":
                waiting.setdefault(node.operands[0], []).append((k, node))
                self._pack_right(node.operands[1], rights, put)
            else:
                self._sum_of_rows(k, node, put)
        for a, found in waiting.items():
            left = self.place(a, "after")
            self._argument_of(left)
            if left.strides != (1,) and a.shape[1] != 1:
                raise Unsupported("a product of a strided side")
            for pair in [found[i : i + 2] for i in range(0, len(found), 2)]:
                (k, node), other = pair[0], pair[1] if len(pair) == 2 else None
                right = rights[node.operands[1]]
                second = f"g_{k}, {right}, np.intp(0)"
                if other is not None:
                    second = f"g_{other[0]}, {rights[other[1].operands[1]]}, {intp(other[1].shape[1])}"
                put(
                    f"multiply_transposed({left.memory}, {intp(left.at)}, {intp(left.row)}, {intp(a.shape[1])}, n * b, "
                    f"g_{k}, np.intp(0), {right}, {intp(node.shape[1])}, {second}, not starts)"
                )

    def _pack_right(self, node: Node, rights: dict[Node, str], put: Any) -> None:
        if node in rights:
            return
        place = self.place(node, "after")
        self._argument_of(place)
        if place.strides != (1,) and node.shape[1] != 1:
            raise Unsupported("a product of a strided side")
        name, width = f"w{len(rights)}", node.shape[1]
        rights[node] = name
        dtype = f"np.{node.dtype.name}"
        self.argument(name, f"work('right {name}', (packed_size(n * b, {width}, {dtype}),), {dtype})")
        put(f"pack({place.memory}, {intp(place.at)}, {intp(place.row)}, n * b, {intp(width)}, {name})")

    def _sum_of_rows(self, k: int, node: Node, put: Any) -> None:
        (x,) = node.operands
        place = self.place(x, "after")
        self._argument_of(place)
        if node.attrs != (0,) or place.strides != dense(x.shape[1:]):
            raise Unsupported("a sum over rows and more")
        if not place.row:
            raise Unsupported("a sum of what is no row")
        width = math.prod(x.shape[1:])
        row, zero = intp(place.row), "np.intp(0)"
        if place.at.isdigit():
            first, last = intp(place.at), intp(int(place.at) + width)
            put(f"add_sums({place.memory}[: n * b * {place.row}], {first}, {last}, {row}, g_{k}, {zero}, not starts)")
        else:  # the states behind the first: whole rows further on
            rows = f"{place.memory}[{place.at} :][: n * b * {place.row}]"
            put(f"add_sums({rows}, {zero}, {intp(width)}, {row}, g_{k}, {zero}, not starts)")

    # ------------------------------------------------------------ text
    def texts(self) -> list[str]:
        """The compiled function, and the one that calls it."""
        name = "backward" if self.backward else "forward"
        flags = ["starts", "want_x", "want_p"] if self.backward else ["keep"]
        arguments = ", ".join(["n", "b", *self.arguments, "outside", *flags])
        given = ", ".join(["n", "b", *self.arguments.values(), "flags_of(outside)", *_FLAGS[name]])
        inner = "\n".join(["@compiled", f"def _{name}({arguments}):", *self.body])
        outer = "p, c, x, s, k, y, d, dx, sums, starts, wants" if self.backward else "p, c, x, s, k, y, keep"
        call = f"def {name}(n, b, {outer}, outside, work):\n"
        call += f"    return partial(_{name}, {given})"
        return [inner, _ROWS_OR_NONE, call] if self.backward else [inner, call]


_ROWS_OR_NONE = "def rows_or_none(array, dtype):\n    return np.empty(0, dtype) if array is None else array.reshape(-1)"
_FLAGS = {"forward": ["np.bool_(keep)"], "backward": ["np.bool_(starts)", "np.bool_(wants[0])", "np.bool_(wants[1])"]}


def _guarded(needs: Sequence[str], lines: list[str], pad: str) -> list[str]:
    if not needs:
        return [pad + line for line in lines]
    return [f"{pad}if {' or '.join(needs)}:", *(f"{pad}    {line}" for line in lines)]
