"""from_onnx: an ONNX file as a Module, its RNN, LSTM and GRU as layers of minirnn."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import autograd.numpy as np
import numpy as onp

from minirnn import functional, tree
from minirnn.boxes import StaleBoxError, dtype_of, shape_of
from minirnn.interop.onnx.cells import RECURRENT, check_layer, layer_of
from minirnn.interop.onnx.evaluate import compute
from minirnn.interop.onnx.reading import Body, Step, read
from minirnn.layers.recurrent import RecurrentLayer
from minirnn.module import Array, Buffer, Module, Parameter
from minirnn.primitive import is_traced

__all__ = ["OnnxModel", "from_onnx"]


class OnnxModel(Module):
    """What an ONNX file holds, as a Module: called with its inputs in order, or by name, it returns its outputs, one
    alone or as a tuple in order.

    `layers` are its recurrent layers by their nodes' names, of minirnn's own kinds, the other weights are attributes:
    it trains, saves and loads as any model does. input_names, output_names: as in the file; optional_names: inputs
    that have a value in the file, and may be given by name.
    """

    def __init__(
        self,
        body: Body,
        constants: Mapping[str, Array],
        layers: Mapping[str, RecurrentLayer],
        optional: Iterable[str] = (),
    ):
        self.input_names, self.optional_names = body.inputs, tuple(optional)
        self.output_names = body.outputs
        self.layers = dict(layers)
        self._steps, self._places = body.steps, {}
        for name, array in constants.items():
            place = _attribute(name, dir(self))
            weight = array.dtype.kind == "f" and array.ndim > 0
            setattr(self, place, Parameter(array) if weight else Buffer(array))
            self._places[name] = place

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        if len(inputs) > len(self.input_names):
            raise ValueError(f"OnnxModel: {len(inputs)} inputs came, {self.extra_repr()} were expected")
        placed = dict(zip(self.input_names, inputs, strict=False))
        for name in placed.keys() & named.keys():
            raise ValueError(f"OnnxModel: {name} came by place and by name, once was expected")
        given = {**placed, **named}
        missing = [name for name in self.input_names if name not in given]
        unexpected = [name for name in given if name not in (*self.input_names, *self.optional_names)]
        if missing or unexpected:
            raise ValueError(
                f"OnnxModel: missing {', '.join(missing) or 'none'}; unexpected {', '.join(unexpected) or 'none'}"
            )
        values = {name: getattr(self, place) for name, place in self._places.items()}
        known = _run(self._steps, {**values, **{name: _array(one) for name, one in given.items()}}, self.layers)
        results = tuple([known[name] for name in self.output_names])
        return results[0] if len(results) == 1 else results

    def extra_repr(self) -> str:
        return ", ".join(self.input_names)


def from_onnx(path: str | os.PathLike[str]) -> OnnxModel:
    """Read an ONNX file: models of RNN, LSTM and GRU operators, as PyTorch's, Keras's (tf2onnx) and our exporters write
    them, with what stands around them; and our Scans. Opsets 7 to 28, each operation as the file's opset means it.
    Weights in other files (external data) are looked for in the model's folder and below it, nowhere else.

    FileNotFoundError: no such file, or none that the model names. ValueError: no ONNX file; another opset; an operation
    or an attribute that is not supported, which is named with its node; weights outside the folder, or too few of them.
    ModuleNotFoundError: onnx is not installed.
    """
    body, constants = read(path)
    layers: dict[str, RecurrentLayer] = {}
    steps: list[Step] = []
    folded: set[str] = set()
    for step in body.steps:
        if step.kind == "Constant":
            value = onp.array(_results(step, [])[0])
            if value.dtype.kind != "f" or value.size != 1:
                constants[step.outputs[0]] = value
                continue
        if step.kind in RECURRENT:
            check_layer(step.kind, step.name, step.attributes)
            node, named = step.name, _padded(step.inputs, 4)[1:]
            step = step._replace(name=_attribute(node, {one.name for one in steps}))
            if all(_is_known(name, body.steps, constants) for name in named if name):
                weights = [_known(name, body.steps, constants) if name else None for name in named]
                layers[step.name] = layer_of(step.kind, node, step.attributes, weights)
                folded |= _behind(named, body.steps)
        steps.append(step)
    steps = _needed(steps, body.outputs, layers)
    used = set(_used(steps, layers)) | set(body.outputs)
    kept = {name: value for name, value in constants.items() if name in used}
    optional = [name for name in body.inputs if name in kept and name not in folded]
    inputs = [name for name in body.inputs if name not in constants]
    return OnnxModel(Body(tuple(inputs), tuple(steps), body.outputs), kept, layers, optional)


# ---------------------------------------------------------------- weights
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


def _maker(name: str, steps: Iterable[Step]) -> Step | None:
    return next((step for step in steps if name in step.outputs), None)


def _is_known(name: str, steps: Iterable[Step], constants: Mapping[str, Array]) -> bool:
    """Whether a weight is an initializer, or computed of such alone."""
    if name in constants:
        return True
    maker = _maker(name, steps)
    if maker is None or maker.kind in RECURRENT or maker.body is not None:
        return False
    return all(_is_known(one, steps, constants) for one in maker.inputs if one)


def _known(name: str, steps: Iterable[Step], constants: Mapping[str, Array]) -> Array:
    maker = None if name in constants else _maker(name, steps)
    if maker is None:
        return constants[name]
    inputs = [_known(one, steps, constants) if one else None for one in maker.inputs]
    found: Array = onp.asarray(_results(maker, inputs)[maker.outputs.index(name)])
    return found


def _behind(names: Iterable[str], steps: Sequence[Step]) -> set[str]:
    """The names, and all of which those values are computed."""
    wanted = set(names)
    for step in reversed(steps):
        wanted |= set(step.inputs) if wanted & set(step.outputs) else set()
    return wanted


def _used(steps: Iterable[Step], layers: Mapping[str, Any]) -> Iterable[str]:
    for step in steps:
        yield from (step.inputs[0], *step.inputs[4:]) if step.name in layers else step.inputs
        if step.body is not None:
            yield from _used(step.body.steps, {})
            yield from step.body.outputs


def _needed(steps: Iterable[Step], outputs: Iterable[str], layers: Mapping[str, Any]) -> list[Step]:
    """The steps on which an output depends, now that weights stand in layers."""
    wanted, kept = set(outputs), []
    for step in reversed(list(steps)):
        if wanted & set(step.outputs):
            kept.append(step)
            wanted |= set(_used([step], layers))
    return kept[::-1]


# ---------------------------------------------------------------- running
def _run(steps: Iterable[Step], around: Mapping[str, Any], layers: Mapping[str, Any]) -> dict[str, Any]:
    """Every value, with those of all steps; `around`: what is known before."""
    known = dict(around)
    for step in steps:
        given = [known.get(name) for name in step.inputs]  # "", and what stands in a layer
        if step.kind in RECURRENT:
            results = _recurrent(layers[step.name] if step.name in layers else _layer(step, given), given)
        elif step.body is not None:
            results = _scan(step, given, known, layers)
        else:
            results = _results(step, given)
        known.update({name: result for name, result in zip(step.outputs, results, strict=False) if name})
    return known


def _results(step: Step, inputs: list[Any]) -> list[Any]:
    """ValueError: names the node."""
    try:
        return compute(step.kind, step.attributes, inputs)
    except StaleBoxError:
        raise
    except (ValueError, TypeError, IndexError, ArithmeticError) as error:
        raise ValueError(f"OnnxModel: {step}: {error}") from error


def _array(given: Any) -> Any:
    return given if is_traced(given) or isinstance(given, onp.ndarray) else onp.asarray(given)


def _layer(step: Step, inputs: list[Any]) -> Any:
    """A layer of weights that came as inputs."""
    weights = [*inputs, None, None, None][1:4]
    if any(is_traced(one) for one in weights):
        raise ValueError(f"OnnxModel: {step}: weights that are computed have no derivative; expected initializers")
    return layer_of(step.kind, step.name, step.attributes, weights)


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
    lengths = sorted({shape_of(xs)[0] for xs in sequences})
    if len(lengths) != 1:
        raise ValueError(f"OnnxModel: {step}: expected sequences of one length, got {lengths}")

    def once(carried: list[Any], now: list[Any]) -> list[Any]:
        known = _run(body.steps, {**around, **dict(zip(body.inputs, [*carried, *now], strict=True))}, layers)
        return [known[name] for name in body.outputs]

    for t in range(lengths[0]):
        now = [xs[lengths[0] - 1 - t if back else t] for xs, back in zip(sequences, backwards, strict=True)]
        results = once(carried, now)
        carried = results[: len(carried)]
        for column, value in zip(collected, results[len(carried) :], strict=True):
            column.append(value)
    if not lengths[0]:  # what a step would give has the shape, without the first axis
        tried = once(carried, [onp.zeros(shape_of(xs)[1:], dtype_of(xs)) for xs in sequences])[len(carried) :]
        return [*carried, *[onp.zeros((0, *shape_of(one)), dtype_of(one)) for one in tried]]
    turned = step.attributes.get("scan_output_directions", [0] * scanned)
    stacked = [functional.stack(c[::-1] if back else c) for c, back in zip(collected, turned, strict=True)]
    return [*carried, *stacked]
