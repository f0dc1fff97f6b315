"""What an ONNX file may look like: weights listed as inputs, given as inputs, or computed; shapes left out."""

import numpy as np
import pytest

import minirnn
from minirnn import Recurrent

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'minirnn[onnx]'")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx_cases import XS, tagger  # noqa: E402
from onnx_nodes import one_node  # noqa: E402

from minirnn.interop.onnx import from_onnx  # noqa: E402


# ---------------------------------------------------------------- what is listed, and what is left out
@pytest.mark.parametrize("ir_version", [3, 8])
def test_initializers_that_are_listed_as_inputs_are_weights(ir_version, tmp_path):
    """As before IR version 4, where each had to be."""
    model = tagger(tmp_path / "m.onnx")
    proto = onnx.load(tmp_path / "m.onnx")
    proto.ir_version = ir_version
    for tensor in proto.graph.initializer:
        proto.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    read = from_onnx(tmp_path / "m.onnx")
    assert read.input_names == ("xs",)
    np.testing.assert_allclose(read(XS)[0], model(XS)[0], atol=1e-6)
    assert read.num_parameters() == model.num_parameters()


def test_a_listed_initializer_may_be_given_by_name(tmp_path):
    w = np.arange(3, dtype=np.float32)
    proto = one_node("Add", 13, {"x": w, "w": w}, {}, weights={"w"})
    proto.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [3]))
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    read = from_onnx(tmp_path / "m.onnx")
    assert (read.input_names, read.optional_names) == (("x",), ("w",))
    assert read(w).tolist() == [0, 2, 4]
    assert read(w, w=10 * w).tolist() == [0, 11, 22]
    assert read([1, 1, 1]).tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="2 inputs came, x were expected"):
        read(w, w)


def test_a_layers_weight_may_not_be_given_by_name(tmp_path):
    """It stands in the layer; taken and ignored it would be a wrong answer."""
    tagger(tmp_path / "m.onnx")
    proto = onnx.load(tmp_path / "m.onnx")
    first = next(one for one in proto.graph.initializer if one.name.endswith(".W"))
    proto.graph.input.append(helper.make_tensor_value_info(first.name, first.data_type, first.dims))
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ValueError, match=rf"unexpected {first.name}"):
        from_onnx(tmp_path / "m.onnx")(XS, **{first.name: numpy_helper.to_array(first)})


@pytest.mark.parametrize("what", ["shape", "type", "everything", "graph name", "node names"])
def test_what_the_reader_does_not_need_may_be_missing(what, tmp_path):
    model = tagger(tmp_path / "m.onnx")
    proto = onnx.load(tmp_path / "m.onnx")
    for value in (*proto.graph.output, *(proto.graph.input if what == "everything" else ())):
        if what == "shape":
            value.type.tensor_type.ClearField("shape")
        elif what in ("type", "everything"):
            value.ClearField("type")
    if what == "graph name":
        proto.graph.ClearField("name")
    for node in proto.graph.node if what == "node names" else ():
        node.ClearField("name")
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    np.testing.assert_allclose(from_onnx(tmp_path / "m.onnx")(XS)[0], model(XS)[0], atol=1e-6)


def rnn(more, weights, inputs, listed=()):
    """A model of an RNN whose weights other nodes make."""
    node = helper.make_node("RNN", list(inputs), ["ys"], "the_rnn", hidden_size=2)
    info = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
    kept = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph([*more, node], "g", [info(one) for one in ("x", *listed)], [info("ys")], kept)
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)])


W = np.random.default_rng(1).standard_normal((1, 2, 3), dtype=np.float32)
R = np.random.default_rng(2).standard_normal((1, 2, 2), dtype=np.float32)
make = helper.make_node
tensor = lambda value: numpy_helper.from_array(np.array(value))


@pytest.mark.parametrize(
    ("more", "weights", "inputs", "bias"),
    [
        ([], {"W": W, "R": R}, ("x", "W", "R"), 0.0),
        ([], {"W": W, "R": R}, ("x", "W", "R", "", "", ""), 0.0),
        ([make("Identity", ["w"], ["W"])], {"w": W, "R": R}, ("x", "W", "R"), 0.0),
        ([make("Constant", [], ["W"], value=tensor(W))], {"R": R}, ("x", "W", "R"), 0.0),
        ([make("Transpose", ["w"], ["W"], perm=[0, 2, 1])], {"w": W.swapaxes(1, 2), "R": R}, ("x", "W", "R"), 0.0),
        (
            [make("Split", ["both", "sizes"], ["W", "R"], axis=2)],
            {"both": np.concatenate([W, R], 2), "sizes": np.array([3, 2])},
            ("x", "W", "R"),
            0.0,
        ),
        (
            [make("ConstantOfShape", ["n"], ["B"], value=tensor(np.array([0.5], np.float32)))],
            {"W": W, "R": R, "n": np.array([1, 4])},
            ("x", "W", "R", "B"),
            0.5,
        ),
        (
            [make("Gather", ["w2", "k"], ["W"]), make("Cast", ["r"], ["R"], to=1)],
            {"w2": np.stack([W * 0, W]), "k": np.array(-1), "r": R.astype(np.float64)},
            ("x", "W", "R"),
            0.0,
        ),
    ],
)
def test_weights_may_be_computed_of_constants(more, weights, inputs, bias, tmp_path):
    (tmp_path / "m.onnx").write_bytes(rnn(more, weights, inputs).SerializeToString())
    read = from_onnx(tmp_path / "m.onnx")
    layer = Recurrent(minirnn.RNNCell(3, 2))
    layer.cell.weight_ih, layer.cell.weight_hh = W[0], R[0]
    layer.cell.bias_ih, layer.cell.bias_hh = np.full(2, bias, np.float32), np.full(2, bias, np.float32)
    np.testing.assert_allclose(read(XS)[:, 0], layer(XS)[0], atol=1e-6)
    assert list(read.layers) == ["the_rnn"]
    assert all(name.startswith("layers.the_rnn.") for name in read.parameters())


def test_weights_may_be_inputs_and_are_no_parameters_then(tmp_path):
    (tmp_path / "m.onnx").write_bytes(rnn([], {}, ("x", "W", "R"), listed=("W", "R")).SerializeToString())
    (tmp_path / "n.onnx").write_bytes(rnn([], {"W": W, "R": R}, ("x", "W", "R")).SerializeToString())
    read = from_onnx(tmp_path / "m.onnx")
    assert np.array_equal(read(XS, W, R), from_onnx(tmp_path / "n.onnx")(XS))
    assert read.num_parameters() == 0
    with pytest.raises(ValueError, match=r"node the_rnn .*have no derivative; expected initializers"):
        minirnn.grad(lambda w: read(XS, w, R).sum())(W)
    assert minirnn.grad(lambda x: read(x, W, R).sum())(XS).any()
    with pytest.raises(ValueError, match=r"node the_rnn: W of RNN is float16"):
        read(XS, W.astype(np.float16), R)


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ({"W": W[:, :1], "R": R}, r"node the_rnn: W of RNN is float32 \(1, 1, 3\); \(1, 2, 3\)"),
        ({"W": np.concatenate([W, W]), "R": R}, r"node the_rnn: W of RNN is float32 \(2, 2, 3\)"),
        ({"W": W, "R": R[..., :1]}, r"node the_rnn: attribute hidden_size=2 is not supported; 1"),
        (
            {"W": W.astype(np.float16), "R": R.astype(np.float16)},
            r"W of RNN is float16 .*float32 or float64 was expected",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(weights, says, tmp_path):
    (tmp_path / "m.onnx").write_bytes(rnn([], weights, ("x", "W", "R")).SerializeToString())
    with pytest.raises(ValueError, match=says):
        from_onnx(tmp_path / "m.onnx")


def test_a_constant_is_no_weight_and_a_bias_of_one_number_is(tmp_path):
    info = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
    nodes = [
        make("Constant", [], ["half"], value=tensor(np.array([0.5], np.float32))),
        make("Mul", ["x", "half"], ["y"]),
        make("Add", ["y", "bias"], ["z"]),
    ]
    graph = helper.make_graph(nodes, "g", [info("x")], [info("z")], [numpy_helper.from_array(W[0, 0, :1], "bias")])
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "m.onnx")
    read = from_onnx(tmp_path / "m.onnx")
    assert list(read.parameters()) == ["bias"]
    np.testing.assert_allclose(read(XS), XS * 0.5 + W[0, 0, 0], atol=1e-6)


# ---------------------------------------------------------------- loops
def loop(body, inputs, count, *, kept=(), outputs=("h2", "ys"), opset=17, **attributes):
    """A model of one Scan over float arrays; `kept` are the body's own constants."""
    info = lambda name, shape=None: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    inner = helper.make_graph(
        body, "body", [info("h"), *[info(f"x{k}") for k in range(count)]], [info("h_", [None]), info("y", [None])]
    )
    inner.initializer.extend(kept)
    node = helper.make_node(
        "Scan", list(inputs), list(outputs), "the_loop", body=inner, num_scan_inputs=count, **attributes
    )
    graph = helper.make_graph([node], "g", [info(one) for one in inputs], [info(one) for one in outputs])
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", opset)])


BODY = [make("Add", ["h", "x0"], ["sum"]), make("Mul", ["sum", "two"], ["h_"]), make("Identity", ["h_"], ["y"])]
TWO = [numpy_helper.from_array(np.array(2, np.float32), "two")]


@pytest.mark.parametrize("steps", [0, 1, 4])
@pytest.mark.parametrize("turned", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_a_loop_is_onnxruntimes(steps, turned, tmp_path):
    """With constants of its own, and also over nothing, where onnxruntime gives up."""
    proto = loop(BODY, ["h0", "xs"], 1, kept=TWO, scan_input_directions=turned[:1], scan_output_directions=turned[1:])
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    xs, h = np.arange(3 * steps, dtype=np.float32).reshape(steps, 3), np.ones(3, np.float32)
    final, ys = from_onnx(tmp_path / "m.onnx")(h, xs)
    if not steps:
        assert (final.tolist(), ys.shape, ys.dtype) == ([1, 1, 1], (0, 3), np.float32)
        return
    expected = (
        pytest.importorskip("onnxruntime").InferenceSession(proto.SerializeToString()).run(None, {"h0": h, "xs": xs})
    )
    assert np.array_equal(final, expected[0])
    assert np.array_equal(ys, expected[1])


def test_what_a_loop_cannot_be_is_told(tmp_path):
    def read(proto):
        (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
        return from_onnx(tmp_path / "m.onnx")

    two = [make("Add", ["x0", "x1"], ["sum"]), make("Add", ["h", "sum"], ["h_"]), make("Identity", ["h_"], ["y"])]
    with pytest.raises(ValueError, match=r"node the_loop .*: expected sequences of one length, got \[2, 3\]"):
        read(loop(two, ["h0", "a", "b"], 2))(np.zeros(1), np.ones((3, 1)), np.ones((2, 1)))
    inner = [
        make("RNN", ["x0", "x0", "x0"], ["r"], "inner"),
        make("Identity", ["r"], ["h_"]),
        make("Identity", ["h"], ["y"]),
    ]
    with pytest.raises(ValueError, match="node inner: RNN within a loop is not supported"):
        read(loop(inner, ["h0", "xs"], 1))
    with pytest.raises(ValueError, match="node the_loop: attribute scan_input_axes="):
        read(loop(BODY, ["h0", "xs"], 1, kept=TWO, scan_input_axes=[1]))


def test_an_input_given_twice_is_told(tmp_path):
    (tmp_path / "m.onnx").write_bytes(one_node("Abs", 13, {"x": W}, {}).SerializeToString())
    with pytest.raises(ValueError, match="OnnxModel: x came by place and by name"):
        from_onnx(tmp_path / "m.onnx")(W, x=W)


def test_sparse_weights_and_sequences_of_arrays_are_refused(tmp_path):
    proto = one_node("Abs", 13, {"x": W}, {})
    sparse = helper.make_sparse_tensor(tensor(np.array([1.0], np.float32)), tensor(np.array([0])), [3])
    sparse.values.name = "holes"
    proto.graph.sparse_initializer.append(sparse)
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ValueError, match="the initializer holes is sparse"):
        from_onnx(tmp_path / "m.onnx")
