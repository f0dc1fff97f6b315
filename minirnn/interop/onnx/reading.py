"""An ONNX file as steps and arrays, of which nothing belongs to the package `onnx`."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from minirnn.interop.onnx.cells import RECURRENT
from minirnn.interop.onnx.evaluate import Tensor, check
from minirnn.interop.onnx.external import array_of
from minirnn.interop.onnx.graph import onnx_module
from minirnn.interop.onnx.opsets import opset_of, read_as
from minirnn.module import Array

__all__ = ["Body", "Step", "read"]


class Step(NamedTuple):
    """A node: what it computes, of which values, under which names. body: a loop's."""

    kind: str
    name: str
    attributes: Mapping[str, Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    body: "Body | None" = None

    def __str__(self) -> str:
        return f"node {self.name} ({self.kind})"


class Body(NamedTuple):
    inputs: tuple[str, ...]
    steps: tuple[Step, ...]
    outputs: tuple[str, ...]


def read(path: str | os.PathLike[str]) -> tuple[Body, dict[str, Array]]:
    """The graph, and its initializers. FileNotFoundError, ValueError: as `from_onnx`."""
    onnx = onnx_module()
    with open(path, "rb") as file:
        content = file.read()
    try:
        proto = onnx.load_from_string(content)
    except Exception as error:  # protobuf's kinds differ from version to version
        raise ValueError(f"{path}: no ONNX model: {error}") from error
    graph, folder = proto.graph, Path(path).parent
    if not graph.node and not graph.output:
        raise ValueError(f"{path}: no ONNX model: it has no graph")
    try:
        opset = opset_of(proto.opset_import)
        _take_in(onnx, graph, folder)
        constants = {one.name: array_of(one, folder) for one in graph.initializer}
    except (ValueError, FileNotFoundError) as error:
        raise type(error)(f"{path}: {error}") from error
    inputs = _names_of(graph.input)
    _check(onnx, path, proto)
    return _body(onnx, graph, opset)._replace(inputs=inputs), constants


def _take_in(onnx: Any, graph: Any, folder: Path) -> None:
    """Arrays of nodes and of loops' bodies that stand in other files, into the graph."""
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                _take_in(onnx, attribute.g, folder)
                for k, one in enumerate(attribute.g.initializer):
                    attribute.g.initializer[k].CopyFrom(_own(onnx, one, folder))
            elif attribute.type == onnx.AttributeProto.TENSOR:
                attribute.t.CopyFrom(_own(onnx, attribute.t, folder))


def _own(onnx: Any, tensor: Any, folder: Path) -> Any:
    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        return tensor
    return onnx.numpy_helper.from_array(array_of(tensor, folder), tensor.name)


def _check(onnx: Any, path: Any, proto: Any) -> None:
    """ValueError: onnx.checker refuses the model. Shapes and types that nobody needs here may be left out.

    Initializers are read already; they are inputs to the checker, so that their size does not matter.
    """
    graph = proto.graph
    listed = set(_names_of(graph.input))
    for tensor in graph.initializer:
        if tensor.name not in listed:
            graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    graph.ClearField("initializer")
    graph.name = graph.name or "graph"
    for value in (*graph.input, *graph.output):
        if value.type.WhichOneof("value") in (None, "tensor_type"):
            value.type.tensor_type.elem_type = value.type.tensor_type.elem_type or onnx.TensorProto.FLOAT
            value.type.tensor_type.shape.SetInParent()
    try:
        onnx.checker.check_model(proto)
    except Exception as error:  # the checker's kinds differ from version to version
        raise ValueError(f"{path}: onnx.checker refuses the model: {error}") from error


def _names_of(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple([value.name for value in values])


def _body(onnx: Any, graph: Any, opset: int, inner: bool = False) -> Body:
    for value in (*graph.input, *graph.output):
        if value.type.WhichOneof("value") not in (None, "tensor_type"):
            raise ValueError(f"from_onnx: {value.name} is a {value.type.WhichOneof('value')}; an array was expected")
    for sparse in graph.sparse_initializer:
        raise ValueError(f"from_onnx: the initializer {sparse.values.name} is sparse, which is not supported")
    # a loop's own constants; the outermost graph's are gone from it
    steps = [
        Step("Constant", one.name, {"value": Tensor.of(onnx.numpy_helper.to_array(one))}, (), (one.name,))
        for one in graph.initializer
    ]
    steps += [_step(onnx, node, k, opset, inner) for k, node in enumerate(graph.node)]
    return Body(_names_of(graph.input), tuple(steps), _names_of(graph.output))


def _step(onnx: Any, node: Any, k: int, opset: int, inner: bool) -> Step:
    name = node.name or f"{node.op_type}:{next(filter(None, node.output), k)}"
    if node.domain not in ("", "ai.onnx"):
        raise ValueError(f"from_onnx: node {name}: the operation {node.domain}.{node.op_type} is not supported")
    attributes, bodies = {}, []
    for attribute in node.attribute:
        value = onnx.helper.get_attribute_value(attribute)
        if attribute.type == onnx.AttributeProto.GRAPH:
            bodies.append(value)
        elif attribute.type == onnx.AttributeProto.TENSOR:
            attributes[attribute.name] = Tensor.of(onnx.numpy_helper.to_array(value))
        else:
            attributes[attribute.name] = _text(value)
    if node.op_type == "Scan":
        _check_scan(name, attributes)
    elif node.op_type not in RECURRENT:
        check(name, node.op_type, attributes)
    elif inner:
        raise ValueError(f"from_onnx: node {name}: {node.op_type} within a loop is not supported")
    elif len(node.input) > 7 and node.input[7]:
        raise ValueError(f"from_onnx: node {name}: peepholes (input P) are not supported")
    try:
        attributes = read_as(node.op_type, attributes, opset, len(node.output))
    except ValueError as error:
        raise ValueError(f"from_onnx: node {name}: {error}") from error
    body = _body(onnx, bodies[0], opset, inner=True) if bodies else None
    return Step(node.op_type, name, attributes, tuple(node.input), tuple(node.output), body)


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    return [_text(one) for one in value] if isinstance(value, Iterable) and not isinstance(value, str) else value


def _check_scan(name: str, attributes: Mapping[str, Any]) -> None:
    directions = {"scan_input_directions", "scan_output_directions"}
    for attribute, value in attributes.items():
        axes = attribute in ("scan_input_axes", "scan_output_axes") and not any(value)
        if attribute not in directions | {"num_scan_inputs"} and not axes:
            raise ValueError(f"from_onnx: node {name}: attribute {attribute}={value!r} of Scan is not supported")
