"""Numba code for a placed graph: every group of elementwise operations one loop, products on packed weights.

A generated module holds what emit_numpy's does. forward and backward hand plain memory to one compiled function each,
_forward and _backward, in which the loop over time runs. In them

    g3(b, a0, i0, a1, i1, ...)     a group: a loop over b rows and their numbers; a0 is read or written from i0 on
    multiply(...)                  a product with a matrix that is packed once a sequence

Only cells whose rows never meet, and whose operations are elementwise, products with parameters, and sums, are written
in this way; `Unsupported` says what is not.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from minirnn.compile.emit_numpy import HEADER, _Finish, _number, _Once, _Writer, once_nodes
from minirnn.compile.fuse import Group, is_looped, stages
from minirnn.compile.ir import BATCH, Node, is_scalar
from minirnn.compile.keep import VIEWS
from minirnn.compile.place import Placed, Program
from minirnn.compile.when import When

__all__ = ["Unsupported", "emit"]


MOST_LOOPS = 20


class Unsupported(Exception):
    """An operation that this emitter has no loop for; the NumPy emitter has."""


_IMPORTS = """from minirnn.compile.native import (
    add_sums, compiled, exp, flags_of, flat, loop, multiply, multiply_transposed, pack, packed, packed_size,
    packed_transposed, peek, poke, tanh,
)
from minirnn.compile.ir import load
from minirnn.kernels.workspace import Workspace
"""

_TEXTS = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "mod": "{0} % {1}",
    "pow": "{0} ** {1}",
    "neg": "-{0}",
    "abs": "abs({0})",
    "maximum": "({0} if {0} >= {1} or {0} != {0} else {1})",
    "minimum": "({0} if {0} <= {1} or {0} != {0} else {1})",
    "sign": "({one} if {0} > {zero} else (-{one} if {0} < {zero} else {0}))",
    "tanh": "tanh({0})",
    "sigmoid": "{half} * tanh({half} * {0}) + {half}",
    "exp": "exp({0})",
    "sqrt": "math.sqrt({0})",
    "where": "({1} if {0} else {2})",
    "less": "{0} < {1}",
    "less_equal": "{0} <= {1}",
    "greater": "{0} > {1}",
    "greater_equal": "{0} >= {1}",
    "equal": "{0} == {1}",
    "not_equal": "{0} != {1}",
    "logical_and": "{0} and {1}",
    "logical_or": "{0} or {1}",
    "logical_not": "not {0}",
    "isfinite": "{0} - {0} == {zero}",
    "isnan": "{0} != {0}",
    "copy": "{0}",
    "softplus": "({0} if {0} > {zero} else {zero}) + math.log1p(exp(-abs({0})))",
}
_TEXTS |= {op: f"math.{op}({{0}})" for op in ("log", "log1p", "expm1", "sin", "cos", "tan", "sinh", "cosh")}
_TEXTS |= {"arcsin": "math.asin({0})", "arccos": "math.acos({0})", "arctan": "math.atan({0})"}
_TEXTS |= {op: f"np.{op}({{0}})" for op in ("floor", "ceil")}


class Place(NamedTuple):
    """Where a value lies: a name of flat memory, from where on, and how far apart rows and the entries of axes are."""

    memory: str
    at: str
    row: int
    strides: tuple[int, ...]


def emit(placed: Placed, title: str) -> str:
    """The source of a module. Unsupported: names what has no loop."""
    if not placed.row_wise:
        raise Unsupported("rows of the batch meet")
    module = _Module(placed)
    graph = "\n".join(f"    {line}" for line in str(placed.graph).splitlines())
    directions = [_Direction(module, placed.forward, False), _Direction(module, placed.backward, True)]
    if len(module.groups) > MOST_LOOPS:
        raise Unsupported(f"{len(module.groups)} loops, each a quarter of a second to compile")
    onces = [
        _PackedOnce(placed, placed.forward, "once_forward", module.arrays, directions[0].packs).text(),
        _PackedOnce(placed, placed.backward, "once_backward", module.arrays, directions[1].packs).text(),
    ]
    finish = _Finish(placed, module.arrays).text()
    constants = [f"{name} = np.{dtype}({value})" for (value, dtype), name in module.numbers.items()]
    arrays = [f"{name} = np.array({n.attrs[0].tolist()!r}, np.{n.dtype.name})" for n, name in module.arrays.items()]
    arrays += [f"{name}_flat = {name}.reshape(-1)" for name in module.arrays.values()]
    header = HEADER.format(title=title, graph=graph).replace("from minirnn.compile.ir import load\n", "")
    head = [header.rstrip(), _IMPORTS, "import math", *constants, *arrays]
    bodies = [text for direction in directions for text in direction.texts()]
    return "\n\n".join(["\n".join(head), *onces, *module.groups, *bodies, finish]) + "\n"


class _PackedOnce(_Once):
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


class _Module(_Writer):
    """What the functions of a module share: constants, and the groups' loops."""

    def __init__(self, placed: Placed):
        self.arrays: dict[Node, str] = {}
        super().__init__(placed, self.arrays)
        self.numbers: dict[tuple[str, str], str] = {}
        self.groups: list[str] = []

    def number(self, value: Any, dtype: Any) -> str:
        """The name of a number of a dtype: a bare one would make single precision double."""
        if dtype.kind == "b":
            return repr(bool(value))
        return self.numbers.setdefault((_number(value), dtype.name), f"n{len(self.numbers)}")


def _dense(shape: Sequence[int]) -> tuple[int, ...]:
    strides, size = [], 1
    for dim in reversed(shape):
        strides.append(size)
        size *= dim
    return tuple(reversed(strides))


class _Direction:
    """forward or backward: where values lie, what happens in which order, and the two functions as text."""

    def __init__(self, module: _Module, program: Program, backward: bool):
        self.module, self.placed, self.program, self.backward = module, module.placed, program, backward
        self.results, self.of_kind = module.results, module.of_kind
        self.packs: dict[Any, int] = {}
        self.arguments: dict[str, str] = {}  # name in the compiled function -> what the caller gives
        self.memory: dict[Node, tuple[str, str, int]] = {}  # node -> memory, level, offset of its first number
        self.widths: dict[str, int] = {}
        self.allocations: list[str] = []
        self.copies: dict[str, list[tuple[Node, Node]]] = {"before": [], "loop": [], "after": []}
        self.parts: dict[Node, list[Node]] = {}  # concatenations: the copies that they are made up of
        self.behind: dict[Node, tuple[str, str, int]] = {}  # running cotangents, kept for what stands behind the loop
        self.stores: dict[Node, list[tuple[str, str, int]]] = {}
        self.body: list[str] = []
        self.once_index = {node: k for k, node in enumerate(once_nodes(program))}
        self.in_loop = set(program.loop)
        self.phase_of = {n: name for name in ("before", "loop", "after") for n in getattr(program, name)}
        for node in (*self.placed.graph.inputs, *self.phase_of):
            rows = node.shape[:1] and node.shape[0] % BATCH == 0
            if rows and node.shape[0] != BATCH:
                raise Unsupported("more than one row of a value for a row of the batch")
        self._inputs()
        self._roles()
        self._parts()
        self._compose()

    # ------------------------------------------------------------ memory
    def argument(self, name: str, given: str) -> str:
        self.arguments[name] = given
        return name

    def _inputs(self) -> None:
        for kind, letter in (("input", "x"), ("d_output", "y"), ("state", "s")):
            for k, node in enumerate(self.of_kind(kind)):
                if kind != "d_output" or self.backward:
                    self.memory[node] = (f"{letter}{k}", "rows", 0)
        if self.backward:
            for k, node in enumerate(self.of_kind("d_state")):
                self.memory[node] = (f"d{k}", "now", 0)

    def _is_computed(self, node: Node) -> bool:
        return node in self.phase_of and (is_looped(node) or node.op in ("matmul", "sum", "amax", "amin"))

    def _give(self, node: Node, where: tuple[str, str, int], phase: str) -> None:
        """Let a value be written to a place, by its own operation or by a copy of it in the phase."""
        own = self._is_computed(node) and (self.phase_of[node] == phase or where[1] in ("rows", "later"))
        if own and node not in self.memory:
            self.memory[node] = where
        elif own and is_looped(node):
            self.stores.setdefault(node, []).append(where)
        else:
            self._copy(node, where, phase)

    def _copy(self, node: Node, where: tuple[str, str, int], phase: str) -> Node:
        source = Node("copy", (self._filled(node),), (), node.shape, node.dtype)
        self.memory[source] = where
        self.copies[phase].append((source, node))
        return source

    def _is_used(self, node: Node) -> bool:
        return any(node in user.operands for user in (*self.phase_of, *self.program.sums))

    def _filled(self, node: Node) -> Node:
        while node.op == "broadcast" and node.operands[0].op == "const":
            return node.operands[0]
        return node

    def _roles(self) -> None:
        states = self.results("state")
        if self.backward:
            for k, node in enumerate(self.placed.stored):
                self.memory[node] = (f"k{k}", "rows", 0)
            for k, state in enumerate(states):
                if state is not None and state.op != "input" and self.placed.known[state] > When.ONCE:
                    self.memory.setdefault(state, (f"s{k}", "later", 0))
            d_states = [n for n in self.results("d_state") if n is not None]
            for k, node in enumerate(d_states):
                self._give(node, (f"d{k}", "next", 0), "loop")
            for k, node in enumerate(self.results("d_input")):
                if node is not None:
                    alone = node in self.program.after and not self._is_used(node) and node not in self.memory
                    if alone and self._is_computed(node):
                        self.memory[node] = (f"dx{k}", "rows", 0)
                    else:  # it may not be asked for, and then there is no memory for it
                        self._copy(node, (f"dx{k}", "rows", 0), "after")
        else:
            for k, state in enumerate(states):
                if state is not None:
                    self._give(state, (f"s{k}", "later", 0), "loop")
            for k, node in enumerate(self.placed.stored):
                self._give(node, (f"k{k}", "rows", 0), "after")
            for k, node in enumerate(self.results("output")):
                if node is not None:
                    self._give(node, (f"y{k}", "rows", 0), "after")

    def _parts(self) -> None:
        """Concatenations, whose parts are written where they belong; and memory for what is read elsewhere."""
        program = self.program
        for phase in ("before", "loop", "after"):
            for whole in getattr(program, phase):
                if whole.op == "concat":
                    self._concatenation(whole, phase)
        for node in self.of_kind("d_state") if self.backward else []:
            if self._used_behind(node):
                self._keep_running(node)
        order = [*program.before, *program.loop, *program.after]
        self.staged = {
            phase: stages(self._with_copies(phase), self._needs(phase), self.parts)
            for phase in ("before", "loop", "after")
        }
        at = {
            node: (phase, k, g)
            for phase, found in self.staged.items()
            for k, stage in enumerate(found)
            for g, group in enumerate(stage.groups)
            for node in group.nodes
        }
        copies = [copy for pairs in self.copies.values() for copy, _ in pairs]
        for node in (*order, *copies, *program.sums):
            for operand in node.operands:
                base = self._base(operand)
                direct = base is operand and base in at and at.get(node) == at[base]
                if base in self.phase_of and not direct and base.op != "concat":
                    self._make_readable(base)
        for node in order:
            if node.op in ("matmul", "sum", "amax", "amin") and node not in self.memory:
                self._allocate(node)

    def _make_readable(self, node: Node) -> None:
        """Memory for a value that is read where it is not at hand."""
        if node not in self.memory:
            self._allocate(node)
        elif self.memory[node][1] in ("step", "next") and self._used_behind(node):
            if not is_looped(node):
                raise Unsupported("a product that is part of a step, and needed behind the loop")
            self.stores.setdefault(node, []).append(self.memory.pop(node))
            self._allocate(node, "rows")

    def _with_copies(self, phase: str) -> list[Node]:
        order: list[Node] = []
        inside = {copy for parts in self.parts.values() for copy in parts}
        for node in getattr(self.program, phase):
            order += self.parts.get(node, ())
            order.append(node)
        return order + [copy for copy, _ in self.copies[phase] if copy not in inside]

    def _keep_running(self, node: Node) -> None:
        name, width = f"e{len(self.behind)}", math.prod(node.shape[1:])
        given = f"work('behind {name}', (n * b * {width},), np.{node.dtype.name})"
        self.behind[node] = (self.argument(name, given), "rows", 0)
        self._copy(node, self.behind[node], "loop")

    def _base(self, node: Node) -> Node:
        while node.op in VIEWS and node in self.phase_of and node not in self.memory:
            node = node.operands[0]
        return node

    def _allocate(self, node: Node, level: str | None = None) -> None:
        phase = self.phase_of[node]
        if level is None:
            used_elsewhere = phase != "loop" or self._used_behind(node)
            level = "rows" if used_elsewhere else "step"
        name = f"v{len(self.allocations)}"
        width, rows = math.prod(node.shape[1:]), "n * b" if level == "rows" else "b"
        direction = "backward" if self.backward else "forward"
        given = f"work('{direction} {name}', ({rows} * {width},), np.{node.dtype.name})"
        self.allocations.append(name)
        self.memory[node] = (self.argument(name, given), level, 0)

    def _used_behind(self, node: Node) -> bool:
        users = [*self.program.after, *self.program.sums, *(copy for copy, _ in self.copies["after"])]
        return any(self._reaches(operand, node) for user in users for operand in user.operands)

    def _reaches(self, operand: Node, node: Node) -> bool:
        while operand is not node and operand.op in VIEWS and operand in self.phase_of:
            operand = operand.operands[0]
        if operand.op == "concat" and operand is not node:
            return any(self._reaches(part, node) for part in operand.operands)
        return operand is node

    def _concatenation(self, whole: Node, phase: str) -> None:
        axis, (dense, offset) = whole.attrs[0], (_dense(whole.shape[1:]), 0)
        if axis != 1 or len(whole.shape) != 2:
            raise Unsupported("a concatenation along an inner axis")
        if whole not in self.memory:
            self._allocate(whole, "rows" if phase != "loop" or self._used_behind(whole) else "step")
        memory, level, start = self.memory[whole]
        for part in whole.operands:
            where = (memory, level, start + offset)
            same = part in self.phase_of and self.phase_of[part] == phase and self._is_computed(part)
            self.widths[memory] = math.prod(whole.shape[1:])
            if same and part not in self.memory:
                self.memory[part] = where
            elif same and is_looped(part):
                self.stores.setdefault(part, []).append(where)
            else:
                self.parts.setdefault(whole, []).append(self._copy(part, where, phase))
            offset += dense[0] * part.shape[1]

    def _needs(self, phase: str) -> dict[Node, tuple[str, ...]]:
        """What an operation behind the loop is computed for; () for always."""
        if phase != "after":
            return {}
        nodes = self._with_copies("after")
        roles = {c for c, _ in self.copies["after"]} - {c for parts in self.parts.values() for c in parts}
        if not self.backward:
            always = {n for kind in ("state", "output") for n in self.results(kind) if n is not None}
            always |= {c for c in roles if self.memory[c][0][0] == "y"}
            roots = {"": always, "keep": {*self.placed.stored, *(c for c in roles if self.memory[c][0][0] == "k")}}
        else:
            roots = {
                "want_x": {n for n in self.results("d_input") if n is not None} | roles,
                "want_p": {o for node in self.program.sums for o in node.operands},
            }
        needs: dict[Node, set[str]] = {node: set() for node in nodes}
        for node in reversed(nodes):
            needs[node] |= {reason for reason, found in roots.items() if node in found}
            for operand in (*node.operands, *self.parts.get(node, ())):
                if operand in needs:
                    needs[operand] |= needs[node]
        return {node: () if "" in reasons else tuple(sorted(reasons)) for node, reasons in needs.items()}

    # ------------------------------------------------------------ places
    def place(self, node: Node, phase: str) -> Place:
        """Where a value can be read in a phase."""
        if self.placed.known.get(node) == When.ONCE and node not in self.memory:
            return self._once_place(node)
        if node in self.behind and phase != "loop":
            return self._memory_place(self.behind[node], node, phase)
        if node in self.memory:
            return self._memory_place(self.memory[node], node, phase)
        if node.op not in VIEWS:
            raise Unsupported(f"{node.op} where memory was expected")
        base = self.place(node.operands[0], phase)
        return self._view(node, base)

    def _memory_place(self, where: tuple[str, str, int], node: Node, phase: str) -> Place:
        memory, level, offset = where
        row = self.widths.get(memory) or math.prod(node.shape[1:])
        inside = phase == "loop"
        at = {
            "rows": f"t * b * {row}" if inside else "0",
            "later": f"(t + 1) * b * {row}" if inside else f"b * {row}",
            "step": "0",
            "now": f"now * b * {row}",
            "next": f"(1 - now) * b * {row}",
        }[level]
        at = str(offset) if at == "0" else f"{at} + {offset}" if offset else at
        return Place(memory, at, row, _dense(node.shape[1:]))

    def _once_place(self, node: Node) -> Place:
        shape, strides = node.shape, _dense(node.shape)
        if node.op == "input":
            k = self.of_kind("parameter").index(node)
            name, given = f"p{k}", f"flat(p[{k}])"
        elif node.op == "const":
            name, given = f"{self.module.constant(node)}_flat", ""
            self.arguments[f"{name}_"] = name
            return Place(f"{name}_", "0", 0, tuple([0 if d == 1 else s for d, s in zip(shape, strides, strict=True)]))
        elif node not in self.once_index:
            raise Unsupported("a constant for every row")
        else:
            k = self.once_index[node]
            name, given = f"c{k}", f"flat(c[{k}])"
        self.argument(name, given)
        return Place(name, "0", 0, tuple([0 if d == 1 else s for d, s in zip(shape, strides, strict=True)]))

    def _view(self, node: Node, base: Place) -> Place:
        (x,) = node.operands
        match node.op:
            case "slice":
                pairs = list(zip(node.attrs[1:], base.strides, strict=True))
                offset = sum(part[0] * stride for part, stride in pairs)
                strides = tuple([part[2] * stride for part, stride in pairs])
                return base._replace(at=_plus(base.at, offset), strides=strides)
            case "transpose":
                return base._replace(strides=tuple([base.strides[axis - 1] for axis in node.attrs[1:]]))
            case "broadcast":
                pairs_ = zip(x.shape[1:], node.shape[1:], base.strides, strict=True)
                return base._replace(strides=tuple([0 if a != b else s for a, b, s in pairs_]))
        if base.strides == _dense(x.shape[1:]):
            return base._replace(strides=_dense(node.shape[1:]))
        if [d for d in x.shape if d != 1] == [d for d in node.shape if d != 1]:
            kept = iter([s for d, s in zip(x.shape[1:], base.strides, strict=True) if d != 1])
            return base._replace(strides=tuple([0 if d == 1 else next(kept) for d in node.shape[1:]]))
        raise Unsupported("a reshape of a part")

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
        sizes = f"{m}, {_int(a.shape[1])}, {_int(node.shape[1])}, np.bool_(False)"
        first = f"{out.memory}, {_int(out.at)}, {_int(out.row)}, {left.memory}, {_int(left.at)}, {_int(left.row)}"
        return f"multiply({first}, {rows}, {sizes})"

    def _argument_of(self, place: Place) -> None:
        name = place.memory
        if name not in self.arguments and name[0] in "xyskd":
            letters = name.rstrip("0123456789")
            number = name[len(letters) :]
            given = {"x": "x", "y": "y", "s": "s", "k": "k", "dx": "dx"}.get(letters)
            if letters == "d":
                node = self.of_kind("d_state")[int(number)]
                size = f"2 * b * {math.prod(node.shape[1:])}"
                self.argument(name, f"doubled(d[{number}], work('running {number}', ({size},), np.{node.dtype.name}))")
            elif letters == "dx":
                node = self.of_kind("input")[int(number)]
                self.argument(name, f"rows_or_none(dx[{number}], np.{node.dtype.name})")
            elif given is not None:
                self.argument(name, f"flat({given}[{number}])" if given in "xy" else f"{given}[{number}].reshape(-1)")

    # ------------------------------------------------------------ loops
    def _group(self, group: Group, phase: str, rows: str) -> list[str]:
        shape = group.nodes[0].shape[1:]
        inside = set(group.nodes)
        accesses: dict[Place, int] = {}
        lines: list[str] = []
        names: dict[Node, str] = {}

        def access(place: Place, node: Node) -> int:
            place = place._replace(strides=place.strides[max(0, len(place.strides) - len(shape)) :])
            missing = len(shape) - len(place.strides)
            own = (1,) * missing + tuple(node.shape[len(node.shape) - len(place.strides) :])
            strides = tuple([0 if d == 1 else s for d, s in zip(own, (0,) * missing + place.strides, strict=True)])
            self._argument_of(place)
            return accesses.setdefault(place._replace(strides=strides), len(accesses))

        def operand_text(node: Node, operand: Node) -> str:
            if is_scalar(operand):
                others = [o for o in node.operands if not is_scalar(o) and o.dtype.kind != "b"]
                dtype = others[0].dtype if others else node.dtype
                return self.module.number(operand.attrs[0], dtype)
            if operand in inside:
                return names[operand]
            if operand not in names:
                place = self.place(operand, phase)
                k = access(place, operand)
                names[operand] = f"u{len(names)}"
                lines.append(f"{names[operand]} = peek(a{k}, {{{k}}})")
            return names[operand]

        for node in group.nodes:
            texts = [operand_text(node, operand) for operand in node.operands]
            names[node] = f"u{len(names)}"
            lines.append(f"{names[node]} = {self._text(node, texts)}")
            homes = [self.memory[node]] if node in self.memory else []
            for where in [*homes, *self.stores.get(node, [])]:
                k = access(self._memory_place(where, node, phase), node)
                lines.append(f"poke(a{k}, {{{k}}}, {names[node]})")
        return [self._loop_function(shape, list(accesses), lines, rows)]

    def _text(self, node: Node, texts: list[str]) -> str:
        if node.op == "cast":
            kind = node.dtype.name
            return f"np.{kind}({texts[0]})" if kind != "bool" else f"{texts[0]} != 0"
        if node.op == "logaddexp":
            a, b = texts
            return f"({a} if {a} > {b} else {b}) + math.log1p(exp(-abs({a} - {b})))"
        if node.op not in _TEXTS:
            raise Unsupported(node.op)
        operands = [o for o in node.operands if not is_scalar(o) and o.dtype.kind != "b"]
        dtype = operands[0].dtype if operands else node.dtype
        words = (
            {word: self.module.number(v, dtype) for word, v in (("zero", 0), ("one", 1), ("half", 0.5))}
            if any(word in _TEXTS[node.op] for word in ("{zero}", "{one}", "{half}"))
            else {}
        )
        if node.dtype.kind == "f" and any(o.dtype.kind in "iu" and not is_scalar(o) for o in node.operands):
            raise Unsupported("integers among floats")
        return _TEXTS[node.op].format(*texts, **words)

    def _loop_function(self, shape: Sequence[int], accesses: list[Place], lines: list[str], rows: str) -> str:
        """A loop over rows, and the axes behind them merged where all accesses let them."""
        dims, strides = _merged(list(shape), [list(a.strides) for a in accesses])
        name = f"g{len(self.module.groups)}"
        arguments = "".join(f", a{k}, i{k}" for k in range(len(accesses)))
        text = ["@loop", f"def {name}(rows{arguments}):", "    for r in range(rows):"]
        pad = "        "
        for k, place in enumerate(accesses):
            text.append(f"{pad}r{k} = i{k} + r * {place.row}" if place.row else f"{pad}r{k} = i{k}")
        index = [f"r{k}" for k in range(len(accesses))]
        for depth, dim in enumerate(dims):
            text.append(f"{pad}for j{depth} in range({dim}):")
            pad += "    "
            for k, by in enumerate(strides):
                if by[depth]:
                    index[k] += f" + j{depth}" if by[depth] == 1 else f" + j{depth} * {by[depth]}"
        text += [pad + line.format(*index) for line in lines]
        self.module.groups.append("\n".join(text))
        given = "".join(f", {place.memory}, {_int(place.at)}" for place in accesses)
        return f"{name}({rows}{given})"

    def _reduction(self, node: Node, phase: str, rows: str) -> str:
        (x,) = node.operands
        source, out = self.place(x, phase), self.place(node, phase)
        self._argument_of(source)
        self._argument_of(out)
        axes = [axis - 1 for axis in node.attrs]
        tail = x.shape[1:]
        free = [k for k in range(len(tail)) if k not in axes]
        name = f"g{len(self.module.groups)}"
        text = ["@loop", f"def {name}(rows, a0, i0, a1, i1):", "    for r in range(rows):"]
        pad, at, to = "        ", f"i0 + r * {source.row}", f"i1 + r * {out.row}"
        for place, k in enumerate(free):
            text.append(f"{pad}for f{k} in range({tail[k]}):")
            pad += "    "
            at += f" + f{k} * {source.strides[k]}"
            to += f" + f{k} * {out.strides[place]}"
        first = self.module.number({"sum": 0, "amax": -math.inf, "amin": math.inf}[node.op], node.dtype)
        text.append(f"{pad}total = {first}")
        inner = pad
        for k in axes:
            text.append(f"{inner}for q{k} in range({tail[k]}):")
            inner += "    "
            at += f" + q{k} * {source.strides[k]}"
        text.append(f"{inner}u = peek(a0, {at})")
        if node.op == "sum":
            text.append(f"{inner}total += u")
        else:
            text.append(f"{inner}total = u if u {'>' if node.op == 'amax' else '<'} total or u != u else total")
        text.append(f"{pad}poke(a1, {to}, total)")
        self.module.groups.append("\n".join(text))
        return f"{name}({rows}, {source.memory}, {_int(source.at)}, {out.memory}, {_int(out.at)})"

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
                    second = f"g_{other[0]}, {rights[other[1].operands[1]]}, {_int(other[1].shape[1])}"
                put(
                    f"multiply_transposed({left.memory}, {_int(left.at)}, {_int(left.row)}, {_int(a.shape[1])}, n * b, "
                    f"g_{k}, np.intp(0), {right}, {_int(node.shape[1])}, {second}, not starts)"
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
        put(f"pack({place.memory}, {_int(place.at)}, {_int(place.row)}, n * b, {_int(width)}, {name})")

    def _sum_of_rows(self, k: int, node: Node, put: Any) -> None:
        (x,) = node.operands
        place = self.place(x, "after")
        self._argument_of(place)
        if node.attrs != (0,) or place.strides != _dense(x.shape[1:]):
            raise Unsupported("a sum over rows and more")
        if not place.row:
            raise Unsupported("a sum of what is no row")
        width = math.prod(x.shape[1:])
        row, zero = _int(place.row), "np.intp(0)"
        if place.at.isdigit():
            first, last = _int(place.at), _int(int(place.at) + width)
            put(f"add_sums({place.memory}[: n * b * {place.row}], {first}, {last}, {row}, g_{k}, {zero}, not starts)")
        else:  # the states behind the first: whole rows further on
            rows = f"{place.memory}[{place.at} :][: n * b * {place.row}]"
            put(f"add_sums({rows}, {zero}, {_int(width)}, {row}, g_{k}, {zero}, not starts)")

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
        if not self.backward:
            return [inner, f"{call}    _{name}({given})"]
        lines = []
        for k, node in enumerate(self.of_kind("d_state")):
            if f"d{k}" in self.arguments:
                size = math.prod(node.shape[1:])
                shape = f"2 * b * {size}"
                lines.append(f"    d{k} = work('running {k}', ({shape},), np.{node.dtype.name})")
                lines.append(f"    d{k}[: b * {size}] = d[{k}].reshape(-1)")
        values = {a: (a if a[:1] == "d" and a[1:].isdigit() else v) for a, v in self.arguments.items()}
        given = ", ".join(["n", "b", *values.values(), "flags_of(outside)", *_FLAGS[name]])
        lines.append(f"    _{name}({given})")
        for k, node in enumerate(self.of_kind("d_state")):
            if f"d{k}" in self.arguments:
                lines.append(f"    d[{k}].reshape(-1)[...] = d{k}[: b * {math.prod(node.shape[1:])}]")
        helper = (
            "def rows_or_none(array, dtype):\n    return np.empty(0, dtype) if array is None else array.reshape(-1)"
        )
        return [inner, helper, call + "\n".join(lines)]


_FLAGS = {"forward": ["np.bool_(keep)"], "backward": ["np.bool_(starts)", "np.bool_(wants[0])", "np.bool_(wants[1])"]}


def _int(text: Any) -> str:
    """A number as an integer of the machine's size: a bare one would make another version of what it is given to."""
    return f"np.intp({text})" if str(text).isdigit() else str(text)


def _plus(at: str, offset: int) -> str:
    if not offset:
        return at
    return str(int(at) + offset) if at.isdigit() else f"{at} + {offset}"


def _guarded(needs: Sequence[str], lines: list[str], pad: str) -> list[str]:
    if not needs:
        return [pad + line for line in lines]
    return [f"{pad}if {' or '.join(needs)}:", *(f"{pad}    {line}" for line in lines)]


def _merged(dims: list[int], strides: list[list[int]]) -> tuple[list[int], list[list[int]]]:
    """Neighbouring axes as one, where every access goes through them as through one."""
    k = len(dims) - 2
    while k >= 0:
        if all(s[k] == s[k + 1] * dims[k + 1] for s in strides) or dims[k] == 1 or dims[k + 1] == 1:
            for s in strides:
                if dims[k + 1] == 1:
                    s[k + 1] = s[k]
                del s[k]
            dims[k : k + 2] = [dims[k] * dims[k + 1]]
        k -= 1
    return dims, strides
