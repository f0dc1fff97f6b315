"""A padded batch gives each sequence exactly what it gets alone: every stack, and every cell, in both directions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from padded_batches import assert_alone_is_the_same
from stack_makers import STACKS

from minirnn import LearnedInitialState, Recurrent, TimeReversed, cells

LENGTHS = st.lists(st.integers(0, 6), min_size=1, max_size=4).filter(any)


def rng():
    return np.random.default_rng(3)


def check(layer, lengths, seed=0, padding=0):
    learned = any(isinstance(module, LearnedInitialState) for module in layer.modules())
    lengths = [max(n, 1) for n in lengths] if learned else lengths  # alone, no step would reach no parameter
    assert_alone_is_the_same(layer, lengths, seed, padding, own_state=learned)


@pytest.mark.parametrize("make", STACKS.values(), ids=STACKS)
def test_every_stack(make):
    check(make(rng()), [4, 1, 3], padding=1)


@given(st.sampled_from(sorted(STACKS)), LENGTHS, st.integers(0, 99), st.integers(0, 2), st.booleans())
def test_any_stack_with_any_lengths(name, lengths, seed, padding, turned):
    layer = STACKS[name](rng())
    check(TimeReversed(layer) if turned else layer, lengths, seed, padding)


@given(st.sampled_from(cells.names()), LENGTHS, st.integers(0, 99), st.integers(0, 2), st.booleans())
def test_any_cell_with_any_lengths(name, lengths, seed, padding, reverse):
    check(Recurrent(cells.small(name, rng=rng()), reverse=reverse), lengths, seed, padding)


@pytest.mark.parametrize("name", ["ConvLSTM", "PhasedLSTM", "ClockworkRNN", "QRNN"])
def test_a_cell_turned_round_by_its_layer(name):
    check(TimeReversed(cells.small(name, rng=rng())), [4, 1, 3])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("make", STACKS.values(), ids=STACKS)
def test_every_stack_with_random_lengths_in_both_directions(make, turned, seed):
    lengths = np.random.default_rng(seed).integers(0, 9, 5)
    lengths[seed] = 9
    layer = make(rng())
    check(TimeReversed(layer) if turned else layer, lengths.tolist(), seed, padding=seed % 3)
