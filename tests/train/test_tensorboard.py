"""TensorBoard's files, read back: scalars, histograms, samples; and a training that is the same for being looked at."""

import struct
import sys

import numpy as np
import pytest
from points import Batch, Point, squares

import minirnn
from minirnn.optim import SGD
from minirnn.train import (
    EMA,
    TensorBoard,
    TrainConfig,
    experiment_of,
    fit,
    load_run,
    read_config,
    resumed_experiment,
    train,
)
from minirnn.train.language_model import _excerpt
from minirnn.train.tensorboard import gates_and_states

pytestmark = pytest.mark.usefixtures("no_pictures")

written = pytest.importorskip("tensorboardX.proto.event_pb2", reason="pip install 'minirnn[tensorboard]'")
pytest.importorskip("minirnn.analysis", reason="minirnn.analysis was left out")

TEXT = {"hidden": 6, "embedding": 4, "batch": 4, "seq_length": 6, "save_every": 5, "steps": 20, "val_every": 8}


def events(folder):
    """What the event files in a folder hold, in order."""
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        while content:  # length, its checksum, the event, its checksum
            (length,) = struct.unpack("<Q", content[:8])
            yield written.Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]


def read(folder):
    """Tag -> {step: number, histogram or text}."""
    found = {}
    for event in events(folder):
        for one in event.summary.value:
            kind = one.WhichOneof("value")
            value = {"simple_value": one.simple_value, "histo": one.histo, "tensor": one.tensor.string_val}[kind]
            found.setdefault(one.tag, {})[event.step] = value[0].decode() if kind == "tensor" else value
    return found


def point(folder, shown, **options):
    model = Point()
    fit(model, squares, [Batch(1.0)] * 6, SGD(model, lr=0.25), callbacks=[TensorBoard(folder, shown=shown)], **options)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("나는 학생이다. I am a student.\n" * 40, encoding="utf-8")
    return str(path)


class Stop(Exception):
    pass


def stop_at_13(progress):
    if progress.step == 13:
        raise Stop


# ---------------------------------------------------------------- what is in the files
def test_every_step_has_its_scalars_and_nothing_else_unless_asked_for(text, tmp_path):
    train(experiment_of(TrainConfig(text=text, **TEXT)), tmp_path)
    found = read(tmp_path / "tensorboard")
    assert set(found) == {f"train/{n}" for n in ("loss", "grad_norm", "lr")} | {
        "validation/val_loss",
        "validation/val_bits_per_char",
    }
    assert list(found["train/loss"]) == list(range(1, 21))
    assert list(found["validation/val_loss"]) == [8, 16, 20]


def test_gates_and_states_of_every_cell_and_a_sample_are_there_at_each_validation(text, tmp_path):
    config = TrainConfig(text=text, layers=2, tensorboard=True, **TEXT)
    train(experiment_of(config), tmp_path)
    found = read(tmp_path / "tensorboard")
    of_cells = {tag for tag, values in found.items() if hasattr(values[20], "bucket")}
    names = ("write", "keep", "candidate", "show", "h", "c")
    assert of_cells == {f"recurrent.layers.{layer}.cell/{name}" for layer in range(2) for name in names}
    assert all(list(found[tag]) == [0, 8, 16, 20] for tag in of_cells)
    keep = found["recurrent.layers.1.cell/keep"][16]
    fresh = experiment_of(config)
    assert keep.num == sum(keep.bucket) == fresh.excerpt.size * config.hidden
    assert 0 <= keep.min < keep.max <= 1
    assert list(found["shown/text_summary"]) == [0, 8, 16, 20]
    lines = found["shown/text_summary"][0].split("\n")
    assert [line[4:] for line in lines] == fresh.shown(fresh.model).split("\n")
    assert all(line.startswith("    ") for line in lines)  # as it stands, not as Markdown


@pytest.mark.parametrize(("count", "shape"), [(1000, (64, 4)), (101, (25, 4)), (3, (1, 3))])
def test_the_excerpt_is_the_beginning_of_what_is_held_out(count, shape):
    tokens = _excerpt(np.arange(count))
    assert tokens.shape == shape
    assert np.array_equal(tokens.T.ravel(), np.arange(tokens.size))


@pytest.mark.parametrize(
    ("task", "options", "answers"), [("copy", "delay=3,length=2", 7), ("adding", "length=5", 1), ("reber", None, 10)]
)
def test_a_task_has_histograms_and_answers_beside_the_targets(task, options, answers, tmp_path):
    config = TrainConfig(task=task, task_options=options, steps=2, hidden=3, cell="gru", batch=4, tensorboard=True)
    experiment = experiment_of(config)
    train(experiment, tmp_path)
    found = read(tmp_path / "tensorboard")
    steps, sequences, _ = experiment.excerpt.shape
    assert sequences == 4
    assert found["layers.0.layers.0.cell/reset"][2].num == steps * 4 * 3
    said = found["shown/text_summary"][2].split("\n    \n")
    assert len(said) == 4
    for target, model in (one.split("\n") for one in said):
        assert (target.split()[0], model.split()[0]) == ("target", "model")
        assert len(model.split()) == len(target.split()) <= 1 + answers


def test_without_validations_it_looks_at_the_beginning_and_the_end(tmp_path):
    point(tmp_path, lambda model: f"\ud800 x is\n{model.x[0]}")
    assert read(tmp_path)["shown/text_summary"] == {0: "    ? x is\n    0.0", 6: "    ? x is\n    0.984375"}


def test_an_average_is_looked_at_in_place_of_the_weights(tmp_path):
    average = EMA(0.5)
    point(tmp_path, lambda model: str(model.x[0]), average=average)
    assert read(tmp_path)["shown/text_summary"][6].strip() == str(average.weights["x"][0]) != "0.984375"


def test_what_has_no_cell_is_refused_before_the_first_step(tmp_path):
    class Sum(Point):
        def __call__(self, xs):
            return xs.sum() + self.x

    model = Sum()
    with pytest.raises(ValueError, match="ran no step of a recurrent cell"):
        fit(model, squares, [Batch(1.0)], SGD(model, lr=0.1), callbacks=[TensorBoard(tmp_path, excerpt=np.ones(3))])
    assert model.x[0] == 0
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- what is a gate
@minirnn.cell(w=("hidden", "input"), u=("hidden", "hidden"))
def leaky(p, h, x):
    f = 1 / (1 + np.exp(-x @ p.w.T))
    h = f * h + (1 - f) * (h @ p.u.T)
    return h, h


@pytest.mark.parametrize(
    ("layer", "names"),
    [
        (lambda: minirnn.GRU(2, 3), {"cell/write", "cell/keep", "cell/candidate", "cell/reset", "cell/h"}),
        (lambda: minirnn.RNN(2, 3), {"cell/h"}),
        (lambda: minirnn.Recurrent(minirnn.cells.UGRNN(2, 3)), {"cell/write", "cell/keep", "cell/candidate", "cell/h"}),
        (lambda: minirnn.Recurrent(leaky(3, 3)), {"cell/f", "cell/h"}),
        (lambda: leaky(3, 3), {"cell/f", "cell/h"}),
    ],
    ids=["gru", "rnn", "before the sigmoid", "anyone's", "a cell alone"],
)
def test_gates_go_by_one_name_and_unknown_ones_by_their_own(layer, names):
    made = layer()
    xs = np.random.default_rng(0).standard_normal((5, 2, made.input_size), np.float32)
    found = gates_and_states(made, xs)
    found = {name.removeprefix("layers.0."): array for name, array in found.items()}
    assert set(found) == names
    assert all(array.shape == (5, 2, 3) for array in found.values())
    assert all(found[f"cell/{n}"].min() >= 0 and found[f"cell/{n}"].max() <= 1 for n in ("f", "keep") if n in names)


# ---------------------------------------------------------------- the training is the same
@pytest.mark.parametrize("options", [{"dropout": 0.3}, {"cell": "gru", "average": "ema"}], ids=["dropout", "average"])
def test_looking_changes_no_bit_of_a_training_whole_or_resumed(options, text, tmp_path, monkeypatch):
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "tensorboardX", None)
        plain = train(experiment_of(TrainConfig(text=text, **TEXT, **options)), tmp_path / "plain")
    seen = TrainConfig(text=text, tensorboard=True, **TEXT, **options)
    whole = train(experiment_of(seen), tmp_path / "whole")
    with pytest.raises(Stop):
        train(experiment_of(seen), tmp_path / "pieces", callbacks=[stop_at_13])
    assert read_config(tmp_path / "pieces" / "config.toml")["tensorboard"] is True
    pieces = train(resumed_experiment(tmp_path / "pieces"), tmp_path / "pieces", resume=True)
    before = plain.model.state_dict()
    for run in (whole, pieces):
        assert all(np.array_equal(value, before[name]) for name, value in run.model.state_dict().items())
        assert run.figures["held_out_nats"] == plain.figures["held_out_nats"]

    whole_files, resumed = read(tmp_path / "whole" / "tensorboard"), read(tmp_path / "pieces" / "tensorboard")
    assert resumed["shown/text_summary"] == whole_files["shown/text_summary"]
    begun_anew = [event.step for event in events(tmp_path / "pieces" / "tensorboard") if event.HasField("session_log")]
    assert begun_anew == [11]


# ---------------------------------------------------------------- what it needs
def test_without_its_extra_it_says_what_to_install_before_anything_begins(text, tmp_path, monkeypatch):
    with pytest.raises(Stop):
        train(experiment_of(TrainConfig(text=text, tensorboard=True, **TEXT)), tmp_path / "1", callbacks=[stop_at_13])
    experiment = experiment_of(TrainConfig(text=text, tensorboard=True, **TEXT))
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    for begin in (
        lambda: TensorBoard(tmp_path / "2"),
        lambda: experiment_of(experiment.config),
        lambda: train(experiment, tmp_path / "2"),
        lambda: resumed_experiment(tmp_path / "1"),
    ):
        with pytest.raises(ModuleNotFoundError, match=r"pip install 'minirnn\[tensorboard\]'"):
            begin()
    assert not (tmp_path / "2").exists()
    assert load_run(tmp_path / "1").config.tensorboard  # reading a run needs nothing


def test_without_its_extra_a_run_that_does_not_ask_for_it_has_no_files(text, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    train(experiment_of(TrainConfig(text=text, **TEXT)), tmp_path)
    assert not (tmp_path / "tensorboard").exists()
    assert (tmp_path / "metrics.jsonl").exists()


def test_without_a_folder_there_is_no_place_for_it(text):
    with pytest.raises(ValueError, match="tensorboard=True came without a folder"):
        train(experiment_of(TrainConfig(text=text, tensorboard=True, **TEXT)))
