"""from_onnx: what the Module computes is what the file's maker computes."""

import io
import warnings

import numpy as np
import pytest
from onnx_cases import LENGTHS, MODELS, moved_state, sequences_for, session, worst_error
from padded_batches import sequences

import minirnn
from minirnn import Recurrent, cells, tree

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'minirnn[onnx]'")

from onnx import TensorProto, helper  # noqa: E402

from minirnn.interop.onnx import from_onnx, to_onnx  # noqa: E402

listed = lambda found: list(found) if isinstance(found, tuple) else [found]


# ---------------------------------------------------------------- our own files
@pytest.mark.parametrize("name", MODELS)
def test_our_models_come_back(name, tmp_path):
    rng = np.random.default_rng(0)
    model = MODELS[name](rng)
    xs = sequences_for(name, model, rng)
    to_onnx(model, xs[:2, :2], tmp_path / "m.onnx", state=True, lengths=True)
    state, named = moved_state(model, rng)
    came = from_onnx(tmp_path / "m.onnx")(xs=xs, sequence_lens=LENGTHS.astype(np.int32), **named)
    assert worst_error(listed(came), model(xs, state, lengths=LENGTHS)) < 1e-5


@pytest.mark.parametrize("name", ["ClockworkRNN", "ConvLSTM", "MGU", "RGLRU", "mLSTM", "sLSTM"])
def test_scans_come_back(name, tmp_path):
    layer = Recurrent(cells.small(name, rng=np.random.default_rng(0)), reverse=name == "MGU")
    xs, state = sequences(layer.cell, 5, 2)
    to_onnx(layer, xs, tmp_path / "m.onnx", state=True)
    came = from_onnx(tmp_path / "m.onnx")(xs, **dict(tree.named_leaves(state, "state")))
    assert worst_error(listed(came), layer(xs, state)) < 1e-10


def test_what_comes_back_can_be_trained_and_saved(tmp_path):
    rng = np.random.default_rng(0)
    model = minirnn.Sequential(minirnn.GRU(3, 4, rng=rng), minirnn.Linear(4, 2, rng=rng))
    xs = rng.standard_normal((4, 2, 3), dtype=np.float32)
    to_onnx(model, xs, tmp_path / "m.onnx")
    again = from_onnx(tmp_path / "m.onnx")
    loss = lambda m: (m(xs)[0] ** 2).sum()
    ours, theirs = minirnn.grad(loss)(model), minirnn.grad(loss)(again)
    size = lambda grads: sorted(float((g * g).sum()) for g in grads.values())
    np.testing.assert_allclose(size(theirs), size(ours), rtol=1e-4)
    minirnn.save(again, tmp_path / "w.safetensors")
    minirnn.load(again, tmp_path / "w.safetensors")


# ---------------------------------------------------------------- PyTorch's
def exported(torch, module, example, **options):
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, example, file, dynamo=False, **options)
    return file.getvalue()


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_pytorchs_recurrent_layers(kind, layers, bidirectional, batch_first, torch, tmp_path):
    torch.manual_seed(0)
    module = getattr(torch.nn, kind)(3, 4, layers, bidirectional=bidirectional, batch_first=batch_first).eval()
    xs = torch.randn(5, 2, 3)
    (tmp_path / "m.onnx").write_bytes(exported(torch, module, (xs,)))
    outputs, *final = from_onnx(tmp_path / "m.onnx")(xs.numpy())
    expected, state = module(xs)
    states = state if isinstance(state, tuple) else (state,)
    assert worst_error([outputs, *final], [expected.detach().numpy(), *(s.detach().numpy() for s in states)]) < 1e-5


@pytest.mark.parametrize("opset", [10, 12, 13, 20])
def test_a_pytorch_model_with_a_head_and_free_sizes(opset, torch, tmp_path):
    class Tagger(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = torch.nn.Embedding(11, 3)
            self.lstm = torch.nn.LSTM(3, 4, 2, batch_first=True, bidirectional=True)
            self.norm = torch.nn.LayerNorm(8)
            self.head = torch.nn.Linear(8, 5)

        def forward(self, tokens):
            return torch.log_softmax(self.head(torch.relu(self.norm(self.lstm(self.embedding(tokens))[0]))), -1)

    torch.manual_seed(0)
    module = Tagger().eval()
    free = {"dynamic_axes": {"tokens": {0: "batch", 1: "time"}}, "input_names": ["tokens"], "opset_version": opset}
    (tmp_path / "m.onnx").write_bytes(exported(torch, module, (torch.zeros(2, 3, dtype=torch.long),), **free))
    tokens = torch.randint(0, 11, (4, 6))
    came = from_onnx(tmp_path / "m.onnx")(tokens.numpy())
    assert worst_error([came], module(tokens).detach().numpy()) < 1e-5


# ---------------------------------------------------------------- Keras's, as tf2onnx lays them out
def keras_like(kind, direction="forward", **attributes):
    """(B, T, F) -> Transpose -> the operator -> Squeeze -> Transpose -> (B, T, H)."""
    rng, gates = np.random.default_rng(0), {"RNN": 1, "LSTM": 4, "GRU": 3}[kind]
    shapes = {"W": (1, 4 * gates, 3), "R": (1, 4 * gates, 4), "B": (1, 8 * gates)}
    weights = {name: rng.uniform(-1, 1, shape).astype(np.float32) for name, shape in shapes.items()}
    nodes = [
        helper.make_node("Transpose", ["x"], ["turned"], perm=[1, 0, 2]),
        helper.make_node(
            kind, ["turned", "W", "R", "B"], ["ys"], "the_layer", hidden_size=4, direction=direction, **attributes
        ),
        helper.make_node("Squeeze", ["ys", "one"], ["flat"]),
        helper.make_node("Transpose", ["flat"], ["y"], perm=[1, 0, 2]),
    ]
    kept = [onnx.numpy_helper.from_array(value, name) for name, value in weights.items()]
    kept.append(onnx.numpy_helper.from_array(np.array([1]), "one"))
    info = lambda name, size: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", "T", size])
    graph = helper.make_graph(nodes, "keras", [info("x", 3)], [info("y", 4)], kept)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("direction", ["forward", "reverse"])
@pytest.mark.parametrize(
    ("kind", "more"), [("RNN", {}), ("LSTM", {}), ("GRU", {"linear_before_reset": 1}), ("GRU", {})]
)
def test_keras_like_models(kind, more, direction, tmp_path):
    pytest.importorskip("onnxruntime")
    proto = keras_like(kind, direction, **more)
    onnx.save(proto, tmp_path / "m.onnx")
    xs = np.random.default_rng(1).standard_normal((2, 5, 3), dtype=np.float32)
    expected = session(tmp_path / "m.onnx").run(None, {"x": xs})
    assert worst_error([from_onnx(tmp_path / "m.onnx")(xs)], expected) < 1e-5


# ---------------------------------------------------------------- what is not supported
@pytest.mark.parametrize(
    ("kind", "attributes", "says"),
    [
        ("LSTM", {"clip": 3.0}, r"node the_layer: attribute clip=3\.0"),
        ("LSTM", {"input_forget": 1}, r"node the_layer: attribute input_forget=1"),
        ("LSTM", {"activations": ["HardSigmoid", "Tanh", "Tanh"]}, r"node the_layer: attribute activations=\['HardSig"),
        ("GRU", {"activation_alpha": [0.2, 0.2]}, "node the_layer: attribute activation_alpha="),
        ("GRU", {"layout": 1}, "node the_layer: attribute layout=1"),
    ],
)
def test_an_unsupported_attribute_is_named_with_its_node(kind, attributes, says, tmp_path):
    proto = keras_like(kind, **attributes)
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    with pytest.raises(ValueError, match=says):
        from_onnx(tmp_path / "m.onnx")


def test_an_unsupported_operation_and_another_file_are_told(tmp_path):
    info = helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])
    graph = helper.make_graph([helper.make_node("Erf", ["x"], ["y"], "bell")], "g", [info], [out])
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), tmp_path / "m.onnx")
    with pytest.raises(ValueError, match="node bell: the operation Erf is not supported"):
        from_onnx(tmp_path / "m.onnx")
    (tmp_path / "text").write_text("no model")
    with pytest.raises(ValueError, match="text: no ONNX model"):
        from_onnx(tmp_path / "text")


def test_inputs_are_checked_by_name(tmp_path):
    layer = minirnn.GRU(3, 4)
    to_onnx(layer, np.zeros((2, 1, 3), np.float32), tmp_path / "m.onnx", state=True)
    with pytest.raises(ValueError, match="missing state; unexpected h"):
        from_onnx(tmp_path / "m.onnx")(np.zeros((2, 1, 3), np.float32), h=0)
