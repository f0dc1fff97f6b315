import itertools
import math
import re
from collections import Counter, defaultdict

import numpy as np
import pytest
from task_cases import loss

from minirnn.data.tasks import EmbeddedReber, Reber
from minirnn.data.tasks.reber import SYMBOLS

# The same language as a regular expression: after T, S* X; after P, T* V; then XT*VP as often as one likes.
WORD = "B(TS*X{tail}|PT*V(P{tail}|V))E".format(tail="(XT*VP)*(S|XT*VV)")
PATTERNS = {Reber: re.compile(WORD), EmbeddedReber: re.compile(f"BT{WORD}TE|BP{WORD}PE")}
BOTH = pytest.mark.parametrize("task", [Reber(), EmbeddedReber()], ids=["reber", "embedded"])


@pytest.fixture(scope="module")
def drawn():
    rng = np.random.default_rng(0)
    return {type(task): [task.grammar.draw(rng) for _ in range(10_000)] for task in (Reber(), EmbeddedReber())}


def nats_a_step(pairs):
    """The entropy of what comes second, given what comes first."""
    counts = defaultdict(Counter)
    for seen, following in pairs:
        counts[seen][following] += 1
    total = sum(counter.total() for counter in counts.values())
    return -sum(n * math.log(n / c.total()) for c in counts.values() for n in c.values()) / total


@BOTH
def test_words_are_those_of_the_regular_expression(task, drawn):
    assert all(PATTERNS[type(task)].fullmatch(word) for word in drawn[type(task)])
    assert len(set(drawn[type(task)])) > 300


@BOTH
def test_a_word_is_judged_as_the_regular_expression_judges_it(task, drawn, rng):
    judged = Counter()
    for word in drawn[type(task)][:500]:
        for place in rng.integers(0, len(word), 3):
            changed = word[:place] + SYMBOLS[rng.integers(7)] + word[place + rng.integers(2) :]
            valid = task.grammar.is_valid(changed)
            assert valid == bool(PATTERNS[type(task)].fullmatch(changed)), changed
            judged[valid] += 1
    assert min(judged.values()) > 30


@BOTH
def test_legal_symbols_are_all_that_come_and_nothing_else(task, drawn):
    came = defaultdict(set)
    for word in drawn[type(task)]:
        for place in range(min(len(word), 6)):
            came[word[:place]].add(word[place])
    for prefix, symbols in came.items():
        assert task.grammar.legal_next(prefix) >= symbols
    assert sum(task.grammar.legal_next(prefix) == symbols for prefix, symbols in came.items()) > 0.9 * len(came)
    assert task.grammar.legal_next(drawn[type(task)][0]) == set()


def test_an_illegal_prefix_is_named():
    with pytest.raises(ValueError, match=r"'BTB' is not legal: 'B' at place 2, S or X was expected"):
        Reber().grammar.legal_next("BTB")


@BOTH
def test_the_optimum_is_a_coin_for_each_choice(task, drawn):
    words = drawn[type(task)]
    choices = sum(len(task.grammar.legal_next(word[:place])) == 2 for word in words for place in range(1, len(word)))
    assert task.optimum == pytest.approx(choices * math.log(2) / sum(len(word) - 1 for word in words), rel=0.01)


def test_the_baseline_is_the_entropy_given_the_last_letter(drawn):
    pairs = [pair for word in drawn[Reber] for pair in itertools.pairwise(word)]
    assert Reber().baseline == pytest.approx(nats_a_step(pairs), rel=0.01)


def test_the_embedded_baseline_is_the_entropy_given_all_but_the_second_letter(drawn):
    task, steps = EmbeddedReber(), sum(len(word) - 1 for word in drawn[EmbeddedReber])
    assert task.baseline == pytest.approx(task.optimum + len(drawn[EmbeddedReber]) * math.log(2) / steps, rel=0.01)


def test_without_the_second_letter_half_of_the_embedded_words_are_legal(rng):
    task = EmbeddedReber()
    batch = task.batch(rng, 300)
    logits = np.full((*batch.inputs.shape[:2], 7), -1e9)
    for b, length in enumerate(batch.lengths):
        word = "".join([SYMBOLS[k] for k in batch.inputs[:length, b].argmax(axis=-1)])
        for t in range(length):
            legal = "TP" if t == length - 2 else task.grammar.legal_next(word[: t + 1])
            logits[t, b, [SYMBOLS.index(symbol) for symbol in legal]] = 0
    assert loss(batch, logits) == pytest.approx(task.baseline, rel=0.05)
    assert task.metric(logits, batch) == pytest.approx(0.5, abs=0.1)
