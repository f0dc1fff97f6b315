"""Where the values of a block of steps live in native code: flat memory, and places in it.

An Argument says what the caller brings for a name: an array of the call by kind and number, a value that follows from
the parameters, a packed matrix, or scratch of so many numbers a row.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from minirnn.compile.errors import CannotCompile
from minirnn.compile.fuse import is_looped, stages
from minirnn.compile.ir import BATCH, Node
from minirnn.compile.keep import VIEWS
from minirnn.compile.loops.program import BLOCK_STEPS, ROWS, Index, index
from minirnn.compile.place import Placed, Program, once_nodes
from minirnn.compile.when import When

__all__ = ["COMPUTED", "Argument", "Home", "Memory", "Place", "dense"]

COMPUTED = {"matmul", "sum", "amax", "amin", "prod", "einsum"}  # beside what is elementwise


class Argument(NamedTuple):
    """kind: x, y, s, k, d, dx, sums (arrays of the call), p (parameters), c (what follows from them), packed (matrices
    of those), constant, outside (flags), work (scratch: rows * width numbers of a dtype), right (scratch for a packed
    right side of so many rows), or room (scratch of a product)."""

    kind: str
    number: int = 0
    name: str = ""
    rows: Index = ()
    width: int = 0
    dtype: str = ""


class Place(NamedTuple):
    """Where a value lies: a name of flat memory, from where on, and how far apart rows and the entries of axes are."""

    memory: str
    at: Index
    row: int
    strides: tuple[int, ...]


class Home(NamedTuple):
    """A value's memory; level: which of its rows (see `_memory_place`); from which entry of a row on, and the strides
    of its axes there (None: without gaps)."""

    memory: str
    level: str
    offset: int = 0
    strides: tuple[int, ...] | None = None


def dense(shape: Sequence[int]) -> tuple[int, ...]:
    strides, size = [], 1
    for dim in reversed(shape):
        strides.append(size)
        size *= dim
    return tuple(reversed(strides))


class Memory:
    """One direction's values: the memory of each, its copies, and where it can be read in a phase."""

    def __init__(self, placed: Placed, program: Program, backward: bool):
        self.placed, self.program, self.backward = placed, program, backward
        self.of_kind = placed.of_kind
        self.results: Callable[[str], list[Any]] = placed.results
        self.packs: dict[tuple[Node, bool], int] = {}
        self.constants: dict[Node, int] = {}
        self.arguments: dict[str, Argument] = {}  # what the caller brings for a name
        self.memory: dict[Node, Home] = {}  # node -> memory, level, offset of its first number
        self.widths: dict[str, int] = {}
        self.allocations: list[str] = []
        self.copies: dict[str, list[tuple[Node, Node]]] = {"before": [], "loop": [], "after": []}
        self.parts: dict[Node, list[Node]] = {}  # concatenations: the copies that they are made up of
        self.behind: dict[Node, Home] = {}  # running cotangents, kept for what stands behind the loop
        self.stores: dict[Node, list[Home]] = {}
        self.once_index = {node: k for k, node in enumerate(once_nodes(program))}
        self.phase_of = {n: name for name in ("before", "loop", "after") for n in getattr(program, name)}
        for node in (*self.placed.graph.inputs, *self.phase_of):
            rows = node.shape[:1] and node.shape[0] % BATCH == 0
            if rows and node.shape[0] != BATCH:
                raise CannotCompile("it has more than one row of a value for a row of the batch")
        self._inputs()
        self._roles()
        self._parts()

    # ------------------------------------------------------------ memory
    def argument(self, name: str, given: Argument) -> str:
        self.arguments[name] = given
        return name

    def scratch(self, name: str, rows: Index, width: int, dtype: Any) -> str:
        direction = "backward" if self.backward else "forward"
        return self.argument(name, Argument("work", 0, f"{direction} {name}", rows, width, dtype.name))

    def _inputs(self) -> None:
        for kind, letter in (("input", "x"), ("d_output", "y"), ("state", "s")):
            for k, node in enumerate(self.of_kind(kind)):
                if kind != "d_output" or self.backward:
                    self.memory[node] = Home(f"{letter}{k}", "rows")
        if self.backward:
            for k, node in enumerate(self.of_kind("d_state")):
                self.memory[node] = Home(f"d{k}", "now")

    def _is_computed(self, node: Node) -> bool:
        return node in self.phase_of and (is_looped(node) or node.op in COMPUTED)

    def _give(self, node: Node, where: Home, phase: str) -> None:
        """Let a value be written to a place, by its own operation or by a copy of it in the phase."""
        own = self._is_computed(node) and (self.phase_of[node] == phase or where.level in ("rows", "later"))
        if own and node not in self.memory:
            self.memory[node] = where
        elif own and is_looped(node):
            self.stores.setdefault(node, []).append(where)
        else:
            self._copy(node, where, phase)

    def _copy(self, node: Node, where: Home, phase: str) -> Node:
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
                self.memory[node] = Home(f"k{k}", "rows")
            for k, state in enumerate(states):
                if state is not None and state.op != "input" and self.placed.known[state] > When.ONCE:
                    self.memory.setdefault(state, Home(f"s{k}", "later"))
            d_states = [n for n in self.results("d_state") if n is not None]
            for k, node in enumerate(d_states):
                self._give(node, Home(f"d{k}", "next"), "loop")
            for k, node in enumerate(self.results("d_input")):
                if node is not None:
                    alone = node in self.program.after and not self._is_used(node) and node not in self.memory
                    if alone and self._is_computed(node):
                        self.memory[node] = Home(f"dx{k}", "rows")
                    else:  # it may not be asked for, and then there is no memory for it
                        self._copy(node, Home(f"dx{k}", "rows"), "after")
        else:
            for k, state in enumerate(states):
                if state is not None:
                    self._give(state, Home(f"s{k}", "later"), "loop")
            for k, node in enumerate(self.placed.stored):
                self._give(node, Home(f"k{k}", "rows"), "after")
            for k, node in enumerate(self.results("output")):
                if node is not None:
                    self._give(node, Home(f"y{k}", "rows"), "after")

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
            if node.op in COMPUTED and node not in self.memory:
                self._allocate(node)

    def _make_readable(self, node: Node) -> None:
        """Memory for a value that is read where it is not at hand."""
        if node not in self.memory:
            self._allocate(node)
        elif self.memory[node].level in ("step", "next") and self._used_behind(node):
            if not is_looped(node):
                raise CannotCompile("a product is part of a step and needed behind the loop")
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
        self.behind[node] = Home(self.scratch(name, BLOCK_STEPS, width, node.dtype), "rows")
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
        name, rows = f"v{len(self.allocations)}", BLOCK_STEPS if level == "rows" else ROWS
        self.allocations.append(name)
        self.memory[node] = Home(self.scratch(name, rows, math.prod(node.shape[1:]), node.dtype), level)

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
        axis, strides = whole.attrs[0], dense(whole.shape[1:])
        if axis == 0:
            raise CannotCompile("it puts rows of the batch behind one another")
        if whole not in self.memory:
            self._allocate(whole, "rows" if phase != "loop" or self._used_behind(whole) else "step")
        home = self.memory[whole]
        self.widths[home.memory] = max(self.widths.get(home.memory, 0), math.prod(whole.shape[1:]))
        strides, offset = home.strides or strides, home.offset
        for part in whole.operands:
            where = Home(home.memory, home.level, offset, strides)
            same = part in self.phase_of and self.phase_of[part] == phase and self._is_computed(part)
            if same and part not in self.memory and strides[-1] == 1:
                self.memory[part] = where
            elif same and is_looped(part):
                self.stores.setdefault(part, []).append(where)
            else:
                self.parts.setdefault(whole, []).append(self._copy(part, where, phase))
            offset += strides[axis - 1] * part.shape[axis]

    def _needs(self, phase: str) -> dict[Node, tuple[str, ...]]:
        """What an operation behind the loop is computed for; () for always."""
        if phase != "after":
            return {}
        nodes = self._with_copies("after")
        roles = {c for c, _ in self.copies["after"]} - {c for parts in self.parts.values() for c in parts}
        if not self.backward:
            always = {n for kind in ("state", "output") for n in self.results(kind) if n is not None}
            always |= {c for c in roles if self.memory[c].memory[0] == "y"}
            roots = {"": always, "keep": {*self.placed.stored, *(c for c in roles if self.memory[c].memory[0] == "k")}}
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
            raise CannotCompile(f"it has {node.op} where memory was expected")
        base = self.place(node.operands[0], phase)
        return self._view(node, base)

    def _memory_place(self, where: Home, node: Node, phase: str) -> Place:
        row = self.widths.get(where.memory) or math.prod(node.shape[1:])
        inside = phase == "loop"
        at = {
            "rows": index((row, "t", "b")) if inside else (),
            "later": index((row, "t", "b"), (row, "b")) if inside else index((row, "b")),
            "step": (),
            "now": index((row, "now", "b")),
            "next": index((row, "b"), (-row, "now", "b")),
        }[where.level]
        strides = dense(node.shape[1:]) if where.strides is None else where.strides
        return Place(where.memory, index(at, where.offset), row, strides)

    def _once_place(self, node: Node) -> Place:
        shape, strides = node.shape, dense(node.shape)
        if node.op == "broadcast" and not node.operands[0].shape:
            place = self._once_place(node.operands[0])
            return place._replace(strides=(0,) * (len(shape) - (shape[:1] != () and shape[0] % BATCH == 0)))
        if node.op == "input":
            k = self.of_kind("parameter").index(node)
            name, given = f"p{k}", Argument("p", k)
        elif node.op == "const":
            k = self.constants.setdefault(node, len(self.constants))
            name, given = f"n{k}", Argument("constant", k)
        elif node not in self.once_index:
            raise CannotCompile("it has a constant for every row")
        else:
            k = self.once_index[node]
            name, given = f"c{k}", Argument("c", k)
        self.argument(name, given)
        return Place(name, (), 0, tuple([0 if d == 1 else s for d, s in zip(shape, strides, strict=True)]))

    def _view(self, node: Node, base: Place) -> Place:
        (x,) = node.operands
        match node.op:
            case "slice":
                pairs = list(zip(node.attrs[1:], base.strides, strict=True))
                offset = sum(part[0] * stride for part, stride in pairs)
                strides = tuple([part[2] * stride for part, stride in pairs])
                return base._replace(at=index(base.at, offset), strides=strides)
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
        raise CannotCompile("a reshape of a part")

    def of_call(self, place: Place) -> Place:
        """The place, whose memory is an argument from now on where the call brings it."""
        name = place.memory
        letters = name.rstrip("0123456789")
        if name not in self.arguments and letters in ("x", "y", "s", "k", "d", "dx"):
            self.argument(name, Argument(letters, int(name[len(letters) :])))
        return place
