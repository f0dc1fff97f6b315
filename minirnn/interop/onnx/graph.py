"""An ONNX graph while it is being written: nodes, weights that are kept once, and sizes that only the input knows."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minirnn.module import Array

__all__ = ["OPSET", "CannotExport", "Graph", "Value", "onnx_module"]

OPSET = 18
IR_VERSION = 9  # what onnxruntime reads since 1.16
TO_THE_END = np.iinfo(np.int64).max


class CannotExport(ValueError):
    """What stands in the way of writing a model as ONNX: the layer, and the operation that ONNX lacks."""


def onnx_module() -> Any:
    """The package `onnx`. ModuleNotFoundError: it is not installed; says how to."""
    try:
        import onnx
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("reading and writing ONNX needs onnx: pip install 'minirnn[onnx]'") from error
    return onnx


class Value(NamedTuple):
    """An array of the graph: its name, how many axes it has, its dtype."""

    name: str
    rank: int
    dtype: Any


class Graph:
    """Nodes in order; `inner()` begins the body of a loop, which sees all that its outer graph holds.

    Weights and constants stand in the outermost graph. `steps` and `batch` are the names of T and B, (1,) integers.
    """

    def __init__(self, outer: "Graph | None" = None):
        self.onnx: Any = onnx_module() if outer is None else outer.onnx
        self.nodes: list[Any] = []
        self.outermost: Graph = self if outer is None else outer.outermost
        self.steps, self.batch = "", ""
        if outer is None:
            self._taken: set[str] = set()
            self._weights: dict[Any, tuple[str, Any]] = {}
            self.initializers: list[Any] = []
            self._sizes: dict[Any, str] = {}

    def inner(self) -> "Graph":
        return Graph(self)

    # ---------------------------------------------------------------- names
    def name(self, hint: str) -> str:
        """A name that nothing in the model has."""
        taken, hint = self.outermost._taken, hint.strip(".") or "value"
        name, k = hint, 1
        while name in taken:
            name, k = f"{hint}_{k}", k + 1
        taken.add(name)
        return name

    # ---------------------------------------------------------------- arrays
    def weight(self, array: Array, hint: str) -> str:
        """A live array, kept once however often it is asked for."""
        return self._kept(id(array), array, hint)

    def derived(self, key: Any, array: Array, hint: str) -> str:
        """An array made from weights, kept once for its key."""
        return self._kept(key, array, hint)

    def constant(self, value: Any, dtype: Any) -> str:
        array = np.asarray(value, dtype)
        return self._kept((array.dtype.str, array.shape, array.tobytes()), array, "constant")

    def ints(self, *values: int) -> str:
        """A vector of integers."""
        return self.constant(values, np.int64)

    def _kept(self, key: Any, array: Array, hint: str) -> str:
        top = self.outermost
        if key not in top._weights:
            name = top.name(hint)
            top.initializers.append(self.onnx.numpy_helper.from_array(np.asarray(array, order="C"), name))
            top._weights[key] = name, array  # the array too, so that no other takes its id
        return top._weights[key][0]

    # ---------------------------------------------------------------- nodes
    def op(self, kind: str, *inputs: str, hint: str = "", **attributes: Any) -> str:
        """Add a node of one result, and return the result's name; "" as an input leaves it out."""
        return self.ops(kind, *inputs, results=1, hint=hint, **attributes)[0]

    def ops(self, kind: str, *inputs: str, results: int, hint: str = "", **attributes: Any) -> list[str]:
        names = [self.name(hint or kind.lower()) for _ in range(results)]
        self.nodes.append(
            self.onnx.helper.make_node(kind, list(inputs), names, name=f"{kind}:{names[0]}", **attributes)
        )
        return names

    def size(self, times: int) -> str:
        """times * B, as a (1,) integer."""
        top = self.outermost
        if times == 1:
            return top.batch
        if times not in top._sizes:
            top._sizes[times] = top.op("Mul", top.batch, top.ints(times))
        return top._sizes[times]

    def with_a_step(self, name: str, dtype: Any) -> str:
        """A sequence (T, B, ...), and where T is 0 one step of zeros: not everything runs over nothing."""
        top = self.outermost
        if "missing" not in top._sizes:
            top._sizes["missing"] = top.op("Max", top.op("Sub", top.ints(1), top.steps), top.ints(0))
        shape = self.op("Concat", top._sizes["missing"], self.op("Shape", name, start=1), axis=0)
        return self.op("Concat", name, self.op("Expand", self.constant(0, dtype), shape), axis=0)

    def cast(self, name: str, dtype: Any) -> str:
        return self.op("Cast", name, to=self.type_of(dtype))

    def type_of(self, dtype: Any) -> int:
        return int(self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def transposed(self, value: Value, axes: Sequence[int]) -> Value:
        return value._replace(name=self.op("Transpose", value.name, perm=list(axes)))

    def info(self, name: str, dtype: Any, shape: Sequence[Any]) -> Any:
        """What a graph says of its inputs and outputs; sizes are numbers or names."""
        return self.onnx.helper.make_tensor_value_info(name, self.type_of(dtype), list(shape))

    # ---------------------------------------------------------------- the whole
    def body(self, name: str, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
        return self.onnx.helper.make_graph(self.nodes, name, list(inputs), list(outputs))

    def model(self, name: str, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
        """The finished model, checked. CannotExport: onnx refuses it."""
        helper = self.onnx.helper
        graph = helper.make_graph(self.nodes, name, list(inputs), list(outputs), self.initializers)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="minirnn", ir_version=IR_VERSION
        )
        try:
            self.onnx.checker.check_model(model, full_check=True)
        except (self.onnx.checker.ValidationError, self.onnx.shape_inference.InferenceError) as error:
            raise CannotExport(f"to_onnx: onnx.checker refuses the model: {error}") from error
        return model
