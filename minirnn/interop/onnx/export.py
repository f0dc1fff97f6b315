"""to_onnx: a model as an ONNX file."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minirnn import tree
from minirnn.interop.onnx.graph import Graph, Value
from minirnn.interop.onnx.layers import Writer
from minirnn.layers.pooling import Pool
from minirnn.layers.recurrent import Cell, RecurrentLayer
from minirnn.layers.sequential import Sequential
from minirnn.module import Array
from minirnn.whole_file import write_whole

__all__ = ["to_onnx"]


def to_onnx(
    model: Any,
    xs_example: Array,
    path: str | os.PathLike[str],
    *,
    state: bool = False,
    lengths: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a model as an ONNX file (opset 18), which onnxruntime and others run; the file appears whole or not at all.

    model: a recurrent layer of any family, or Sequential of such and of Linear, Embedding, LayerNorm, dropouts (which
    are nothing here), Pool and plain functions. xs_example: what it takes, (T, B, F) floats or (T, B) tokens, or
    (B, T, ...) with batch_first. T and B are free in the file; dtypes are kept, and each weight is kept once.

    Inputs of the file: `xs`; with state=True `state`, or `state.h`, `state.0.c`, ... for a state of several arrays,
    which is the model's own initial one otherwise; with lengths=True `sequence_lens`, (B,) int32.
    Outputs: `outputs`, and `final_state`, named as the state. RNN, LSTM and GRU are ONNX's operators of these names,
    and any other cell is a Scan whose body is its step, as minirnn.compile traces it. metadata: what else the file is
    to hold.

    CannotExport, a ValueError: a layer or an operation that ONNX has no form of, which it names, and nothing is
    written. ValueError, TypeError: an example that the model does not take. ModuleNotFoundError: onnx is not installed.
    """
    if isinstance(model, Cell):
        raise TypeError(f"to_onnx: {type(model).__name__} came, which is a cell; give its layer, Recurrent(cell)")
    g, xs_example = Graph(), np.asarray(xs_example)
    begun = _initial_state(model)
    recurrent = bool(tree.leaves(begun))
    timed = [layer for layer in model.modules() if isinstance(layer, (RecurrentLayer, Pool))]
    batch_first = any(layer.batch_first for layer in timed)
    integers = xs_example.dtype.kind in "iu"
    leading = _leading(model, xs_example, bool(timed), batch_first, 0 if integers else 1)
    if (lengths and not timed) or (state and not recurrent):
        what = "state" if state else "lengths"
        raise ValueError(f"to_onnx: {what}=True came, and {type(model).__name__} holds no layer that takes it")
    example: Any = model(xs_example)  # what is wrong with it, the model itself says best
    outputs_shape = np.shape(example[0] if recurrent else example)
    xs = Value(g.name("xs"), xs_example.ndim, xs_example.dtype)
    if timed:
        time = leading.index("time")
        g.steps = g.op("Shape", xs.name, start=time, end=time + 1, hint="steps")
        g.batch = g.op("Shape", xs.name, start=1 - time, end=2 - time, hint="batch")
    inputs = [g.info(xs.name, xs.dtype, [*leading, *xs_example.shape[len(leading) :]])]
    lens = g.name("sequence_lens") if lengths else ""
    if lengths:
        inputs.append(g.info(lens, np.int32, ["batch"]))
    names, infos, shapes = _state_inputs(g, model, begun, state)
    writer = Writer(g, leading, batch_first, lens)
    outputs, final = writer.write(model, xs, names, "")
    results = [(outputs.name, "outputs", outputs.dtype, [*writer.leading, *outputs_shape[len(writer.leading) :]])]
    for (name, found), (shape, dtype) in zip(tree.named_leaves(final, "final_state"), shapes, strict=True):
        results.append((found, name, dtype, shape))
    named = []
    for found, name, dtype, shape in results:
        g.nodes.append(g.onnx.helper.make_node("Identity", [found], [g.name(name)], name=f"Identity:{name}"))
        named.append(g.info(name, dtype, shape))
    finished = g.model(type(model).__name__, [*inputs, *infos], named)
    g.onnx.helper.set_model_props(finished, dict(metadata or {}))
    write_whole(Path(path), finished.SerializeToString())


def _initial_state(model: Any) -> Any:
    has = isinstance(model, RecurrentLayer) or (isinstance(model, Sequential) and model.recurrent)
    return model.initial_state(1) if has else None


def _leading(model: Any, xs: Array, timed: bool, batch_first: bool, features: int) -> tuple[str, ...]:
    """The names of the axes before the features."""
    if not timed:
        return tuple(f"axis_{k}" for k in range(xs.ndim - features))
    if xs.ndim < 2 + features:
        layout = "(B, T, F)" if batch_first else "(T, B, F)"
        raise ValueError(f"to_onnx: the example has shape {xs.shape}; {layout}, or without F for tokens, was expected")
    return ("batch", "time") if batch_first else ("time", "batch")


def _state_inputs(g: Graph, model: Any, state: Any, asked: bool) -> tuple[Any, list[Any], list[tuple[list[Any], Any]]]:
    """The state's names in the graph, what the file says of them where it asks for them, and shapes and dtypes.

    A state that is not asked for is the model's own, once for each sequence.
    """
    leaves, rebuild = tree.flatten(state)
    if not leaves:
        return state, [], []
    names, infos, shapes = [], [], []
    axes = tree.leaves(model.batch_axes())
    for (name, leaf), axis in zip(tree.named_leaves(state, "state"), axes, strict=True):
        array = np.asarray(leaf)
        shape: list[Any] = list(array.shape)
        shape[axis] = "batch"
        shapes.append((shape, array.dtype))
        if asked:
            names.append(g.name(name))
            infos.append(g.info(names[-1], array.dtype, shape))
            continue
        sizes = [g.batch if k == axis else g.ints(size) for k, size in enumerate(array.shape)]
        whole = sizes[0] if len(sizes) == 1 else g.op("Concat", *sizes, axis=0)
        if array.any():  # a learned one
            names.append(g.op("Expand", g.weight(array, name), whole))
        else:
            zero = g.onnx.numpy_helper.from_array(np.zeros(1, array.dtype))
            names.append(g.op("ConstantOfShape", whole, value=zero))
    return rebuild(names), infos, shapes
