import numpy as np
import pytest
from analysis_cases import inputs_for, layer_of

import minirnn
from minirnn import analysis


def test_gates_that_are_pushed_one_way_are_saturated_there():
    layer = layer_of("LSTM")
    bias = layer.cells()[0].bias_ih
    bias[4:8] = [20, -20, 0, np.log(3)]  # the keep gates: 1, 0, about a half, about three quarters
    layer.cells()[0].weight_ih[...] = 0
    layer.cells()[0].weight_hh[...] = 0
    layer.cells()[0].bias_hh[...] = 0
    found = analysis.gate_statistics(layer, inputs_for(layer))
    cell = found["layers.0.cell"]
    assert list(cell.gates) == ["write", "keep", "show"]
    assert cell.gates["keep"].right == pytest.approx([1, 0, 0, 0])
    assert cell.gates["keep"].left == pytest.approx([0, 1, 0, 0])
    assert cell.gates["keep"].mean[2:] == pytest.approx([0.5, 0.75])
    assert cell.memory[1] < 0.1
    assert cell.memory[0] > 1e6
    assert cell.memory[2:] == pytest.approx([-1 / np.log(0.5), -1 / np.log(0.75)])


def test_a_unit_that_shows_the_same_at_every_step_is_dead():
    layer = layer_of("GRU")
    cell = layer.cells()[0]
    cell.weight_ih[[4 + 1, 8 + 1]] = cell.weight_hh[[4 + 1, 8 + 1]] = 0
    cell.bias_ih[4 + 1] = 50  # keeps its zero for ever
    assert analysis.gate_statistics(layer, inputs_for(layer, 20))["layers.0.cell"].dead.tolist() == [0, 1, 0, 0]


def test_names_of_a_cell_of_anyones_own_and_paths_of_a_stack():
    found = analysis.gate_statistics(layer_of("carousel"), inputs_for(layer_of("carousel")), ["k"], keep="k")["cell"]
    assert found.memory == pytest.approx(-1 / np.log(found.gates["k"].mean))
    stack = minirnn.LSTM(3, 4, num_layers=2, dtype=np.float64)
    assert list(analysis.gate_statistics(stack, inputs_for(stack))) == ["layers.0.cell", "layers.1.cell"]


@pytest.mark.parametrize(
    ("name", "names", "says"),
    [("RNN", None, "not known by name"), ("LSTM", ["c"], "no gate"), ("GRU", ["f"], "no step names f")],
)
def test_what_is_no_gate_is_said(name, names, says):
    layer = layer_of(name)
    with pytest.raises(ValueError, match=says):
        analysis.gate_statistics(layer, inputs_for(layer), names)
