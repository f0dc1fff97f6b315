"""Any cell as a Scan: its body is the traced step, what does not change from step to step stands before it."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from minirnn import tree
from minirnn.interop.made import Made, made_of
from minirnn.interop.onnx.graph import CannotExport, Graph, Value
from minirnn.interop.onnx.operations import translate
from minirnn.layers.recurrent import Cell
from minirnn.layers.sizes import as_shape

__all__ = ["scan_cell"]


def scan_cell(
    g: Graph,
    cell: Cell,
    xs: Value,
    state: Any,
    inside: str,
    *,
    reverse: bool = False,
    start: str = "",
    hint: str = "",
) -> tuple[Value, Any]:
    """A cell over xs (T, B, ...), from a state of names; (outputs, final state).

    onnxruntime's Scan does not run over nothing: where T is 0 there is one step, of which nothing is kept.

    inside: (T, B), whether a step is within its sequence, or ""; start: (B,) integers, where the cell's count of steps
    begins, or "". CannotExport: the step cannot be traced, has an operation that ONNX lacks, or its inputs are made in
    a way that is not seen through.
    """
    trace, refusal = _tracer()
    features, name = as_shape(cell.input_size), type(cell).__name__
    example = cell.inputs(np.ones((2, 2, *features), xs.dtype))
    try:
        traced = trace(cell, cell.initial_state(2, xs.dtype), example)
    except refusal as error:
        raise CannotExport(f"to_onnx: {name}: its step cannot be traced: {error}") from error
    if [leaf.name for leaf in traced.outputs] != [""]:
        raise CannotExport(f"to_onnx: {name}: its output is several arrays, one was expected")
    made = _made_of(cell, features, xs.dtype)
    sequences = [g.with_a_step(_sequence(g, one, xs, start), one.dtype) for one in made]
    names, rebuild = tree.flatten(state)
    body, known = g.inner(), {}
    graph, weights = traced.graph.only("state", "output"), dict(tree.named_leaves(cell))
    step_names = {kind: iter([g.name(f"{hint}.{kind}") for _ in of]) for kind, of in _arguments(traced).items()}
    before: list[Any] = []
    for node in graph.inputs:
        kind, path = node.attrs
        if kind == "parameter":
            known[node] = g.weight(np.asarray(weights[path]), f"{hint}.{path}" if hint else path)
        elif kind in step_names:
            known[node] = next(step_names[kind])
            before.append((known[node], node.dtype, node.shape))
    moving = {node for node in graph.inputs if node.attrs[0] in ("state", "input")}
    try:
        _write(g, body, graph, known, moving)
    except CannotExport as error:
        raise CannotExport(f"to_onnx: {name}: {error}") from error
    results = [graph.outputs["state", leaf.name] for leaf in traced.signature.states]
    results.append(graph.outputs["output", ""])
    after = [known[node] for node in results]
    if inside:
        flag = g.name(f"{hint}.inside")
        held = [*(name for name, _, _ in before[: len(names)]), ""]
        after = [_held(body, flag, new, old, node) for new, old, node in zip(after, held, results, strict=True)]
        before.append((flag, np.dtype(bool), (None,)))
        sequences.append(g.with_a_step(inside, bool))
    after = [body.op("Identity", one) for one in after]  # an output may be an input, or stand outside
    direction = int(reverse)
    found = g.ops(
        "Scan",
        *names,
        *sequences,
        results=len(after),
        hint=hint or "scan",
        body=body.body(
            name,
            [g.info(one, dtype, _open(shape)) for one, dtype, shape in before],
            [g.info(one, node.dtype, _open(node.shape)) for one, node in zip(after, results, strict=True)],
        ),
        num_scan_inputs=len(sequences),
        scan_input_directions=[direction] * len(sequences),
        scan_output_directions=[direction],
    )
    finals, outputs = found[:-1], g.op("Slice", found[-1], g.ints(0), g.steps, g.ints(0))
    if not inside:  # the step that is not there has been made
        some = g.op("Greater", g.steps, g.ints(0))
        finals = [g.op("Where", some, *both) for both in zip(finals, names, strict=True)]
    return Value(outputs, 1 + len(results[-1].shape), results[-1].dtype), rebuild(finals)


def _tracer() -> tuple[Any, Any]:
    try:
        from minirnn.compile.errors import CannotCompile
        from minirnn.compile.trace import trace
    except ModuleNotFoundError as error:
        raise CannotExport("to_onnx: cells other than RNN, LSTM and GRU need the folder minirnn/compile") from error
    return trace, CannotCompile


def _arguments(traced: Any) -> dict[str, Sequence[Any]]:
    return {"state": traced.signature.states, "input": traced.signature.inputs}


def _open(shape: Sequence[int | None]) -> list[int | None]:
    """A shape whose batch is left open."""
    from minirnn.compile.ir import BATCH

    return [None if dim is None or (dim > 0 and dim % BATCH == 0) else dim for dim in shape]


def _write(outer: Graph, body: Graph, graph: Any, known: dict[Any, str], moving: set[Any]) -> None:
    """Every node: in the body where it depends on the step, before the loop otherwise."""
    from minirnn.compile.ir import is_scalar

    for node in graph.nodes():
        if any(operand in moving for operand in node.operands):
            moving.add(node)
        if node in known:
            continue
        if node.op == "const":
            known[node] = "" if is_scalar(node) else outer.constant(node.attrs[0], node.dtype)
        else:
            place = body if node in moving else outer
            known[node] = translate(place, node, [known[operand] for operand in node.operands])
    for node in graph.outputs.values():
        if is_scalar(node):
            known[node] = outer.constant(node.attrs[0], node.dtype)


def _held(body: Graph, flag: str, new: str, old: str, node: Any) -> str:
    """The new state inside the sequence, the old one past its end; zeros for an output."""
    beside = body.op("Unsqueeze", flag, body.ints(*range(1, len(node.shape)))) if len(node.shape) > 1 else flag
    return body.op("Where", beside, new, old or body.constant(0, node.dtype))


# ---------------------------------------------------------------- what cell.inputs makes
def _made_of(cell: Cell, features: tuple[int, ...], dtype: Any) -> list[Made]:
    try:
        return made_of(cell, features, dtype)
    except ValueError as error:
        raise CannotExport(f"to_onnx: {type(cell).__name__}: {error}") from error


def _sequence(g: Graph, made: Made, xs: Value, start: str) -> str:
    """The array (T, B, ...) in the graph."""
    if made.kind == "features":
        axis = g.ints(xs.rank - 1)
        return g.op("Slice", xs.name, g.ints(made.first), g.ints(made.last), axis)
    whole = g.op("Concat", g.steps, g.batch, g.ints(*made.shape), axis=0)
    if made.kind == "constant":
        value = np.frombuffer(made.value, made.dtype).reshape(made.shape)
        return g.op("Expand", g.constant(value, made.dtype), whole)
    zero, one = g.constant(0, np.int64), g.constant(1, np.int64)
    counted = g.op("Range", zero, g.op("Squeeze", g.steps), one)
    counted = g.op("Unsqueeze", counted, g.ints(*range(1, 2 + len(made.shape))))
    if start:
        counted = g.op("Add", counted, g.op("Unsqueeze", start, g.ints(0, *range(2, 2 + len(made.shape)))))
    counted = g.op("Expand", counted, whole)
    return counted if made.dtype == np.int64 else g.cast(counted, made.dtype)
