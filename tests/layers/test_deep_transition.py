"""DeepTransition: several transitions between two steps."""

import numpy as np
import pytest
from padded_batches import assert_close

from minirnn import GRU, DeepTransition, Function, GRUCell, Linear, LSTMCell, Recurrent, RNNCell, Sequential, cells
from minirnn.derivations import METHODS, Problem, compare

FLOAT64 = {"dtype": np.float64}


def mlp(rng, hidden, dtype=np.float64):
    return Sequential(Linear(hidden, hidden, rng=rng, dtype=dtype), Function(np.tanh))


def test_a_step_is_the_first_cell_and_then_the_others_on_zeros(rng):
    first, second = LSTMCell(2, 3, rng=rng, **FLOAT64), cells.PeepholeLSTM(1, 3, rng=rng, **FLOAT64)
    xs = rng.standard_normal((2, 4, 2))
    outputs, final = Recurrent(DeepTransition(first, [second]))(xs)
    state = first.initial_state(4)
    for x, output in zip(xs, outputs, strict=True):
        state, expected = second.step(first.step(state, x)[0], np.zeros((4, 1)))
        assert_close(output, expected)
    assert_close(final, state)


def test_a_module_maps_the_state_as_in_a_dt_rnn(rng):
    first, hidden = RNNCell(2, 3, rng=rng, **FLOAT64), mlp(rng, 3)
    x, h = rng.standard_normal((4, 2)), rng.standard_normal((4, 3))
    outputs, final = Recurrent(DeepTransition(first, [hidden]))(x[None], h)
    expected = hidden(first.step(h, x)[0])
    assert_close(outputs[0], expected)
    assert_close(final, expected)


FAMILIES = {
    "cells": lambda rng: DeepTransition(GRUCell(2, 3, rng=rng, **FLOAT64), [cells.MGU(1, 3, rng=rng, **FLOAT64)]),
    "modules": lambda rng: DeepTransition(RNNCell(2, 3, rng=rng, **FLOAT64), [mlp(rng, 3), mlp(rng, 3)]),
    "LSTM": lambda rng: DeepTransition(LSTMCell(2, 3, rng=rng, **FLOAT64), [LSTMCell(1, 3, rng=rng, **FLOAT64)]),
}


@pytest.mark.parametrize("method", ["RTRL", "forward mode"])
@pytest.mark.parametrize("family", FAMILIES)
def test_its_gradient_is_what_other_derivations_find(family, method, rng):
    assert METHODS[method](Problem(FAMILIES[family](rng), 0, 3, 2)).verdict == "PASS"


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_derivation_of_its_gradient_agrees(family, rng):
    comparison = compare(FAMILIES[family](rng), seed=1)
    assert comparison.ok, str(comparison)


def test_sizes_are_the_first_cells(rng):
    cell = DeepTransition(LSTMCell(2, 3, rng=rng), [LSTMCell(1, 3, rng=rng)])
    assert (cell.input_size, cell.hidden_size, cell.output_size) == (2, 3, 3)
    assert repr(cell).startswith("DeepTransition(2, 3): ")


@pytest.mark.parametrize(
    ("first", "transitions", "error", "says"),
    [
        (GRU(2, 3), [GRUCell(1, 3)], TypeError, "GRU came first, a Cell was expected"),
        (GRUCell(2, 3), [], ValueError, "no transitions came"),
        (GRUCell(2, 3), [GRUCell(1, 4)], ValueError, r"transitions\.0 \(GRUCell\): state is float32 \(1, 4\)"),
        (GRUCell(2, 3), [GRUCell(1, 3, **FLOAT64)], ValueError, "state is float64"),
        (GRUCell(2, 3), [LSTMCell(1, 3)], ValueError, r"state has leaves \['h', 'c'\]"),
        (GRUCell(2, 3), [GRU(1, 3)], TypeError, r"transitions\.0 \(GRU\): a Cell, or a Module from \(B, H\)"),
        (GRUCell(2, 3), [np.tanh], TypeError, "a Cell, or a Module"),
        (GRUCell(2, 3), [Linear(3, 4)], ValueError, r"transitions\.0 \(Linear\): result is float32 \(1, 4\)"),
        (LSTMCell(2, 3), [Linear(3, 3)], TypeError, "the state is LSTMState of several arrays, which takes a Cell"),
    ],
)
def test_what_does_not_fit_is_an_error_when_it_is_built(first, transitions, error, says):
    with pytest.raises(error, match=says):
        DeepTransition(first, transitions)
