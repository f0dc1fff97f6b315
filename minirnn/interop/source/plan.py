"""A placed graph as lines of code: what stands before the loop over time, in it, and behind it.

A value has one name: f for the values of all steps, (T, B, ...), and f_t for that of one step, within the loop. The
state before a step is h_prev, the running cotangent d_h_next. Short values that are used once stand where they are
used.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from minirnn.compile.errors import CannotCompile
from minirnn.compile.ir import Graph, Node, is_scalar
from minirnn.compile.operations import ELEMENTWISE
from minirnn.compile.place import Placed, Program
from minirnn.compile.when import When
from minirnn.interop.source.expressions import Dialect, Text
from minirnn.interop.source.names import Names, identifier

__all__ = ["Direction", "Named", "Plan", "plan_of", "step_lines"]

_SHORT, _LONG = 44, 100
_MARK = re.compile("\x00.[^\x01]*\x01")
_UNARY = ("tanh", "sigmoid", "exp", "sqrt", "log", "softplus", "sin", "cos", "abs")


class Direction(NamedTuple):
    """One pass over time. reads: sequences that the loop goes through; collected: those that it makes, and
    what of a step; states: what the running state, or its cotangent, is after a step; for_x: lines behind the loop that
    the input's gradient alone needs."""

    once: list[str]
    before: list[str]
    reads: list[str]
    loop: list[str]
    collected: dict[str, str]
    states: list[str]
    after: list[str]
    for_x: list[str]
    results: dict[tuple[str, str], str]


class Plan(NamedTuple):
    """names by kind and path of every argument of the graph; saved: sequences that forward leaves for backward;
    before: states whose values before each step backward uses."""

    names: dict[tuple[str, str], str]
    forward: Direction
    backward: Direction
    saved: list[str]
    before: list[str]
    states: list[str]
    output: str


_OF_A_RUN = {"y", "ys", "state", "new", "mask", "t", "step", "xs", "lengths"}  # variables beside arguments


class Named:
    """Names of values, each once."""

    def __init__(self, graph: Graph, names: Names, reserved: Iterable[str]):
        self.nodes = graph.nodes()
        self.place = {node: k for k, node in enumerate(self.nodes)}
        self.names, self.taken, self.given = names, {*reserved, *_OF_A_RUN}, dict[Node, str]()
        self.arguments: dict[tuple[str, str], str] = {}
        for node in graph.inputs:
            kind, path = node.attrs
            if kind in ("parameter", "input"):
                self._argument(node, identifier(path) if path else "x")
        self.taken -= _OF_A_RUN - set(self.given.values()) - {"step"}
        self.states: list[str] = []
        for name, node in zip(names.state, [n for n in graph.inputs if n.attrs[0] == "state"], strict=True):
            self.states.append(self._free(f"{name}_state" if name in self.taken else name))
            self._argument(node, f"{self.states[-1]}_prev")
        whose = dict(zip(_paths(graph, "state"), self.states, strict=True))
        for name, node in zip(self.states, [graph.outputs["state", path] for path in whose], strict=True):
            if node.op not in ("input", "const") and node not in self.given:
                self.given[node] = name
        output = next(node for (kind, _), node in graph.outputs.items() if kind == "output")
        if output.op not in ("input", "const") and output not in self.given:
            self.given[output] = self._free(self._of_variable(output) or "y")
        for node in graph.inputs:
            kind, path = node.attrs
            if kind == "d_state":
                self._argument(node, f"d_{whose[path]}_next")
            elif kind == "d_output":
                self._argument(node, "d_out" if "y" in self.states else "d_y")
        self._results(graph, whose)

    def _results(self, graph: Graph, whose: Mapping[str, str]) -> None:
        """The gradients' names; a value that is two of them has the first one's."""
        for (kind, path), node in graph.outputs.items():
            argument = self.arguments.get((kind.removeprefix("d_"), path), "")
            name = f"d_{whose[path]}_prev" if kind == "d_state" else f"d_{argument}"
            if kind.startswith("d_") and node.op not in ("input", "const") and node not in self.given:
                self.given[node] = self._free(name)

    def _argument(self, node: Node, name: str) -> None:
        self.given[node] = self.arguments[node.attrs] = self._free(name)

    def _free(self, name: str) -> str:
        made, k = name, 2
        while made in self.taken:
            made, k = f"{name}{k}" if name[-1:].isalpha() else f"{name}_{k}", k + 1
        self.taken.add(made)
        return made

    def _of_variable(self, node: Node) -> str | None:
        return self.names.of.get(self.place.get(node, -1))

    def has_own(self, node: Node) -> bool:
        """Whether the step has a variable for it."""
        return self._of_variable(node) is not None

    def order(self, node: Node) -> float:
        """When the step sets it; infinity for a value that is no variable."""
        return self.names.order.get(self.place.get(node, -1), math.inf)

    def name(self, node: Node, otherwise: str) -> str:
        if node not in self.given:
            self.given[node] = self._free(self._chosen(node) or otherwise)
        return self.given[node]

    def _chosen(self, node: Node) -> str | None:
        place = self.place.get(node, -1)
        if own := self._of_variable(node):
            return own
        for by in self.names.derivatives.get(place, ()):
            if self.nodes[by] in self.given:
                return f"d_{self.given[self.nodes[by]]}"
            if by in self.names.earlier:
                return f"d_{self.names.earlier[by]}_pre"
        if place in self.names.earlier:
            return f"{self.names.earlier[place]}_pre"
        if node.op in _UNARY and (of := self.given.get(node.operands[0])):
            return f"{node.op}_{of}"
        return None


def _paths(graph: Graph, kind: str) -> list[str]:
    return [node.attrs[1] for node in graph.inputs if node.attrs[0] == kind]


# ---------------------------------------------------------------- one direction
class _Lines:
    """Lines for the nodes of a program. where: once, all, step, or sum, for each of them."""

    def __init__(
        self,
        program: Program,
        named: Named,
        dialect: Dialect,
        results: Iterable[Node],
        running: str,
        known: Mapping[Node, When],
    ):
        self.named, self.dialect, self.running, self.known = named, dialect, running, known
        self.where: dict[Node, str] = {}
        for part, where in (("once", "once"), ("before", "all"), ("loop", "step"), ("after", "all"), ("sums", "sum")):
            self.where.update(dict.fromkeys(getattr(program, part), where))
        self.where.update(dict.fromkeys(program.finish, "once"))
        self.results = set(results)
        self.uses: dict[Node, list[str]] = {}
        for node, where in self.where.items():
            for operand in node.operands:
                self.uses.setdefault(operand, []).append(where)
        self.forced: set[Node] = set()
        self.reads: dict[str, None] = {}
        self.given: dict[Node, None] = {}  # sequences that come from outside
        self.kept: dict[str, str] = {}  # sequences of what runs along, and its name in the loop

    def is_line(self, node: Node) -> bool:
        if node.op in ("input", "size") or is_scalar(node) or node not in self.where:
            return node not in self.where and node.op not in ("size", "const")
        uses, where = self.uses.get(node, []), self.where[node]
        crosses = any(use != where and not (use == "sum" and where == "all") for use in uses)
        if node.op == "broadcast" and is_scalar(node.operands[0]):
            return node in self.results
        own = self.named.has_own(node) and node.op not in ("slice", "reshape")
        return node in self.results or node in self.forced or len(uses) > 1 or crosses or own or where == "sum"

    def reference(self, node: Node, where: str) -> Text:
        """A value where it is used."""
        if not self.is_line(node):
            return self.expression(node, where)
        kind = node.attrs[0] if node.op == "input" else None
        name = self.named.name(node, _otherwise(node, self))
        own = "once" if kind == "parameter" else self.where.get(node, "all")
        if kind == self.running:
            if where in ("all", "sum"):
                self.kept[f"{name}_all"] = name
                return Text(f"{name}_all")
            return Text(name)
        if (kind is not None and kind != "parameter") or (node not in self.where and kind is None):
            self.given[node] = None
        if where != "step" or own in ("once", "sum"):
            return Text(name)
        if own == "all":
            self.reads[name] = None
        return Text(f"{name}_t")

    def expression(self, node: Node, where: str) -> Text:
        texts = [self.reference(self._plain(node, operand), where) for operand in node.operands]
        inner = "step" if where == "step" else "all"
        if self.where.get(node) == "sum":
            if node.op == "matmul":
                return self.dialect.over_all_rows(node, texts)
            if node.op == "sum":
                return self.dialect.sum_over_all_rows(node, texts)
            if node.op == "einsum":
                return self.dialect.einsum_over_all_rows(node, texts)
            raise CannotCompile(f"a sum over rows by {node.op} has no text in {self.dialect.title}")
        fused = self.dialect.fused(node, self, where) if where == "step" else None
        return fused or self.dialect.expression(node, texts, inner == "all" and where != "single")

    def _plain(self, node: Node, operand: Node) -> Node:
        """What is broadcast to the shape that another operand has anyway, without that."""
        if operand.op != "broadcast" or node.op not in ELEMENTWISE or operand in self.results:
            return operand
        others = [o for o in node.operands if o.op != "broadcast" and o.shape == node.shape]
        return operand.operands[0] if others and node.dtype == others[-1].dtype else operand

    def line(self, node: Node) -> str:
        where = self.where[node]
        name = self.named.name(node, _otherwise(node, self))
        return f"{name}{'_t' if where == 'step' else ''} = {self.expression(node, where).text}"

    def _cut(self, node: Node) -> None:
        """Give lines of their own to operands of a line that is too long."""
        where = self.where[node]
        while len(_MARK.sub("HHH", self.line(node))) > _LONG and (inlined := self._inlined(node)):
            self.forced.add(max(inlined, key=lambda n: len(self.expression(n, where).text)))

    def _inlined(self, node: Node) -> list[Node]:
        return [o for o in node.operands if o in self.where and not self.is_line(o) and o.op != "const"]

    def lines_within(self, node: Node) -> set[Node]:
        """The values with lines of their own that a line names."""
        found, stack = set[Node](), list(node.operands)
        while stack:
            operand = stack.pop()
            if self.is_line(operand):
                found.add(operand)
            else:
                stack += operand.operands
        return found

    def settle(self, nodes: Iterable[Node]) -> None:
        """Long values, and lines that would be long, are cut."""
        for node in nodes:
            if self.is_line(node):
                self._cut(node)
            elif not is_scalar(node) and node.op != "size" and self._is_long(node):
                self.forced.add(node)

    def _is_long(self, node: Node) -> bool:
        return len(_MARK.sub("HHH", self.expression(node, self.where[node]).text)) > _SHORT


def _otherwise(node: Node, lines: _Lines) -> str:
    """What a value without a name is called: a_f for what f is made of, x_f where that is known before the loop; and on
    the way back k for what is made of the step's values, and d for gradients."""
    where = lines.where.get(node)
    if lines.running != "state":
        return "d" if lines.known.get(node, When.ONCE) >= When.OUTPUT_COTANGENT else "k"
    if where == "once":
        return "w" if len(node.shape) > 1 else "b"
    following = _following(node, lines)
    letter = "x" if where == "all" else "a"
    if not following:
        return "k"
    return f"{letter}_{following.pop()}" if len(following) == 1 else "a_x" if where == "all" else "a"


def _following(node: Node, lines: _Lines) -> set[str]:
    """The values with a name that are made of it next."""
    found, stack = set(), [node]
    while stack:
        of = stack.pop()
        for user in [n for n in lines.where if of in n.operands]:
            if lines.named.has_own(user) or user in lines.named.given:
                found.add(lines.named.name(user, ""))
            else:
                stack.append(user)
    return found


# ---------------------------------------------------------------- one step
def step_lines(
    graph: Graph, names: Names, dialect: Dialect, reserved: Iterable[str]
) -> tuple[list[str], list[str], str]:
    """One step alone: its lines, the new states, the output."""
    ahead = graph.only("state", "output")
    named, nodes = Named(graph, names, reserved), [n for n in ahead.nodes() if n.op != "input"]
    lines = _Lines(Program((), (), tuple(nodes), (), (), ()), named, dialect, ahead.outputs.values(), "state", {})
    lines.where = dict.fromkeys(nodes, "single")
    lines.uses = {node: ["single"] * len(uses) for node, uses in lines.uses.items()}
    _settled(lines, Program((), (), tuple(nodes), (), (), ()))
    printed = _printed(lines, nodes)
    output = next(node for (kind, _), node in graph.outputs.items() if kind == "output")
    new = [graph.outputs["state", path] for path in _paths(graph, "state")]
    return printed, [lines.reference(node, "single").text for node in new], lines.reference(output, "single").text


# ---------------------------------------------------------------- both
def plan_of(placed: Placed, names: Names, dialect: Dialect, reserved: Iterable[str]) -> Plan:
    """Lines for a graph whose rows of the batch meet in sums alone. CannotCompile: an operation that has no text."""
    graph, named = placed.graph, Named(placed.graph, names, reserved)
    new = [graph.outputs["state", path] for path in _paths(graph, "state")]
    output = next(node for (kind, _), node in graph.outputs.items() if kind == "output")
    ahead = _Lines(placed.forward, named, dialect, [*new, output, *placed.stored], "state", placed.known)
    _settled(ahead, placed.forward)
    gradients = {key: node for key, node in graph.outputs.items() if key[0].startswith("d_")}
    back = _Lines(placed.backward, named, dialect, gradients.values(), "d_state", placed.known)
    _settled(back, placed.backward)
    _forward(ahead, placed, new, output, [])  # which names its values: gradients are named after them
    backward = _backward(back, placed, gradients)
    wanted = [node for node in back.given if node.op != "input"]
    before = [node for node in back.given if node.op == "input" and node.attrs[0] == "state"]
    forward = _forward(ahead, placed, new, output, wanted)
    saved = [named.given[node] for node in wanted]
    for node in before:
        name = named.arguments[node.attrs].removesuffix("_prev")
        saved += [name] if name not in saved else []
        if name not in forward.collected:
            forward.collected[name] = f"{name}_t"
    saved.sort(key=lambda name: list(forward.collected).index(name) if name in forward.collected else len(saved))
    used = [named.arguments[node.attrs] for node in before]
    return Plan(named.arguments, forward, backward, saved, used, named.states, forward.results["output", ""])


def _settled(lines: _Lines, program: Program) -> None:
    """Which values have a line, before any has its name."""
    named = lines.named
    before = dict(named.given), set(named.taken)
    lines.settle(_all(program))
    named.given, named.taken = before
    for found in (lines.reads, lines.given, lines.kept):
        found.clear()


def _printed(lines: _Lines, nodes: Sequence[Node]) -> list[str]:
    return [lines.line(node) for node in _ordered(lines, nodes)]


def _ordered(lines: _Lines, nodes: Sequence[Node]) -> list[Node]:
    """The nodes that have lines, in the order in which the step sets its variables as far as that can be."""
    left = {node: k for k, node in enumerate(nodes) if node in lines.where and lines.is_line(node)}
    needs = {node: lines.lines_within(node) & left.keys() for node in left}
    key: dict[Node, float] = {node: lines.named.order(node) for node in left}
    for node in reversed(left):
        for other in needs[node]:
            key[other] = min(key[other], key[node])
    found: list[Node] = []
    while left:
        ready = [node for node in left if not needs[node] & left.keys()]
        found.append(min(ready, key=lambda node: (key[node], left[node])))
        del left[found[-1]]
    return found


def _forward(lines: _Lines, placed: Placed, new: list[Node], output: Node, wanted: list[Node]) -> Direction:
    program, named = placed.forward, lines.named
    loop = _printed(lines, program.loop)
    states = []
    for name, node in zip(named.states, new, strict=True):
        text = lines.reference(node, "step").text
        if text != f"{name}_t":
            loop.append(f"{name}_t = {text}")
        states.append(f"{name}_t")
    before, after = _printed(lines, program.before), _printed(lines, program.after)
    y = lines.reference(output, "all").text
    made = _ordered(lines, program.loop)
    outside = {operand for node in program.after for operand in node.operands} | {output, *wanted}
    collected = _of_step([named.given[node] for node in made if node in outside]) | lines.kept
    once = _printed(lines, program.once)
    return Direction(once, before, list(lines.reads), loop, collected, states, after, [], {("output", ""): y})


def _backward(lines: _Lines, placed: Placed, gradients: Mapping[tuple[str, str], Node]) -> Direction:
    program, named = placed.backward, lines.named
    once, before, loop = (_printed(lines, part) for part in (program.once, program.before, program.loop))
    states = []
    for node in placed.of_kind("state"):
        result = gradients["d_state", node.attrs[1]]
        states.append(lines.reference(result, "step").text)
    for_x = _needed_by({node for (kind, _), node in gradients.items() if kind == "d_input"}, program.after)
    for_others = _needed_by({node for (kind, _), node in gradients.items() if kind != "d_input"}, _all(program))
    alone = [node for node in program.after if node in for_x and node not in for_others]
    after = _printed(lines, [node for node in program.after if node not in set(alone)])
    of_x = _printed(lines, alone)
    after += _printed(lines, program.sums) + _printed(lines, program.finish)
    outside = {operand for node in (*program.after, *program.sums) for operand in node.operands}
    outside |= {node for (kind, _), node in gradients.items() if kind == "d_input"}
    collected = _of_step([named.given[n] for n in _ordered(lines, program.loop) if n in outside]) | lines.kept
    results = {}
    for key, node in gradients.items():
        if key[0] != "d_state":
            results[key] = _zero(node) or lines.reference(node, "all").text
    return Direction(once, before, list(lines.reads), loop, collected, states, after, of_x, results)


def _of_step(names: Sequence[str]) -> dict[str, str]:
    return {name: f"{name}_t" for name in names}


def _zero(node: Node) -> str | None:
    """None for a value, and a text for a gradient that is 0 throughout."""
    while node.op in ("broadcast", "reshape", "cast"):
        node = node.operands[0]
    return "0" if is_scalar(node, 0) else None


def _all(program: Program) -> list[Node]:
    return [node for part in program for node in part]


def _needed_by(roots: set[Node], among: Sequence[Node]) -> set[Node]:
    found, stack, inside = set(), list(roots), set(among)
    while stack:
        node = stack.pop()
        if node not in found and node in inside:
            found.add(node)
            stack += node.operands
    return found
