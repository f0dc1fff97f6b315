"""Sequences in the order in which their steps run, against one that is put there step by step."""

import warnings

import numpy as np
import pytest

from minirnn.compile.order import Order

STEPS = 5
LENGTHS = {
    "none": None,
    "whole": [5, 5, 5],
    "ragged": [5, 2, 4],
    "none whole": [3, 1, 4],
    "one step": [1, 1, 1],
    "one empty": [3, 0, 5],
    "the first empty": [0, 4],
    "one of one": [2],
}


def given(lengths, tail=(2,)):
    batch = 3 if lengths is None else len(lengths)
    return np.random.default_rng(0).standard_normal((STEPS, batch, *tail))


def of(lengths, reverse):
    return Order(None if lengths is None else np.array(lengths), STEPS, reverse)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("tail", [(), (2,), (2, 3)])
def test_every_sequence_ends_with_the_last_step_and_begins_with_its_first_repeated(lengths, reverse, tail):
    array, order = given(lengths, tail), of(lengths, reverse)
    found = order.there(array)
    for b in range(array.shape[1]):
        count = STEPS if lengths is None else lengths[b]
        own = array[:count, b][::-1] if reverse else array[:count, b]
        if count:
            assert np.array_equal(found[STEPS - count :, b], own)
            assert np.array_equal(found[: STEPS - count, b], np.repeat(own[:1], STEPS - count, axis=0))
        else:  # one without a step borrows the rows of the longest
            longest = int(np.argmax(lengths))
            assert np.array_equal(found[:, b], np.repeat(found[:1, longest], STEPS, axis=0))
        outside = np.arange(STEPS) < STEPS - count
        assert not outside.any() if order.outside is None else np.array_equal(order.outside[:, b, 0], outside)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_what_was_computed_comes_back_to_its_place_with_zeros_behind_each_end(lengths, reverse):
    array, order = given(lengths), of(lengths, reverse)
    found = order.back(order.there(array))
    inside = np.ones(array.shape[:2]) if lengths is None else np.arange(STEPS)[:, None] < lengths
    assert np.array_equal(found, array * inside[:, :, None])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
def test_only_inside_is_the_same_with_zeros_before_each_beginning(lengths, reverse):
    array, order = given(lengths), of(lengths, reverse)
    outside = np.zeros((STEPS, 1, 1)) if order.outside is None else order.outside
    assert np.array_equal(order.only_inside(array), order.there(array) * (1 - outside))


def test_whole_sequences_are_views():
    for lengths in (None, [5, 5, 5]):
        array = given(lengths)
        for reverse in (False, True):
            assert np.shares_memory(of(lengths, reverse).there(array), array)
            assert np.shares_memory(of(lengths, reverse).back(array), array)


@pytest.mark.parametrize(("lengths", "quiet"), [(None, False), ([5, 5], False), ([5, 3], True)])
def test_warnings_are_kept_back_only_where_something_runs_on_padding(lengths, quiet):
    with warnings.catch_warnings(record=True) as said, of(lengths, False).quiet():
        warnings.simplefilter("always")
        np.zeros(1) / np.zeros(1)
    assert bool(said) != quiet
