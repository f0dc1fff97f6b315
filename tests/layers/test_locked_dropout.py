import autograd.numpy as anp
import numpy as np
import pytest

import minirnn
from minirnn import VariationalDropout
from minirnn.functional import locked_dropout


def seeded(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(7, 3, 5), (7, 5)])
def test_one_mask_is_shared_by_all_steps(shape, dtype, rng):
    xs = rng.standard_normal(shape).astype(dtype)
    dropped = VariationalDropout(0.4)(xs, rng=seeded())
    mask = dropped / xs
    assert dropped.dtype == dtype
    np.testing.assert_allclose(mask, np.broadcast_to(mask[0], shape), rtol=1e-6)
    kept = mask[0] != 0
    np.testing.assert_allclose(mask[0][kept], 1 / 0.6, rtol=1e-6)
    assert 0 < kept.sum() < kept.size


def test_each_sequence_has_its_own_mask_which_keeps_the_mean():
    mask = VariationalDropout(0.3)(np.ones((2, 400, 50)), rng=seeded())[0]
    assert abs((mask == 0).mean() - 0.3) < 0.01
    assert abs(mask.mean() - 1) < 0.015
    assert len(np.unique(mask != 0, axis=0)) == 400


def test_batch_first_shares_over_its_second_axis(rng):
    xs = rng.standard_normal((3, 7, 5))
    found = VariationalDropout(0.5, batch_first=True)(xs, rng=seeded())
    np.testing.assert_array_equal(found, locked_dropout(xs.swapaxes(0, 1), 0.5, seeded()).swapaxes(0, 1))
    assert VariationalDropout(0.5, batch_first=True)(xs[0], rng=seeded()).shape == (7, 5)


def test_without_an_rng_nothing_happens_and_a_differentiated_call_says_so(rng):
    xs = rng.standard_normal((4, 2, 3))
    assert VariationalDropout(0.5)(xs) is xs
    assert (VariationalDropout(1.0)(xs, rng=rng) == 0).all()
    with pytest.warns(UserWarning, match="differentiated without noise"):
        minirnn.grad(lambda xs: anp.sum(VariationalDropout(0.5)(xs)))(xs)


@pytest.mark.parametrize("batch_first", [False, True])
def test_the_gradient_goes_through_the_noise(batch_first, rng, gradcheck):
    dropout = VariationalDropout(0.5, batch_first=batch_first)
    assert gradcheck(lambda xs: anp.sum(anp.tanh(dropout(xs, rng=seeded())) ** 2), rng.standard_normal((4, 2, 3))).ok


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match=r"VariationalDropout: dropout 1\.5 came"):
        VariationalDropout(1.5)
    with pytest.raises(ValueError, match=r"shape \(3,\); \(T, B, F\)"):
        VariationalDropout(0.5)(np.ones(3))
