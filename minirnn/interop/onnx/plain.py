"""Layers that are not recurrent as ONNX nodes: linear, embedding, norms, pools and plain functions."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from minirnn import functional
from minirnn.interop.onnx.graph import CannotExport, Graph, Value
from minirnn.layers.dropout import Dropout
from minirnn.layers.embedding import Embedding
from minirnn.layers.embedding_dropout import EmbeddingDropout
from minirnn.layers.linear import Linear
from minirnn.layers.locked_dropout import VariationalDropout
from minirnn.layers.norm import LayerNorm
from minirnn.layers.pooling import Pool
from minirnn.layers.sequential import Function

if TYPE_CHECKING:
    from minirnn.interop.onnx.layers import Writer

__all__ = ["PLAIN", "linear", "under"]


def under(path: str, name: str) -> str:
    """A dotted path."""
    return f"{path}.{name}" if path else name


def linear(w: "Writer", layer: Any, xs: Value, path: str) -> Value:
    g, weight = w.g, w.g.weight(layer.weight, under(path, "weight"))
    bias = [] if layer.bias is None else [g.weight(layer.bias, under(path, "bias"))]
    if xs.rank == 2:
        return xs._replace(name=g.op("Gemm", xs.name, weight, *bias, transB=1, hint=path))
    y = g.op("MatMul", xs.name, g.op("Transpose", weight, perm=[1, 0]), hint=path)
    return xs._replace(name=g.op("Add", y, *bias, hint=path) if bias else y)


def _embedding(w: "Writer", layer: Any, xs: Value, path: str) -> Value:
    name = w.g.op("Gather", w.g.weight(layer.weight, under(path, "weight")), xs.name, hint=path)
    return Value(name, xs.rank + 1, layer.weight.dtype)


def _layer_norm(w: "Writer", layer: Any, xs: Value, path: str) -> Value:
    g, shape = w.g, layer.normalized_shape
    scale = (
        g.constant(np.ones(shape), xs.dtype) if layer.weight is None else g.weight(layer.weight, under(path, "weight"))
    )
    bias = "" if layer.bias is None else g.weight(layer.bias, under(path, "bias"))
    kept = {"stash_type": 11} if xs.dtype == np.float64 else {}  # the mean is taken in double too
    y = g.op("LayerNormalization", xs.name, scale, bias, axis=-len(shape), epsilon=layer.eps, hint=path, **kept)
    return xs._replace(name=y)


def _pool(w: "Writer", layer: Any, xs: Value, path: str) -> Value:
    g, time = w.g, w.leading.index("time")
    xs = g.transposed(xs, [1, 0, *range(2, xs.rank)]) if time else xs
    w.leading = ("batch",)
    return xs._replace(name=_POOLS[layer.how](w, xs), rank=xs.rank - 1)


def _last(w: "Writer", xs: Value) -> str:
    g = w.g
    xs = w.only_inside(xs)
    xs = xs._replace(name=g.with_a_step(xs.name, xs.dtype))
    if not w.lengths:
        return g.op("Gather", xs.name, g.constant(-1, np.int64), axis=0)
    at = g.op("Sub", w.lengths_or_steps(), g.constant(1, np.int64))  # -1 for an empty sequence: all zeros below
    rows = g.transposed(xs, [1, 0, *range(2, xs.rank)])
    index = g.op("Unsqueeze", at, g.ints(1))
    picked = g.op("GatherND", rows.name, index, batch_dims=1)
    return _zeros_where_empty(w, picked, xs)


def _mean(w: "Writer", xs: Value) -> str:
    g = w.g
    summed = g.op("ReduceSum", w.only_inside(xs).name, g.ints(0), keepdims=0)
    counts = g.op("Max", w.lengths_or_steps(), g.constant(1, np.int64))
    return g.op("Div", summed, _beside(g, g.cast(counts, xs.dtype), xs.rank - 1))


def _max(w: "Writer", xs: Value) -> str:
    highest = w.g.op("ReduceMax", w.only_inside(xs, -np.inf).name, w.g.ints(0), keepdims=0)
    return _zeros_where_empty(w, highest, xs)


def _zeros_where_empty(w: "Writer", pooled: str, xs: Value) -> str:
    g = w.g
    some = _beside(g, g.op("Greater", w.lengths_or_steps(), g.constant(0, np.int64)), xs.rank - 1)
    return g.op("Where", some, pooled, g.constant(0.0, xs.dtype))


def _beside(g: Graph, per_sequence: str, rank: int) -> str:
    return g.op("Unsqueeze", per_sequence, g.ints(*range(1, rank))) if rank > 1 else per_sequence


_POOLS: dict[str, Callable[[Any, Value], str]] = {"last": _last, "mean": _mean, "max": _max}


def _function(w: "Writer", layer: Any, xs: Value, path: str) -> Value:
    known = _FUNCTIONS.get(layer.function)
    if known is None:
        name = getattr(layer.function, "__name__", repr(layer.function))
        names = ", ".join(str(getattr(one, "__name__", one)) for one in _FUNCTIONS)
        raise CannotExport(f"to_onnx: {path}: the function {name} has no form in ONNX; known are {names}")
    kind, attributes = known
    return xs._replace(name=w.g.op(kind, xs.name, hint=path, **attributes))


def _functions() -> dict[Any, tuple[str, dict[str, Any]]]:
    import autograd.numpy as anp

    f = functional
    known = {f.tanh: "Tanh", anp.tanh: "Tanh", np.tanh: "Tanh", f.sigmoid: "Sigmoid", f.relu: "Relu"}
    known |= {f.softplus: "Softplus", anp.exp: "Exp", np.exp: "Exp"}
    last = {f.softmax: "Softmax", f.log_softmax: "LogSoftmax"}
    return {one: (kind, {}) for one, kind in known.items()} | {one: (kind, {"axis": -1}) for one, kind in last.items()}


_FUNCTIONS = _functions()


def _same(w: "Writer", layer: Any, xs: Value, path: str) -> Value:
    return xs


PLAIN: dict[Any, Callable[[Any, Any, Value, str], Value]] = {
    Linear: linear,
    Embedding: _embedding,
    LayerNorm: _layer_norm,
    Dropout: _same,
    VariationalDropout: _same,
    EmbeddingDropout: lambda w, layer, xs, path: _embedding(w, layer.embedding, xs, under(path, "embedding")),
    Pool: _pool,
    Function: _function,
}
