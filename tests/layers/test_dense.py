"""DenselyConnected: every layer sees all below it."""

import numpy as np
import pytest
from padded_batches import assert_close

from minirnn import GRU, LSTM, DenselyConnected, GRUCell, cells


def test_each_layer_sees_the_input_and_all_outputs_below(rng):
    first, second = GRU(2, 3, rng=rng, dtype=np.float64), LSTM(5, 4, bidirectional=True, rng=rng, dtype=np.float64)
    layer, xs = DenselyConnected([first, second]), rng.standard_normal((4, 3, 2))
    below = np.concatenate([xs, first(xs)[0]], -1)
    outputs, state = layer(xs)
    assert_close(outputs, np.concatenate([below, second(below)[0]], -1))
    assert_close(state[0], first(xs)[1])
    assert_close(state[1].c, second(below)[1].c)
    assert layer.output_size == 2 + 3 + 8


def test_channels_of_images_are_joined(rng):
    make = lambda channels: cells.ConvLSTM((channels, 3, 4), 5, rng=rng)
    layer = DenselyConnected([make(2), make(7)])
    assert layer(np.ones((1, 1, 2, 3, 4), np.float32))[0].shape == (1, 1, 12, 3, 4)


@pytest.mark.parametrize(
    ("layers", "says"),
    [
        ([], "no layers came"),
        ([GRUCell(2, 3), GRUCell(3, 3)], r"the input_size of layers\.1 \(Recurrent\) is 3; 5 was expected"),
        ([cells.ConvLSTM((2, 3, 4), 5), GRUCell(5, 2)], r"layers\.1 \(Recurrent\) is 5; \(7, 3, 4\) was expected"),
    ],
)
def test_layers_that_do_not_fit_are_an_error(layers, says):
    with pytest.raises(ValueError, match=says):
        DenselyConnected(layers)
