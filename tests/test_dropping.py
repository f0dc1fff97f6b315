"""Masks of dropout: the same on every tier, and the generator behind them too."""

import numpy as np
import pytest

from minirnn import dropping
from minirnn.tier import tier

GENERATORS = [np.random.PCG64, np.random.PCG64DXSM, np.random.SFC64, np.random.Philox, np.random.MT19937]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("p", [0.0, 0.35, 0.5, 1 - 2**-20, 1 - 2**-30, np.float64(0.1), 1.0])
@pytest.mark.parametrize("shape", [(64, 64), (4097,), (2, 7, 401), (3,)])
def test_native_masks_are_numpys_to_the_bit(shape, p, dtype):
    found = []
    for name in ("auto", "numpy"):
        rng = np.random.default_rng(3)
        with tier(name):
            masks = [dropping.dropout_mask(shape, p, dtype, rng) for _ in range(2)]
        assert {(mask.dtype, mask.shape) for mask in masks} == {(np.dtype(dtype), shape)}
        found.append([mask.tobytes() for mask in masks] + [rng.random(3, np.float32).tolist(), rng.random()])
    assert found[0] == found[1]


@pytest.mark.parametrize("bits", GENERATORS)
@pytest.mark.parametrize("before", [0, 1, 2])
def test_masks_of_every_generator_go_on_from_where_it_is(bits, before):
    found = []
    for name in ("auto", "numpy"):
        rng = np.random.Generator(bits(7))
        rng.random(before, np.float32)  # after one there is half a number left over
        with tier(name):
            found.append([dropping.dropout_mask((100, 50), 0.3, np.float32, rng).tobytes(), rng.random(3).tolist()])
    assert found[0] == found[1]


def test_a_generator_of_another_kind_is_asked_for_its_numbers():
    class Half(np.random.Generator):
        def random(self, size=None, dtype=np.float64, out=None):
            return np.full(size, 0.5, dtype)

    mask = dropping.dropout_mask((80, 80), 0.5, np.float32, Half(np.random.PCG64(0)))
    assert (mask == 2).all()
