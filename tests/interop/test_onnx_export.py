"""to_onnx: what onnxruntime computes of the file is what the model computes."""

import autograd.numpy as anp
import numpy as np
import pytest
from few import CELLS, few
from onnx_cases import LENGTHS, MODELS, moved_state, sequences_for, session, tied, worst_error
from padded_batches import sequences

import minirnn
from minirnn import Recurrent, cells, tree

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install 'minirnn[onnx]'")
reference = pytest.importorskip("onnx.reference")
pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'minirnn[peers]'")

from minirnn.interop.onnx import CannotExport, from_onnx, to_onnx  # noqa: E402


@pytest.mark.parametrize(
    ("name", "reverse"),
    few(
        [(name, False) for name in cells.names()] + [("MGU", True), ("sLSTM", True), ("ConvLSTM", True)],
        [*[(name, False) for name in CELLS], ("sLSTM", True), ("ConvLSTM", True)],
        names=2,
    ),
)
def test_every_cell_of_the_zoo_runs_in_onnxruntime(name, reverse, tmp_path, worst_errors):
    layer = Recurrent(cells.small(name, rng=np.random.default_rng(0), dtype=np.float32), reverse=reverse)
    xs, state = sequences(layer.cell, 6, 3)
    to_onnx(layer, xs[:3, :2], tmp_path / "m.onnx", state=True, lengths=True)
    fed = {"xs": xs, **dict(tree.named_leaves(state, "state"))}
    came = session(tmp_path / "m.onnx").run(None, {**fed, "sequence_lens": LENGTHS.astype(np.int32)})
    error = worst_error(came, layer(xs, state, lengths=LENGTHS))
    worst_errors("onnx")(name, error, "outputs and final state, ragged")
    assert error < 1e-5


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["whole", "ragged"])
@pytest.mark.parametrize("with_state", [False, True], ids=["own state", "state"])
@pytest.mark.parametrize("name", MODELS)
def test_models_run_in_onnxruntime_at_other_sizes_than_the_example(name, with_state, lengths, tmp_path):
    rng = np.random.default_rng(0)
    model = MODELS[name](rng)
    xs, small = sequences_for(name, model, rng), sequences_for(name, model, rng, 2, 1)
    to_onnx(model, small, tmp_path / "m.onnx", state=with_state, lengths=lengths is not None)
    state, named = moved_state(model, rng) if with_state else (None, {})
    fed = {"xs": xs, **named} | ({} if lengths is None else {"sequence_lens": lengths.astype(np.int32)})
    came = session(tmp_path / "m.onnx").run(None, fed)
    assert worst_error(came, model(xs, state, lengths=lengths)) < 1e-5


@pytest.mark.parametrize("with_lengths", [False, True], ids=["whole", "ragged"])
@pytest.mark.parametrize("name", MODELS)
def test_a_sequence_without_steps_leaves_the_given_state(name, with_lengths, tmp_path):
    """Some of a batch, all of them, and a batch of no steps at all."""
    rng = np.random.default_rng(0)
    model = MODELS[name](rng)
    to_onnx(model, sequences_for(name, model, rng, 2, 1), tmp_path / "m.onnx", state=True, lengths=with_lengths)
    running, again = session(tmp_path / "m.onnx"), from_onnx(tmp_path / "m.onnx")
    state, named = moved_state(model, rng)
    for steps, lengths in (
        [(6, [0, 2, 0]), (6, [6, 0, 3]), (2, [0, 0, 0]), (0, [0, 0, 0])] if with_lengths else [(0, None)]
    ):
        fed = {"xs": sequences_for(name, model, rng, steps), **named}
        fed |= {} if lengths is None else {"sequence_lens": np.array(lengths, np.int32)}
        expected = model(fed["xs"], state, lengths=None if lengths is None else np.array(lengths))
        for came in (running.run(None, fed), again(**fed)):
            came = list(came) if isinstance(came, (list, tuple)) else [came]
            assert worst_error(came, expected) < 1e-5, (steps, lengths)


def test_a_model_without_recurrent_layers_has_one_output(tmp_path):
    model = minirnn.Sequential(minirnn.Linear(3, 4), minirnn.functional.relu, minirnn.Linear(4, 2))
    xs = np.random.default_rng(0).standard_normal((5, 3), dtype=np.float32)
    to_onnx(model, xs[:1], tmp_path / "m.onnx")
    assert worst_error(session(tmp_path / "m.onnx").run(None, {"xs": xs}), model(xs)) < 1e-6


@pytest.mark.parametrize("name", ["LSTM", "sLSTM", "RGLRU"])
def test_float64_is_kept(name, tmp_path):
    """onnxruntime has no float64 for some operations; onnx's own evaluator has."""
    rng = np.random.default_rng(0)
    lstm = minirnn.LSTM(3, 4, rng=rng, dtype=np.float64)
    layer = lstm if name == "LSTM" else Recurrent(cells.small(name, rng=rng))
    xs = rng.standard_normal((4, 2, layer.input_size))
    to_onnx(layer, xs, tmp_path / "m.onnx")
    proto = onnx.load(tmp_path / "m.onnx")
    weights = [one for one in proto.graph.initializer if one.data_type not in (onnx.TensorProto.INT64,)]
    assert {one.data_type for one in weights} <= {onnx.TensorProto.DOUBLE, onnx.TensorProto.BOOL}
    came = reference.ReferenceEvaluator(proto).run(None, {"xs": xs})
    assert worst_error(came, layer(xs)) < 1e-12


def test_each_weight_is_in_the_file_once(tmp_path):
    model = tied(np.random.default_rng(0))
    to_onnx(model, np.zeros((2, 1), np.int64), tmp_path / "m.onnx")
    floats = [
        one for one in onnx.load(tmp_path / "m.onnx").graph.initializer if one.data_type == onnx.TensorProto.FLOAT
    ]
    assert sum(np.prod(one.dims) for one in floats) == model.num_parameters()


def test_rnn_lstm_and_gru_are_onnxs_operators_and_other_cells_scans(tmp_path):
    model = minirnn.Stacked([minirnn.LSTM(3, 4, 2, bidirectional=True), minirnn.GRUCell(8, 4), cells.MGU(4, 4)])
    to_onnx(model, np.zeros((2, 1, 3), np.float32), tmp_path / "m.onnx")
    kinds = [node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node]
    assert [kind for kind in kinds if kind in ("RNN", "LSTM", "GRU", "Scan")] == ["LSTM", "LSTM", "GRU", "Scan"]


@minirnn.cell(w=("hidden", "input"))
def turning_cell(p, h, x):
    h = anp.arctan2(x @ p.w.T, 1.0 + h * h)
    return h, h


SLICES = {
    "all, backwards": lambda h: h[:, ::-1],
    "every second, backwards": lambda h: h[:, ::-2],
    "not the first": lambda h: h[:, :0:-1],
    "not the last": lambda h: h[:, -2::-1],
    "from the end": lambda h: h[:, -1:-4:-1],
    "the middle": lambda h: h[:, 4:1:-2],
    "forwards": lambda h: h[:, 1:-1:2],
    "the rest": lambda h: h[:, 2:],
    "one": lambda h: h[:, -1:],
    "an axis between": lambda h: np.reshape(h, (-1, 2, 3))[:, ::-1, 2:0:-1].reshape(-1, 4),
}


@pytest.mark.parametrize("name", SLICES)
def test_slices_run_either_way(name, tmp_path):
    @minirnn.cell(w=("hidden", "input"))
    def slicing(p, h, x):
        part = SLICES[name](h)
        h = anp.tanh(x @ p.w.T + anp.sum(part * anp.arange(1.0, 1 + part.shape[1], dtype=np.float32), 1)[:, None])
        return h, anp.concatenate([part, h], 1)

    rng = np.random.default_rng(0)
    layer = Recurrent(slicing(3, 6, rng=rng))
    xs, state = rng.standard_normal((4, 2, 3), dtype=np.float32), rng.standard_normal((2, 6), dtype=np.float32)
    to_onnx(layer, xs[:2, :1], tmp_path / "m.onnx", state=True)
    expected = layer(xs, state)
    assert worst_error(session(tmp_path / "m.onnx").run(None, {"xs": xs, "state": state}), expected) < 1e-6
    assert worst_error(from_onnx(tmp_path / "m.onnx")(xs, state), expected) < 1e-6


class Odd(minirnn.Cell):
    input_size, hidden_size = 2, 2

    def __init__(self):
        self.w = minirnn.Parameter(np.ones((2, 2), np.float32))

    def inputs(self, xs, *, rng=None):
        return xs * xs

    def step(self, h, x):
        h = h + x @ self.w
        return h, h


@minirnn.cell(w=("hidden", "input"))
def branching_cell(p, h, x):
    h = anp.tanh(x @ p.w.T) if anp.sum(h) > 0 else x @ p.w.T
    return h, h


@minirnn.cell(w=("hidden", "input"))
def doubled_cell(p, h, x):
    h = anp.tanh(x @ p.w.T + h)
    return h, (h, 2 * h)


class Unheard(minirnn.Module):
    def __call__(self, x):
        return x


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (Recurrent(branching_cell(2, 3), engine="python"), "branching_cell: its step cannot be traced: "),
        (Recurrent(doubled_cell(2, 3)), "doubled_cell: its output is several arrays"),
        (minirnn.Sequential(minirnn.GRU(2, 3), Unheard()), r"layers\.1 is a Unheard"),
        (Unheard(), "the model is a Unheard; what can be written is Sequential"),
        (Recurrent(turning_cell(2, 3)), r"turning_cell: ONNX has no operation 'arctan2'"),
        (Recurrent(Odd()), r"Odd: what its inputs\(\) makes as input is neither"),
        (minirnn.Sequential(minirnn.GRU(2, 3), lambda x: x[-1]), r"layers\.1: the function <lambda> has no form"),
        (
            minirnn.Sequential(minirnn.GRU(2, 3), minirnn.GRU(3, 3, batch_first=True)),
            "some of the layers have batch_first",
        ),
    ],
)
def test_what_onnx_cannot_say_is_named_and_no_file_is_written(model, says, tmp_path):
    with pytest.raises(CannotExport, match=says):
        to_onnx(model, np.zeros((2, 1, 2), np.float32), tmp_path / "m.onnx")
    assert not list(tmp_path.iterdir())


def test_what_is_asked_for_in_vain_is_told(tmp_path):
    with pytest.raises(TypeError, match=r"GRUCell came, which is a cell; give its layer"):
        to_onnx(minirnn.GRUCell(2, 3), np.zeros((2, 1, 2), np.float32), tmp_path / "m.onnx")
    with pytest.raises(ValueError, match="lengths=True came, and Linear holds no layer"):
        to_onnx(minirnn.Linear(2, 3), np.zeros((2, 2), np.float32), tmp_path / "m.onnx", lengths=True)
    with pytest.raises(ValueError, match=r"shape \(2, 2\); \(T, B, F\)"):
        to_onnx(minirnn.GRU(2, 3), np.zeros((2, 2), np.float32), tmp_path / "m.onnx")


@pytest.mark.parametrize(("dtype", "stash"), [(np.float32, 1), (np.float64, 11)])
def test_a_norm_takes_its_mean_in_the_models_dtype(dtype, stash, tmp_path):
    norm = minirnn.LayerNorm((2, 3)).astype(dtype)
    xs = np.random.default_rng(0).standard_normal((4, 2, 3)).astype(dtype)
    to_onnx(norm, xs, tmp_path / "m.onnx")
    (node,) = [one for one in onnx.load(tmp_path / "m.onnx").graph.node if one.op_type == "LayerNormalization"]
    given = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    assert given.get("stash_type", 1) == stash
    assert worst_error(session(tmp_path / "m.onnx").run(None, {"xs": xs}), norm(xs)) < 1e-6
