import importlib
import itertools
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn.data import streams


@given(st.integers(1, 4), st.integers(1, 7), st.integers(5, 60))
def test_each_stream_goes_on_where_its_last_chunk_ended(batch, seq_length, count):
    tokens = np.arange(count)
    chunks = list(streams(tokens, batch, seq_length, epochs=1))
    inputs = np.concatenate([chunk.inputs for chunk in chunks])
    targets = np.concatenate([chunk.targets for chunk in chunks])
    length = (count - 1) // batch
    assert np.array_equal(inputs.T.ravel(), tokens[: batch * length])
    assert np.array_equal(targets, inputs + 1)
    assert [chunk.starts for chunk in chunks] == [True] + [False] * (len(chunks) - 1)
    assert all(len(chunk.inputs) == seq_length for chunk in chunks[:-1])


def test_epochs_start_again_for_ever():
    tokens = np.arange(7)
    chunks = list(itertools.islice(streams(tokens, 1, 4), 5))
    assert [chunk.starts for chunk in chunks] == [True, False, True, False, True]
    assert np.array_equal(chunks[0].inputs, chunks[4].inputs)


@pytest.mark.parametrize(
    ("count", "batch", "seq_length", "says"),
    [(4, 4, 1, "4 tokens came, more than 4"), (9, 0, 1, "batch=0"), (9, 1, -1, "seq_length=-1")],
)
def test_what_cannot_be_cut_is_an_error(count, batch, seq_length, says):
    with pytest.raises(ValueError, match=says):
        next(streams(np.arange(count), batch, seq_length))


@pytest.mark.parametrize(
    "tokens", [np.arange(9.0), np.arange(10).reshape(5, 2), np.ones(9, bool), np.arange(9.0)[None]]
)
def test_tokens_are_integers_along_one_axis(tokens):
    with pytest.raises((ValueError, TypeError), match="streams: "):
        streams(tokens, 1, 4)


@pytest.mark.parametrize(("count", "batch", "seq_length", "chunks"), [(9, 1, 4, 2), (10, 1, 4, 3), (21, 2, 4, 3)])
def test_a_pass_over_the_text_has_as_many_chunks_as_hold_it(count, batch, seq_length, chunks):
    found = streams(np.arange(count), batch, seq_length)
    assert found.per_epoch == found.chunks_per_epoch == chunks
    assert len(list(streams(np.arange(count), batch, seq_length, epochs=2))) == 2 * chunks


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_a_checksum_is_that_of_all_tokens_whatever_their_dtype(dtype, monkeypatch):
    module = importlib.import_module("minirnn.data.streams")
    monkeypatch.setattr(module, "_PIECE", 7)
    for count in (6, 7, 8, 15):
        tokens = np.arange(1, 1 + count, dtype=dtype)
        assert module._checksum(tokens) == zlib.crc32(tokens.astype("<i8").tobytes())


def test_parts_of_chunks_are_those_of_the_chunks_and_end_with_them():
    whole, parts = (streams(np.arange(30), 3, 4, epochs=1) for _ in range(2))
    for chunk in whole:
        part = parts.next_part(slice(1, 3))
        assert np.array_equal(part.inputs, chunk.inputs[:, 1:3])
        assert np.array_equal(part.targets, chunk.targets[:, 1:3])
        assert part.starts == chunk.starts
    with pytest.raises(StopIteration):
        parts.next_part(slice(1, 3))
