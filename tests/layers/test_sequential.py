"""Sequential: layers one after the other, recurrent ones among them."""

import numpy as np
import pytest

import minirnn
from minirnn import GRU, Dropout, Linear, LSTMCell, Sequential, Stacked, tree

T, B, I, H = 4, 3, 2, 3


def model(rng):
    return Sequential(
        GRU(I, H, rng=rng), np.tanh, Dropout(0.5), Stacked([LSTMCell(H, H, rng=rng)]), Linear(H, 5, rng=rng)
    )


def test_it_makes_the_states_that_it_takes_and_returns(rng):
    layers, xs = model(rng), np.ones((T, B, I), np.float32)
    state = layers.initial_state(B)
    outputs, final = layers(xs, state)
    np.testing.assert_allclose(outputs, layers(xs)[0], rtol=1e-5)
    assert tree.map(np.shape, state) == tree.map(np.shape, final)
    assert Sequential(Linear(I, H)).initial_state(B) == ()


def test_lengths_and_rng_reach_the_layers_that_take_them(rng):
    layers, xs = model(rng), np.ones((T, B, I), np.float32)
    short, noisy = layers(xs, lengths=np.array([4, 1, 2])), layers(xs, rng=np.random.default_rng(0))
    np.testing.assert_allclose(short[1][0][0, 1], layers(xs[:1])[1][0][0, 1], rtol=1e-5)
    assert not np.allclose(noisy[0], layers(xs)[0])


def test_without_a_recurrent_layer_it_returns_the_outputs_alone():
    assert Sequential(Linear(I, H), np.tanh)(np.ones((5, I), np.float32)).shape == (5, H)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: Sequential(), ValueError, "no layers came"),
        (lambda: Sequential(minirnn.Cell()), TypeError, "Cell cannot be called"),
        (lambda: Sequential(GRU(I, H))(np.ones((T, B, I), np.float32), [None]), ValueError, "a tuple of 1 states"),
        (
            lambda: Sequential(Linear(I, H))(np.ones((T, B, I), np.float32), lengths=[1, 2, 3]),
            ValueError,
            "lengths came, and no layer takes them",
        ),
    ],
)
def test_bad_input_is_an_error_that_says_what_was_expected(call, error, says):
    with pytest.raises(error, match=says):
        call()
