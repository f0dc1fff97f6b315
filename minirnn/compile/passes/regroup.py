"""Sums and products in the order in which their terms are known, so that as much as can be stands before the loop.

(x @ w + b) + (h @ u + c) -> (x @ w + (b + c)) + h @ u
(g * dc) * (i * (1 - i)) -> (g * (i * (1 - i))) * dc          every factor beside dc before the loop
"""

from collections import Counter
from functools import reduce
from math import prod
from typing import Any

from minirnn.compile.ir import Graph, Node, const, is_scalar, make
from minirnn.compile.when import When, when

__all__ = ["regroup"]


def regroup(graph: Graph) -> Graph:
    """The graph with its sums and products regrouped; rounding may differ."""
    known = when(graph)
    uses = Counter(operand for node in graph.nodes() for operand in node.operands)
    uses.update(graph.outputs.values())
    new: dict[Node, Node] = {}
    inside: set[Node] = set()
    for node in reversed(graph.nodes()):  # a sum that is a term of another belongs to that one
        if node.op in ("add", "mul"):
            for operand in node.operands:
                alike = _of_one(node, node.dtype) and _of_one(operand, node.dtype)
                if operand.op == node.op and uses[operand] == 1 and alike:
                    inside.add(operand)
    for node in graph.nodes():
        if node in inside:
            continue
        if node.op in ("add", "mul"):
            terms = _terms(node, inside)
            if len(terms) > 2:
                new[node] = _ordered(node, terms, known, new)
                continue
        operands = tuple([new[operand] for operand in node.operands])
        same = operands == node.operands
        new[node] = node if same else Node(node.op, operands, node.attrs, node.shape, node.dtype)
    for node in graph.inputs:
        new.setdefault(node, node)
    return Graph(graph.inputs, {key: new[node] for key, node in graph.outputs.items()})


def _of_one(node: Node, dtype: Any) -> bool:
    """Whether nothing is rounded to another precision on the way, which in another order would be another number."""
    floats = [operand for operand in node.operands if operand.dtype.kind == "f" and not is_scalar(operand)]
    return node.dtype == dtype and all(operand.dtype == dtype for operand in floats)


def _terms(node: Node, inside: set[Node]) -> list[Node]:
    return [t for operand in node.operands for t in (_terms(operand, inside) if operand in inside else [operand])]


def _ordered(node: Node, terms: list[Node], known: dict[Node, When], new: dict[Node, Node]) -> Node:
    ordered = sorted(terms, key=lambda term: (known[term], len(term.shape)))
    numbers = [term.attrs[0] for term in ordered if is_scalar(term)]
    rest = [new[term] for term in ordered if not is_scalar(term)]
    if numbers and rest:
        rest.insert(0, const(sum(numbers) if node.op == "add" else prod(numbers)))
    total = reduce(lambda a, b: make(node.op, a, b), rest or [new[term] for term in ordered])
    return total if total.dtype == node.dtype else make("cast", total, attrs=(node.dtype,))
