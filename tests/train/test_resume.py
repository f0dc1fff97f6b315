"""N steps in one go and in pieces are the same bits."""

import contextlib
import json
import os
import shutil
import signal
import warnings

import autograd.numpy as anp
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
    EarlyStopping,
    InexactResumeWarning,
    MetricsLog,
    StoppedTrainingWarning,
    TrainingInterrupted,
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
def point_training(folder, batches, optimizer=SGD, loss=squares, **options):
    model = Point()
    seen = []
    checkpoints = Checkpoints(folder, every=1)
    fit(model, loss, batches, optimizer(model, lr=0.1), checkpoints=checkpoints, resume=True,
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


def test_the_number_of_steps_that_minutes_made_is_kept(tmp_path, clock):
    batches = lambda: iter(lambda: Batch(1.0), None)
    point_training(tmp_path, batches(), minutes=0.1, loss=clock.ticking(squares, 0.1))
    (newest, *_) = Checkpoints(tmp_path).paths()
    state = read_checkpoint(newest)
    for path in Checkpoints(tmp_path).paths():
        path.unlink()
    state["budget"]["steps"] = state["step"] + 3
    write_checkpoint(newest, state)
    assert len(point_training(tmp_path, batches(), minutes=0.1)[1]) == 3


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


# ---------------------------------------------------------------- the same as before
def test_a_new_training_does_not_write_into_an_older_ones_folder(tmp_path):
    """Its newer checkpoints would go, its best stay, and a later resume would go on from it."""
    options = {"validate": lambda model: 1.0, "checkpoints": Checkpoints(tmp_path, every=1)}
    model = Point()
    fit(model, squares, [Batch(1.0)] * 5, SGD(model, lr=0.1), **options)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(FileExistsError, match=r"best-000000001.* is of an earlier training|step-000000005"):
        fit(model, squares, [Batch(2.0)] * 2, SGD(model, lr=0.1), **options)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_metrics_are_on_the_disk_before_the_checkpoint_that_counts_on_them(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.append(os.fstat(handle).st_ino))
    model, checkpoints = Point(), Checkpoints(tmp_path / "c", every=2)
    saved = lambda progress: flushed.clear()
    fit(model, squares, [Batch(1.0)] * 2, SGD(model, lr=0.1), callbacks=[MetricsLog(tmp_path), saved],
        checkpoints=checkpoints)  # fmt: skip
    assert {(tmp_path / f"metrics.{kind}").stat().st_ino for kind in ("jsonl", "csv")} == set(flushed[:2])


SAME = {"accumulate": 1, "clip_norm": None, "carry": True, "average": EMA(0.5), "validate": lambda model: 1.0}


@pytest.mark.parametrize(
    ("now", "says"),
    [
        ({"accumulate": 2}, "accumulate was 1, is 2"),
        ({"clip_norm": 1.0}, r"clip_norm was None, is 1\.0"),
        ({"clip_value": 2.0}, r"clip_value was None, is 2\.0"),
        ({"carry": False}, "carry was True, is False"),
        ({"val_every": 2}, "val_every was None, is 2"),
        ({"on_nonfinite": "skip"}, "skip_nonfinite was False, is True"),
        ({"average": EMA(0.9)}, r"average\.decay was 0\.5, is 0\.9"),
        ({"lr": 0.2}, r"optimizer\.lr was 0\.1, is 0\.2"),
        ({"momentum": 0.0, "weight_decay": 0.5}, r"optimizer\.weight_decay was 0\.0, is 0\.5"),
        ({"groups": {"x": {"lr": 0.3}}}, r"groups\[x\]\.lr was None, is 0\.3"),
        ({"callbacks": [EarlyStopping(7)]}, "callbacks.EarlyStopping 1.patience was None, is 7"),
    ],
)
def test_options_that_differ_from_those_before_are_named(tmp_path, now, says):
    def go(steps, **options):
        model = Point()
        rule = {name: options.pop(name) for name in ("lr", "momentum", "weight_decay", "groups") if name in options}
        optimizer = SGD(model, **{"lr": 0.1, **rule})
        options = {**SAME, **options, "steps": steps, "checkpoints": Checkpoints(tmp_path), "resume": True}
        fit(model, squares, [Batch(1.0)] * 9, optimizer, **options)

    go(3)
    go(5)  # more steps are no other training
    with pytest.warns(InexactResumeWarning, match=says):
        go(7, **now)


def stopped(folder, patience, steps=9):
    model, seen = Point(), []
    options = {"validate": lambda model: 1.0, "val_every": 1, "checkpoints": Checkpoints(folder), "resume": True}
    callbacks = [lambda p: seen.append(p.step), *([EarlyStopping(patience)] if patience else [])]
    last = fit(model, squares, [Batch(1.0)] * 9, SGD(model, lr=0.1), steps=steps, callbacks=callbacks, **options)
    return last.step, seen


def test_a_training_that_had_been_stopped_says_so_and_goes_on_with_more_patience(tmp_path):
    assert stopped(tmp_path, 2)[0] == 3
    with pytest.warns(StoppedTrainingWarning, match="stopped after step 3: val_loss has not fallen.*no step is taken"):
        assert stopped(tmp_path, 2) == (3, [])
    with pytest.warns(InexactResumeWarning, match="patience was 2, is 4"):
        assert stopped(tmp_path, 4) == (5, [4, 5])
    with pytest.warns(InexactResumeWarning, match="patience was 4, is None"):
        assert stopped(tmp_path, None)[0] == 9


def test_the_best_weights_survive_a_resume(tmp_path):
    def go(steps, metrics):
        model, values = Point(), iter(metrics)
        options = {"validate": lambda model: next(values), "val_every": 1, "checkpoints": Checkpoints(tmp_path)}
        stopping = EarlyStopping(9, restore_best=True)
        fit(
            model,
            squares,
            [Batch(1.0)] * 9,
            SGD(model, lr=0.25),
            steps=steps,
            callbacks=[stopping],
            resume=True,
            **options,
        )
        return float(model.x[0])

    assert go(3, [3, 1, 2]) == 0.75
    assert go(5, [4, 4]) == 0.75
    assert Checkpoints(tmp_path).latest().state["model"]["x"] == 1 - 0.5**5


def test_a_dict_state_that_comes_in_another_order_is_carried_by_its_names(tmp_path):
    def loss(model, batch, state, rng):
        a, b = (0.0, 10.0) if state is None else (state["a"], state["b"])
        new = {"a": np.asarray(a + 1.0), "b": np.asarray(b + 2.0)}
        if state is not None:
            new = dict(reversed(new.items()))
        seen.append((float(a), float(b)))
        return anp.sum((model.x - batch.target) ** 2), new

    for steps in (3, 5):
        seen, model = [], Point()
        checkpoints = Checkpoints(tmp_path)
        fit(model, loss, [Batch(1.0)] * 9, SGD(model, lr=0.1), steps=steps, checkpoints=checkpoints, resume=True)
    assert [pair for pair in seen if pair != (0.0, 10.0)] == [(3.0, 16.0), (4.0, 18.0)]


@pytest.mark.parametrize("place", [1, 4, 6])
def test_steps_that_were_skipped_are_still_counted_after_a_resume(tmp_path, place):
    batches = [Batch(np.nan if k + 1 in (1, 4, 6) else 1.0) for k in range(8)]
    for steps in (place, 8):
        model = Point()
        checkpoints = Checkpoints(tmp_path)
        last = fit(model, squares, batches, SGD(model, lr=0.1), steps=steps, on_nonfinite="skip",
                   checkpoints=checkpoints, resume=True)  # fmt: skip
    assert last.skipped == 3


def test_where_the_batches_run_out_the_last_step_is_saved(tmp_path):
    model, checkpoints = Point(), Checkpoints(tmp_path, every=2)
    fit(model, squares, iter([Batch(1.0)] * 5), SGD(model, lr=0.1), checkpoints=checkpoints)
    assert checkpoints.latest().step == 5
    assert np.array_equal(checkpoints.latest().state["model"]["x"], model.x)


@pytest.mark.parametrize(("step", "raises"), [(3, True), (5, False)])
def test_ctrl_c_in_the_last_step_ends_a_whole_training(tmp_path, step, raises):
    """There is nothing to go on with: it ends as it would have, saved; in an earlier step it says where to go on."""
    model, checkpoints = Point(), Checkpoints(tmp_path)
    interrupt = lambda progress: progress.step == step and signal.raise_signal(signal.SIGINT)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(TrainingInterrupted, match="after step 3") if raises else contextlib.nullcontext():
            last = fit(model, squares, [Batch(1.0)] * 5, SGD(model, lr=0.1), checkpoints=checkpoints,
                       callbacks=[interrupt])  # fmt: skip
            assert last.step == 5
    finally:
        signal.signal(signal.SIGINT, before)
    assert checkpoints.latest().step == step


def test_an_average_that_was_taken_up_shares_no_memory_with_what_it_came_from():
    model, average = Point(1.0), EMA(0.5)
    average.update(model)
    state, again = average.state_dict(), EMA(0.5)
    again.load_state_dict(state, model)
    model.x = np.array([5.0], np.float32)
    again.update(model)
    assert average.weights["x"] == state["weights"]["x"] == 1
    assert again.weights["x"] > 1


def test_what_is_given_as_extra_is_in_the_checkpoint(tmp_path):
    point_training(tmp_path, [Batch(1.0)], extra={"note": "한글", "table": np.eye(2)})
    extra = Checkpoints(tmp_path).latest().state["extra"]
    assert extra["note"] == "한글"
    assert json.dumps(extra["table"].tolist())
