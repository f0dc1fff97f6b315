"""Where the values of a block of steps live in generated NumPy code, before a line of it is written."""

from minirnn.compile.buffers import plan_buffers
from minirnn.compile.emit.writer import UFUNCS, Writer, dims_text
from minirnn.compile.ir import Node
from minirnn.compile.operations import VIEWS
from minirnn.compile.place import Placed, Program, once_nodes
from minirnn.compile.when import When

__all__ = ["Homes"]


class Homes(Writer):
    """A block's values and where they live: the arguments' memory, a concatenation's, or a buffer of their own."""

    def __init__(self, placed: Placed, program: Program, backward: bool, constants: dict[Node, str], reuse: bool):
        super().__init__(placed, constants)
        self.program, self.backward, self.reuse = program, backward, reuse
        self.stepwise = not placed.row_wise
        self.order = [*program.before, *program.loop, *program.after]
        self.place = {node: k for k, node in enumerate(self.order)}
        self.in_loop = set(program.loop)
        self.inside: dict[Node, tuple[Node, int]] = {}  # a part of a concatenation: which, and where it begins
        self.block_level: set[Node] = set()
        self.static: set[Node] = set()  # memory that stays the same from step to step
        self.copies: list[tuple[str, Node]] = []
        self.home: dict[Node, str] = {}
        self._arguments()
        self._homes()

    def _arguments(self) -> None:
        for k, node in enumerate(once_nodes(self.program)):
            self.names[node] = f"c[{k}]"
        for kind, letter in (("input", "x"), ("d_output", "y"), ("state", "r")):  # r: the states that enter the steps
            for k, node in enumerate(self.of_kind(kind)):
                self.names[node] = f"{letter}{k}"
                self.block_level.add(node)
        self.running: dict[Node, int] = {}  # cotangents of the state that are needed again behind the loop
        for k, node in enumerate(self.of_kind("d_state")):
            if self.backward and not self.stepwise and self._used_outside(node):
                self.running[node] = k
                self.names[node] = f"e{k}"
                self.block_level.add(node)
            else:
                self.names[node] = f"d{k}"
                self.static.add(node)
        states = self.results("state")
        for k, node in enumerate(states):
            moving = node is not None and node.op != "input" and self.placed.known[node] > When.ONCE
            if moving and node not in self.home and (node in self.in_loop or self.backward):
                self.home[node] = f"t{k}"
        for k, node in enumerate(self.placed.stored):
            self.home.setdefault(node, f"k{k}")
        if not self.backward:
            for k, node in enumerate(self.results("output")):
                if node in self.place:
                    self.home.setdefault(node, f"y{k}")
        else:
            for k, node in enumerate(self.results("d_input")):
                if node in self.program.after and node is not None:  # elsewhere it may not be asked for
                    self.home.setdefault(node, f"dx{k}")
        for node, name in self.home.items():
            self.names[node] = name
            self.block_level.add(node)

    def _homes(self) -> None:
        for node in self.order:
            if node.op == "concat":
                self._parts_inside(node)
        for node in self.order:
            at_block = node not in self.in_loop or self._used_outside(node)
            if node in self.home or node.op == "call":
                continue
            if self._is_view(node):
                base = node.operands[0]
                (self.block_level if base in self.block_level else self.static).add(node)
                if base not in self.block_level and base not in self.static:
                    self.static.discard(node)
            elif at_block and not self.stepwise:
                self.block_level.add(node)
            else:
                self.static.add(node)
        for node in self.order:  # parts live where their whole lives
            if node in self.inside:
                whole = self.inside[node][0]
                same = self.block_level if whole in self.block_level else self.static
                self.block_level.discard(node)
                self.static.discard(node)
                same.add(node)

    def _used_outside(self, node: Node) -> bool:
        outside = [*self.program.after, *(() if self.stepwise else self.program.sums)]
        asked = self.backward and not self.stepwise and node in self.results("d_input")
        return (
            asked
            or any(node in user.operands for user in outside)
            or any(
                view in self.order and self._used_outside(view)
                for view in self.order
                if view.op in VIEWS and node in view.operands
            )
        )

    def _is_view(self, node: Node) -> bool:
        if node.op not in VIEWS or node in self.home:
            return False
        if node.op != "reshape":
            return True
        return self._contiguous(node.operands[0]) or _units_alone(node)

    def _contiguous(self, node: Node) -> bool:
        if node.op in ("slice", "transpose", "broadcast", "call") and node not in self.home:
            return False
        if node.op == "reshape" and self._is_view(node):
            return self._contiguous(node.operands[0])
        return node not in self.inside

    def _parts_inside(self, whole: Node) -> None:
        """Values that only make up a concatenation are written where they belong in it."""
        axis, at = whole.attrs[0], 0
        for part in whole.operands:
            free = part in self.place and part not in self.home and part not in self.inside and part.op not in VIEWS
            same = free and (part in self.in_loop) == (whole in self.in_loop) and whole.operands.count(part) == 1
            level = same and (whole in self.home or self._used_outside(part) <= self._used_outside(whole))
            if level and part.op not in ("concat", "call", "cast") and part.dtype == whole.dtype:
                self.inside[part] = (whole, at)
            at += part.shape[axis]

    def owner(self, node: Node) -> Node:
        """The node whose memory a value lies in."""
        while True:
            if node in self.inside:
                node = self.inside[node][0]
            elif node in self.place and self._is_view(node):
                node = node.operands[0]
            else:
                return node

    # ------------------------------------------------------------ buffers
    def _allocate(self) -> None:
        last: dict[Node, int] = {}
        ends = {n: k for k, n in enumerate(self.order)}
        loop_end = max((ends[n] for n in self.program.loop), default=0)
        for node in self.order:
            last[self.owner(node)] = max(last.get(self.owner(node), 0), ends[node])
            for operand in node.operands:
                if operand in self.place:
                    base = self.owner(operand)
                    end = ends[node]
                    if node in self.in_loop and operand not in self.in_loop:
                        end = max(end, loop_end)  # read again at every step
                    last[base] = max(last.get(base, 0), end)
        kept_long = {*self.placed.graph.outputs.values(), *(o for s in self.program.sums for o in s.operands)}
        kept_long |= set(self.placed.stored) | set(self.program.sums)
        for node in kept_long:
            if node in self.place:
                last[self.owner(node)] = len(self.order)
        for node in self.in_loop:  # written at every step, read behind the loop
            if node in self.block_level and self.owner(node) is node:
                last[node] = max(last[node], loop_end)

        owned = [n for n in self.order if self.owner(n) is n and n not in self.home and n.op != "call"]
        for level, rows in ((self.block_level, "N"), (self.static, "b")):
            chosen = [n for n in owned if n in level]
            inside = set(chosen)
            ends_here = {n: place for n, place in last.items() if n in inside}
            numbers = plan_buffers(self.order, self.owner, ends_here, self._may_overwrite, reuse=self.reuse)
            made: set[int] = set()
            for node in chosen:
                name = f"{'v' if rows == 'N' else 'w'}{numbers[node]}"
                if numbers[node] not in made:
                    made.add(numbers[node])
                    direction = "backward" if self.backward else "forward"
                    shape = dims_text(node.shape, rows)
                    self.put(f"{name} = work({direction + ' ' + name!r}, {shape}, np.{node.dtype.name})")
                self.names[node] = name

    def _may_overwrite(self, node: Node, operand: Node) -> bool:
        plain = node.op in UFUNCS or node.op == "sigmoid"
        views = [o for o in node.operands if o is not operand and o in self.place and self.owner(o) is operand]
        same_kind = (node in self.in_loop) == (operand in self.in_loop)
        return plain and not views and same_kind and operand.shape == node.shape


def _units_alone(node: Node) -> bool:
    """Whether a reshape only adds or drops axes of length 1."""
    return [d for d in node.operands[0].shape if d != 1] == [d for d in node.shape if d != 1]
