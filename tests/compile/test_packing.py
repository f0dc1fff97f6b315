"""Sequences of different lengths, run without their padding: where their steps lie, and each against itself alone."""

import warnings

import numpy as np
import pytest
from cut_sequences import assert_cut_is_the_same, random_flags
from hypothesis import given
from hypothesis import strategies as st
from padded_batches import assert_alone_is_the_same

import minirnn
from minirnn import Recurrent, threads, tree
from minirnn.compile import packing, sequence
from minirnn.compile.order import Order
from minirnn.compile.packing import Packing, spans_of
from minirnn.compile.spans import Block, Span, cut
from minirnn.compile.workspace import Workspace
from minirnn.tier import native_reason, tier

no_llvm = pytest.mark.skipif(native_reason() is not None, reason="llvmlite is not installed: pip install minirnn[fast]")
TIERS = ["numpy", pytest.param("native", marks=no_llvm)]
LENGTHS = {
    "none whole": [3, 1, 4],
    "ragged": [5, 2, 4, 2],
    "one step": [1, 1, 1],
    "one empty": [3, 0, 5],
    "the first empty": [0, 4],
    "one of one": [2],
}
every = pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
STEPS = 5


@pytest.fixture
def free_spans(monkeypatch):
    """A span wherever a row joins."""
    monkeypatch.setattr(packing, "SPAN", 0)
    monkeypatch.setattr(packing, "SPAN_WORK", 0)


def made(lengths, reverse=False, shares=1):
    return Packing(np.array(lengths), (STEPS, len(lengths)), reverse, shares, 1.0)


# ---------------------------------------------------------------- spans
@given(st.lists(st.integers(1, 40), min_size=1, max_size=40), st.sampled_from([0.0, 1e3, 1e5, 1e7]))
def test_spans_hold_every_step_of_every_row_and_are_those_that_cost_least(lengths, work):
    lengths = np.array(sorted(lengths, reverse=True))
    spans = spans_of(lengths, work)
    assert [start for start, *_ in spans] == [0, *[stop for _, stop, _ in spans[:-1]]]
    assert (spans[-1][1], spans[-1][2]) == (lengths[0], len(lengths))
    for _, stop, rows in spans:
        assert rows == np.sum(lengths > lengths[0] - stop)  # those that have joined before its end
    cost = lambda spans: sum(
        (b - a) * (n + packing.STEP) + packing.SPAN + packing.SPAN_WORK / max(work, 1) for a, b, n in spans
    )
    if len(set(lengths)) <= packing.MOST:
        assert cost(spans) <= cost([(0, int(lengths[0]), len(lengths))]) + 1e-9


def test_half_full_batches_compute_little_more_than_they_hold(free_spans):
    lengths = np.arange(100, 0, -5)
    assert sum((stop - start) * rows for start, stop, rows in spans_of(lengths, 1.0)) < 1.1 * lengths.sum()
    assert spans_of(np.array([7, 7, 2, 2]), 1e9) == [(0, 5, 2), (5, 7, 4)]


def test_where_a_span_costs_more_than_it_saves_there_is_one(monkeypatch):
    monkeypatch.setattr(packing, "SPAN", 1000)
    assert spans_of(np.array([7, 7, 2, 2]), 1.0) == [(0, 7, 4)]


# ---------------------------------------------------------------- where steps lie
@every
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("shares", [1, 2])
def test_every_row_ends_with_the_last_step_and_begins_with_its_first_repeated(lengths, reverse, shares):
    shares = min(shares, np.count_nonzero(lengths))
    whole, order = np.arange(STEPS * len(lengths)).reshape(STEPS, len(lengths)), made(lengths, reverse, shares)
    rows = order.rows(np.arange(len(lengths)))
    assert sorted(rows) == list(np.flatnonzero(lengths))
    for spans in order.shares:
        low, high = spans[-1].rows
        for row in range(low, high):
            steps, kept = [], []
            for span in [span for span in spans if span.rows[1] > row]:
                block = span.block(0, span.steps)
                steps += block.of(whole)[:, row - low].tolist()
                outside = np.zeros((block.n, block.b)) if block.outside is None else block.outside
                kept += (1 - outside.reshape(block.n, block.b)[:, row - low]).tolist()
            own = whole[: lengths[rows[row]], rows[row]][:: -1 if reverse else 1].tolist()
            assert steps == own[:1] * (len(steps) - len(own)) + own
            assert kept == [0] * (len(steps) - len(own)) + [1] * len(own)


@every
@pytest.mark.parametrize("tail", [(), (2,), (2, 3)])
@pytest.mark.parametrize("every_step", [None, 1, 2])
def test_what_is_taken_from_an_array_goes_back_to_its_place(lengths, tail, every_step, free_spans):
    order, work = made(lengths), Workspace("test")
    array = np.random.default_rng(0).standard_normal((STEPS, len(lengths), *tail))
    out = order.room(tail, np.float64)
    for span in cut(order.shares[0], every_step):
        block = span.block(0, span.steps)
        taken, calls = block.rows_in(array, work, "in", only_inside=True)
        for call in calls:
            call()
        if block.outside is not None:
            assert not taken[block.outside[:, 0]].any()
        written = block.rows_out(out, tail, np.float64, work, "out")
        written[...] = taken
        for call in block.delivery(written, out):
            call()
    inside = np.arange(STEPS)[:, None] < lengths
    assert np.array_equal(order.back(out), array * inside.reshape(*inside.shape, *[1] * len(tail)))


@every
def test_states_of_rows_without_a_step_stay_as_they_were(lengths):
    order, state = made(lengths), np.arange(2.0 * len(lengths)).reshape(-1, 2)
    assert np.array_equal(order.held(state, order.rows(state)), state)
    assert np.array_equal(
        order.held(state, -order.rows(state)), np.where(np.array(lengths)[:, None] > 0, -state, state)
    )


def test_a_dense_block_is_a_view_where_it_is_contiguous():
    array, work = np.arange(24.0).reshape(4, 3, 2), Workspace("test")
    for rows, borrowed in (((0, 3), 0), ((1, 3), 1)):
        block = Span(0, 4, rows).block(1, 3)
        found, calls = block.rows_in(array, work, "x")
        assert len(calls) == borrowed
        for call in calls:
            call()
        assert np.array_equal(found.reshape(2, -1, 2), array[1:3, slice(*rows)])
        out = np.zeros_like(array)
        written = block.rows_out(out, (2,), out.dtype, work, "y")
        written[...] = found
        for call in block.delivery(written, out):
            call()
        assert np.array_equal(out[1:3, slice(*rows)], array[1:3, slice(*rows)])
        assert np.array_equal(block.of(array), array[1:3, slice(*rows)])
    assert isinstance(block, Block)


@pytest.mark.parametrize(("lengths", "quiet"), [([5, 5], False), ([5, 3], True)])
def test_warnings_are_kept_back_only_where_something_runs_on_padding(lengths, quiet):
    with warnings.catch_warnings(record=True) as said, made(lengths).quiet():
        warnings.simplefilter("always")
        np.zeros(1) / np.zeros(1)
    assert bool(said) != quiet


@pytest.mark.parametrize("reverse", [False, True])
def test_whole_sequences_are_views_in_the_order_of_their_steps(reverse):
    array, order = np.arange(6.0).reshape(3, 2), Order((3, 2), reverse)
    assert np.shares_memory(order.there(array), array)
    assert order.there(array).tolist() == array[:: -1 if reverse else 1].tolist()
    room = order.room((), np.float64)
    room[...] = order.there(array)
    assert np.array_equal(order.back(room), array)
    assert order.back(room).base is None


# ---------------------------------------------------------------- each alone
@pytest.mark.usefixtures("free_spans")
@pytest.mark.parametrize("on", TIERS)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("checkpoint_every", [None, 2])
@pytest.mark.parametrize("count", [1, 3])
def test_rows_that_join_in_spans_get_what_each_gets_alone(reverse, checkpoint_every, count, on, monkeypatch):
    monkeypatch.setattr(sequence, "SHARE", 1.0)
    monkeypatch.setattr(threads, "get_num_threads", lambda: count)
    cell = minirnn.LSTMCell(2, 3, rng=np.random.default_rng(0), dtype=np.float64)
    layer = Recurrent(cell, reverse=reverse, checkpoint_every=checkpoint_every)
    with tier(on):
        assert_alone_is_the_same(layer, [4, 1, 3, 0, 7, 7, 2], padding=1)
        assert_cut_is_the_same(layer, random_flags(8, 7, 1), [4, 1, 3, 0, 7, 7, 2])


@pytest.mark.usefixtures("free_spans")
@pytest.mark.parametrize("name", ["ConvLSTM", "mLSTM", "PhasedLSTM", "LMU", "NBR"])
def test_cells_of_many_kinds_in_spans(name):
    layer = Recurrent(minirnn.cells.small(name, rng=np.random.default_rng(0)))
    assert_alone_is_the_same(layer, [5, 1, 3, 5, 2])


def test_a_ragged_batch_gives_the_same_bits_at_every_run(rng):
    layer, xs = minirnn.LSTM(20, 60, rng=rng), rng.standard_normal((60, 24, 20)).astype(np.float32)
    gradient = minirnn.grad(lambda layer, xs: (layer(xs, lengths=rng_lengths)[0] ** 2).sum(), argnums=(0, 1))
    rng_lengths = rng.integers(0, 61, 24)
    first = tree.leaves(gradient(layer, xs))
    for _ in range(3):
        assert all(np.array_equal(a, b) for a, b in zip(first, tree.leaves(gradient(layer, xs)), strict=True))
