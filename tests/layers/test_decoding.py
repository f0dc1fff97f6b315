"""Greedy and beam search against the enumeration of every hypothesis of a small random model."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn.functional import log_softmax
from minirnn.layers import beam_search, greedy_search

START, END, V = 0, 2, 3


class Tables:
    """Models whose next token depends on the last two, one a sequence. State: which (B,), the token before (1, B)."""

    axes = (0, 1)

    def __init__(self, seed, batch):
        self.logits = 2 * np.random.default_rng(seed).standard_normal((batch, V, V, V)).astype(np.float32)
        self.state = np.arange(batch), np.full((1, batch), START)

    def step(self, tokens, state):
        which, before = state
        return self.logits[which, before[0], tokens], (which, tokens[None])

    def log_p(self, b, tokens):
        """log p of a hypothesis."""
        before, last, total = START, START, 0.0
        for token in tokens:
            total += log_softmax(self.logits[b, before, last].astype(float))[token]
            before, last = last, token
        return total


def hypotheses(max_steps):
    """Everything that is complete: tokens that take END once, at their end, or max_steps others."""
    others = [token for token in range(V) if token != END]
    for n in range(max_steps):
        yield from ((*tokens, END) for tokens in itertools.product(others, repeat=n))
    yield from itertools.product(others, repeat=max_steps)


def best_of_all(model, b, max_steps, alpha):
    return max(hypotheses(max_steps), key=lambda y: model.log_p(b, y) / ((5 + len(y)) / 6) ** alpha)


def hypothesis(decoded, b):
    return tuple(decoded.tokens[: decoded.lengths[b], b])


def without_end(tokens):
    return tuple(token for token in tokens if token != END)


def search(model, batch, max_steps, **options):
    settings = {"batch_size": batch, "start": START, "end": END, "max_steps": max_steps}
    if options:
        return beam_search(model.step, model.state, **settings, **options, batch_axes=Tables.axes)
    return greedy_search(model.step, model.state, **settings)


alphas = st.sampled_from([0.0, 0.6, 2.0])


@given(st.integers(0, 999), st.integers(1, 3), st.integers(1, 4), alphas)
def test_a_wide_beam_finds_the_best_of_all_hypotheses(seed, batch, max_steps, alpha):
    model = Tables(seed, batch)
    found = search(model, batch, max_steps, width=V**max_steps, length_penalty=alpha)
    for b in range(batch):
        best = best_of_all(model, b, max_steps, alpha)
        assert hypothesis(found, b) == without_end(best)
        assert np.isclose(found.log_probs[b], model.log_p(b, best))


def beam_by_hand(model, b, max_steps, width, alpha):
    """The beam search of one sequence, with lists: as long as it has places, and without stopping early."""
    live, complete = [()], []
    for n in range(1, max_steps + 1):
        continued = sorted(((*y, k) for y in live for k in range(V)), key=lambda y: -model.log_p(b, y))[:width]
        live = [y for y in continued if y[-1] != END and n < max_steps]
        complete += [y for y in continued if y not in live]
        width -= len(continued) - len(live)
    return max(complete, key=lambda y: model.log_p(b, y) / ((5 + len(y)) / 6) ** alpha)


@given(st.integers(0, 999), st.integers(1, 3), st.integers(1, 6), st.integers(1, 4), alphas)
def test_a_beam_is_narrower_by_one_with_each_complete_hypothesis(seed, batch, max_steps, width, alpha):
    model = Tables(seed, batch)
    found = search(model, batch, max_steps, width=width, length_penalty=alpha)
    for b in range(batch):
        best = beam_by_hand(model, b, max_steps, width, alpha)
        assert hypothesis(found, b) == without_end(best)
        assert np.isclose(found.log_probs[b], model.log_p(b, best))


@given(st.integers(0, 999), st.integers(1, 3), st.integers(1, 6), alphas)
def test_a_beam_of_one_is_greedy(seed, batch, max_steps, alpha):
    model = Tables(seed, batch)
    greedy, beam = search(model, batch, max_steps), search(model, batch, max_steps, width=1, length_penalty=alpha)
    assert all(np.array_equal(a, b) for a, b in zip(greedy, beam, strict=True))


@given(st.integers(0, 999), st.integers(2, 3), st.integers(1, 5), st.integers(1, 4))
def test_sequences_of_a_batch_are_decoded_as_if_they_were_alone(seed, batch, max_steps, width):
    together = search(Tables(seed, batch), batch, max_steps, width=width)
    for b in range(batch):
        model = Tables(seed, batch)
        model.state = np.array([b]), np.full((1, 1), START)
        alone = search(model, 1, max_steps, width=width)
        assert hypothesis(alone, 0) == hypothesis(together, b)
        assert alone.log_probs[0] == together.log_probs[b]


@given(st.integers(0, 999), st.integers(1, 6))
def test_greedy_takes_the_likeliest_token_until_the_end(seed, max_steps):
    model, tokens = Tables(seed, 1), []
    before = last = START
    while len(tokens) < max_steps and END not in tokens:
        tokens.append(int(model.logits[0, before, last].argmax()))
        before, last = last, tokens[-1]
    found = search(model, 1, max_steps)
    assert hypothesis(found, 0) == without_end(tokens)
    assert np.isclose(found.log_probs[0], model.log_p(0, tokens))


def test_past_a_sequences_end_stands_the_end_symbol():
    for width in (0, 3):
        found = search(Tables(3, 8), 8, 6, **({"width": width} if width else {}))
        assert found.tokens.shape == (found.lengths.max(), 8)
        past = np.arange(len(found.tokens))[:, None] >= found.lengths
        assert past.any()
        assert ((found.tokens == END) == past).all()


def test_a_wider_beam_may_beat_greedy_and_length_normalisation_prefers_the_longer():
    logs = {START: [np.log(0.001), np.log(0.55), np.log(0.449)], 1: [np.log(0.3), np.log(0.35), np.log(0.35)]}
    step = lambda tokens, state: (np.array([logs.get(t, [0.0, 0.0, 9.0]) for t in tokens]), state)
    settings = {"batch_size": 1, "start": START, "end": END, "max_steps": 5}
    greedy = greedy_search(step, np.zeros(1), **settings)
    beam = beam_search(step, np.zeros(1), **settings, width=3)
    assert np.exp(greedy.log_probs[0]) < np.exp(beam.log_probs[0])
    assert hypothesis(beam, 0) == ()
    assert len(hypothesis(beam_search(step, np.zeros(1), **settings, width=3, length_penalty=9.0), 0)) > 0


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_steps": 0, "width": 2}, "max_steps=0 came"),
        ({"max_steps": 0}, "max_steps=0 came"),
        ({"max_steps": 3, "width": 0}, "width=0 came"),
        ({"max_steps": 3, "width": 2, "length_penalty": -1.0}, "length_penalty=-1.0 came"),
    ],
)
def test_bad_options_are_errors_that_say_what_was_expected(options, says):
    with pytest.raises(ValueError, match=says):
        search(Tables(0, 1), 1, **options)


@pytest.mark.parametrize("options", [{}, {"width": 2}])
def test_logits_that_are_nan_are_an_error(options):
    model = Tables(0, 1)
    model.logits[:] = np.nan
    with pytest.raises(ValueError, match="logits are nan"):
        search(model, 1, 3, **options)


# ---------------------------------------------------------------- where nothing can follow
def dead_after(tables):
    """A model of one table of logits (V, V) a sequence, by the last token; state: which (B,)."""
    tables = np.array(tables, float)
    return lambda tokens, which: (tables[which, tokens], which)


ANY, NONE = [0.0, 0.0, -1.0], [-np.inf] * 3
ONLY_1 = [-np.inf, 0.0, -np.inf]
searches = pytest.mark.parametrize("options", [{}, {"width": 1}, {"width": 3}, {"width": 3, "length_penalty": 0.7}])


def decoded(tables, options, max_steps=4):
    search = beam_search if options else greedy_search
    settings = {"batch_size": len(tables), "start": START, "end": END, "max_steps": max_steps}
    return search(dead_after(tables), np.arange(len(tables)), **settings, **options)


@searches
@pytest.mark.parametrize("table", [[NONE, NONE, NONE], [ONLY_1, NONE, NONE]], ids=["at once", "after a step"])
def test_a_dead_end_has_no_probability(table, options):
    found = decoded([table], options)
    assert found.log_probs.tolist() == [-np.inf]


@searches
def test_a_dead_sequence_leaves_the_living_ones_as_they_are(options):
    living = [[0.3, 0.1, -1.0], [0.0, 0.2, 0.5], [0.0, 0.0, 0.0]]
    alone = decoded([living], options)
    for tables, at in (([living, [NONE] * 3], 0), ([[ONLY_1, NONE, NONE], living], 1)):
        found = decoded(tables, options)
        assert hypothesis(found, at) == hypothesis(alone, 0)
        assert found.log_probs[at] == alone.log_probs[0]
        assert found.log_probs[1 - at] == -np.inf


def test_a_beam_goes_round_a_dead_end_that_greedy_runs_into():
    table = [[-np.inf, 1.0, 0.0], NONE, NONE]  # 1 is likelier than the end, and nothing follows it
    assert decoded([table], {}).log_probs[0] == -np.inf
    found = decoded([table], {"width": 2})
    assert hypothesis(found, 0) == ()
    assert np.isclose(found.log_probs[0], -np.log(1 + np.e))


@searches
def test_forbidden_tokens_are_never_taken(options):
    found = decoded([[[-np.inf, 0.0, -1.0], [-np.inf, 0.0, -1.0], ANY]] * 2, options)
    assert not (found.tokens == 0).any()
    assert np.isfinite(found.log_probs).all()


@searches
@pytest.mark.parametrize(("logit", "says"), [(np.nan, "nan"), (np.inf, "infinite")])
def test_logits_that_are_no_logarithms_are_an_error(logit, says, options):
    with pytest.raises(ValueError, match=f"logits are {says}"):
        decoded([[[0.0, logit, 0.0]] * 3], options)


@searches
@pytest.mark.parametrize(
    "wrong", [{"end": -1}, {"end": 2.0}, {"end": True}, {"end": 3}, {"start": -1}, {"start": None}]
)
def test_symbols_that_are_no_tokens_are_an_error(wrong, options):
    settings = {"batch_size": 1, "start": START, "end": END, "max_steps": 3} | wrong
    with pytest.raises(ValueError, match=next(iter(wrong))):
        (beam_search if options else greedy_search)(dead_after([[ANY] * 3]), np.zeros(1, int), **settings, **options)


def test_what_a_beam_drops_is_judged_by_the_best_that_it_could_become():
    logs = {START: np.log([0.001, 0.49, 0.509]), 1: np.log([0.0001, 0.9998, 0.0001])}
    step = lambda tokens, state: (np.array([logs.get(t, np.log([0.3, 0.3, 0.4])) for t in tokens.tolist()]), state)
    settings = {"batch_size": 1, "start": START, "end": END, "max_steps": 5, "width": 2}
    assert hypothesis(beam_search(step, np.zeros(1), **settings), 0) == ()
    assert hypothesis(beam_search(step, np.zeros(1), **settings, length_penalty=2.0), 0) == (1,) * 5
