from typing import NamedTuple

import autograd.numpy as anp
import numpy as np
import pytest

import minirnn
from minirnn import Module, Parameter
from minirnn.optim import SGD
from minirnn.train import DivergedError, fit


class Point(Module):
    def __init__(self, value):
        self.x = Parameter([float(value)])


class Batch(NamedTuple):
    target: float
    starts: bool = False


def squares(model, batch, state, rng):
    """The squared distance to the batch's target; the state counts the batches since the last start."""
    return anp.sum((model.x - batch.target) ** 2), 1 if state is None else state + 1


def test_every_batch_is_one_update():
    model, seen = Point(0), []
    last = fit(model, squares, [Batch(1.0)] * 3, SGD(model, lr=0.25), on_step=seen.append)
    assert np.allclose(model.x, 1 - 0.5**3)
    assert [p.step for p in seen] == [1, 2, 3]
    assert [p.loss for p in seen] == [1, 0.25, 0.0625]
    assert seen[0].grad_norm == 2
    assert last == seen[-1]


def test_the_state_is_carried_as_plain_arrays_and_cut_where_a_batch_starts():
    model, states = Point(0), []

    def loss(model, batch, state, rng):
        states.append(state)
        return anp.sum(model.x**2), model.x * 2

    fit(model, loss, [Batch(0, True), Batch(0), Batch(0, True)], SGD(model, lr=0.1))
    assert states[0] is states[2] is None
    assert type(states[1]) is np.ndarray


def test_steps_end_it_and_a_schedule_sees_their_number():
    model, seen = Point(0), []
    fit(
        model,
        squares,
        [Batch(1.0)] * 9,
        SGD(model, lr=9.0),
        steps=4,
        schedule=lambda steps: lambda step: 0.1 * (steps - step),
        on_step=seen.append,
    )
    assert np.allclose([p.lr for p in seen], [0.4, 0.3, 0.2, 0.1])
    assert all(p.steps == 4 for p in seen)


def test_minutes_fix_the_number_of_steps_once():
    model, seen = Point(0), []
    fit(model, squares, iter(lambda: Batch(1.0), None), SGD(model, lr=0.1), minutes=0.004, on_step=seen.append)
    numbers = {p.steps for p in seen}
    assert len(numbers - {None}) == 1
    assert seen[-1].step == seen[-1].steps


def test_clip_norm_bounds_the_update():
    model, seen = Point(0), []
    fit(model, squares, [Batch(100.0)], SGD(model, lr=1.0), clip_norm=0.5, on_step=seen.append)
    assert np.allclose(model.x, 0.5)
    assert seen[0].grad_norm == 200


def test_a_loss_that_is_not_finite_stops_before_the_update():
    model = Point(3)
    with pytest.raises(DivergedError, match="nan at step 2"):
        fit(model, squares, [Batch(3.0), Batch(np.nan)], SGD(model, lr=0.1))
    assert model.x == [3]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"steps": 2, "minutes": 1.0}, "give one of them"),
        ({"steps": 0}, "steps=0"),
        ({"minutes": float("nan")}, "minutes=nan"),
        ({"schedule": lambda steps: lambda step: 0.1}, "a schedule needs"),
        ({}, "no batches"),
    ],
)
def test_bad_options_are_errors(options, says):
    model = Point(0)
    with pytest.raises(ValueError, match=says):
        fit(model, squares, [], SGD(model, lr=0.1), **options)


def test_noise_comes_from_the_rng(rng):
    model = minirnn.Sequential(minirnn.Linear(2, 2, rng=rng), minirnn.Dropout(0.5))
    losses = [[], []]
    for seed in (0, 1):
        fit(
            model,
            lambda model, batch, state, rng: (anp.sum(model(np.ones((4, 2), np.float32), rng=rng) ** 2), None),
            [Batch(0)] * 2,
            SGD(model, lr=0.0),
            rng=np.random.default_rng(seed),
            on_step=lambda p, seed=seed: losses[seed].append(p.loss),
        )
    assert losses[0] != losses[1]
