"""When a value is known: what depends on the parameters alone, on an input, on the state, on a cotangent."""

from enum import IntEnum

from minirnn.compile.ir import Graph, Node

__all__ = ["When", "when"]


class When(IntEnum):
    """The latest of the arguments that a value depends on, in the order in which a sequence's training meets them.

    ONCE: parameters alone. INPUT: a step's input. STATE: the running state. OUTPUT_COTANGENT: the cotangent of a step's
    output. STATE_COTANGENT: the running cotangent of the state.
    """

    ONCE = 0
    INPUT = 1
    STATE = 2
    OUTPUT_COTANGENT = 3
    STATE_COTANGENT = 4


_OF_INPUT = {
    "parameter": When.ONCE,
    "input": When.INPUT,
    "state": When.STATE,
    "d_output": When.OUTPUT_COTANGENT,
    "d_state": When.STATE_COTANGENT,
}


def when(graph: Graph) -> dict[Node, When]:
    """For every node, when it is known."""
    found: dict[Node, When] = {node: _OF_INPUT[node.attrs[0]] for node in graph.inputs}
    for node in graph.nodes():
        if node.op == "size":  # of each call
            found[node] = When.INPUT
        elif node not in found:
            found[node] = max((found[operand] for operand in node.operands), default=When.ONCE)
    return found
