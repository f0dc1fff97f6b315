"""N steps in one go and in pieces are the same bits."""

import json
import os
import shutil
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from points import Batch, Point, squares, without_times
from survivor import survive

from minirnn.optim import SGD, Adam
from minirnn.train import (
    EMA,
    Callback,
    CheckpointError,
    Checkpoints,
    InexactResumeWarning,
    fit,
    read_checkpoint,
    read_metrics,
    write_checkpoint,
)

STEPS = 40


@pytest.fixture(autouse=True, scope="module")
def quick_disk():
    """Nothing here is about the machine's sudden end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


class Stop(Exception):
    """What ends a piece."""


class StopAt(Callback):
    def __init__(self, step):
        self.step = step

    def on_step(self, training, progress):
        if progress.step == self.step:
            raise Stop


def outcome(folder):
    """All that a training leaves, but for what a clock said."""
    newest = read_checkpoint(Checkpoints(folder / "checkpoints").paths("step")[0])
    metrics = [{k: v for k, v in record.items() if k != "seconds"} for record in read_metrics(folder)]
    table = [line.split(",") for line in (folder / "metrics.csv").read_text().splitlines()]
    seconds = table[0].index("seconds")
    return without_times(newest), metrics, [[cell for i, cell in enumerate(row) if i != seconds] for row in table]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    survive(folder, steps=STEPS)
    return outcome(folder)


@given(st.lists(st.integers(1, STEPS - 1), min_size=1, max_size=3, unique=True).map(sorted), st.integers(1, 9))
def test_pieces_give_the_bits_of_the_whole(tmp_path_factory, whole, cuts, every):
    folder = tmp_path_factory.mktemp("pieces")
    for cut in cuts:
        with pytest.raises(Stop):
            survive(folder, steps=STEPS, every=every, callbacks=[StopAt(cut)])
    survive(folder, steps=STEPS, every=every)
    state, metrics, table = outcome(folder)
    state["callbacks"].pop("StopAt 1", None)
    assert (state, metrics, table) == whole
    shutil.rmtree(folder)


def test_a_finished_training_is_taken_up_without_another_step(tmp_path, whole):
    survive(tmp_path, steps=STEPS)
    assert survive(tmp_path, steps=STEPS).step == STEPS
    assert outcome(tmp_path) == whole


def test_it_is_a_real_comparison(tmp_path, whole):
    """Another seed, or a state that is not carried over, is noticed."""
    survive(tmp_path, steps=STEPS - 1)
    assert outcome(tmp_path)[0] != whole[0]


def test_metrics_cut_in_the_middle_of_a_line_are_completed(tmp_path, whole):
    with pytest.raises(Stop):
        survive(tmp_path, steps=STEPS, callbacks=[StopAt(30)])
    lines = tmp_path / "metrics.jsonl"
    lines.write_text(lines.read_text() + '{"step": 31, "lo')
    survive(tmp_path, steps=STEPS)
    assert outcome(tmp_path) == whole


# ---------------------------------------------------------------- batches
def point_training(folder, batches, optimizer=SGD, **options):
    model = Point()
    seen = []
    checkpoints = Checkpoints(folder, every=1)
    fit(model, squares, batches, optimizer(model, lr=0.1), checkpoints=checkpoints, resume=True,
        callbacks=[lambda p: seen.append(p.step)], **options)  # fmt: skip
    return float(model.x[0]), seen


@pytest.mark.parametrize(
    "batches",
    [lambda: [Batch(float(k)) for k in range(5)], lambda: iter([Batch(float(k)) for k in range(12)])],
    ids=["list", "iterator"],
)
def test_batches_without_a_position_are_run_through_to_their_place(tmp_path, batches):
    whole, _ = point_training(tmp_path / "whole", batches(), steps=12)
    point_training(tmp_path / "pieces", batches(), steps=7)
    found, seen = point_training(tmp_path / "pieces", batches(), steps=12)
    assert found == whole
    assert seen == [8, 9, 10, 11, 12]


def test_fewer_batches_than_were_used_are_an_error(tmp_path):
    point_training(tmp_path, iter([Batch(1.0)] * 5), steps=5)
    with pytest.raises(CheckpointError, match="there are not so many"):
        point_training(tmp_path, iter([Batch(1.0)] * 3), steps=9)


def test_the_number_of_steps_that_minutes_made_is_kept(tmp_path):
    batches = lambda: iter(lambda: Batch(1.0), None)
    point_training(tmp_path, batches(), minutes=0.004)
    (newest, *_) = Checkpoints(tmp_path).paths()
    state = read_checkpoint(newest)
    for path in Checkpoints(tmp_path).paths():
        path.unlink()
    state["budget"]["steps"] = state["step"] + 3
    write_checkpoint(newest, state)
    assert len(point_training(tmp_path, batches(), minutes=0.004)[1]) == 3


# ---------------------------------------------------------------- what does not belong together
@pytest.fixture
def saved(tmp_path):
    point_training(tmp_path, [Batch(1.0)] * 3, steps=3)
    (path, *others) = Checkpoints(tmp_path).paths()
    for other in others:
        other.unlink()
    return path


def change(path, **entries):
    write_checkpoint(path, {**read_checkpoint(path), **entries})


@pytest.mark.parametrize(
    ("entries", "says"),
    [
        ({"step": "three"}, "'step' is 'three', int was expected"),
        ({"step": True}, "'step' is True"),
        ({"model": {"x": np.zeros(2, np.float32)}}, r"x: shape \(2,\) came, \(1,\) was expected"),
        ({"model": {"x": np.zeros(1)}}, "x: dtype float64 came"),
        ({"model": {"y": np.zeros(1, np.float32)}}, "x: missing"),
        ({"optimizer": {"rule": "Adam"}}, "the state of 'Adam' came, that of 'SGD' was expected"),
        ({"rng": {"bit_generator": "PCG64"}}, "holds an rng state"),
        ({"average": {}}, "holds an average"),
        ({"data": {"epoch": 0}}, "'taken' is nothing"),
        ({"budget": {"steps": 3, "minutes": None, "seconds": -1}}, "seconds=-1"),
        ({"carried": {"": "x"}}, "something else than arrays"),
        ({"best": {"metric": "low", "step": 1}}, "'metric' is 'low'"),
    ],
)
def test_a_checkpoint_of_something_else_changes_nothing(saved, entries, says):
    change(saved, **entries)
    model = Point(5.0)
    optimizer = SGD(model, lr=0.1)
    with pytest.raises(CheckpointError, match=says) as error:
        fit(model, squares, [Batch(1.0)] * 3, optimizer, steps=9, checkpoints=Checkpoints(saved.parent), resume=True)
    assert str(saved) in str(error.value)
    assert model.x == 5
    assert optimizer.steps == 0


def test_a_carried_state_of_another_nesting_is_an_error_before_the_next_update(saved):
    change(saved, carried={"h": np.zeros(3)})
    with pytest.raises(ValueError, match="the carried state of the checkpoint"):
        point_training(saved.parent, [Batch(1.0)] * 3, steps=9)


def test_an_average_of_other_weights_is_an_error(tmp_path):
    point_training(tmp_path, [Batch(1.0)], average=EMA(0.5))
    path = Checkpoints(tmp_path).paths()[0]
    change(path, average={"weights": {"x": np.zeros(2)}, "count": 1})
    with pytest.raises(CheckpointError, match="averaged weights are not those"):
        point_training(tmp_path, [Batch(1.0)], average=EMA(0.5))


def test_another_rule_than_the_saved_one_is_an_error(saved):
    with pytest.raises(CheckpointError, match="the state of 'SGD' came"):
        point_training(saved.parent, [Batch(1.0)] * 3, optimizer=Adam, steps=9)


def test_an_environment_that_differs_is_said(saved):
    state = read_checkpoint(saved)
    state["environment"]["versions"]["numpy"] = "1.0"
    change(saved, environment=state["environment"])
    with pytest.warns(InexactResumeWarning, match=r"no longer exactly: versions\.numpy was 1\.0, is"):
        point_training(saved.parent, [Batch(1.0)] * 3, steps=4)


def test_nothing_is_said_where_nothing_differs(saved):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        point_training(saved.parent, [Batch(1.0)] * 3, steps=4)


def test_what_is_given_as_extra_is_in_the_checkpoint(tmp_path):
    point_training(tmp_path, [Batch(1.0)], extra={"note": "한글", "table": np.eye(2)})
    extra = Checkpoints(tmp_path).latest().state["extra"]
    assert extra["note"] == "한글"
    assert json.dumps(extra["table"].tolist())
