import importlib
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn.data import Batches, Sequences, split


def numbered(lengths):
    """Sequence n has the value n throughout, and the target n."""
    return Sequences([np.full((length, 1), float(n)) for n, length in enumerate(lengths)], np.arange(len(lengths)))


lengths = st.lists(st.integers(1, 9), min_size=1, max_size=30)


@given(lengths, st.integers(1, 7), st.integers(1, 4), st.booleans())
def test_every_sequence_comes_once_an_epoch(lengths, batch, pool, shuffled):
    rng = np.random.default_rng(0) if shuffled else None
    batches = Batches(numbered(lengths), batch, rng=rng, epochs=3, pool=pool)
    came = list(batches)
    for epoch in range(3):
        part = came[epoch * batches.batches_per_epoch : (epoch + 1) * batches.batches_per_epoch]
        assert sorted(np.concatenate([b.targets for b in part])) == list(range(len(lengths)))
    for b in came:
        assert b.starts
        assert b.lengths.tolist() == [lengths[n] for n in b.targets]
        within = np.arange(len(b.inputs))[:, None] < b.lengths
        assert np.array_equal(b.inputs[..., 0], np.where(within, b.targets, 0))
    assert len(came) == 3 * batches.batches_per_epoch


def orders(**options):
    batches = Batches(numbered([1] * 12), 4, epochs=2, **options)
    targets = np.concatenate([b.targets for b in batches]).tolist()
    return targets[:12], targets[12:]


def test_epochs_differ_when_shuffled_and_keep_the_order_when_not(rng):
    assert orders() == (list(range(12)), list(range(12)))
    first, second = orders(rng=rng)
    assert first != second
    assert first != sorted(first)


def test_a_pool_brings_like_lengths_together(rng):
    dataset = numbered(rng.integers(1, 100, 400))

    def padding(pool):
        return sum(b.inputs.size - b.lengths.sum() for b in Batches(dataset, 8, rng=rng, epochs=1, pool=pool))

    assert padding(pool=50) < padding(pool=1) / 20


def test_batches_of_like_length_come_in_any_order(rng):
    longest = [b.lengths.max() for b in Batches(numbered(range(1, 41)), 4, rng=rng, epochs=1)]
    assert sorted(longest) == list(range(4, 41, 4)) != longest


@given(st.integers(2, 40), st.floats(0.01, 0.99))
def test_a_split_is_disjoint_and_complete(count, share):
    if not 0 < round(share * count) < count:
        with pytest.raises(ValueError, match="neither part empty"):
            split(numbered([2] * count), share, np.random.default_rng(0))
        return
    rest, held_out = split(numbered([2] * count), share, np.random.default_rng(0))
    kept, held = ([int(t) for t in part.targets] for part in (rest, held_out))
    assert sorted(kept + held) == list(range(count))
    assert len(held) == len(held_out.lengths) == round(share * count)
    assert (kept, held) == (sorted(kept), sorted(held))


def test_a_split_is_drawn_by_the_rng():
    parts = [split(numbered([1] * 20), 0.5, np.random.default_rng(seed))[1] for seed in (0, 0, 1)]
    first, again, other = ([int(t) for t in part.targets] for part in parts)
    assert first == again != other


@pytest.mark.parametrize("options", [{"batch": 0}, {"pool": 0}, {"epochs": -1}])
def test_sizes_that_are_none_are_refused(options):
    with pytest.raises(ValueError, match=f"{next(iter(options))}="):
        Batches(numbered([1]), **{"batch": 1, **options})


def test_a_checksum_is_that_of_all_arrays_piece_by_piece(monkeypatch):
    """A state that an earlier version wrote down is told from another dataset's by it."""
    module = importlib.import_module("minirnn.data.batches")
    monkeypatch.setattr(module, "_PIECE", 2)
    pieces = [numbered([3, 1, 2]).batch(np.array(some)) for some in ([0, 1], [2])]
    arrays = [array for piece in pieces for array in (piece.inputs, piece.targets, piece.lengths)]
    assert module._checksum(numbered([3, 1, 2])) == zlib.crc32(b"".join([array.tobytes() for array in arrays]))


def test_sequences_of_one_length_keep_their_order_within_a_pool():
    came = Batches(numbered([3, 5] * 50), 25, epochs=1, pool=4)
    assert np.concatenate([b.targets for b in came]).tolist() == [*range(0, 100, 2), *range(1, 100, 2)]


def test_an_empty_dataset_is_refused():
    class Empty:
        lengths = np.zeros(0, np.int64)

    with pytest.raises(ValueError, match="Batches: the dataset is empty"):
        Batches(Empty(), 2)
