"""Bidirectional: two directions, merged."""

import numpy as np
import pytest
from padded_batches import assert_close

from minirnn import LSTM, Bidirectional, GRUCell, LSTMCell, Recurrent, Stacked, TimeReversed, cells

T, B, I, H = 4, 3, 2, 3
FLOAT64 = {"dtype": np.float64}
MERGES = {
    "concat": lambda a, b: np.concatenate([a, b], -1),
    "sum": lambda a, b: a + b,
    "mean": lambda a, b: (a + b) / 2,
    "mul": lambda a, b: a * b,
}


@pytest.fixture
def xs(rng):
    return rng.standard_normal((T, B, I))


@pytest.mark.parametrize("merge", MERGES)
def test_the_merge_of_a_run_ahead_and_a_run_from_the_end(xs, rng, merge):
    ahead, back = cells.MGU(I, H, rng=rng, **FLOAT64), GRUCell(I, H, rng=rng, **FLOAT64)
    outputs, state = Bidirectional(ahead, back, merge=merge)(xs)
    expected, final = Recurrent(ahead)(xs)
    backwards, final_back = Recurrent(back)(xs[::-1])
    assert_close(outputs, MERGES[merge](expected, backwards[::-1]))
    assert_close(state, (final, final_back))


def test_a_function_makes_both_directions_with_parameters_of_their_own(rng):
    layer = Bidirectional(lambda: cells.MGU(I, H, rng=rng))
    assert layer.num_parameters() == 2 * cells.MGU(I, H).num_parameters()
    assert not any(
        np.array_equal(value, layer.backward.state_dict()[name]) for name, value in layer.forward.state_dict().items()
    )


def test_a_layer_is_turned_round_as_a_whole(xs, rng):
    make = lambda: Stacked([GRUCell(I, H, rng=rng, **FLOAT64), LSTM(H, H, rng=rng, **FLOAT64)])
    layer = Bidirectional(make, merge="sum")
    assert isinstance(layer.backward, TimeReversed)
    backwards = layer.backward.layer(xs[::-1])[0][::-1]
    assert_close(layer(xs)[0], layer.forward(xs)[0] + backwards)


def test_what_runs_from_the_end_already_is_taken_as_it_is(rng):
    for backward in (Recurrent(GRUCell(I, H, rng=rng), reverse=True), TimeReversed(GRUCell(I, H, rng=rng))):
        assert Bidirectional(GRUCell(I, H, rng=rng), backward).backward is backward


def test_channels_of_images_are_joined(rng):
    layer = Bidirectional(lambda: cells.ConvLSTM((2, 3, 4), 5, rng=rng, **FLOAT64))
    assert layer.output_size == (10, 3, 4)
    assert layer(np.ones((T, B, 2, 3, 4)))[0].shape == (T, B, 10, 3, 4)


cell = GRUCell(I, H)


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: Bidirectional(cell), TypeError, "GRUCell came alone; the backward direction has parameters of its"),
        (lambda: Bidirectional(lambda: cell), ValueError, "made the same Module twice"),
        (lambda: Bidirectional(lambda: Recurrent(cell)), ValueError, "made the same Module twice"),
        (lambda: Bidirectional(lambda: 3), TypeError, "int came, a Cell or a recurrent layer"),
        (lambda: Bidirectional(3), TypeError, "int came alone"),
        (lambda: Bidirectional(cell, GRUCell(I, H), merge="max"), ValueError, "merge='max' came, one of concat, sum"),
        (
            lambda: Bidirectional(cell, LSTMCell(I, 5, proj_size=2), merge="mean"),
            ValueError,
            "output sizes 3 and 2 came, merge='mean' expects one",
        ),
        (lambda: Bidirectional(cell, GRUCell(5, H)), ValueError, "input sizes 2 and 5 came"),
    ],
)
def test_what_does_not_fit_is_an_error_when_it_is_built(make, error, says):
    with pytest.raises(error, match=says):
        make()


@pytest.mark.parametrize("lengths", [None, [4, 1, 3]])
def test_a_recurrent_that_runs_ahead_is_turned_round(rng, lengths):
    """As a Cell and as any layer are: the first of its outputs knows the whole sequence."""
    xs, ahead = rng.standard_normal((4, 3, I)), GRUCell(I, H, rng=rng, dtype=np.float64)
    back = Recurrent(GRUCell(I, H, rng=rng, dtype=np.float64))
    both = Bidirectional(ahead, back)
    outputs, final = both(xs, lengths=lengths)
    expected, last = Recurrent(back.cell, reverse=True)(xs, lengths=lengths)
    np.testing.assert_allclose(outputs[..., H:], expected, rtol=1e-12)
    np.testing.assert_allclose(final[1], last, rtol=1e-12)
