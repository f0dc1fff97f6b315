"""A stream's noise is the same whoever draws it."""

import copy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minirnn
from minirnn.data import Chunk
from minirnn.layers import EmbeddingDropout, RecurrentDropoutGRUCell, VariationalDropout, WeightDrop, Zoneout
from minirnn.parallel import StreamNoise
from minirnn.parallel.noise import find_axes

SHAPES = [(3, None, 2), (None, 5), (2, None, 1500), (7, 2), (1, None, 4, 3)]


@given(
    st.integers(1, 6),
    st.lists(st.tuples(st.sampled_from(SHAPES), st.sampled_from([np.float32, np.float64])), min_size=1, max_size=5),
    st.data(),
)
def test_parts_are_those_of_the_whole_and_all_end_at_one_place(of, draws, data):
    start = data.draw(st.integers(0, of - 1))
    part = slice(start, data.draw(st.integers(start + 1, of)))
    axes = [shape.index(None) if None in shape else None for shape, _ in draws]
    whole, mine = np.random.default_rng(3), StreamNoise(np.random.default_rng(3).bit_generator, [*axes, None])
    mine.begin(part, of)
    for (shape, dtype), axis in zip(draws, axes, strict=True):
        sized = lambda width, shape=shape: tuple(width if n is None else n for n in shape)
        expected = whole.random(sized(of), dtype=dtype)
        if axis is not None:
            expected = expected[(slice(None),) * axis + (part,)]
        assert np.array_equal(mine.random(sized(part.stop - part.start), dtype=dtype), expected)
    assert mine.bit_generator.state["state"] == whole.bit_generator.state["state"]
    assert mine.bit_generator.state["has_uint32"] == whole.bit_generator.state["has_uint32"]
    assert mine.integers(2**40) == whole.integers(2**40)


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, size: rng.normal(1.0, 2.0, size),
        lambda rng, size: rng.standard_normal(size, dtype=np.float32),
        lambda rng, size: rng.uniform(-1, 1, size),
        lambda rng, size: rng.integers(0, 9, size),
        lambda rng, size: rng.binomial(5, 0.3, size),
    ],
)
def test_other_draws_are_parts_of_the_whole_too(draw):
    mine = StreamNoise(np.random.default_rng(1).bit_generator, [1])
    mine.begin(slice(2, 4), 5)
    assert np.array_equal(draw(mine, (3, 2)), draw(np.random.default_rng(1), (3, 5))[:, 2:4])


def test_a_copy_draws_the_same_again():
    mine = StreamNoise(np.random.default_rng(1).bit_generator, [0])
    mine.begin(slice(0, 2), 3)
    again = copy.deepcopy(mine)
    assert np.array_equal(mine.random((2, 4)), again.random((2, 4)))


@pytest.mark.parametrize("size", [(3, 4), 7, None])
def test_another_array_than_at_first_is_an_error(size):
    mine = StreamNoise(np.random.default_rng(1).bit_generator, [0])
    mine.begin(slice(0, 2), 5)
    with pytest.raises(ValueError, match="2 streams, which were expected on axis 0"):
        mine.random(size)


def test_more_arrays_than_at_first_are_an_error():
    mine = StreamNoise(np.random.default_rng(1).bit_generator, [])
    with pytest.raises(ValueError, match="more often than at first, 0 times"):
        mine.random((2, 3))


def test_the_axes_of_every_kind_of_noise_are_found_out():
    rng = np.random.default_rng(0)
    model = minirnn.Sequential(
        EmbeddingDropout(minirnn.Embedding(6, 4, rng=rng), 0.2),
        WeightDrop(minirnn.LSTM(4, 2, rng=rng), "*weight_hh*", 0.3),
        VariationalDropout(0.4),
        minirnn.Recurrent(RecurrentDropoutGRUCell(2, 3, 0.1, rng=rng)),
        minirnn.Recurrent(Zoneout(minirnn.layers.RNNCell(3, 3, rng=rng), 0.1)),
        minirnn.Dropout(0.5),
    )

    def loss(model, chunk, state, rng):
        outputs, state = model(chunk.inputs, state, rng=rng)
        return minirnn.losses.mse(outputs, np.zeros_like(outputs)), state

    chunk = Chunk(np.zeros((5, 4), int), np.zeros((5, 4), int), True)
    axes = find_axes(loss, model, chunk, np.random.default_rng(1))
    assert axes.noise == (None, None, 0, 1, 1, 1)
    assert set(axes.state.values()) == {0, 1}  # (layers, B, H) of an LSTM, (B, H) of a cell
