"""What a training that is taken up has of the one before: its last progress and all that has a state; what is said."""

import warnings

import numpy as np
import pytest
from points import Batch, Point, squares

from minirnn.optim import SGD, ReduceOnPlateau
from minirnn.train import (
    EMA,
    Callback,
    CheckpointError,
    Checkpoints,
    EarlyStopping,
    InexactResumeWarning,
    StoppedTrainingWarning,
    fit,
    read_checkpoint,
    write_checkpoint,
)

BATCHES = [Batch(1.0)] * 9


def go(folder, steps, lr=0.1, loss=squares, batches=BATCHES, **options):
    model = Point()
    optimizer = SGD(model, lr=lr, momentum=0.5)
    last = fit(model, loss, batches, optimizer, steps=steps, checkpoints=Checkpoints(folder), resume=True, **options)
    return last, model


# ---------------------------------------------------------------- the last progress
@pytest.mark.parametrize("target", [1.0, np.nan, np.inf], ids=["finite", "skipped", "infinite"])
def test_the_last_progress_is_that_of_the_step_before(tmp_path, target):
    batches = [Batch(1.0), Batch(1.0), Batch(np.nan), Batch(1.0), Batch(target)]
    metrics = {"loss": 0.25, "second": 4.0, "none": float("nan")}
    options = {"batches": batches, "on_nonfinite": "skip", "validate": lambda model: metrics, "val_every": 5}
    first, _ = go(tmp_path, 5, **options)
    again, _ = go(tmp_path, 5, **options)
    assert np.isnan(again.validation["none"])
    for name, was in first._asdict().items():
        if name != "validation":
            np.testing.assert_equal(getattr(again, name), was if np.isfinite(was) else np.nan, name)
    np.testing.assert_equal(dict(again.validation), dict(first.validation))
    assert (again.step, again.steps, again.skipped, again.epoch) == (5, 5, 1 + (target != 1.0), 0)


@pytest.mark.parametrize(
    ("entry", "value"),
    [("step", 1.5), ("step", None), ("steps", "9"), ("loss", "low"), ("grad_norm", [1]), ("lr", "x"), ("seconds", "1"),
     ("epoch", None), ("skipped", 0.5), ("validation", None)],
)  # fmt: skip
def test_a_progress_of_something_else_is_refused(tmp_path, entry, value):
    go(tmp_path, 3)
    path = Checkpoints(tmp_path).paths()[0]
    state = read_checkpoint(path)
    state["progress"][entry] = value
    write_checkpoint(path, state)
    with pytest.raises(CheckpointError, match=f"its entry '{entry}' is"):
        go(tmp_path, 5)


# ---------------------------------------------------------------- what has a state of its own
class Counter(Callback):
    def __init__(self, start):
        self.count = start

    def on_step(self, training, progress):
        self.count += 1

    def state_dict(self):
        return {"count": self.count}

    def load_state_dict(self, state):
        self.count = state["count"]


class Adder(Counter):
    pass


def test_each_of_several_callbacks_of_a_class_goes_on_with_its_own_state(tmp_path):
    for steps, expected in ((3, [3, 13, 103]), (5, [5, 15, 105])):
        counters = [Counter(0), Counter(10), Adder(100)]
        go(tmp_path, steps, callbacks=counters)
        assert [counter.count for counter in counters] == expected
    new = Counter(50)
    go(tmp_path, 6, callbacks=[Counter(0), Counter(0), new])  # the third of its class was not there
    assert new.count == 51


def test_a_schedule_that_has_a_state_goes_on_with_it(tmp_path):
    def trained(folder, *pieces):
        for steps in pieces:
            schedule = ReduceOnPlateau(0.1, factor=0.5, patience=1)
            options = {"validate": lambda model: 1.0, "val_every": 1, "schedule": lambda steps, s=schedule: s}
            _, model = go(folder, steps, **options)
        return model.x.tolist(), schedule.state_dict()

    assert trained(tmp_path / "whole", 8) == trained(tmp_path / "pieces", 3, 8)


def test_the_noise_and_the_average_go_on_where_they_were(tmp_path):
    def loss(model, batch, state, rng):
        return squares(model, batch, state, rng)[0] * rng.uniform(), None

    def trained(folder, *pieces):
        for steps in pieces:
            rng, average = np.random.default_rng(7), EMA(0.5)
            _, model = go(folder, steps, loss=loss, rng=rng, average=average, validate=lambda model: 1.0)
        return model.x.tolist(), average.weights["x"].tolist(), average.count, rng.bit_generator.state

    assert trained(tmp_path / "whole", 8) == trained(tmp_path / "pieces", 3, 8)


OWN = {"rng": lambda: np.random.default_rng(0), "average": lambda: EMA(0.5)}


@pytest.mark.parametrize("part", OWN)
@pytest.mark.parametrize("had", [True, False])
def test_what_only_one_of_both_has_is_refused(tmp_path, part, had):
    options = {"validate": lambda model: 1.0}
    go(tmp_path, 3, **options, **({part: OWN[part]()} if had else {}))
    with pytest.raises(CheckpointError, match=f"it holds {'an' if had else 'no'} {part}"):
        go(tmp_path, 5, **options, **({} if had else {part: OWN[part]()}))


def test_noise_of_another_kind_is_refused(tmp_path):
    go(tmp_path, 3, rng=np.random.default_rng(0))
    with pytest.raises(CheckpointError, match="belong to this training: state must be for a MT19937"):
        go(tmp_path, 5, rng=np.random.Generator(np.random.MT19937(0)))


# ---------------------------------------------------------------- what is said, and of which line
def test_the_warnings_name_the_line_that_calls_fit(tmp_path):
    def called(patience):
        model = Point()
        optimizer, stopping = SGD(model, lr=0.1), EarlyStopping(patience)
        fit(model, squares, BATCHES, optimizer, steps=9, checkpoints=Checkpoints(tmp_path), resume=True,
            callbacks=[stopping], validate=lambda model: 1.0, val_every=1)  # fmt: skip

    called(2)
    for patience, kind in ((2, StoppedTrainingWarning), (4, InexactResumeWarning)):
        with pytest.warns(kind) as said:
            called(patience)
        assert [(one.category, one.filename) for one in said] == [(kind, __file__)]


@pytest.mark.parametrize("other", [{}, {"lr": 0.1}, {"schedule": lambda steps: lambda step: 0.2}])
def test_of_a_function_only_that_it_is_one_is_compared(tmp_path, other):
    makers = {"lr": lambda: lambda step: 0.1, "reduction": lambda: lambda batch: 1.0}
    go(tmp_path, 2, **{name: make() for name, make in makers.items()})
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        go(tmp_path, 3, **{**{name: make() for name, make in makers.items()}, **other})
    now = {"lr": "0.1", "schedule": "scheduled"}
    expected = [f"no longer exactly: optimizer.lr was a function, is {now[name]}" for name in other]
    assert [str(one.message).split("resumed, but ")[1] for one in said] == expected


def test_another_reduction_is_named(tmp_path):
    go(tmp_path, 2)
    with pytest.warns(InexactResumeWarning, match="reduction was mean, is sum"):
        go(tmp_path, 3, reduction="sum")


def test_what_was_the_best_before_is_only_replaced_by_a_better_one(tmp_path):
    for steps, metrics, best in ((3, [3, 1, 2], 2), (5, [2, 1], 2), (6, [0.5], 6)):
        values = iter(metrics)
        go(tmp_path, steps, validate=lambda model, values=values: next(values), val_every=1)
        assert [path.name.split(".")[0] for path in Checkpoints(tmp_path).paths("best")] == [f"best-{best:09}"]
