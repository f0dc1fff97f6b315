"""What a step stores for its backward pass, and what the backward pass computes again.

Views and cheap operations can be computed again from what they are made of. So of every group of values that backward
uses and that are made of the same things, either the values are stored or the things, whichever is less. The state is
stored in any case.
"""

import math
from collections.abc import Iterable

from minirnn.compile.ir import BATCH, Node
from minirnn.compile.operations import CHEAP, VIEWS
from minirnn.compile.when import When

__all__ = ["keep", "width"]


def width(node: Node) -> int:
    """How many numbers a value has for each row of the batch."""
    return math.prod(node.shape) // BATCH


def keep(used: Iterable[Node], known: dict[Node, When], states: Iterable[Node], everything: bool = False) -> list[Node]:
    """The nodes to store, of those of the step that its backward pass uses; `states`: the step's new state, which is
    there. everything=True stores what is used, and computes nothing again but views."""
    there = set(states)
    needed = [n for n in used if When.INPUT <= known[n] <= When.STATE and n.op != "input" and n not in there]
    if everything:
        return [node for node in needed if node.op not in VIEWS]
    stored = dict.fromkeys([node for node in needed if node.op not in CHEAP])
    for values, sources in _families({n: _sources(n, known, there) for n in needed if n.op in CHEAP}):
        new = [source for source in sources if source not in stored]
        less = sum(map(width, new)) <= sum(width(value) for value in values if value not in stored)
        stored.update(dict.fromkeys(new if less else values))
    return list(stored)


def _families(sources: dict[Node, list[Node]]) -> list[tuple[list[Node], list[Node]]]:
    """The values in groups that share sources, and the sources of each group."""
    families: list[tuple[list[Node], list[Node]]] = []
    for value, needs in sources.items():
        if not needs:
            continue
        values, together = [value], dict.fromkeys(needs)
        apart = []
        for family in families:
            if together.keys() & set(family[1]):
                values += family[0]
                together |= dict.fromkeys(family[1])
            else:
                apart.append(family)
        families = [*apart, (values, list(together))]
    return families


def _sources(node: Node, known: dict[Node, When], there: set[Node]) -> list[Node]:
    """What must be stored for the node to be computed again."""
    found: dict[Node, None] = {}
    stack = list(node.operands)
    while stack:
        operand = stack.pop()
        if known[operand] == When.ONCE or operand.op == "input" or operand in there:
            continue
        if operand.op in CHEAP:
            stack += operand.operands
        else:
            found[operand] = None
    return list(found)
