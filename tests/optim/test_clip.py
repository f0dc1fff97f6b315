import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minirnn.optim import clip_by_global_norm, clip_by_value

GRADS = {"a": np.array([3.0, -8.0]), "b": [np.float32([[40.0]])]}


def test_by_value_cuts_each_entry_and_leaves_the_gradients():
    clipped = clip_by_value(GRADS, 5)
    assert clipped["a"].tolist() == [3, -5]
    assert clipped["b"][0].tolist() == [[5]]
    assert clipped["b"][0].dtype == np.float32
    assert GRADS["a"].tolist() == [3, -8]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5), st.floats(1e-3, 1e6))
def test_by_norm_is_torchs_up_to_its_epsilon(values, limit):
    grads = [np.array(values), np.array([[2.0]])]
    clipped, norm = clip_by_global_norm(grads, limit)
    assert np.isclose(norm, np.linalg.norm([*values, 2.0]))
    after = np.linalg.norm(np.concatenate([np.ravel(g) for g in clipped]))
    assert np.isclose(after, min(norm, limit))
    assert np.allclose(clipped[0] * norm, grads[0] * after)


def test_by_norm_against_torch(torch, rng):
    grads = {"a": rng.standard_normal((3, 4)), "b": rng.standard_normal(5)}
    tensors = [torch.nn.Parameter(torch.zeros(g.shape)) for g in grads.values()]
    for tensor, g in zip(tensors, grads.values(), strict=True):
        tensor.grad = torch.from_numpy(g.astype(np.float32))
    theirs = torch.nn.utils.clip_grad_norm_(tensors, 0.7)
    clipped, norm = clip_by_global_norm(grads, 0.7)
    assert np.isclose(norm, float(theirs), rtol=1e-6)
    for tensor, g in zip(tensors, clipped.values(), strict=True):
        assert np.allclose(g, tensor.grad.numpy(), rtol=1e-5)


def test_small_gradients_come_back_as_they_are():
    clipped, norm = clip_by_global_norm(GRADS, 100.0)
    assert clipped is GRADS
    assert np.isclose(norm, np.sqrt(9 + 64 + 1600))


def test_a_norm_whose_square_overflows_is_right():
    clipped, norm = clip_by_global_norm([np.full(4, 3e38, np.float32), np.full(2, 1e30)], 1.0)
    assert np.isclose(norm, 6e38)
    assert np.allclose(clipped[0], 0.5)
    assert clipped[0].dtype == np.float32


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_gradients_that_are_not_finite_are_left_to_the_optimiser(bad):
    grads = [np.array([bad, 1.0])]
    clipped, norm = clip_by_global_norm(grads, 1.0)
    assert clipped is grads
    assert not np.isfinite(norm)


@pytest.mark.parametrize("clip", [clip_by_value, clip_by_global_norm])
@pytest.mark.parametrize("limit", [0, -1, np.nan])
def test_a_limit_that_is_not_positive_is_refused(clip, limit):
    with pytest.raises(ValueError, match="a positive number"):
        clip(GRADS, limit)
