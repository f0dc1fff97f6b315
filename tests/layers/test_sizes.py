"""How large an output is: declared, or found by one step."""

import autograd.numpy as anp
import numpy as np
import pytest

from minirnn import GRU, LSTM, Cell, LSTMCell, Recurrent, Stacked, cells
from minirnn.layers import RecurrentLayer
from minirnn.layers.sizes import concatenated


class Pair(Cell):
    """Outputs twice its state, and counts its steps; `declared` says so beforehand."""

    def __init__(self, declared=False, nested=False):
        self.input_size, self.hidden_size, self.nested, self.steps = 2, 3, nested, [0]
        if declared:
            self.output_size = 6

    def step(self, h, x):
        self.steps[0] += 1
        h = h + 1.0 / anp.sum(x, axis=-1, keepdims=True)  # a division by zero where it is tried out
        return h, (h, h) if self.nested else anp.concatenate([h, h], axis=-1)


@pytest.mark.parametrize("name", cells.names())
def test_every_cell_of_the_zoo_tells_its_output_size(name):
    layer = Recurrent(cells.small(name))
    features = layer.input_size if isinstance(layer.input_size, tuple) else (layer.input_size,)
    shape = layer(np.zeros((1, 1, *features)))[0].shape[2:]
    assert layer.output_size == (shape[0] if len(shape) == 1 else shape)


@pytest.mark.parametrize(
    ("layer", "size"),
    [(LSTMCell(2, 5, proj_size=3), 3), (LSTM(2, 5, 2, bidirectional=True, proj_size=3), 6), (GRU(2, 5), 5)],
)
def test_classic_layers_declare_theirs(layer, size):
    assert layer.output_size == size


@pytest.mark.parametrize(("declared", "steps"), [(False, 1), (True, 0)])
def test_a_cell_is_run_once_where_it_declares_no_size(declared, steps):
    cell = Pair(declared)
    assert [Recurrent(cell).output_size, Stacked([cell]).output_size, cell.output_size] == [6, 6, 6]
    assert cell.steps == [steps]


def test_a_layer_of_ones_own_is_run_too():
    class Twice(RecurrentLayer):
        def __init__(self, layer):
            self.layer, self.input_size, self.batch_first, self.engine = layer, layer.input_size, False, "auto"

        def initial_state(self, batch_size, dtype=None):
            return self.layer.initial_state(batch_size, dtype)

        def run(self, xs, state, lengths, rng, engine, resets=None):
            outputs, final = self.layer.run(xs, state, lengths, rng, engine, resets)
            return anp.concatenate([outputs, outputs], axis=-1), final

    assert Stacked([Twice(GRU(2, 3)), GRU(6, 3)])(np.ones((1, 1, 2), np.float32))[0].shape == (1, 1, 3)


def test_outputs_of_several_arrays_have_no_size():
    with pytest.raises(TypeError, match="Pair: its output is a tuple, one array was expected"):
        _ = Pair(nested=True).output_size


def test_joined_sizes_add_up_on_their_first_axis():
    assert concatenated("X", [2, 3]) == 5
    assert concatenated("X", [(2, 7), (3, 7)]) == (5, 7)
    with pytest.raises(ValueError, match=r"X: sizes \(2, 7\), \(3, 8\) came, and only their first axis may differ"):
        concatenated("X", [(2, 7), (3, 8)])
