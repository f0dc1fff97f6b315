"""Highway: a gate between the layer's output and its input."""

import numpy as np
import pytest
from padded_batches import assert_close

from minirnn import GRU, Highway, cells
from minirnn.functional import sigmoid


def test_the_gate_weighs_the_layers_output_and_its_input(rng):
    layer = Highway(GRU(3, 3, rng=rng, dtype=np.float64), rng=rng)
    xs = rng.standard_normal((4, 2, 3))
    t = sigmoid(xs @ layer.transform.weight.T + layer.transform.bias)
    outputs, state = layer(xs)
    expected, final = layer.layer(xs)
    np.testing.assert_allclose(outputs, t * expected + (1 - t) * xs, rtol=1e-14)
    assert_close(state, final)


def test_it_starts_by_carrying_its_input(rng):
    xs = rng.standard_normal((4, 2, 3)).astype(np.float32)
    assert (Highway(GRU(3, 3)).transform.bias == -1).all()
    np.testing.assert_allclose(Highway(GRU(3, 3), transform_bias=-50.0)(xs)[0], xs, rtol=1e-6)


def test_the_rng_draws_the_gate():
    first, again, other = (Highway(GRU(3, 3), rng=np.random.default_rng(seed)).transform.weight for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("layer", [GRU(3, 4), GRU(4, 4, bidirectional=True), cells.ConvLSTM((2, 3, 4), 2)])
def test_a_layer_that_gives_another_size_than_it_takes_is_an_error(layer):
    with pytest.raises(ValueError, match=r"Highway: \w+ takes .* features and gives .*; as many as it takes"):
        Highway(layer)
