"""Elementwise operations in groups, each one loop over rows: what need not be written stays in registers.

A phase is a sequence of stages; a stage is some loops, and then the products and reductions of what they wrote. An
operation stands in the earliest stage in which its operands are known; one that only reads what is in memory anyway
stands in the stage that needs it.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from minirnn.compile.ir import Node
from minirnn.compile.operations import LOOPED, VIEWS

__all__ = ["Group", "Stage", "is_looped", "stages"]


class Group(NamedTuple):
    """Operations of one shape in one loop; `needs` says for what: () for always."""

    nodes: tuple[Node, ...]
    needs: tuple[str, ...]


class Stage(NamedTuple):
    groups: tuple[Group, ...]
    whole: tuple[Node, ...]  # products and reductions, behind the groups


def is_looped(node: Node) -> bool:
    return node.op in LOOPED


def _sources(
    operands: Iterable[Node], inside: set[Node], copies: dict[Node, list[Node]], viewed: bool = False
) -> Iterable[tuple[Node, bool]]:
    """What this phase computes of the operands, seen through views, with the copies that make up a whole; and whether
    it is seen through one."""
    for given in operands:
        operand = given
        while operand.op in VIEWS and operand in inside and operand not in copies:
            operand = operand.operands[0]
        seen = viewed or operand is not given
        if operand in inside and (operand in copies or operand.op == "concat"):
            yield from _sources(operand.operands, inside, copies, True)
            yield from [(copy, True) for copy in copies.get(operand, ())]
        elif operand in inside:
            yield operand, seen


def stages(
    order: Sequence[Node],
    needs: dict[Node, tuple[str, ...]],
    copies: dict[Node, list[Node]],
    *,
    fuse: bool = True,
) -> list[Stage]:
    """The phase's operations as stages; copies: those that make up a whole. fuse=False gives every operation a
    loop of its own."""
    inside = set(order)
    at: dict[Node, int] = {}
    for node in order:
        if node.op in VIEWS or node.op == "concat":
            continue
        level = 0
        for source, viewed in _sources(node.operands, inside, copies):
            apart = not is_looped(source) or source.shape != node.shape or not fuse
            waits = is_looped(node) and (apart or viewed or needs.get(source) != needs.get(node))
            waits = waits or (not is_looped(node) and not is_looped(source))
            level = max(level, at[source] + waits)
        at[node] = level
    _later(order, at, inside, copies, needs)
    count = 1 + max(at.values(), default=-1)
    made = []
    for level in range(count):
        here = [node for node in order if at.get(node) == level]
        kinds: dict[Any, list[Node]] = {}
        for k, node in enumerate(n for n in here if is_looped(n)):
            kinds.setdefault((node.shape, needs.get(node, ()), None if fuse else k), []).append(node)
        groups = tuple([Group(tuple(nodes), key[1]) for key, nodes in kinds.items()])
        made.append(Stage(groups, tuple([n for n in here if not is_looped(n)])))
    return made


def _later(
    order: Sequence[Node],
    at: dict[Node, int],
    inside: set[Node],
    copies: dict[Node, list[Node]],
    needs: dict[Node, tuple[str, ...]],
) -> None:
    """Operations of what is in memory anyway, moved to where they are used."""
    users: dict[Node, list[Node]] = {}
    for node in order:
        if node in at:
            for source, _ in _sources(node.operands, inside, copies):
                users.setdefault(source, []).append(node)
    for node in reversed(order):
        if node not in at or not is_looped(node) or not users.get(node):
            continue
        sources = [source for source, _ in _sources(node.operands, inside, copies)]
        first = min(at[user] for user in users[node])
        joins = all(
            is_looped(u)
            and u.shape == node.shape
            and (node, True) not in _sources(u.operands, inside, copies)
            and needs.get(u) == needs.get(node)
            for u in users[node]
        )
        if joins and not any(is_looped(source) for source in sources) and first > at[node]:
            at[node] = first
