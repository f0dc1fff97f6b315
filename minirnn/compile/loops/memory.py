"""Which memory the values of a block of steps are given: what the call brings, parts of a whole, or scratch."""

from typing import Any

from minirnn.compile.errors import CannotCompile
from minirnn.compile.fuse import is_looped, stages
from minirnn.compile.ir import Node
from minirnn.compile.loops.places import Argument, Home, Places
from minirnn.compile.loops.program import Index
from minirnn.compile.loops.sizes import Size, dense, plus, times
from minirnn.compile.operations import COMPUTED, VIEWS
from minirnn.compile.place import Placed, Program
from minirnn.compile.when import When

__all__ = ["Memory"]


class Memory(Places):
    """Gives every value of one direction its memory, and says which copies are made."""

    def __init__(self, placed: Placed, program: Program, backward: bool):
        super().__init__(placed, program, backward)
        self.last = "after" if placed.row_wise else "loop"  # the phase of what only the results need
        self.packs: dict[tuple[Node, bool], int] = {}
        self.allocations: list[str] = []
        self.copies: dict[str, list[tuple[Node, Node]]] = {"before": [], "loop": [], "after": []}
        self.parts: dict[Node, list[Node]] = {}  # wholes: the copies that they are made up of
        self.plain: set[Node] = set()  # what must lie without gaps
        self.stores: dict[Node, list[Home]] = {}
        self._inputs()
        self._roles()
        self._parts()

    def scratch(self, name: str, rows: Index, width: Size, dtype: Any) -> str:
        direction = "backward" if self.backward else "forward"
        return self.argument(name, Argument("work", 0, f"{direction} {name}", rows, width, dtype.name))

    def _inputs(self) -> None:
        for kind, letter in (("input", "x"), ("d_output", "y"), ("state", "in")):
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
        elif own and is_looped(node) and (self.placed.fused or phase == "loop"):
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
        while node.op == "broadcast" and node.operands[0].op in ("const", "size"):
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
                        self._copy(node, Home(f"dx{k}", "rows"), self.last)
        else:
            for k, state in enumerate(states):
                if state is not None:
                    self._give(state, Home(f"s{k}", "later"), "loop")
            for k, node in enumerate(self.placed.stored):
                self._give(node, Home(f"k{k}", "rows"), self.last)
            for k, node in enumerate(self.results("output")):
                if node is not None:
                    self._give(node, Home(f"y{k}", "rows"), self.last)

    def _parts(self) -> None:
        """Concatenations, whose parts are written where they belong; and memory for what is read elsewhere."""
        program = self.program
        for phase in ("before", "loop", "after"):
            for whole in getattr(program, phase):
                if whole.op == "concat":
                    self._concatenation(whole, phase)
                elif whole.op == "reshape":
                    self._reshape(whole, phase)
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
                if base in self.phase_of and not direct and base.op != "concat" and base not in self.parts:
                    self._make_readable(base)
        for node in program.sums if self.last == "loop" else ():
            base = self._base(node)
            if base in self.phase_of and base.op != "concat" and base not in self.parts:
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
        name = f"e{len(self.behind)}"
        self.behind[node] = Home(self.scratch(name, self.rows(node, "after"), self.width(node), node.dtype), "rows")
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
        name, rows = f"v{len(self.allocations)}", self.rows(node, "after" if level == "rows" else "loop")
        self.allocations.append(name)
        self.memory[node] = Home(self.scratch(name, rows, self.width(node), node.dtype), level)

    def _used_behind(self, node: Node) -> bool:
        if not self.first:
            return False
        users = [*self.program.after, *self.program.sums, *(copy for copy, _ in self.copies["after"])]
        return any(self._reaches(operand, node) for user in users for operand in user.operands)

    def _reaches(self, operand: Node, node: Node) -> bool:
        while operand is not node and operand.op in VIEWS and operand in self.phase_of:
            operand = operand.operands[0]
        if operand.op == "concat" and operand is not node:
            return any(self._reaches(part, node) for part in operand.operands)
        return operand is node

    def _concatenation(self, whole: Node, phase: str) -> None:
        axis, strides = whole.attrs[0] - self.first, dense(self.tail(whole.shape))
        if whole not in self.memory:
            self._allocate(whole)
        home = self.memory[whole]
        self.widths[home.memory] = self.width(whole)
        strides, offset = home.strides or strides, home.offset
        for part in whole.operands:
            where = Home(home.memory, home.level, offset, strides)
            same = part in self.phase_of and self.phase_of[part] == phase and self._is_computed(part)
            if same and part not in self.memory and strides[-1] == 1 and part not in self.plain:
                self.memory[part] = where
            elif same and is_looped(part):
                self.stores.setdefault(part, []).append(where)
            else:
                self.parts.setdefault(whole, []).append(self._copy(part, where, phase))
            offset = plus(offset, times(strides[axis], self.tail(part.shape)[axis]))

    def _reshape(self, node: Node, phase: str) -> None:
        """A reshape of what has gaps is a copy of it."""
        (x,) = node.operands
        if node in self.memory:
            return
        if not self.is_view(node):
            self._allocate(node)
            home = self.memory[node]
            self.parts[node] = [self._copy(x, Home(home.memory, home.level), phase)]
        while x.op == "reshape" and x in self.phase_of and x not in self.parts:
            x = x.operands[0]
        self.plain.add(x)

    def _needs(self, phase: str) -> dict[Node, tuple[str, ...]]:
        """What an operation behind the loop is computed for; () for always."""
        if phase != self.last or (self.last == "loop" and not self.backward):
            return {}
        if self.last == "loop":
            asked = {copy for copy, _ in self.copies["loop"] if self.memory[copy].memory.startswith("dx")}
            return dict.fromkeys(asked, ("want_x",))
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
