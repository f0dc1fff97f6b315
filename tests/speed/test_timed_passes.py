"""One pass as each library makes it: the same numbers where the cells are the same."""

import numpy as np
import pytest
import speed_cells
from few import few

import minirnn
from minirnn.speed import SIZES
from minirnn.speed.cells import built
from minirnn.speed.comparison import Row, _work
from minirnn.speed.passes import Pass, jax_values, our_pass, our_values, torch_values
from minirnn.speed.timing import Timing, within
from minirnn.speed.twins import BUILT_IN, TWINS

SMALL = Pass((2, 5, 3, 4), dtype="float64")


def close(ours, theirs):
    np.testing.assert_allclose(theirs.outputs, ours.outputs, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(theirs.d_xs, ours.d_xs, rtol=1e-9, atol=1e-12)
    assert set(theirs.d_weights) == set(ours.d_weights)
    for name, gradient in ours.d_weights.items():
        np.testing.assert_allclose(theirs.d_weights[name], gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", few(BUILT_IN, ["lstm"]))
def test_torchs_layers_and_jaxs_steps_are_the_built_in_cells(name):
    pytest.importorskip("torch", reason="torch is not installed: pip install 'minirnn[peers]'")
    pytest.importorskip("jax", reason="jax is not installed: pip install 'minirnn[peers]'")
    cell = BUILT_IN[name]
    ours, arrays = our_values(cell, SMALL)
    close(ours, within("twins", torch_values, TWINS[cell]["torch"], cell, SMALL, arrays))
    close(ours, within("twins", jax_values, TWINS[cell]["jax"], cell, SMALL, arrays))


def test_a_twin_may_return_its_states_as_a_plain_tuple():
    pytest.importorskip("jax", reason="jax is not installed: pip install 'minirnn[peers]'")
    ours, arrays = our_values(speed_cells.summing, SMALL)
    close(ours, within("twins", jax_values, speed_cells.summing_jax, speed_cells.summing, SMALL, arrays))


def test_weights_of_other_names_are_not_shared():
    pytest.importorskip("torch", reason="torch is not installed: pip install 'minirnn[peers]'")
    _, arrays = our_values(minirnn.GRUCell, SMALL)
    assert within("twins", torch_values, speed_cells.gru_without_names, minirnn.GRUCell, SMALL, arrays) is None


def test_a_training_pass_gives_gradients_and_a_forward_pass_outputs():
    value, (d_weights, d_xs) = our_pass(minirnn.GRUCell, SMALL)()
    outputs, _ = our_pass(minirnn.GRUCell, SMALL._replace(mode="forward"))()
    assert value == pytest.approx(outputs.sum())
    assert d_xs.shape == (5, 2, 3)
    assert set(d_weights) == {f"cell.{name}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}


def test_the_products_of_a_cell_are_counted():
    batch, steps, inputs, hidden = SMALL.size
    forward = 2 * batch * steps * 3 * hidden * (inputs + hidden)
    assert _work(minirnn.GRUCell, SMALL._replace(mode="forward")) == forward
    assert _work(minirnn.GRUCell, SMALL) == 3 * forward


def test_a_cell_is_built_at_a_size_or_keeps_its_own():
    assert built(minirnn.cells.SRU, 3, 4).hidden_size == 4
    cell = built(minirnn.LSTMCell(2, 7), 3, 4, "float64")
    assert (cell.input_size, cell.hidden_size, cell.dtype) == (2, 7, np.float64)
    with pytest.raises(ValueError, match=r"ConvLSTM\(3, 4, rng=...\) fails: .*give a Cell in place of the class"):
        built(minirnn.cells.get("ConvLSTM"), 3, 4)


@pytest.mark.parametrize("name", [name for name in minirnn.cells.names() if name != "ConvLSTM"])
def test_a_cell_of_the_zoo_is_built_at_the_smallest_size_that_is_measured(name):
    inputs, hidden = SIZES[0][2:]
    assert built(minirnn.cells.get(name), inputs, hidden).hidden_size == hidden


def test_a_ratio_is_minirnns_time_over_the_others():
    seconds = {"minirnn": Timing(1.0, 1.0, 1.0), "torch": Timing(4.0, 3.0, 5.0)}
    assert Row((1, 2, 3, 4), "train", seconds, 0.1).ratio("torch") == 0.25
