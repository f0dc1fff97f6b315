"""Each operation means what the file's opset says: onnxruntime beside us, in the forms of older opsets too."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'minirnn[onnx]'")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'minirnn[peers]'")

from onnx_nodes import arrays, at_opset, cases_of, difference, one_node, opset_of, ours, theirs  # noqa: E402

from minirnn import gradcheck  # noqa: E402
from minirnn.interop.onnx import from_onnx  # noqa: E402
from minirnn.interop.onnx.cells import RECURRENT  # noqa: E402
from minirnn.interop.onnx.evaluate import OPERATIONS  # noqa: E402

RNG = np.random.default_rng(0)
X = RNG.standard_normal((2, 3, 4), dtype=np.float32)
WIDE = RNG.standard_normal((3, 5, 2), dtype=np.float32)
ODD = np.array([[1, 1, 2**53 + 1], [-7, 7, -(2**62) - 1]])
ints = lambda *values: np.array(values, np.int64)
of = lambda value, dtype: np.array(value, dtype)

# operation, opsets, inputs, attributes, how many results
FORMS = [
    *[
        (kind, opsets, {"x": X}, attributes, 1)
        for kind in ("Softmax", "LogSoftmax", "Hardmax")
        for opsets in ([7, 11, 12], [13, 24])
        for attributes in ({}, {"axis": 0}, {"axis": 1}, {"axis": 2})
    ],
    *[(kind, [11, 12, 13], {"x": X}, {"axis": -2}, 1) for kind in ("Softmax", "LogSoftmax", "Hardmax")],
    ("Squeeze", [7, 11, 12], {"x": X[:1, :, :1]}, {"axes": [0, 2]}, 1),
    ("Squeeze", [11, 12], {"x": X[:1, :, :1]}, {"axes": [-1]}, 1),
    ("Squeeze", [7, 12, 13, 24], {"x": X[:1, :, :1]}, {}, 1),
    ("Squeeze", [13, 24], {"x": X[:1, :, :1], "axes": ints(-1)}, {}, 1),
    ("Unsqueeze", [7, 11, 12], {"x": X}, {"axes": [3, 0]}, 1),
    ("Unsqueeze", [13, 24], {"x": X, "axes": ints(-1, 0, 2)}, {}, 1),
    *[
        (kind, opsets, {"x": x}, attributes, 1)
        for kind in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd")
        for opsets in ([7, 11, 12] if kind == "ReduceSum" else [7, 11, 13, 17],)
        for x in (X, (X * 3).astype(np.int32))
        for attributes in ({}, {"axes": [0, 2]}, {"axes": [1], "keepdims": 0})
    ],
    *[
        (kind, [13, 24] if kind == "ReduceSum" else [18, 24], {"x": x, **axes}, attributes, 1)
        for kind in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd")
        for x in (X, (X * 3).astype(np.int32))
        for axes in ({}, {"axes": ints()}, {"axes": ints(-1, 0)})
        for attributes in ({}, {"keepdims": 0}, {"noop_with_empty_axes": 1})
    ],
    ("Slice", [7, 9], {"x": X}, {"starts": [1, -3], "ends": [9, -1], "axes": [0, 2]}, 1),
    ("Slice", [7, 9], {"x": X}, {"starts": [1, 0], "ends": [2, 2]}, 1),
    *[
        ("Slice", [10, 13, 24], {"x": X, "s": ints(start), "e": ints(end), "a": ints(2), "t": ints(step)}, {}, 1)
        for start, end, step in [
            (-1, -(2**63), -1),
            (-1, -5, -1),
            (3, 0, -2),
            (9, -9, -3),
            (-9, -(2**31), -1),
            (0, 2**63 - 1, 3),
            (-2, 9, 1),
            (1, 1, 1),
            (3, 1, 1),
        ]
    ],
    ("Slice", [11, 13], {"x": X, "s": ints(1, 0), "e": ints(3, 2), "a": ints(-1, -2)}, {}, 1),
    ("Slice", [10, 13], {"x": X, "s": ints(0, 1), "e": ints(1, 3)}, {}, 1),
    ("Slice", [10, 13], {"x": X, "s": ints(-1, -1), "e": ints(-4, -4), "a": None, "t": ints(-1, -2)}, {}, 1),
    ("Split", [7, 11], {"x": WIDE}, {"axis": 1, "split": [1, 4]}, 2),
    ("Split", [7, 11, 13], {"x": WIDE}, {}, 3),
    ("Split", [13, 18], {"x": WIDE, "sizes": ints(2, 0, 3)}, {"axis": -2}, 3),
    ("Split", [18, 24], {"x": WIDE}, {"axis": 1, "num_outputs": 2}, 2),
    ("Split", [18, 24], {"x": WIDE}, {"axis": 1, "num_outputs": 3}, 3),
    *[("Clip", [7, 10], {"x": X}, given, 1) for given in ({}, {"min": -0.5}, {"max": 0.5}, {"min": -0.5, "max": 0.2})],
    ("Clip", [11, 13], {"x": X, "low": of(-0.5, np.float32)}, {}, 1),
    ("Clip", [11, 13], {"x": X, "low": None, "high": of(0.5, np.float32)}, {}, 1),
    ("Clip", [12, 13], {"x": (X * 4).astype(np.int32), "low": of(-1, np.int32), "high": of(2, np.int32)}, {}, 1),
    ("Dropout", [7, 9, 10, 11], {"x": X}, {"ratio": 0.7}, 1),
    ("Dropout", [12, 13, 22], {"x": X, "ratio": of(0.7, np.float32)}, {}, 2),
    ("Dropout", [12, 13, 22], {"x": X, "ratio": of(0.7, np.float32), "training": of(False, bool)}, {}, 2),
    ("LayerNormalization", [17, 24], {"x": X, "scale": X[0]}, {"axis": 1, "epsilon": 0.1}, 3),
    ("LayerNormalization", [17, 24], {"x": X, "scale": X[0, 0], "bias": X[0, 1]}, {}, 2),
    *[
        (kind, [8, 12, 13], {f"x{k}": X[:, :1] for k in range(count)}, {}, 1)
        for kind in ("Max", "Min")
        for count in (1,)
    ],
    *[(kind, [8, 12, 13], {"a": X, "b": -X[:1], "c": X[0, 1]}, {}, 1) for kind in ("Max", "Min")],
    *[(kind, [8, 12, 13], {"a": -X, "b": X, "c": X * 2, "d": -X * 3, "e": X * 0}, {}, 1) for kind in ("Max", "Min")],
    *[(kind, [12, 13], {"a": ODD, "b": -ODD, "c": ODD * 0}, {}, 1) for kind in ("Max", "Min")],
    ("GatherND", [11, 12, 13], {"x": X, "i": np.array([[0, -1], [1, 2]])}, {}, 1),
    ("GatherND", [11, 13], {"x": X, "i": np.array([[[1, 2, -1]], [[0, 0, 0]]])}, {}, 1),
    ("GatherND", [12, 13], {"x": X, "i": np.array([[-1], [0]])}, {"batch_dims": 1}, 1),
    ("GatherND", [12, 13], {"x": X, "i": np.array([[[1], [0], [3]], [[2], [2], [-4]]])}, {"batch_dims": 2}, 1),
    ("GatherND", [12, 13], {"x": X, "i": np.array([[[1, 2], [0, 0]], [[2, 2], [1, -1]]])}, {"batch_dims": 1}, 1),
    *[("Gather", [11, 13], {"x": X, "i": i}, {"axis": 1}, 1) for i in (of(-1, np.int32), np.array([[-3, 2]]))],
    ("Gather", [7, 11, 13], {"x": X[0], "i": np.array([[2, 0], [1, 1]])}, {}, 1),
    ("Gather", [11, 13], {"x": X[0], "i": np.array([-1, -3, 2])}, {}, 1),
    ("Flatten", [7, 9, 11, 24], {"x": np.zeros((0, 3, 2), np.float32)}, {}, 1),
    *[("Flatten", [9, 11, 24], {"x": X}, {"axis": axis}, 1) for axis in (0, 1, 2, 3)],
    ("Flatten", [11, 24], {"x": X}, {"axis": -1}, 1),
    ("Div", [7, 13, 14], {"a": ODD, "b": np.array([2, -2, 3])}, {}, 1),
    ("Div", [14], {"a": np.arange(256, dtype=np.uint8), "b": of(7, np.uint8)}, {}, 1),
    *[
        ("Mod", [10, 13], {"a": ODD, "b": np.array([3, -3, 7])}, attributes, 1)
        for attributes in ({}, {"fmod": 0}, {"fmod": 1})
    ],
    ("Mod", [10, 13], {"a": X, "b": of(-0.3, np.float32)}, {"fmod": 1}, 1),
    *[
        ("Pow", [12, 13, 15], {"x": np.arange(-3, 4).astype(one), "y": of(power, other)}, {}, 1)
        for one, other, power in [
            (np.float32, np.int64, -2),
            (np.float32, np.float64, 3.0),
            (np.int32, np.float32, 3.0),
            (np.int64, np.int32, 3),
            (np.float64, np.int32, 2),
        ]
    ],
    ("Pow", [12, 13], {"x": np.array([1, 4, 9], np.int32), "y": of(0.5, np.float32)}, {}, 1),
    *[
        ("Range", [11, 24], {"a": of(a, dtype), "b": of(b, dtype), "c": of(c, dtype)}, {}, 1)
        for dtype, a, b, c in [
            (np.float32, 1.0, 2.1, 0.25),
            (np.float64, 2.0, 0.0, -0.3),
            (np.int16, 10, 3, -3),
            (np.int32, 3, 3, 1),
            (np.int64, 2**53, 2**53 + 3, 2),
        ]
    ],
    *[
        ("Cast", [9, 13, 24], {"x": (np.abs(X) * 4).astype(one)}, {"to": to}, 1)
        for one in (np.float32, np.float64, np.int32, bool, np.float16)
        for to in (1, 2, 6, 7, 9, 10, 11)
    ],
    ("Where", [9, 16], {"c": X[:, :, :1] > 0, "x": X[:1], "y": of(3, np.float32)}, {}, 1),
    ("Where", [9, 16], {"c": of(True, bool), "x": X, "y": X[0, 0]}, {}, 1),
    ("Gemm", [7, 9], {"a": X[0], "b": X[1], "c": of([[1.0], [2.0], [3.0]], np.float32)}, {"transB": 1, "beta": 0.5}, 1),
    ("Gemm", [11, 13], {"a": X[0], "b": X[1]}, {"transA": 1, "alpha": 2.0}, 1),
    ("ReverseSequence", [10, 24], {"x": X, "l": ints(3, 2)}, {"time_axis": 1, "batch_axis": 0}, 1),
    ("Shape", [15, 24], {"x": X}, {"start": -2, "end": 9}, 1),
    *[("Concat", [11, 13], {"a": X, "b": X[:, :, :2]}, {"axis": axis}, 1) for axis in (2, -1)],
    *[("Expand", [8, 13], {"x": x[:, :1], "shape": ints(3, 1)}, {}, 1) for x in (X, (X * 4).astype(np.int32), X > 0)],
    ("Reshape", [7, 13, 14], {"x": X, "shape": ints(0, -1, 2)}, {}, 1),
    ("Reshape", [14, 24], {"x": X[:0], "shape": ints(3, 0)}, {"allowzero": 1}, 1),
    ("IsInf", [10, 20], {"x": of([1, np.inf, -np.inf, np.nan], np.float32)}, {"detect_negative": 0}, 1),
    *[
        ("Conv", [7, 11, 22], {"x": RNG.standard_normal((2, 4, 7), dtype=np.float32), "w": WIDE[:2, :4]}, given, 1)
        for given in (
            {},
            {"pads": [2, 0], "strides": [2], "kernel_shape": [2]},
            {"auto_pad": "SAME_UPPER"},
            {"auto_pad": "SAME_LOWER"},
            {"auto_pad": "VALID", "strides": [3]},
        )
    ],
    (
        "Conv",
        [7, 11, 22],
        {
            "x": RNG.standard_normal((1, 4, 6, 5), dtype=np.float32),
            "w": RNG.standard_normal((6, 2, 3, 2), dtype=np.float32),
            "b": RNG.standard_normal(6, dtype=np.float32),
        },
        {"group": 2, "dilations": [2, 1], "strides": [1, 2], "pads": [1, 0, 2, 1], "auto_pad": "NOTSET"},
        1,
    ),
]


@pytest.mark.parametrize("kind", sorted({form[0] for form in FORMS}))
def test_in_each_form_and_opset_it_is_onnxruntimes(kind, tmp_path):
    for _, opsets, inputs, attributes, results in [form for form in FORMS if form[0] == kind]:
        given = [one for one in inputs.values() if one is not None]
        for opset in opsets:
            model = one_node(kind, opset, inputs, attributes, results)
            expected = theirs(model, given)
            assert expected is not None, (kind, opset, attributes)
            with np.errstate(all="ignore"):
                came = ours(model, given, tmp_path / "m.onnx")
            rounding = (1e-12, 1e-14) if expected[0].dtype == np.float64 else (1e-5, 1e-6)
            assert difference(came, expected, *rounding) < np.inf, (kind, opset, attributes, came, expected)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted([*OPERATIONS, *RECURRENT, "Scan"]))
def test_onnxs_cases_in_every_older_opset_are_onnxruntimes_or_refused(kind, tmp_path):
    for case in [one for one in cases_of(kind) if len(one.model.graph.node) == 1]:
        for opset in range(7, opset_of(case.model)):
            model = at_opset(case.model, opset)
            for given in [arrays(given) for given, _ in case.data_sets]:
                expected = theirs(model, given)
                try:
                    came = ours(model, given, tmp_path / "m.onnx")
                except ValueError:  # as in the newest, or the form is not of that opset
                    continue
                with np.errstate(all="ignore"):
                    assert expected is None or difference(came, expected) < np.inf, (case.name, opset)


@pytest.mark.parametrize(
    ("opset", "says"),
    [(29, "opset 7 to 28, got 29; export it again"), (6, r"node the_node: Add of opset 6 is not supported; expected")],
)
def test_another_opset_is_refused(opset, says, tmp_path):
    (tmp_path / "m.onnx").write_bytes(one_node("Add", opset, {"a": X, "b": X}, {}).SerializeToString())
    with pytest.raises(ValueError, match=says):
        from_onnx(tmp_path / "m.onnx")


def test_an_old_file_is_read_where_nothing_has_changed(tmp_path):
    assert np.array_equal(ours(one_node("Not", 1, {"a": X > 0}, {}), [X > 0], tmp_path / "m.onnx")[0], X <= 0)


@pytest.mark.parametrize(("mask", "opset"), [(np.float32, 7), (np.float32, 9), (bool, 10), (bool, 13)])
def test_the_mask_of_a_dropout_keeps_everything(mask, opset, tmp_path):
    y, kept = ours(one_node("Dropout", opset, {"x": X}, {}, 2), [X], tmp_path / "m.onnx")
    assert np.array_equal(y, X)
    assert kept.dtype == mask
    assert kept.shape == X.shape
    assert kept.all()


def test_integers_never_become_floats(tmp_path):
    """Beyond 2**53, and where Python's division and ONNX's differ."""
    a = np.array([2**62 + 1, -(2**62) - 1, 2**53 + 1, -7, 7, -1])
    b = np.array([1, 1, -1, 2, -2, 3])
    run = lambda kind, attributes, *given: ours(
        one_node(kind, 13, dict(zip("ab", given, strict=False)), attributes), given, tmp_path / "m.onnx"
    )[0].tolist()
    assert run("Div", {}, a, b) == [2**62 + 1, -(2**62) - 1, -(2**53) - 1, -3, -3, 0]
    assert run("Mod", {}, a, b * 5) == [int(x) % (5 * int(y)) for x, y in zip(a, b, strict=True)]
    assert run("Pow", {}, np.array([3, -3, 2, -1, -1]), np.array([35, 35, -1, -3, -2])) == [3**35, -(3**35), 0, -1, 1]
    assert run("ReduceMean", {}, np.array([2**60 + 2, 2**60 + 4, -3])) == [(2**61 + 3) // 3]
    assert run("ReduceMean", {"keepdims": 0}, np.array([-3, -4])) == -3


@pytest.mark.parametrize(
    ("kind", "opset", "inputs", "attributes", "results", "says"),
    [
        ("Split", 13, {"x": WIDE}, {"axis": 1}, 2, "expected 2 equal parts, got 5 along axis 1"),
        ("Split", 13, {"x": WIDE, "s": ints(1, 3)}, {"axis": 1}, 2, r"expected 2 parts of 5 in all, got \[1, 3\]"),
        ("Split", 18, {"x": WIDE, "s": ints(1, 3, 1)}, {"axis": 1}, 2, "expected 2 parts of 5"),
        ("Gather", 13, {"x": X, "i": ints(0, 2)}, {}, 1, "expected indices from -2 to 1, got 0 to 2"),
        ("Gather", 13, {"x": X, "i": ints(-3)}, {}, 1, "expected indices from -2 to 1, got -3"),
        ("Gather", 13, {"x": X, "i": ints(0)}, {"axis": 3}, 1, "expected an axis from -3 to 2, got 3"),
        (
            "GatherND",
            13,
            {"x": X, "i": np.zeros((3, 1), np.int64)},
            {"batch_dims": 1},
            1,
            "expected indices for axes 1",
        ),
        ("GatherND", 13, {"x": X, "i": np.zeros((3, 4), np.int64)}, {}, 1, "for axes 0 and on"),
        ("Unsqueeze", 13, {"x": X, "axes": ints(0, 5)}, {}, 1, "expected an axis from -5 to 4, got 5"),
        ("Unsqueeze", 13, {"x": X, "axes": ints(0, -5)}, {}, 1, "expected each axis once"),
        ("Squeeze", 13, {"x": X, "axes": ints(0)}, {}, 1, "cannot select an axis to squeeze out"),
        ("ReduceSum", 13, {"x": X, "axes": ints(3)}, {}, 1, "expected an axis from -3 to 2, got 3"),
        ("Softmax", 13, {"x": X}, {"axis": 3}, 1, "expected an axis from -3 to 2, got 3"),
        ("Softmax", 7, {"x": X}, {"axis": 4}, 1, "expected an axis from -3 to 2, got 4"),
        ("Reshape", 13, {"x": X, "s": ints(2, 3, 4, 0)}, {}, 1, "expected an axis of .* for each 0"),
        ("ReverseSequence", 10, {"x": X, "l": ints(3, 1, 1)}, {}, 1, "expected lengths from 0 to 2, got 1 to 3"),
        ("Range", 11, {"a": ints(1)[0], "b": ints(1)[0], "c": ints(0)[0]}, {}, 1, "expected a delta other than 0"),
        ("Conv", 11, {"x": X, "w": WIDE}, {}, 1, r"a weight \(3, 5, 2\) in 1 groups does not fit"),
        ("Conv", 11, {"x": X, "w": WIDE}, {"kernel_shape": [3]}, 1, r"expected kernel_shape \[2\]"),
        (
            "Dropout",
            12,
            {"x": X, "r": of(0.5, np.float32), "t": of(True, bool)},
            {},
            1,
            "training_mode is not supported",
        ),
        ("Add", 13, {"a": X, "b": WIDE}, {}, 1, "broadcast"),
    ],
)
def test_what_does_not_fit_is_an_error_that_names_the_node(kind, opset, inputs, attributes, results, says, tmp_path):
    with pytest.raises(ValueError, match=rf"node the_node \({kind}\): .*{says}"):
        ours(one_node(kind, opset, inputs, attributes, results), list(inputs.values()), tmp_path / "m.onnx")


SMOOTH = np.random.default_rng(1).uniform(0.2, 2.0, (2, 3, 4))


@pytest.mark.parametrize(
    ("kind", "opset", "more", "attributes"),
    [
        ("Cast", 13, {}, {"to": 11}),
        ("Clip", 13, {"low": of(0.5, np.float64), "high": of(1.5, np.float64)}, {}),
        ("Conv", 11, {"w": SMOOTH[:, :, :2]}, {"pads": [1, 0], "strides": [2]}),
        ("Div", 13, {"b": SMOOTH[0] + 1}, {}),
        ("Dropout", 13, {}, {}),
        ("Expand", 13, {"n": ints(5, 1, 1, 1)}, {}),
        ("Flatten", 13, {}, {}),
        ("Gather", 13, {"i": np.array([[0, -1], [2, 2]])}, {"axis": 1}),
        ("Gather", 13, {"i": np.array([[0, -1], [-3, -1]])}, {}),
        ("GatherND", 13, {"i": np.array([[-1], [0]])}, {"batch_dims": 1}),
        ("Hardmax", 13, {}, {}),
        ("LayerNormalization", 17, {"w": SMOOTH[0, 0], "b": SMOOTH[0, 1]}, {"stash_type": 11}),
        ("LogSoftmax", 11, {}, {}),
        ("Max", 13, {"b": SMOOTH[:, ::-1] + 0.1, "c": SMOOTH[0, 0]}, {}),
        ("Mod", 13, {"b": SMOOTH[0] + 0.05}, {"fmod": 1}),
        ("Pow", 13, {"b": SMOOTH[0] * 2}, {}),
        ("Pow", 13, {"b": of(2, np.int64)}, {}),
        ("ReduceMax", 18, {"axes": ints(1)}, {}),
        ("ReduceMean", 18, {}, {}),
        ("ReduceProd", 18, {"axes": ints(0, 2)}, {"keepdims": 0}),
        ("ReverseSequence", 10, {"l": ints(1, 3)}, {"time_axis": 1, "batch_axis": 0}),
        ("Slice", 13, {"s": ints(-1), "e": ints(-9), "a": ints(1), "t": ints(-2)}, {}),
        ("Softmax", 11, {}, {}),
        ("Split", 18, {}, {"axis": 2, "num_outputs": 3}),
        ("Squeeze", 13, {}, {}),
    ],
)
def test_it_can_be_differentiated(kind, opset, more, attributes, tmp_path):
    """By its first input, and what of the others is float."""
    inputs = {"x": SMOOTH[1] if kind == "Gather" and not attributes else SMOOTH, **more}  # a table of rows
    results = attributes.get("num_outputs", 1)
    model = one_node(kind, opset, inputs, attributes, results)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    read = from_onnx(tmp_path / "m.onnx")
    floats = [k for k, one in enumerate(inputs.values()) if one.dtype == np.float64]

    def run(*given):
        values = list(inputs.values())
        for k, one in zip(floats, given, strict=True):
            values[k] = one
        came = read(*values)
        return came if results == 1 else sum((one * one).sum() for one in came)

    report = gradcheck.gradcheck(run, *[list(inputs.values())[k] for k in floats])
    assert report.ok, report
