"""Where the values of a block of steps live in generated Numba code: flat memory, and places in it."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from minirnn.compile.emit.writer import Writer, number_text, once_nodes
from minirnn.compile.fuse import is_looped, stages
from minirnn.compile.ir import BATCH, Node
from minirnn.compile.keep import VIEWS
from minirnn.compile.place import Placed, Program
from minirnn.compile.when import When

__all__ = ["Memory", "Module", "Place", "Unsupported", "dense"]


class Unsupported(Exception):
    """An operation that this emitter has no loop for; the NumPy emitter has."""


class Place(NamedTuple):
    """Where a value lies: a name of flat memory, from where on, and how far apart rows and the entries of axes are."""

    memory: str
    at: str
    row: int
    strides: tuple[int, ...]


class Module(Writer):
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
        return self.numbers.setdefault((number_text(value), dtype.name), f"n{len(self.numbers)}")


def dense(shape: Sequence[int]) -> tuple[int, ...]:
    strides, size = [], 1
    for dim in reversed(shape):
        strides.append(size)
        size *= dim
    return tuple(reversed(strides))


class Memory:
    """One direction's values: the memory of each, its copies, and where it can be read in a phase."""

    def __init__(self, module: Module, program: Program, backward: bool):
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
        axis, (strides, offset) = whole.attrs[0], (dense(whole.shape[1:]), 0)
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
            offset += strides[0] * part.shape[1]

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
        return Place(memory, at, row, dense(node.shape[1:]))

    def _once_place(self, node: Node) -> Place:
        shape, strides = node.shape, dense(node.shape)
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
        if base.strides == dense(x.shape[1:]):
            return base._replace(strides=dense(node.shape[1:]))
        if [d for d in x.shape if d != 1] == [d for d in node.shape if d != 1]:
            kept = iter([s for d, s in zip(x.shape[1:], base.strides, strict=True) if d != 1])
            return base._replace(strides=tuple([0 if d == 1 else next(kept) for d in node.shape[1:]]))
        raise Unsupported("a reshape of a part")

    def _argument_of(self, place: Place) -> None:
        name = place.memory
        if name not in self.arguments and name[0] in "xyskd":
            letters = name.rstrip("0123456789")
            number = name[len(letters) :]
            given = letters if letters in ("x", "y", "s", "k", "d", "dx") else None
            if letters == "dx":
                node = self.of_kind("input")[int(number)]
                self.argument(name, f"rows_or_none(dx[{number}], np.{node.dtype.name})")
            elif given is not None:
                self.argument(name, f"flat({given}[{number}])" if given in "xy" else f"{given}[{number}].reshape(-1)")


def _plus(at: str, offset: int) -> str:
    if not offset:
        return at
    return str(int(at) + offset) if at.isdigit() else f"{at} + {offset}"
