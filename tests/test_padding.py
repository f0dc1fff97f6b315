"""What stands past the ends of sequences that are shorter than their batch."""

import numpy as np
import pytest

import minirnn
from minirnn.padding import begin, filled, only_inside, only_where, over_time, where

LENGTHS = np.array([3, 0, 2, 4])
ROWS = np.add.outer(10.0 * np.arange(4), np.arange(4.0))[..., None] + 1  # row t of sequence b is 10 t + b + 1
INSIDE = np.arange(4)[:, None] < LENGTHS


@pytest.mark.parametrize(("reverse", "rows"), [(False, [1, 4, 3, 4]), (True, [21, 34, 13, 34])])
def test_a_sequence_begins_with_its_own_first_step_and_one_without_steps_with_the_longest_ones(reverse, rows):
    state = {"h": np.arange(8.0).reshape(4, 2), "n": np.arange(4)}
    found, (first, double) = begin(state, [ROWS, 2 * ROWS], LENGTHS, reverse)
    assert found["n"].tolist() == [0, 3, 2, 3]
    assert np.array_equal(found["h"], state["h"][[0, 3, 2, 3]])
    assert first[:, 0].tolist() == rows
    assert np.array_equal(double, 2 * first)


def test_past_its_end_a_sequence_is_filled_with_its_first_row_and_no_gradient_goes_there():
    spoilt = np.where(INSIDE[..., None], ROWS, np.nan)
    found = filled(spoilt, LENGTHS)
    assert np.array_equal(found, np.where(INSIDE[..., None], ROWS, np.array([1.0, 4.0, 3.0, 4.0])[:, None]))
    gradient = minirnn.grad(lambda xs: (filled(xs, LENGTHS) ** 2).sum())(spoilt)
    assert np.array_equal(gradient, np.where(INSIDE[..., None], 2 * ROWS, 0.0))


@pytest.mark.parametrize("lengths", [None, np.zeros(4, int)])
def test_where_there_is_no_end_or_no_sequence_nothing_is_filled(lengths):
    assert filled(ROWS, lengths) is ROWS


def test_outside_are_zeros_whatever_stands_there():
    spoilt = np.where(INSIDE[..., None], ROWS, np.inf).astype(np.float32)
    found = only_inside(spoilt, LENGTHS)
    assert found.dtype == np.float32
    assert np.array_equal(found, np.where(INSIDE[..., None], ROWS, 0.0))
    assert only_inside(spoilt, None) is spoilt
    assert np.array_equal(only_where(INSIDE, spoilt), found)


def test_a_mask_stands_beside_the_first_axes():
    assert where(np.array([True, False]), np.ones((2, 3)), np.zeros((2, 3))).tolist() == [[1, 1, 1], [0, 0, 0]]
    assert over_time(np.array([1.0, 2.0]), 3).tolist() == [[1, 2]] * 3
