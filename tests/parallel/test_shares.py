"""Who gets which streams."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from thread_ranks import ThreadRank, on_ranks

from minirnn.data import IGNORED, Batch, Chunk, streams
from minirnn.parallel import SINGLE, divide, share_of
from minirnn.parallel.shares import next_share


@given(st.integers(0, 40), st.integers(1, 12))
def test_shares_are_all_of_it_once_and_as_even_as_can_be(count, size):
    shares = [share_of(count, rank, size) for rank in range(size)]
    assert [b for share in shares for b in range(count)[share]] == list(range(count))
    widths = [share.stop - share.start for share in shares]
    assert widths == sorted(widths, reverse=True)
    assert widths[0] - widths[-1] <= 1


def test_one_process_keeps_the_batch_itself():
    batch = object()
    assert divide(batch, SINGLE).batch is batch
    assert divide(batch, SINGLE).weight == 1.0


@pytest.mark.parametrize("targets", ["classes", "a class", "values", "a value"])
def test_weights_are_the_shares_of_scored_targets(targets):
    rng = np.random.default_rng(0)
    lengths = np.array([4, 3, 1, 4, 2])
    within = np.arange(4)[:, None] < lengths
    made = {
        "classes": np.where(within, rng.integers(0, 3, (4, 5)), IGNORED),
        "a class": rng.integers(0, 3, 5),
        "values": rng.standard_normal((4, 5, 2)) * within[..., None],
        "a value": rng.standard_normal((5, 1)),
    }[targets]
    batch = Batch(rng.standard_normal((4, 5, 3)), made, lengths)
    shares = [divide(batch, ThreadRank(rank, 2, None, None)) for rank in range(2)]
    counted = lengths if batch.per_step else np.ones(5)
    assert [share.weight for share in shares] == [counted[:3].sum() / counted.sum(), counted[3:].sum() / counted.sum()]
    assert np.array_equal(np.concatenate([share.batch.inputs for share in shares], 1), batch.inputs)
    predictions, _ = shares[1].batch.scored(np.zeros((4, 2, 2)))
    assert len(predictions) in (2, 4, lengths[3:].sum())


def test_a_rank_without_streams_stands_in_for_one_that_counts_for_nothing():
    batch = Chunk(np.zeros((3, 2), int), np.zeros((3, 2), int), True)
    share = divide(batch, ThreadRank(2, 3, None, None))
    assert share.batch.batch_size == 1
    assert share.weight == 0.0


def test_streams_make_no_more_than_a_ranks_part_and_keep_their_place():
    tokens = np.random.default_rng(0).integers(0, 9, 101)
    whole, mine = streams(tokens, 5, 4), streams(tokens, 5, 4)
    comm = ThreadRank(1, 2, None, None)
    for _ in range(7):
        one, share = next(whole), next_share(mine, comm)
        assert np.array_equal(share.batch.inputs, one.inputs[:, 3:5])
        assert np.array_equal(share.batch.targets, one.targets[:, 3:5])
        assert share.batch.starts == one.starts
        assert share.weight == 2 / 5
        assert (share.streams, share.of, share.whole) == (slice(3, 5), 5, None)
        one, share = next(whole), next_share(mine, comm, whole=True)
        assert np.array_equal(share.whole.inputs, one.inputs)
    assert mine.state_dict() == whole.state_dict()


def test_a_batch_that_cannot_be_divided_is_an_error_that_says_what_is_expected():
    with pytest.raises(TypeError, match=r"batch_size, scored_targets and part"):
        on_ranks(2, lambda comm: divide([1, 2], comm))
