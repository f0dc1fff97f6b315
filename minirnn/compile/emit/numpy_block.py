"""NumPy code for a placed graph: one ufunc call an operation, with `out=`, on buffers planned beforehand.

A generated module holds

    once_forward(p), once_backward(p)    what follows from the parameters alone
    forward(n, b, ...)                   a block of n steps of b rows: before, the loop, after
    backward(n, b, ...)                  the same block, backward
    finish(p, c, sums)                   the parameters' gradients, of the sums over all blocks

Arrays of all steps are rows, (n*b, ...), so that step t is the rows t*b to (t+1)*b; states have one step more. Of the
states' cotangents d there are two steps, (2*b, ...), of which the first comes in and leaves. Views are made once a
block, outside the loop.
"""

from collections.abc import Iterable

from minirnn.compile.emit.numpy_homes import Homes
from minirnn.compile.emit.writer import HEADER, Finish, Once, constant_text, dims_text
from minirnn.compile.ir import BATCH, Node
from minirnn.compile.place import Placed, Program

__all__ = ["emit"]


def emit(placed: Placed, title: str, *, reuse: bool = True) -> str:
    """The source of a module. reuse=False gives every value memory of its own."""
    constants: dict[Node, str] = {}
    parts = [
        Once(placed, placed.forward, "once_forward", constants).text(),
        Once(placed, placed.backward, "once_backward", constants).text(),
        Block(placed, placed.forward, False, constants, reuse).text(),
        Block(placed, placed.backward, True, constants, reuse).text(),
        Finish(placed, constants).text(),
    ]
    graph = "\n".join(f"    {line}" for line in str(placed.graph).splitlines())
    lines = [HEADER.format(title=title, graph=graph)]
    lines += [f"{name} = {constant_text(node)}" for node, name in constants.items()]
    return "\n\n".join(["\n".join(lines), *parts]) + "\n"


class Block(Homes):
    """forward or backward: homes for all values first, then views, then the operations."""

    def __init__(self, placed: Placed, program: Program, backward: bool, constants: dict[Node, str], reuse: bool):
        super().__init__(placed, program, backward, constants, reuse)
        self._write()

    def _write(self) -> None:
        program = self.program
        arguments = "p, c, x, s, k, y, keep" if not self.backward else "p, c, x, s, k, y, d, dx, sums, starts, wants"
        self.put(f"def {'backward' if self.backward else 'forward'}(n, b, {arguments}, outside, work):", 0)
        self.put("N = n * b")
        self._unpack()
        self._allocate()
        self._views()
        steps = "N" if not self.stepwise else "b"
        for node in program.before:
            self._operation(node, steps, 1)
        if program.loop or any(self.results("state")):
            self._loop()
        self._after()
        self.put("return None")

    def _unpack(self) -> None:
        used = set(self.order) | {o for node in (*self.order, *self.program.sums) for o in node.operands}
        used |= {self.owner(o) for o in used if o in self.place}
        results = set(self.placed.graph.outputs.values())
        for kind, letter in (("input", "x"), ("d_output", "y")):
            for k, node in enumerate(self.of_kind(kind)):
                if (node in used or node in results) and (kind == "input" or self.backward):
                    self.put(f"{letter}{k} = {letter}[{k}]")
        for k, node in enumerate(self.of_kind("state")):
            self.put(f"s{k} = s[{k}]")
            if node in used or node in results:
                self.put(f"r{k} = s{k}[:N]")
        for node, name in self.home.items():
            if name[0] == "t" and (node in used or node in self.place):
                self.put(f"{name} = s[{name[1:]}][b:]")
            elif name[0] == "k" and (node in used or node in self.place):
                self.put(f"{name} = k[{name[1:]}]")
            elif name[0] == "y":
                self.put(f"{name} = y[{name[1:]}]")
            elif name[:2] == "dx":
                self.put(f"{name} = dx[{name[2:]}]")
        for k, _ in enumerate(self.of_kind("d_state")):
            if self.backward:
                self.put(f"d{k} = d[{k}][:b]")
        for node, k in self.running.items():
            self.put(f"e{k} = work('running {k}', {dims_text(node.shape, 'N')}, np.{node.dtype.name})")

    def _views(self) -> None:
        """Views of memory that is there from the start."""
        self.in_line: set[Node] = set()
        for node in self._in_order_of_memory():
            rows = "N" if node in self.block_level else "b"
            if node in self.inside:
                whole, at = self.inside[node]
                axis = whole.attrs[0]
                parts = [":"] * axis + [f"{at}:{at + node.shape[axis]}"]
                name = f"{self.names[whole]}_{at}"
                self.put(f"{name} = {self.names[whole]}[{', '.join(parts)}]")
                self.names[node] = name
            elif self._is_view(node):
                base = node.operands[0]
                if base not in self.names and base.op != "const":
                    self.in_line.add(node)
                    continue
                if base.op == "call" or base in self.in_line:
                    self.in_line.add(node)
                    continue
                self._named_view(node, rows, 1)

    def _in_order_of_memory(self) -> Iterable[Node]:
        """Parts after their wholes, views after what they are views of."""
        found: dict[Node, None] = {}

        def visit(node: Node) -> None:
            if node in found or node not in self.place:
                return
            if node in self.inside:
                visit(self.inside[node][0])
            elif self._is_view(node):
                visit(node.operands[0])
            found[node] = None

        for node in self.order:
            visit(node)
        return found

    def _named_view(self, node: Node, rows: str, indent: int) -> None:
        base = self.name(node.operands[0], rows)
        name = f"q{self.place[node]}"
        self.put(f"{name} = {self.view(node, base, rows)}", indent)
        self.names[node] = name

    def _operation(self, node: Node, rows: str, indent: int) -> None:
        if node in self.in_line or node.op == "call":
            name = f"q{self.place[node]}"
            self.put(f"{name} = {self.expression(node, rows)}", indent)
            self.names[node] = name
        elif node.op == "concat":
            self._concat(node, rows, indent)
        elif not self._is_view(node):
            self.compute(node, self.name(node, rows), rows, indent)

    def _concat(self, node: Node, rows: str, indent: int) -> None:
        axis, at = node.attrs[0], 0
        out = self.name(node, rows)
        for part in node.operands:
            if part not in self.inside or self.inside[part] != (node, at):
                where = ", ".join([":"] * axis + [f"{at}:{at + part.shape[axis]}"])
                value = part.operands[0] if part.op == "broadcast" and part.operands[0].op == "const" else part
                self.put(f"{out}[{where}] = {self.name(value, rows)}", indent)
            at += part.shape[axis]

    # ------------------------------------------------------------ the loop
    def _loop(self) -> None:
        """Step by step. Arrays of the block are cut to the step's rows at its beginning."""
        self.put(f"for t in {'reversed(range(n))' if self.backward else 'range(n)'}:")
        self.put("lo, hi = t * b, (t + 1) * b", 2)
        outer = dict(self.names)
        cut = [n for n in self._needed_in_loop() if n in self.block_level]
        for node in cut:
            times = node.shape[0] // BATCH
            rows = "lo:hi" if times == 1 else f"{times} * lo:{times} * hi"
            name = f"{outer[node].replace('[', '').replace(']', '')}_t"
            self.put(f"{name} = {outer[node]}[{rows}]", 2)
            self.names[node] = name
        if self.backward:
            self._hold_what_is_over()
        for node in self.program.loop:
            self._operation(node, "b", 2)
        if self.backward:
            self._end_of_step_backward()
        else:
            self._end_of_step_forward(outer)
        self.names = outer

    def _needed_in_loop(self) -> list[Node]:
        needed: dict[Node, None] = {}
        for node in self.program.loop:
            computed = not self._is_view(node) or node in self.in_line
            if computed:
                needed[node] = None
                needed |= dict.fromkeys(o for o in node.operands if o in self.block_level)
        kinds = ("d_state",) if self.backward else ("state",)
        for kind in kinds:
            needed |= dict.fromkeys(n for n in self.results(kind) if n is not None and n in self.block_level)
        if self.stepwise and self.backward:
            needed |= dict.fromkeys(n for n in self.results("d_input") if n is not None)
        if self.stepwise and not self.backward:
            needed |= dict.fromkeys(n for n in self.results("output") if n is not None)
        return [n for n in needed if n in self.names or n in self.home]

    def _mask(self, node: Node) -> str:
        return (
            "over"
            if len(node.shape) == 2
            else f"over.reshape({('b',) + (1,) * (len(node.shape) - 1)})".replace("'", "")
        )

    def _end_of_step_forward(self, outer: dict[Node, str]) -> None:
        for k, node in enumerate(self.results("state")):
            if node is not None and self.home.get(node) != f"t{k}":
                self.put(f"s{k}[hi : hi + b] = {self.name(node, 'b')}", 2)
        if self.stepwise:
            self._step_outputs()
        self.put("if outside is not None:", 2)
        self.put("over = outside[lo:hi]", 3)
        for k, node in enumerate(self.of_kind("state")):
            self.put(f"np.copyto(s{k}[hi : hi + b], s{k}[lo:hi], where={self._mask(node)})", 3)

    def _step_outputs(self) -> None:
        for k, node in enumerate(self.results("output")):
            if node is not None and self.home.get(node) != f"y{k}":
                self.put(f"y[{k}][lo:hi] = {self.name(node, 'b')}", 2)

    def _hold_what_is_over(self) -> None:
        self.put("if outside is not None:", 2)
        self.put("over = outside[lo:hi]", 3)
        for k, node in enumerate(self.of_kind("d_state")):
            self.put(f"held{k} = d{k}.copy()", 3)
            self.put(f"np.copyto(d{k}, 0, where={self._mask(node)})", 3)
        for k in self.running.values():
            self.put(f"e{k}[lo:hi] = d{k}", 2)

    def _end_of_step_backward(self) -> None:
        new = [node for node in self.results("d_state") if node is not None]
        names = [self.name(node, "b") for node in new]
        for k, node in enumerate(new):  # a cotangent that becomes another's
            if self.owner(node) in self.of_kind("d_state") and len(new) > 1:
                self.put(f"z{k} = {names[k]}.copy()", 2)
                names[k] = f"z{k}"
        for k, name in enumerate(names):
            self.put(f"d{k}[...] = {name}", 2)
        if self.stepwise:
            for k, node in enumerate(self.results("d_input")):
                if node is not None and self.home.get(node) != f"dx{k}":
                    self.put("if wants[0]:", 2)
                    self.put(f"dx[{k}][lo:hi] = {self.name(node, 'b')}", 3)
            for k, node in enumerate(self.program.sums):
                self.put(f"sums[{k}][...] += {self.name(node, 'b')}", 2)
        self.put("if outside is not None:", 2)
        for k, node in enumerate(self.of_kind("d_state")):
            self.put(f"np.copyto(d{k}, held{k}, where={self._mask(node)})", 3)

    # ------------------------------------------------------------ behind the loop
    def _after(self) -> None:
        groups = self._needs_of_after()
        before: tuple[str, ...] = ()
        for node in self.program.after:
            self._guarded(groups[node], before)
            before = groups[node]
            self._operation(node, "N", 1 + bool(before))
        if self.stepwise:
            return
        if not self.backward:
            for k, node in enumerate(self.results("output")):
                if node is not None and self.home.get(node) != f"y{k}":
                    self.put(f"y[{k}][...] = {self._rows(node)}")
            for k, node in enumerate(self.placed.stored):
                if self.names.get(node) != f"k{k}":
                    self.put(f"k[{k}][...] = {self._rows(node)}")
            return
        for k, node in enumerate(self.results("d_input")):
            if node is not None and self.home.get(node) != f"dx{k}":
                self.put("if wants[0]:")
                self.put(f"dx[{k}][...] = {self._rows(node)}", 2)
        if self.program.sums:
            self.put("if wants[1]:")
            for k, node in enumerate(self.program.sums):
                self._sum(k, node)

    def _rows(self, node: Node) -> str:
        return self.name(node, "N")

    def _guarded(self, needs: tuple[str, ...], before: tuple[str, ...]) -> None:
        if needs and needs != before:
            self.put(f"if {' or '.join(needs)}:")

    def _needs_of_after(self) -> dict[Node, tuple[str, ...]]:
        """What a value behind the loop is computed for: always (), or only where something is asked for."""
        if not self.backward:
            always = {n for kind in ("state", "output") for n in self.results(kind) if n is not None}
            roots = {"": always, "keep": set(self.placed.stored)}
        else:
            roots = {
                "wants[0]": {n for n in self.results("d_input") if n is not None},
                "wants[1]": {o for node in self.program.sums for o in node.operands},
            }
        needs: dict[Node, set[str]] = {node: set() for node in self.program.after}
        for node in reversed(self.program.after):
            needs[node] |= {reason for reason, found in roots.items() if node in found}
            for operand in node.operands:
                if operand in needs:
                    needs[operand] |= needs[node]
        return {node: () if "" in reasons else tuple(sorted(reasons)) for node, reasons in needs.items()}

    def _sum(self, k: int, node: Node) -> None:
        """A product of rows, or a sum of rows, added to what earlier blocks gave."""
        if node.op == "matmul":
            value = f"np.matmul({self._rows(node.operands[0])}.T, {self._rows(node.operands[1])}"
        elif node.attrs == (0,) and node.dtype.kind == "f":
            rows = self._rows(node.operands[0])
            value = f"np.matmul(np.ones(N, np.{node.dtype.name}), {rows}"
            if len(node.operands[0].shape) != 2:
                value = f"np.sum({rows}, 0"
        else:
            value = f"np.sum({self._rows(node.operands[0])}, {node.attrs}"
        self.put("if starts:", 2)
        self.put(f"{value}, out=sums[{k}])", 3)
        self.put("else:", 2)
        self.put(f"sums[{k}][...] += {value})", 3)
