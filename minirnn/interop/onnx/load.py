"""from_onnx: an ONNX file as a Module, its RNN, LSTM and GRU as layers of minirnn."""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import autograd.numpy as np
import numpy as onp

from minirnn import functional, tree
from minirnn.boxes import shape_of
from minirnn.interop.onnx.cells import RECURRENT, layer_of
from minirnn.interop.onnx.evaluate import Tensor, check, compute
from minirnn.interop.onnx.graph import onnx_module
from minirnn.layers.recurrent import RecurrentLayer
from minirnn.module import Array, Buffer, Module, Parameter

__all__ = ["OnnxModel", "from_onnx"]


class Step(NamedTuple):
    """A node: what it computes, of which values, under which names. body: a loop's."""

    kind: str
    name: str
    attributes: Mapping[str, Any]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    body: "Body | None" = None


class Body(NamedTuple):
    inputs: tuple[str, ...]
    steps: tuple[Step, ...]
    outputs: tuple[str, ...]


class OnnxModel(Module):
    """What an ONNX file holds, as a Module: called with its inputs in order, or by name, it returns its outputs, one
    alone or as a tuple in order.

    `layers` are its recurrent layers by their nodes' names, of minirnn's own kinds, the other weights are attributes:
    it trains, saves and loads as any model does. input_names, output_names: as in the file.
    """

    def __init__(self, body: Body, constants: Mapping[str, Array], layers: Mapping[str, RecurrentLayer]):
        self.input_names = tuple([name for name in body.inputs if name not in constants])
        self.optional_names = tuple([name for name in body.inputs if name in constants])
        self.output_names = body.outputs
        self.layers = dict(layers)
        self._steps, self._places = body.steps, {}
        for name, array in constants.items():
            place = _attribute(name, dir(self))
            weight = array.dtype.kind == "f" and array.size > 1 and name not in self.optional_names
            setattr(self, place, Parameter(array) if weight else Buffer(array))
            self._places[name] = place

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        if len(inputs) > len(self.input_names):
            raise ValueError(f"OnnxModel: {len(inputs)} inputs came, {self.extra_repr()} were expected")
        given = {**dict(zip(self.input_names, inputs, strict=False)), **named}
        missing = [name for name in self.input_names if name not in given]
        unexpected = [name for name in given if name not in (*self.input_names, *self.optional_names)]
        if missing or unexpected:
            raise ValueError(
                f"OnnxModel: missing {', '.join(missing) or 'none'}; unexpected {', '.join(unexpected) or 'none'}"
            )
        values = {name: getattr(self, place) for name, place in self._places.items()}
        known = _run(self._steps, {**values, **given}, self.layers)
        results = tuple([known[name] for name in self.output_names])
        return results[0] if len(results) == 1 else results

    def extra_repr(self) -> str:
        return ", ".join(self.input_names)


def from_onnx(path: str | os.PathLike[str]) -> OnnxModel:
    """Read an ONNX file: models of RNN, LSTM and GRU operators, as PyTorch's, Keras's (tf2onnx) and our exporters write
    them, with what stands around them; and our Scans.

    FileNotFoundError: no such file. ValueError: no ONNX file; an operation or an attribute that is not supported, which
    is named with its node. ModuleNotFoundError: onnx is not installed.
    """
    onnx = onnx_module()
    with open(path, "rb") as file:
        content = file.read()
    try:
        proto = onnx.load_from_string(content)
        onnx.checker.check_model(proto)
    except Exception as error:  # protobuf's and the checker's kinds differ from version to version
        raise ValueError(f"{path}: no ONNX model: {error}") from error
    constants = {one.name: onnx.numpy_helper.to_array(one).copy() for one in proto.graph.initializer}
    body = _body(onnx, proto.graph)
    layers: dict[str, RecurrentLayer] = {}
    steps = []
    for step in body.steps:
        if step.kind == "Constant":
            constants[step.outputs[0]] = onp.array(compute(step.kind, step.attributes, [])[0])
            continue
        if step.kind not in RECURRENT:
            steps.append(step)
            continue
        weights = [_known(name, body.steps, constants, step) if name else None for name in _padded(step.inputs, 4)[1:]]
        name = _attribute(step.name or step.outputs[0], layers)
        layers[name] = layer_of(step.kind, step.name, step.attributes, weights)
        steps.append(step._replace(name=name))
    steps = _needed(steps, body.outputs)
    used = set(_used(steps)) | set(body.outputs)
    kept = {name: value for name, value in constants.items() if name in used}
    return OnnxModel(Body(body.inputs, tuple(steps), body.outputs), kept, layers)


# ---------------------------------------------------------------- reading
def _body(onnx: Any, graph: Any) -> Body:
    steps = []
    for k, node in enumerate(graph.node):
        name = node.name or f"{node.op_type}:{next(filter(None, node.output), k)}"
        if node.domain not in ("", "ai.onnx"):
            raise ValueError(f"from_onnx: node {name}: the operation {node.domain}.{node.op_type} is not supported")
        attributes, body = {}, None
        for attribute in node.attribute:
            value = onnx.helper.get_attribute_value(attribute)
            if attribute.type == onnx.AttributeProto.GRAPH:
                body = _body(onnx, value)
            elif attribute.type == onnx.AttributeProto.TENSOR:
                attributes[attribute.name] = Tensor.of(onnx.numpy_helper.to_array(value))
            else:
                attributes[attribute.name] = _text(value)
        if node.op_type == "Scan":
            _check_scan(name, attributes)
        elif node.op_type not in RECURRENT:
            check(name, node.op_type, attributes)
        elif len(node.input) > 7 and node.input[7]:
            raise ValueError(f"from_onnx: node {name}: peepholes (input P) are not supported")
        steps.append(Step(node.op_type, name, attributes, tuple(node.input), tuple(node.output), body))
    return Body(tuple([i.name for i in graph.input]), tuple(steps), tuple([o.name for o in graph.output]))


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


def _attribute(name: str, taken: Iterable[str]) -> str:
    """A name that Python takes, and nobody else has."""
    made = re.sub(r"\W+", "_", name).strip("_") or "value"
    made, k, first = made if not made[0].isdigit() else f"n{made}", 1, ""
    first = made
    while made in taken:
        made, k = f"{first}_{k}", k + 1
    return made


def _padded(names: tuple[str, ...], count: int) -> list[str]:
    return [*names[:count], *[""] * (count - len(names))]


def _known(name: str, steps: Iterable[Step], constants: Mapping[str, Array], wanted: Step) -> Array:
    """A weight: an initializer, or what is computed of such alone. ValueError: it depends on the inputs."""
    if name in constants:
        return constants[name]
    maker = next((step for step in steps if name in step.outputs), None)
    if maker is None or maker.kind in RECURRENT or maker.body is not None:
        raise ValueError(f"from_onnx: node {wanted.name}: the weight {name} is no constant")
    inputs = [_known(one, steps, constants, wanted) if one else None for one in maker.inputs]
    found: Array = onp.asarray(compute(maker.kind, maker.attributes, inputs)[maker.outputs.index(name)])
    return found


def _used(steps: Iterable[Step]) -> Iterable[str]:
    for step in steps:
        yield from step.inputs if step.kind not in RECURRENT else (step.inputs[0], *step.inputs[4:])
        if step.body is not None:
            yield from _used(step.body.steps)
            yield from step.body.outputs


def _needed(steps: Iterable[Step], outputs: Iterable[str]) -> list[Step]:
    """The steps on which an output depends, now that weights stand in layers."""
    wanted, kept = set(outputs), []
    for step in reversed(list(steps)):
        if wanted & set(step.outputs):
            kept.append(step)
            wanted |= set(_used([step]))
    return kept[::-1]


# ---------------------------------------------------------------- running
def _run(steps: Iterable[Step], around: Mapping[str, Any], layers: Mapping[str, Any]) -> dict[str, Any]:
    """Every value, with those of all steps; `around`: what is known before."""
    known = dict(around)
    for step in steps:
        given = [known.get(name) for name in step.inputs]  # "", and what stands in a layer
        if step.kind in RECURRENT:
            results = _recurrent(layers[step.name], given)
        elif step.body is not None:
            results = _scan(step, given, known, layers)
        else:
            results = compute(step.kind, step.attributes, given)
        known.update({name: result for name, result in zip(step.outputs, results, strict=False) if name})
    return known


def _recurrent(layer: Any, inputs: list[Any]) -> list[Any]:
    """Y (T, D, B, H), and the final states (D, B, H)."""
    xs, lengths, *initial = inputs[0], *[*inputs, *[None] * (7 - len(inputs))][4:]
    directions = 1 if not hasattr(layer, "forward") else 2
    like = layer.initial_state(shape_of(xs)[1])
    _, rebuild = tree.flatten(like)
    zeros = tree.leaves(like)[: len(tree.leaves(like)) // directions]
    initial += [None] * (len(zeros) - len(initial))
    packed = [zero if s is None else s for s, zero in zip(initial, zeros, strict=False)]
    given = [s is not None for s in initial[: len(zeros)]]
    state = rebuild([one[k] if s else one for k in range(directions) for one, s in zip(packed, given, strict=True)])
    outputs, final = layer(xs, state, lengths=None if lengths is None else onp.asarray(lengths, onp.int64))
    steps, batch, features = shape_of(outputs)
    ys = np.reshape(outputs, (steps, batch, directions, features // directions))
    finals = tree.leaves(final)
    count = len(finals) // directions
    stacked = [functional.stack([finals[k + d * count] for d in range(directions)]) for k in range(count)]
    return [np.transpose(ys, (0, 2, 1, 3)), *stacked]


def _scan(step: Step, inputs: list[Any], around: Mapping[str, Any], layers: Mapping[str, Any]) -> list[Any]:
    """A loop, step after step."""
    body, count = step.body, step.attributes["num_scan_inputs"]
    if body is None:
        raise ValueError(f"from_onnx: node {step.name}: a loop without a body")
    carried, sequences = inputs[: len(inputs) - count], inputs[len(inputs) - count :]
    backwards = step.attributes.get("scan_input_directions", [0] * count)
    scanned = len(body.outputs) - len(carried)
    collected: list[list[Any]] = [[] for _ in range(scanned)]
    length = shape_of(sequences[0])[0]
    for t in range(length):
        now = [xs[length - 1 - t if back else t] for xs, back in zip(sequences, backwards, strict=True)]
        given = {**around, **dict(zip(body.inputs, [*carried, *now], strict=True))}
        known = _run(body.steps, given, layers)
        results = [known[name] for name in body.outputs]
        carried = results[: len(carried)]
        for column, value in zip(collected, results[len(carried) :], strict=True):
            column.append(value)
    turned = step.attributes.get("scan_output_directions", [0] * scanned)
    stacked = [functional.stack(c[::-1] if back else c) for c, back in zip(collected, turned, strict=True)]
    return [*carried, *stacked]
