"""Buffers, planned once: values that are not needed at the same time share memory.

A plan goes over the operations in order. An operation takes a free buffer of its shape and dtype, or a new one; where
it is elementwise and an operand is needed for the last time, it writes over that operand.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from minirnn.compile.ir import Node

__all__ = ["plan_buffers"]


def plan_buffers(
    order: Sequence[Node],
    owner: Callable[[Node], Node],
    last_use: dict[Node, int],
    in_place: Callable[[Node, Node], bool],
    *,
    reuse: bool = True,
) -> dict[Node, int]:
    """The number of a buffer for every node in `last_use`: those that own the memory of others (owner) or their own.

    last_use: the last place in `order` where a node's memory is read; in_place(node, operand): whether the node may
    write over an operand. reuse=False gives each a buffer of its own.
    """
    numbers: dict[Node, int] = {}
    free: dict[Any, list[int]] = defaultdict(list)
    dying: dict[int, list[Node]] = defaultdict(list)
    for node, place in last_use.items():
        dying[place].append(node)
    count = 0
    for place, node in enumerate(order):
        base, over = owner(node), None
        if base in last_use and base not in numbers:
            if base is node and reuse:
                candidates = [o for o in map(owner, node.operands) if o in dying[place] and o in numbers]
                over = next((o for o in candidates if _kind(o) == _kind(node) and in_place(node, o)), None)
            if over is not None:
                numbers[base] = numbers[over]
            elif reuse and free[_kind(base)]:
                numbers[base] = free[_kind(base)].pop()
            else:
                numbers[base] = count
                count += 1
        if reuse:
            for gone in dying[place]:
                if gone in numbers and gone is not over:
                    free[_kind(gone)].append(numbers[gone])
    return numbers


def _kind(node: Node) -> Any:
    return node.shape, node.dtype
