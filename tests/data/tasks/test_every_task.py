import json
import sys

import numpy as np
import pytest
from task_cases import ALL, made

from minirnn.data.tasks import TASKS, digits, make_task


@ALL
def test_batches_have_the_sizes_and_the_loss_that_are_said(name, rng):
    task = made(name)
    for batch in (task.batch(rng, 5), task.held_out(rng, 5)):
        steps = len(batch.inputs)
        assert batch.inputs.shape == (steps, 5, task.input_size)
        assert batch.inputs.dtype == np.float32
        assert batch.lengths.max() == steps
        assert not batch.inputs[np.arange(steps)[:, None] >= batch.lengths].any()
        assert batch.loss == task.loss
        if batch.loss == "cross_entropy":
            assert batch.targets.dtype == np.int64
            assert batch.targets.max() < task.output_size
        else:
            assert batch.targets.shape[-1] == task.output_size


@ALL
def test_the_same_rng_gives_the_same_batch(name):
    task = made(name)
    one, again, other = (task.batch(np.random.default_rng(seed), 8) for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not np.array_equal(one.inputs, other.inputs)


@ALL
def test_the_metric_is_one_for_the_targets_and_less_for_their_opposite(name, rng):
    task = made(name)
    batch = task.batch(rng, 6)
    steps = (len(batch.inputs), 6)
    if batch.loss == "mse":
        right = np.broadcast_to(batch.targets, (*steps, 1))
    else:
        right = np.eye(task.output_size)[np.broadcast_to(batch.targets, steps)]
    assert task.metric(right, batch) == 1
    assert task.metric(-right, batch) < 0.5


@ALL
def test_batches_differ_and_end_when_they_are_counted(name, rng):
    batches = made(name).batches(rng, 2, count=3)
    assert len({batch.inputs.tobytes() for batch in batches}) == 3
    json.dumps(batches.state_dict())


@ALL
def test_a_baseline_is_worse_than_the_optimum(name):
    task = made(name)
    assert 0 <= task.optimum < task.baseline


@ALL
def test_one_sequence_is_drawn_and_none_is_refused(name, rng):
    task = made(name)
    for draw in (task.batch, task.held_out, lambda rng, size: next(iter(task.batches(rng, size)))):
        assert draw(rng, 1).inputs.shape[1] == 1
        with pytest.raises(ValueError, match="size=0"):
            draw(rng, 0)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("adding", {"length": 2}),
        ("copy", {"symbols": 2, "delay": 1, "length": 1}),
        ("temporal-order", {"length": 10}),
        ("dyck", {"kinds": 1, "depth": 1}),
    ],
)
def test_the_least_that_an_option_may_be_is_taken(name, options, rng):
    batch = make_task(name, **options).batch(rng, 3)
    assert batch.inputs.shape[1] == 3
    for option, value in options.items():
        with pytest.raises(ValueError, match=f"{option}={value - 1} came"):
            make_task(name, **{**options, option: value - 1})


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("addition", {}, "task 'addition' came, one of adding, copy,"),
        ("adding", {"delay": 3}, "option delay came, length was expected"),
        ("reber", {"delay": 3}, "option delay came, none was expected"),
        ("adding", {"length": 1}, "length=1 came, an integer from 2"),
        ("adding", {"length": 2.5}, "length=2.5 came"),
        ("copy", {"symbols": 1}, "symbols=1 came"),
        ("copy", {"delay": True}, "delay=True came"),
        ("temporal-order", {"length": 9}, "length=9 came"),
        ("temporal-order", {"marks": 4}, "marks=4 came, 2 or 3"),
        ("dyck", {"depth": 0}, "depth=0 came"),
        ("digits", {"rows": 3}, "rows=3 came, True or False"),
    ],
)
def test_unknown_names_and_options_are_refused(name, options, says):
    with pytest.raises(ValueError, match=says):
        make_task(name, **options)


def test_digits_without_scikit_learn_say_what_to_install(monkeypatch):
    digits._sequences.cache_clear()
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"pip install 'minirnn\[digits\]'"):
        TASKS["digits"]()
