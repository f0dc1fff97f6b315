"""Slices' derivatives put together again, and products that were cut with them.

zeros[:, :H := a] + zeros[:, H: := b] -> concat(a, b)       what the gates' derivatives are parts of
concat(a.T @ x, b.T @ x) -> concat(a, b).T @ x              one product in place of two
a @ w[:H] + b @ w[H:] -> concat(a, b) @ w
h @ w[:H].T, h @ w[H:].T -> slices of h @ w.T
"""

from collections import defaultdict
from functools import partial
from itertools import pairwise
from typing import Any

from minirnn.compile.ir import BATCH, Graph, Node, const, make, rewrite

__all__ = ["join"]


def join(graph: Graph) -> Graph:
    """The graph with fewer, larger products."""
    graph = rewrite(graph, partial(_concatenated, gaps=False))
    graph = rewrite(graph, partial(_concatenated, gaps=True))  # what no sum completes
    graph = rewrite(graph, _one_product_of_sums)
    graph = rewrite(graph, _one_product_of_parts)
    return _merged_products(graph)


# ---------------------------------------------------------------- zeros and a part
def _summands(node: Node) -> list[Node]:
    """The terms of a sum of puts, or of a sum at all."""
    if node.op != "add":
        return [node]
    return [term for operand in node.operands for term in _summands(operand)]


def _concatenated(node: Node, gaps: bool) -> Node:
    """A sum of parts in zeros as a concatenation, of all that make a whole first, and then with zeros in the gaps."""
    if node.op == "put":
        return _tiled(node, [node], gaps)
    if node.op != "add":
        return node
    terms = _summands(node)
    puts = [term for term in terms if term.op == "put" and term.shape == node.shape]
    if len(puts) < 2:
        return node
    joined = _tiled(node, puts, gaps)
    if joined is node:
        return node
    for term in terms:
        if term not in puts:
            joined = make("add", term, joined)
    return joined


def _tiled(node: Node, puts: list[Node], gaps: bool) -> Node:
    """The sum of parts that lie side by side along one axis, as a concatenation; the node where they do not."""
    shape = node.shape
    axes = {k for put in puts for k, part in enumerate(put.attrs[1:]) if part != (0, shape[k], 1)}
    if len(axes) != 1 or any(shape[axis] % BATCH == 0 for axis in axes):  # how many rows a gap has is not known
        return node
    axis = axes.pop()
    places = sorted([(put.attrs[1 + axis], put.operands[0]) for put in puts], key=lambda place: place[0][0])
    parts, at = [], 0
    for (start, stop, step), value in places:
        if step != 1 or start < at or (start > at and not gaps):
            return node
        if start > at:
            parts.append(_zeros((*shape[:axis], start - at, *shape[axis + 1 :]), node.dtype))
        parts.append(value)
        at = stop
    if at < shape[axis] and not gaps:
        return node
    if at < shape[axis]:
        parts.append(_zeros((*shape[:axis], shape[axis] - at, *shape[axis + 1 :]), node.dtype))
    return make("concat", *parts, attrs=(axis,), dtype=node.dtype)


def _zeros(shape: tuple[int, ...], dtype: Any) -> Node:
    return make("broadcast", const(0.0), attrs=shape, dtype=dtype)


# ---------------------------------------------------------------- products
def _rows_of(weight: Node) -> tuple[Node, int, int] | None:
    """(w, start, stop) where the node is w[start:stop]."""
    if weight.op != "slice" or len(weight.shape) != 2 or len(weight.operands[0].shape) != 2:
        return None
    (start, stop, step), columns = weight.attrs
    whole = columns == (0, weight.operands[0].shape[1], 1)
    return (weight.operands[0], start, stop) if whole and step == 1 else None


def _rows(weight: Node, start: int, stop: int) -> Node:
    if (start, stop) == (0, weight.shape[0]):
        return weight
    return make("slice", weight, attrs=((start, stop, 1), (0, weight.shape[1], 1)))


def _is_part(term: Node) -> bool:
    return term.op == "matmul" and term.attrs == (False, False) and _rows_of(term.operands[1]) is not None


def _one_product_of_sums(node: Node) -> Node:
    """a @ w[:H] + b @ w[H:] as one product."""
    if node.op != "add":
        return node
    terms = _summands(node)
    by_weight: dict[Node, list[Any]] = defaultdict(list)
    rest = []
    for term in terms:
        found = _rows_of(term.operands[1]) if _is_part(term) else None
        if found is None:
            rest.append(term)
        else:
            by_weight[found[0]].append((found[1], found[2], term))
    changed = False
    for weight, parts in by_weight.items():
        parts.sort(key=lambda part: part[0])
        run = [parts[0]]
        for part in [*parts[1:], None]:
            if part is not None and part[0] == run[-1][1]:
                run.append(part)
                continue
            if len(run) > 1:
                left = make("concat", *[term.operands[0] for _, _, term in run], attrs=(1,))
                rest.append(make("matmul", left, _rows(weight, run[0][0], run[-1][1]), attrs=(False, False)))
                changed = True
            else:
                rest.append(run[0][2])
            run = [part] if part is not None else []
    if not changed:
        return node
    total = rest[0]
    for term in rest[1:]:
        total = make("add", total, term)
    return total


def _one_product_of_parts(node: Node) -> Node:
    """concat(a.T @ x, b.T @ x) as one product, wherever neighbours share the right side."""
    if node.op != "concat" or node.attrs != (0,) or len(node.shape) != 2:
        return node
    parts: list[Node] = []
    for part in node.operands:
        before = parts[-1] if parts else None
        if (
            before is not None
            and before.op == part.op == "matmul"
            and before.attrs == part.attrs == (True, False)
            and before.operands[1] is part.operands[1]
        ):
            left = make("concat", before.operands[0], part.operands[0], attrs=(1,))
            parts[-1] = make("matmul", _flat_concat(left), part.operands[1], attrs=(True, False))
        else:
            parts.append(part)
    if len(parts) == len(node.operands):
        return node
    return parts[0] if len(parts) == 1 else make("concat", *parts, attrs=(0,))


def _flat_concat(node: Node) -> Node:
    parts = [p for part in node.operands for p in (part.operands if _same_concat(part, node) else (part,))]
    return make("concat", *parts, attrs=node.attrs)


def _same_concat(part: Node, node: Node) -> bool:
    return part.op == "concat" and part.attrs == node.attrs


def _merged_products(graph: Graph) -> Graph:
    """h @ w[a:b].T and h @ w[b:c].T as slices of one product."""
    families: dict[tuple[Node, Node], set[tuple[int, int]]] = defaultdict(set)
    for node in graph.nodes():
        found = _rows_of(node.operands[1]) if node.op == "matmul" and node.attrs == (False, True) else None
        if found is not None:
            families[node.operands[0], found[0]].add(found[1:])
    runs: dict[tuple[Node, Node], list[tuple[int, int]]] = {}
    for family, parts in families.items():
        merged: list[list[int]] = []
        ordered = sorted(parts)
        for start, stop in ordered:
            if merged and start == merged[-1][1]:
                merged[-1][1] = stop
            else:
                merged.append([start, stop])
        if len(merged) < len(ordered) and all(a[1] <= b[0] for a, b in pairwise(ordered)):
            runs[family] = [(start, stop) for start, stop in merged]
    if not runs:
        return graph
    by_part = {
        (h, w, start, stop): run
        for (h, w), merged_runs in runs.items()
        for start, stop in families[h, w]
        for run in merged_runs
        if run[0] <= start and stop <= run[1]
    }
    made: dict[Any, Node] = {}
    new: dict[Node, Node] = {}
    for node in graph.nodes():  # by hand, as the families are known by their old nodes
        operands = tuple([new[operand] for operand in node.operands])
        found = _rows_of(node.operands[1]) if node.op == "matmul" and node.attrs == (False, True) else None
        run = by_part.get((node.operands[0], *found)) if found is not None else None
        if found is None or run is None or run == found[1:]:
            new[node] = (
                node if operands == node.operands else Node(node.op, operands, node.attrs, node.shape, node.dtype)
            )
            continue
        key = (node.operands[0], found[0], run)
        if key not in made:
            made[key] = make("matmul", operands[0], _rows(new[found[0]], *run), attrs=(False, True))
        start, stop = found[1] - run[0], found[2] - run[0]
        new[node] = make("slice", made[key], attrs=((0, node.shape[0], 1), (start, stop, 1)))
    for node in graph.inputs:
        new.setdefault(node, node)
    return Graph(graph.inputs, {key: new[node] for key, node in graph.outputs.items()})
