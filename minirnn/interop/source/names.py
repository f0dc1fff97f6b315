"""Names for the values of a graph: those that the step's own variables have.

The step runs once on numbers while its lines are watched. A value of the graph has the name of a variable that held
the same numbers; a value of the derivative is called d_f where it is the derivative by f, as differences show.
"""

import keyword
import re
import sys
from collections.abc import Callable, Collection, Mapping
from functools import partial
from types import FrameType
from typing import Any, NamedTuple

import numpy as np

from minirnn import engines, tree
from minirnn.compile.ir import Graph, Node, concrete, evaluate, evaluate_into, has_batch
from minirnn.compile.trace import Traced
from minirnn.compile.values import is_library, is_standard

__all__ = ["Names", "identifier", "names_of"]

BATCH = 2
STEP = 1e-6
WAYS = 3  # random ones: by so many slopes a derivative is told from others
NOT_NAMED = ("const", "input", "size", "broadcast")


class Names(NamedTuple):
    """By places in graph.nodes(). of: a value's name; order: where the step sets it; earlier: the name of a variable
    that had this value before its last one; derivatives: the values by which one is the derivative; state: what the
    state's arrays are called."""

    of: dict[int, str]
    order: dict[int, int]
    earlier: dict[int, str]
    derivatives: dict[int, list[int]]
    state: list[str]


class Variable(NamedTuple):
    """own: whether the step set it, and no function from elsewhere that it calls."""

    name: str
    value: Any
    frame: int
    own: bool


def identifier(name: str) -> str:
    """A dotted path, or any text, as a name in Python."""
    made = re.sub(r"\W", "_", name)
    return (
        f"{made}_"
        if keyword.iskeyword(made) or made in ("T", "B", "I", "H")
        else made
        if made[:1].isalpha()
        else f"s{made}"
    )


def names_of(cell: Any, traced: Traced, graph: Graph) -> Names:
    """Names for the values of a graph that was made of the traced one."""
    rng = np.random.default_rng(7)
    arrays = _arrays(cell, traced, rng)
    seen = _variables(cell, traced, arrays)
    known: dict[Node, Any] = {node: arrays[node.attrs] for node in graph.inputs}
    nodes = graph.nodes()
    with np.errstate(all="ignore"):
        evaluate_into(known, nodes, BATCH)
    of: dict[int, str] = {}
    order: dict[int, int] = {}
    earlier: dict[int, str] = {}
    last = {(variable.frame, variable.name): k for k, variable in enumerate(seen)}
    for own in (True, False):  # the step's own variables first
        for place, node in enumerate(nodes):
            if node.op in NOT_NAMED or place in of:
                continue
            fitting = [k for k, v in enumerate(seen) if v.own == own and _same(known[node], v.value)]
            final = [k for k in fitting if last[seen[k].frame, seen[k].name] == k and seen[k].name not in of.values()]
            if final:
                of[place], order[place] = seen[final[0]].name, final[0]
            elif fitting:
                earlier.setdefault(place, seen[fitting[0]].name)
    derivatives = _derivatives(graph, nodes, known, {**of, **earlier})
    return Names(of, order, earlier, derivatives, _state_names(traced, arrays, seen))


def _arrays(cell: Any, traced: Traced, rng: Any) -> dict[tuple[str, str], Any]:
    """Numbers for every input of the graph: the cell's own where they are no floats."""
    own, made = dict(tree.named_leaves(cell)), {}
    for node in traced.graph.inputs:
        kind, name = node.attrs
        shape = concrete(node.shape, BATCH)
        if node.dtype.kind == "f":
            made[node.attrs] = rng.uniform(0.2, 0.9, shape).astype(node.dtype)
        else:
            made[node.attrs] = np.array(own[name]) if kind == "parameter" else np.ones(shape, node.dtype)
    return made


def _same(a: Any, b: Any) -> bool:
    return np.shape(a) == np.shape(b) and bool(np.allclose(a, b, rtol=1e-9, atol=1e-12))


# ---------------------------------------------------------------- the step's variables
def _variables(cell: Any, traced: Traced, arrays: Mapping[tuple[str, str], Any]) -> list[Variable]:
    """Every array that is a variable of the step, or of functions that it calls, in the order in which they are set."""
    modules = {owner.__module__ for owner in (*type(cell).__mro__, getattr(type(cell), "_function", type(cell)))}
    modules -= {"builtins", "minirnn.module", "minirnn.layers.recurrent", "minirnn.layers.cell"}
    signature, found = traced.signature, list[Variable]()
    held: dict[tuple[str, int], Any] = {}

    def watch(frame: FrameType, event: str, argument: Any) -> Any:
        module = frame.f_globals.get("__name__")
        if (module not in modules and not _is_of_a_cell(module)) or frame.f_code.co_name.startswith("<"):
            return None
        for name, value in frame.f_locals.items():
            is_array = isinstance(value, np.ndarray) and value.ndim and value.dtype.kind == "f"
            if is_array and held.get((name, id(frame))) is not value:
                held[name, id(frame)] = value
                found.append(Variable(identifier(name), value, id(frame), module in modules))
        return watch

    bound = cell.bind({name: arrays["parameter", name] for name, _ in tree.named_leaves(cell)})
    nestings = [
        tree.flatten(like)[1]([arrays[kind, leaf.name] for leaf in leaves])
        for kind, leaves, like in (
            ("state", signature.states, cell.initial_state(BATCH)),
            ("input", signature.inputs, cell.inputs(np.ones((1, BATCH, *_features(cell))))),
        )
    ]
    before = sys.gettrace()
    with engines.engine("python"), np.errstate(all="ignore"):
        sys.settrace(watch)
        try:
            bound.step(*nestings)
        finally:
            sys.settrace(before)
    return found


def _is_of_a_cell(module: Any) -> bool:
    """Whether a module's functions are parts of cells: the user's own, or the zoo's."""
    ours = str(module).startswith("minirnn.")
    return str(module).startswith("minirnn.layers.cells.") or not (ours or is_standard(module) or is_library(module))


def _features(cell: Any) -> tuple[int, ...]:
    from minirnn.layers.sizes import as_shape

    return as_shape(cell.input_size)


def _state_names(traced: Traced, arrays: Mapping[tuple[str, str], Any], seen: list[Variable]) -> list[str]:
    """An array's own name, or that of the variable which holds it, or h."""
    made: list[str] = []
    for leaf in traced.signature.states:
        of_variable = [v.name for v in seen if v.own and v.value is arrays["state", leaf.name]]
        made.append(identifier(leaf.name) if leaf.name and not leaf.name.isdigit() else next(iter(of_variable), "h"))
    return made if len(set(made)) == len(made) else [f"s{k}" for k in range(len(made))]


# ---------------------------------------------------------------- derivatives
def _derivatives(
    graph: Graph, nodes: list[Node], known: dict[Node, Any], first: Collection[int]
) -> dict[int, list[int]]:
    """For values of the backward pass, by which values of the step they are the derivative: of the step's results,
    weighed by their cotangents. first: those that have a name."""
    ahead = graph.only("state", "output")
    cotangents = {node.attrs: known[node] for node in graph.inputs if node.attrs[0].startswith("d_")}
    inside = set(ahead.nodes())
    after = [(k, node) for k, node in enumerate(nodes) if node not in inside and node.op not in NOT_NAMED]
    given = {node: known[node] for node in graph.inputs}

    def total(changed: Node, value: Any) -> float:
        results = evaluate(ahead, {**given, changed: value}, BATCH)
        return float(sum([(array * cotangents[f"d_{kind}", name]).sum() for (kind, name), array in results.items()]))

    found: dict[int, list[int]] = {}
    rng = np.random.default_rng(0)
    others = [k for k, node in enumerate(nodes) if node in inside and k not in first and node.op not in NOT_NAMED]
    for place in (*first, *reversed(others)):
        node = nodes[place]
        alike = [(k, other) for k, other in after if other.shape == node.shape and other.dtype == node.dtype]
        if node not in inside or not alike or node.dtype.kind != "f" or not has_batch(node):
            continue
        ways = rng.standard_normal((WAYS, *known[node].shape))
        slopes = [_slope(partial(total, node), known[node], way) for way in ways]
        for k, other in alike:
            if np.allclose([(known[other] * way).sum() for way in ways], slopes, rtol=1e-5, atol=1e-7):
                found.setdefault(k, []).append(place)
    return found


def _slope(function: Callable[[Any], float], value: Any, way: Any) -> float:
    """How the function's value grows where its argument moves this way."""
    return (function(value + STEP * way) - function(value - STEP * way)) / (2 * STEP)
