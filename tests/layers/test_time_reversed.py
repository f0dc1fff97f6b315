"""TimeReversed: from each sequence's own end to its start."""

import numpy as np
from padded_batches import assert_close

from minirnn import GRUCell, Recurrent, Stacked, TimeReversed, tree

T, B, I, H = 4, 3, 2, 3


def test_each_sequence_runs_from_its_own_end_and_the_state_is_that_after_its_first_element(rng):
    stack = Stacked([GRUCell(I, H, rng=rng, dtype=np.float64), GRUCell(H, H, rng=rng, dtype=np.float64)])
    xs, lengths = rng.standard_normal((T, B, I)), np.array([4, 2, 1])
    outputs, final = TimeReversed(stack)(xs, lengths=lengths)
    for b, n in enumerate(lengths):
        alone, state = stack(xs[:n, b][::-1])
        np.testing.assert_allclose(outputs[:n, b], alone[::-1], atol=1e-14)
        assert_close(tree.map(lambda leaf, b=b: leaf[b], final), state)
        assert not outputs[n:, b].any()


def test_it_is_what_a_reversed_cell_is(rng):
    cell = GRUCell(I, H, rng=rng, dtype=np.float64)
    xs = rng.standard_normal((T, B, I))
    for lengths in (None, np.array([4, 2, 0])):
        assert_close(TimeReversed(cell)(xs, lengths=lengths), Recurrent(cell, reverse=True)(xs, lengths=lengths))


def test_twice_reversed_is_the_layer_itself(rng):
    cell = GRUCell(I, H, rng=rng, dtype=np.float64)
    xs = rng.standard_normal((T, B, I))
    assert_close(TimeReversed(TimeReversed(cell))(xs), Recurrent(cell)(xs))
