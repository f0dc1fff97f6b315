"""Where each operation of a step stands in a pass over a whole sequence.

    once      of parameters alone: before everything
    before    for all steps of a block at one go, as rows of one large batch: what the running state is not needed for
    loop      step by step: what the new state needs of the old one
    after     for all steps again: what only the outputs need

and backward likewise, around the running cotangent; there, sums over the batch (a weight's gradient, dz^T x) stand in
`after`, as one product over all rows of all steps, and what follows them, once, in `finish`.

All that holds where rows of the batch never meet but in such sums, for then the steps of a block are nothing but more
rows. Where they meet otherwise, everything stays in the loop (`row_wise` is False).
"""

from collections.abc import Iterable
from typing import NamedTuple

from minirnn.compile.ir import BATCH, Graph, Node, has_batch
from minirnn.compile.keep import keep
from minirnn.compile.operations import ELEMENTWISE, REGISTER, VIEWS
from minirnn.compile.when import When, when

__all__ = ["Placed", "Program", "is_row_wise", "once_nodes", "place"]


class Program(NamedTuple):
    """One direction. Operands stand before what they are operands of; `sums` are accumulated over steps and blocks."""

    once: tuple[Node, ...]
    before: tuple[Node, ...]
    loop: tuple[Node, ...]
    after: tuple[Node, ...]
    sums: tuple[Node, ...]
    finish: tuple[Node, ...]


class Placed(NamedTuple):
    """stored: what forward leaves for backward; fused: whether it is for code that fuses operations."""

    graph: Graph
    row_wise: bool
    forward: Program
    backward: Program
    stored: tuple[Node, ...]
    known: dict[Node, When]
    fused: bool

    def of_kind(self, kind: str) -> list[Node]:
        """The graph's arguments of a kind."""
        return [node for node in self.graph.inputs if node.attrs[0] == kind]

    def results(self, kind: str) -> list[Node | None]:
        """The outputs of a kind in the order of the arguments that they belong to; None where there is none."""
        of = {"state": "state", "d_state": "state", "d_input": "input", "d_parameter": "parameter"}
        found = self.graph.outputs
        if kind == "output":
            return [node for (what, _), node in found.items() if what == kind]
        return [found.get((kind, node.attrs[1])) for node in self.of_kind(of[kind])]


def once_nodes(program: Program) -> list[Node]:
    """What is computed of the parameters alone, and kept."""
    return [n for n in program.once if n.op != "const" and not (n.op == "broadcast" and n.operands[0].op == "const")]


def place(graph: Graph, *, hoist: bool = True, sink: bool = False, store_all: bool = False) -> Placed:
    """Both programs of a graph.

    hoist=False leaves everything in the loop; sink=True takes cheap operations of all steps into the loop, for code
    that fuses them there; store_all=True computes nothing again.
    """
    known = when(graph)
    ahead, back = graph.only("state", "output"), graph.only("d_state", "d_input", "d_parameter")
    states = [node for (kind, _), node in graph.outputs.items() if kind == "state"]
    row_wise = hoist and is_row_wise(graph, known)
    if not row_wise:
        there = {node for node in states if known[node] >= When.INPUT and node.op != "input"}
        forward, backward = _in_the_loop(ahead, known, set()), _in_the_loop(back, known, there)
        return Placed(graph, False, forward, backward, (), known, sink)
    used = _used_by_backward(back, known)
    stored = keep(used, known, states, store_all)
    forward = _forward(graph, ahead, known, stored, sink)
    backward = _backward(back, known, {*stored, *(s for s in states if known[s] >= When.INPUT)}, sink)
    return Placed(graph, True, forward, backward, tuple(stored), known, sink)


# ---------------------------------------------------------------- rows
def is_row_wise(graph: Graph, known: dict[Node, When]) -> bool:
    """Whether every value of a step is rows of the batch, each of its own row, or a sum over them, or of such sums."""
    kinds: dict[Node, str] = {}
    for node in graph.nodes():
        kind = "once" if known[node] == When.ONCE else _kind(node, [kinds[operand] for operand in node.operands])
        if kind == "mixed":
            return False
        kinds[node] = kind
    for (kind, _), node in graph.outputs.items():
        expected = ("once", "sum") if kind == "d_parameter" else ("once", "rows")
        if kinds[node] not in expected or (kind != "d_parameter" and node.shape[:1] != (BATCH,)):
            return False
    return not any(has_batch(node) for node in graph.nodes() if kinds[node] in ("once", "sum") and not _filled(node))


def _filled(node: Node) -> bool:
    """A number for every row, known beforehand."""
    return node.op == "broadcast" and node.operands[0].op == "const"


def _kind(node: Node, operands: list[str]) -> str:
    """once, rows, sum, or mixed: none of these."""
    if node.op == "input":
        return "rows" if node.shape[:1] == (BATCH,) and not _has_later_batch(node) else "mixed"
    if "sum" in operands:
        return "sum" if "rows" not in operands and _linear(node, operands) else "mixed"
    rows = node.shape[:1] != () and node.shape[0] % BATCH == 0 and not _has_later_batch(node)
    match node.op:
        case "sum" if 0 in node.attrs:
            return "sum" if not has_batch(node) else "mixed"
        case "sum" | "amax" | "amin" | "prod":
            return "rows" if rows and 0 not in node.attrs else "mixed"
        case "matmul":
            if node.attrs[0] and not node.attrs[1] and operands == ["rows", "rows"]:
                return "sum"
            return "rows" if rows and not node.attrs[0] and operands == ["rows", "once"] else "mixed"
        case "windows":
            return "rows" if rows else "mixed"
        case "transpose":
            return "rows" if node.attrs[0] == 0 else "mixed"
        case "slice":
            return "rows" if node.attrs[0] == (0, node.operands[0].shape[0], 1) else "mixed"
        case "put":
            return "rows" if rows and node.attrs[1] == (0, node.attrs[0][0], 1) else "mixed"
        case "concat" | "take" | "untake" | "cumsum" | "cumprod":
            return "rows" if rows and node.attrs[0] != 0 else "mixed"
        case "einsum":
            return _einsum_kind(node, operands)
        case "reshape":
            return "rows" if rows and node.operands[0].shape[0] % BATCH == 0 else "mixed"
        case "broadcast":
            same = len(node.shape) == len(node.operands[0].shape)
            return "rows" if rows and same and node.operands[0].shape[0] == node.shape[0] else "mixed"
        case "call":
            return "mixed"
    if node.op not in ELEMENTWISE and node.op != "cast":
        return "mixed"
    full = [o for o, kind in zip(node.operands, operands, strict=True) if kind == "rows"]
    return "rows" if all(o.shape[0] == node.shape[0] and len(o.shape) == len(node.shape) for o in full) else "mixed"


def _has_later_batch(node: Node) -> bool:
    return any(dim % BATCH == 0 for dim in node.shape[1:] if dim)


def _einsum_kind(node: Node, operands: list[str]) -> str:
    inputs, output = node.attrs[0].split("->")
    first = {letters[:1] for letters, kind in zip(inputs.split(","), operands, strict=True) if kind == "rows"}
    if len(first) != 1 or node.shape[:1] != (BATCH,):
        return "mixed"
    (letter,) = first
    others = [letters for letters, kind in zip(inputs.split(","), operands, strict=True) if kind != "rows"]
    return "rows" if letter and output[:1] == letter and not any(letter in letters for letters in others) else "mixed"


def _linear(node: Node, operands: list[str]) -> bool:
    """Whether the node is linear in its operands that are sums, so that it may follow the sum over time."""
    count = operands.count("sum")
    match node.op:
        case "add" | "sub":
            return count == 2
        case "neg" | "cast" | "reshape" | "transpose" | "slice" | "put" | "sum" | "broadcast":
            return True
        case "take" | "untake" | "cumsum":
            return True
        case "concat":
            others = [o for o, kind in zip(node.operands, operands, strict=True) if kind != "sum"]
            return all(_is_zero(other) for other in others)
        case "mul" | "matmul" | "einsum":
            return count == 1
        case "div":
            return operands[1] != "sum"
        case "where":
            return operands[0] != "sum" and all(
                kind == "sum" or _is_zero(o) for o, kind in zip(node.operands[1:], operands[1:], strict=True)
            )
    return False


def _is_zero(node: Node) -> bool:
    while node.op in ("broadcast", "reshape", "cast"):
        node = node.operands[0]
    return node.op == "const" and node.shape == () and node.attrs[0] == 0


# ---------------------------------------------------------------- the two programs
def _ancestors(roots: Iterable[Node], leaves: set[Node]) -> set[Node]:
    """The roots and all that they need, down to the leaves, which are not part of it."""
    found: set[Node] = set()
    stack = [root for root in roots if root not in leaves]
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            stack += [operand for operand in node.operands if operand not in leaves]
    return found


def _used_by_backward(back: Graph, known: dict[Node, When]) -> list[Node]:
    """The step's values that are operands of its derivative, in order."""
    needed = {
        operand
        for node in back.nodes()
        if known[node] >= When.OUTPUT_COTANGENT
        for operand in node.operands
        if When.INPUT <= known[operand] <= When.STATE
    }
    needed |= {n for n in back.outputs.values() if When.INPUT <= known[n] <= When.STATE}
    return [node for node in back.nodes() if node in needed]


def _forward(graph: Graph, ahead: Graph, known: dict[Node, When], stored: list[Node], sink: bool) -> Program:
    states = [node for (kind, _), node in ahead.outputs.items() if kind == "state"]
    whole = Graph(graph.inputs, {**ahead.outputs, **{("stored", str(k)): node for k, node in enumerate(stored)}})
    order, feeding = [n for n in whole.nodes() if n.op != "input"], _ancestors(states, set())
    once = [n for n in order if known[n] == When.ONCE]
    before = [n for n in order if known[n] == When.INPUT]
    loop = [n for n in order if known[n] == When.STATE and n in feeding]
    after = [n for n in order if known[n] == When.STATE and n not in feeding]
    results = set(whole.outputs.values())
    if sink:
        before, loop = _sunk(before, loop, after, results)
        loop, after = _joined(loop, after)
    return Program(tuple(once), tuple(before), tuple(loop), tuple(after), (), ())


def _backward(back: Graph, known: dict[Node, When], leaves: set[Node], sink: bool) -> Program:
    needed = _ancestors(back.outputs.values(), leaves)
    order = [n for n in back.nodes() if n in needed and n.op != "input"]
    feeding = _ancestors([node for (kind, _), node in back.outputs.items() if kind == "d_state"], leaves)
    once = [n for n in order if known[n] == When.ONCE]
    moving = [n for n in order if known[n] > When.ONCE]
    sums = [n for n in moving if not has_batch(n)]
    first = [n for n in sums if all(has_batch(o) for o in n.operands)]  # a sum over rows; what follows is `finish`
    rows = [n for n in moving if has_batch(n)]
    before = [n for n in rows if known[n] < When.STATE_COTANGENT]
    loop = [n for n in rows if known[n] == When.STATE_COTANGENT and n in feeding]
    after = [n for n in rows if known[n] == When.STATE_COTANGENT and n not in feeding]
    if sink:
        results = {o for n in first for o in n.operands} | set(back.outputs.values())
        before, loop = _sunk(before, loop, after, results)
    finish = [n for n in sums if n not in set(first)]
    return Program(tuple(once), tuple(before), tuple(loop), tuple(after), tuple(first), tuple(finish))


def _in_the_loop(part: Graph, known: dict[Node, When], there: set[Node]) -> Program:
    """Everything in the loop, but for the values that are there."""
    needed = _ancestors(part.outputs.values(), there)
    order = [n for n in part.nodes() if n in needed and n.op not in ("input", "size")]
    once = [n for n in order if known[n] == When.ONCE and not has_batch(n)]
    loop = [n for n in order if n not in set(once)]
    sums = tuple([node for (kind, _), node in part.outputs.items() if kind == "d_parameter" and known[node]])
    return Program(tuple(once), (), tuple(loop), (), tuple(dict.fromkeys(sums)), ())


# ---------------------------------------------------------------- into the loop again
def _sunk(before: list[Node], loop: list[Node], after: list[Node], results: set[Node]) -> tuple[list[Node], list[Node]]:
    """Cheap operations of all steps whose values the loop alone needs, moved into it: there they are not written."""
    moved: set[Node] = set()
    used_outside = {operand for node in after for operand in node.operands} | results
    for node in reversed(before):
        users = [n for n in (*before, *loop) if node in n.operands]
        inner = all(user in moved or user in set(loop) for user in users)
        if users and inner and node not in used_outside and (node.op in REGISTER or node.op in VIEWS):
            moved.add(node)
    return [n for n in before if n not in moved], [n for n in before if n in moved] + loop


def _joined(loop: list[Node], after: list[Node]) -> tuple[list[Node], list[Node]]:
    """Elementwise operations that follow the loop directly, in it: their operands are at hand there."""
    inside = set(loop)
    for node in after:
        if (node.op in ELEMENTWISE or node.op in VIEWS) and all(
            o in inside or o.op in ("const", "input") for o in node.operands
        ):
            inside.add(node)
    return [*loop, *(n for n in after if n in inside)], [n for n in after if n not in inside]
