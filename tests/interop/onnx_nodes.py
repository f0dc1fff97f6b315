"""ONNX's own cases of one node each, and how a model of one node is run."""

import importlib
import pkgutil
import warnings

import numpy as np
import onnx
from onnx import helper, numpy_helper

from minirnn.interop.onnx import from_onnx
from minirnn.interop.onnx.evaluate import OPERATIONS

NEWEST = 28
_MODULES = {"Range": "rangeop"}


def cases_of(kind):
    """The cases of an operation; those too where it is written out in others, if all of these are read."""
    from onnx.backend.test.case import node

    found = [name for _, name, _ in pkgutil.iter_modules(node.__path__) if name.replace("_", "") == kind.lower()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they compute infinities and the like
        importlib.import_module(f"{node.__name__}.{_MODULES.get(kind) or found[0]}")
    single = [case for case in node._NodeTestCases if [one.op_type for one in case.model.graph.node] == [kind]]
    names = {case.name for case in single}
    expanded = [c for c in node._NodeTestCases if "_expanded" in c.name and c.name.split("_expanded")[0] in names]
    return single + [c for c in expanded if {one.op_type for one in c.model.graph.node} <= {*OPERATIONS}]


def opset_of(model):
    return next(one.version for one in model.opset_import if one.domain == "")


def at_opset(model, opset):
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    next(one for one in copied.opset_import if one.domain == "").version = opset
    return copied


def one_node(kind, opset, inputs, attributes, outputs=1, weights=()):
    """A model of one node: arrays by name are its inputs, "" leaves one out; those among `weights` are initializers."""
    names = [name if array is not None else "" for name, array in inputs.items()]
    node = helper.make_node(kind, names, [f"y{k}" for k in range(outputs)], "the_node", **attributes)
    info = lambda name, array: helper.make_tensor_value_info(
        name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
    )
    given = {name: array for name, array in inputs.items() if array is not None}
    results = [onnx.ValueInfoProto(name=name) for name in node.output]  # what they are, the reader infers
    graph = helper.make_graph(
        [node],
        kind,
        [info(name, array) for name, array in given.items() if name not in weights],
        results,
        [numpy_helper.from_array(array, name) for name, array in given.items() if name in weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def ours(model, inputs, path):
    """What our Module gives, as a list."""
    path.write_bytes(model.SerializeToString())
    came = from_onnx(path)(*inputs)
    return list(came) if isinstance(came, tuple) else [came]


def theirs(model, inputs):
    """What onnxruntime gives, by the model's inputs in order; None where it does not take the model."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    names = [one.name for one in model.graph.input]
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        return session.run(None, dict(zip(names, inputs, strict=True)))
    except Exception:  # of many kinds
        return None


def arrays(values):
    return [numpy_helper.to_array(one) if isinstance(one, onnx.TensorProto) else one for one in values]


def difference(came, expected, rtol=1e-3, atol=1e-7):
    """The largest relative difference; infinite where shape, dtype or more than rounding differs."""
    worst = 0.0
    assert len(came) == len(expected)
    for one, other in zip(map(np.asarray, came), expected, strict=True):
        if (one.shape, one.dtype) != (other.shape, other.dtype):
            return np.inf
        if one.dtype.kind not in "fiub":
            one, other = (x.astype(np.float64) if x.dtype.kind == "V" else x for x in (one, other))
        if one.dtype.kind != "f":
            worst = max(worst, 0.0 if np.array_equal(one, other) else np.inf)
            continue
        one, other = one.astype(np.float64), other.astype(np.float64)
        if not np.allclose(one, other, rtol, atol, equal_nan=True):
            return np.inf
        finite = np.isfinite(other)
        beside = np.abs(one[finite] - other[finite]) / np.maximum(1.0, np.abs(other[finite]))
        worst = max(worst, float(beside.max(initial=0.0)))
    return worst
