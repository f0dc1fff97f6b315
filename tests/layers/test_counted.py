import numpy as np
import pytest

from minirnn import Recurrent, cells, tree
from minirnn.layers.counted import Counted

NAMES = ("ClockworkRNN", "PhasedLSTM")
each = pytest.mark.parametrize("name", NAMES)


def made(name, **options):
    return Counted(cells.small(name, rng=np.random.default_rng(0)), **options)


def same(found, expected):
    for one, other in zip(tree.leaves(found), tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)


@each
def test_pieces_are_the_whole_which_a_layer_that_does_not_count_gets_wrong(name, rng):
    layer, xs = made(name), rng.standard_normal((7, 3, 2))
    outputs, final = layer(xs)
    first, state = layer(xs[:3])
    second, last = layer(xs[3:], state)
    same((np.concatenate([first, second]), last), (outputs, final))
    forgetful = Recurrent(layer.cell)
    same(forgetful(xs)[0], outputs)
    assert not np.allclose(forgetful(xs[3:], forgetful(xs[:3])[1])[0], second)


@each
def test_steps_are_counted_to_each_sequences_end_and_from_there_on(name, rng):
    layer, xs = made(name), rng.standard_normal((7, 3, 2))
    _, state = layer(xs, lengths=[7, 2, 0])
    assert state.steps.tolist() == [7, 2, 0]
    outputs, final = layer(xs, state)
    assert final.steps.tolist() == [14, 9, 7]
    same(outputs[:, 1], layer(np.concatenate([xs[:2], xs])[:, 1])[0][2:])


@each
def test_a_reset_sets_the_clock_back_too(name, rng):
    layer, xs = made(name), rng.standard_normal((7, 2, 2))
    _, carried = layer(xs)
    flags = np.zeros((7, 2), bool)
    flags[4, 1] = True
    outputs, final = layer(xs, carried, resets=flags, reset_state=layer.initial_state(2))
    assert final.steps.tolist() == [14, 3]
    same(outputs[4:, 1:], layer(xs[4:, 1:])[0])
    same(outputs[:, 0], layer(xs, carried)[0][:, 0])
    assert layer(xs, carried, resets=flags)[1].steps.tolist() == [14, 10]


def test_layouts_are_those_of_every_layer(rng):
    layer, xs = made("ClockworkRNN"), rng.standard_normal((5, 1, 2))
    assert (layer.input_size, layer.output_size) == (2, 3)
    outputs, final = layer(xs)
    alone, state = layer(xs[:, 0])
    same(alone, outputs[:, 0])
    same(layer(xs[:, 0], state)[0], layer(xs, final)[0][:, 0])
    same(made("ClockworkRNN", batch_first=True)(xs.swapaxes(0, 1))[0], outputs.swapaxes(0, 1))


def test_a_cell_that_counts_nothing_is_refused():
    with pytest.raises(TypeError, match="MGU came, a cell whose inputs take start="):
        Counted(cells.MGU(2, 3))


@each
@pytest.mark.parametrize("given", [{}, {"lengths": [0, 0]}, {"resets": np.zeros((0, 2), bool)}], ids=str)
def test_no_steps_leave_the_state_and_its_count(name, given, rng):
    layer = made(name)
    _, state = layer(rng.standard_normal((3, 2, 2)))
    outputs, final = layer(np.zeros((0, 2, 2)), state, **given)
    assert outputs.shape[:2] == (0, 2)
    same(final, state)
