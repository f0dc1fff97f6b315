"""Models of any cell by its name: in pieces as at once, and trained."""

import math
import subprocess
import sys

import numpy as np
import pytest
from few import few

from minirnn import cells, tree
from minirnn.data import Corpus
from minirnn.data.tasks import make_task
from minirnn.layers import GRU, Recurrent, Stacked
from minirnn.layers.counted import Counted
from minirnn.tier import tier
from minirnn.train import (
    LanguageModel,
    TrainConfig,
    load_run,
    make_config,
    resumed_experiment,
    task_experiment,
    text_experiment,
    train,
)
from minirnn.train.execute import experiment_of
from minirnn.train.language_model import language_model
from minirnn.train.recurrent_layers import cell_name, recurrent_layer
from minirnn.train.sequence_task import task_model

pytestmark = pytest.mark.usefixtures("no_pictures")

CORPUS = Corpus("abcabdabeabf" * 60, "letters", 1, 0)
SMALL = {"hidden": 8, "embedding": 6, "batch": 4, "seq_length": 6}
DIVERSE = ("MGU", "mLSTM", "ClockworkRNN", "PhasedLSTM", "TauGRU", "LRU", "SCRN")
EVERY = tuple(name for name in cells.names() if name != "ConvLSTM")
each = pytest.mark.parametrize("name", few(EVERY))


def same(found, expected, **tolerance):
    for one, other in zip(tree.leaves(found), tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, **tolerance)


# ---------------------------------------------------------------- pieces
@pytest.mark.parametrize("name", few(EVERY))
def test_a_text_in_pieces_is_the_text_at_once(name, rng):
    layers = 1 + EVERY.index(name) % 2
    model = LanguageModel(9, name.upper(), 8, layers, 6, rng=rng, dtype=np.float64)
    tokens = rng.integers(0, 9, (11, 3))
    logits, final = model(tokens)
    assert logits.shape == (11, 3, 9)
    pieces, state = [], None
    for chunk in (tokens[:4], tokens[4:5], tokens[5:]):
        piece, state = model(chunk, state)
        pieces.append(piece)
    same(np.concatenate(pieces), logits, rtol=1e-10, atol=1e-12)
    same(state, final, rtol=1e-10, atol=1e-12)


# ---------------------------------------------------------------- training
def trained(name, folder=None, **options):
    return train(text_experiment(CORPUS, TrainConfig(**{**SMALL, "cell": name, "steps": 3, **options})), folder)


class Stop(Exception):
    pass


def stop_after_2(progress):
    if progress.step == 2:
        raise Stop


@pytest.mark.parametrize("name", [*DIVERSE[:3], *[pytest.param(name, marks=pytest.mark.slow) for name in DIVERSE[3:]]])
def test_a_run_of_a_published_cell_is_gone_on_with_and_read_again(name, tmp_path):
    """Interrupted in the middle of the text, with its state carried over: the same bits as at once."""
    (tmp_path / "text").write_text(CORPUS.text)
    options = {**SMALL, "text": str(tmp_path / "text"), "cell": name.lower(), "layers": 2, "dropout": 0.1}
    options |= {"steps": 3, "val_every": 3, "save_every": 1}
    whole, folder = train(experiment_of(make_config(options))), tmp_path / "run"
    with pytest.raises(Stop):
        train(experiment_of(make_config(options)), folder, callbacks=[stop_after_2])
    train(resumed_experiment(folder), folder, resume=True)
    again = load_run(folder)
    assert again.config.cell == name
    assert math.isfinite(again.figures["held_out_nats"])
    same(again.model.state_dict(), whole.model.state_dict(), rtol=0)


@pytest.mark.slow
@each
def test_every_published_cell_is_trained_on_a_text_and_on_a_task(name, tmp_path):
    config = TrainConfig(task="adding", task_options="length=8", cell=name, steps=3, hidden=8, batch=4, layers=2)
    with tier("numpy"):  # sixty compilations would take ten minutes, and others test what they make
        assert math.isfinite(trained(name, tmp_path / "text", layers=2).figures["held_out_nats"])
        run = train(task_experiment(config), tmp_path / "task")
    assert math.isfinite(run.figures["held_out_loss"])
    same(load_run(tmp_path / "task").model.state_dict(), run.model.state_dict(), rtol=0)


# ---------------------------------------------------------------- names
def test_a_name_is_known_in_any_case_and_makes_its_layers(rng):
    assert TrainConfig(cell="peepholelstm", steps=1).cell == "PeepholeLSTM"
    assert TrainConfig(cell="LSTM", steps=1).cell == "lstm"
    assert type(recurrent_layer("gru", 3, 4, 2)) is GRU
    assert type(recurrent_layer("mgu", 3, 4)) is Recurrent
    assert type(recurrent_layer("clockworkrnn", 3, 4)) is Counted
    stack = recurrent_layer("mgu", 3, 4, 2, dropout=0.3, rng=rng)
    assert isinstance(stack, Stacked)
    assert stack.dropout == 0.3
    assert [layer.input_size for layer in stack.layers] == [3, 4]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("mgv", "cell='mgv' came, one of lstm, gru, rnn, or a name that `minirnn cells` lists, .* near it are MGU"),
        ("lstn", r"near it are lstm"),
        ("?", "was expected$"),
        ("convlstm", "cell='convlstm' came, whose input is a frame"),
    ],
)
def test_a_name_of_no_cell_of_vectors_is_refused(name, says):
    for refusing in (cell_name, lambda name: TrainConfig(cell=name, steps=1), lambda name: LanguageModel(5, name)):
        with pytest.raises(ValueError, match=says):
            refusing(name)


def test_a_size_that_a_cell_does_not_take_is_refused():
    with pytest.raises(ValueError, match=r"ClockworkRNN: periods=.*hidden_size=6"):
        recurrent_layer("clockworkrnn", 3, 6)


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_gates_begin_by_keeping_for_as_many_steps_as_asked(cell):
    """Also in models of texts and tasks, in each layer; nothing else is drawn differently."""
    given = {"cell": cell, "layers": 2, "hidden": 64, "steps": 1}
    for made in (
        lambda config: task_model(config, make_task("copy"), np.random.default_rng(0)),
        lambda config: language_model(config, 9, np.random.default_rng(0)),
    ):
        usual, model = (made(TrainConfig(**given, chrono=chrono)).parameters() for chrono in (None, 100))
        biases = [value for name, value in model.items() if name.endswith("bias_ih")]
        assert len(biases) == 2
        for bias in biases:
            steps = 1 + np.exp(bias[64:128])  # 1 / (1 - sigmoid(bias))
            assert steps.min() >= 2
            assert 50 < steps.max() <= 100
        same(*({name: one[name] for name in one if "weight" in name and "cell" in name} for one in (usual, model)))


def test_no_other_cell_is_loaded_than_the_one_asked_for():
    code = "import sys; from minirnn.train import *; LanguageModel(5, 'mgu'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    zoo = {f"minirnn.layers.cells.{file}" for file in cells.FILES}
    assert zoo & set(done.stdout.split()) == {"minirnn.layers.cells.mgu"}
