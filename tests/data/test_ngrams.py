from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn.data import ngram_bits, ngrams


def witten_bell(training, context, token, vocabulary):
    """p(token | context) by the recursion as it is written, with no arrays."""
    if context is None:
        return 1 / vocabulary
    shorter = witten_bell(training, context[1:] if context else None, token, vocabulary)
    n = len(context)
    followers = Counter(training[i + n] for i in range(len(training) - n) if training[i : i + n] == context)
    if not followers:
        return shorter
    return (followers[token] + len(followers) * shorter) / (followers.total() + len(followers))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.lists(st.integers(0, 3), min_size=1, max_size=9))
def test_bits_are_those_of_the_recursion(training, held_out):
    text = training + held_out
    for order in range(4):
        p = [
            witten_bell(training, text[i - order + 1 : i] if order else None, text[i], 4)
            for i in range(len(training), len(text))
        ]
        assert np.isclose(ngram_bits(np.array(training), np.array(held_out), 4, order), -np.mean(np.log2(p)))


def test_the_probabilities_after_a_context_sum_to_one():
    training = np.array([0, 1, 2, 0, 1, 1, 2])
    for order in range(4):
        bits = [ngram_bits(training, np.array([token]), 5, order) for token in range(5)]
        assert np.isclose(np.sum(2.0 ** -np.array(bits)), 1.0)


@pytest.mark.parametrize(("size", "order"), [(2**21, 3), (10, 20)])
def test_keys_that_do_not_fit_are_refused(size, order):
    with pytest.raises(ValueError, match="64-bit"):
        ngram_bits(np.arange(4), np.arange(4), size, order)


@pytest.mark.parametrize("size", [40, 5000])
def test_a_text_in_pieces_is_counted_as_one(size, monkeypatch):
    """Runs that cross pieces, sums over more than one piece, and keys of 32 and 64 bits."""
    rng = np.random.default_rng(size)
    training, held_out = rng.integers(0, size, 900) // 8 * 8, rng.integers(0, size, 90) // 8 * 8
    whole = [ngram_bits(training, held_out, size, order) for order in range(4)]
    monkeypatch.setattr(ngrams, "_PIECE", 7)
    assert np.allclose([ngram_bits(training.astype(np.uint16), held_out, size, order) for order in range(4)], whole)
    seen = ngrams.GramCounts(size, 3)
    for part in np.array_split(training, [1, 2, 500]):
        seen.add(part)
    wanted = seen.following()
    for part in np.array_split(held_out, 5):
        wanted.add(part)
    assert np.allclose(ngrams.witten_bell_bits(seen, wanted), whole)
    assert seen.counts.sum() == 898


def test_the_longest_runs_are_those_whose_keys_fit():
    assert [ngrams.most_order(size) for size in (1, 2, 4, 2**21, 2**31, 2**31 + 1)] == [62, 62, 31, 2, 2, 1]


def test_no_held_out_text_is_refused():
    with pytest.raises(ValueError, match="no held-out"):
        ngram_bits(np.arange(4), np.array([], int), 4, 1)
