import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn.data.tasks import Dyck

CASES = pytest.mark.parametrize(("kinds", "depth"), [(1, 1), (2, 1), (2, 3), (5, 4)])


def cancels(word, kinds):
    """Whether striking out neighbours that match leaves nothing, and how often it took: the word's depth."""
    word, rounds = list(word), 0
    while word:
        kept, place = [], 0
        while place < len(word):
            matches = place + 1 < len(word) and word[place] < kinds and word[place + 1] == word[place] + kinds
            kept += [] if matches else [word[place]]
            place += 1 + matches
        if len(kept) == len(word):
            return False
        word, rounds = kept, rounds + 1
    return rounds > 0


@CASES
@given(st.integers(0, 2**32))
def test_words_are_well_nested_and_no_deeper(kinds, depth, seed):
    word = Dyck(kinds, depth).draw(np.random.default_rng(seed))
    assert word[-1] == 2 * kinds
    assert cancels(word[:-1], kinds)
    assert np.cumsum(np.where(word[:-1] < kinds, 1, -1)).max() <= depth


@given(st.lists(st.integers(0, 3), max_size=6), st.integers(1, 3))
def test_a_word_is_judged_as_striking_out_judges_it(word, depth):
    task = Dyck(2, depth)
    nested = cancels(word, 2) and np.cumsum(np.where(np.array(word) < 2, 1, -1)).max() <= depth
    assert task.is_valid([*word, 4]) == nested
    assert not task.is_valid(word)


@CASES
def test_baseline_and_optimum_are_the_entropies_of_drawn_words(kinds, depth, rng):
    task = Dyck(kinds, depth)
    by_depth, by_stack = defaultdict(Counter), defaultdict(Counter)
    for _ in range(6000):
        stack = []
        for symbol, following in zip((word := task.draw(rng).tolist())[:-1], word[1:], strict=True):
            stack = [*stack, symbol] if symbol < kinds else stack[:-1]
            by_depth[len(stack)][following] += 1
            by_stack[len(stack), *stack[-1:]][following] += 1
    for counts, expected in ((by_depth, task.baseline), (by_stack, task.optimum)):
        total = sum(counter.total() for counter in counts.values())
        nats = -sum(n * math.log(n / c.total()) for c in counts.values() for n in c.values()) / total
        assert nats == pytest.approx(expected, rel=0.01)


def test_chance_closes_one_of_k_rightly(rng):
    task = Dyck(kinds=4, depth=3)
    batch = task.batch(rng, 2000)
    outputs = rng.standard_normal((*batch.targets.shape, 9))
    assert task.metric(outputs, batch) == pytest.approx(1 / 4, abs=0.02)


@pytest.mark.parametrize(
    ("prefix", "legal"),
    [([], {0, 1}), ([0], {0, 1, 2}), ([0, 1], {3}), ([0, 2], {0, 1, 4}), ([1, 3, 4], set()), ([1, 0, 2], {0, 1, 3})],
)
def test_what_may_follow_are_openings_up_to_the_depth_the_last_ones_closing_and_the_end(prefix, legal):
    assert Dyck(kinds=2, depth=2).legal_next(prefix) == legal


def test_an_illegal_prefix_is_named():
    with pytest.raises(ValueError, match=r"symbol 3 at place 1 is not legal: one of \[0, 1, 2\]"):
        Dyck().legal_next([0, 3])
