import numpy as np
import pytest

import minirnn
from minirnn import LSTM
from minirnn.layers.spectral_norm import SpectralNorm, largest_singular_value, spectral_norm

SHAPES = [(5, 3), (3, 5), (4, 4), (1, 3), (3, 1), (1, 1)]


def sigma(w):
    return np.linalg.svd(w, compute_uv=False)[0]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_largest_singular_value_is_one(dtype, rng):
    w = rng.standard_normal((8, 4)).astype(dtype)
    used = SpectralNorm(w)(w)
    assert used.dtype == dtype
    np.testing.assert_allclose(used, w / sigma(w), rtol=1e-5)
    np.testing.assert_allclose(sigma(used), 1, rtol=1e-6)
    np.testing.assert_allclose([sigma(gate) for gate in np.split(SpectralNorm(w, True)(w), 2)], 1, rtol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_both_derivatives_of_the_value_are_right(shape, rng, gradcheck):
    w, d = rng.standard_normal(shape), rng.standard_normal(shape)
    assert gradcheck(largest_singular_value, w).ok
    gradient = minirnn.grad(largest_singular_value)
    u, _, vt = np.linalg.svd(w)
    np.testing.assert_allclose(gradient(w), np.outer(u[:, 0], vt[0]), atol=1e-12)
    curved = minirnn.hvp(largest_singular_value)(w, d)
    np.testing.assert_allclose(curved, (gradient(w + 1e-6 * d) - gradient(w - 1e-6 * d)) / 2e-6, atol=1e-7)
    np.testing.assert_allclose(minirnn.jvp(largest_singular_value, (w,), (d,))[1], (gradient(w) * d).sum())


def test_the_gradient_is_that_of_pytorchs_matrix_norm(torch, rng):
    w = rng.standard_normal((6, 4))
    tensor = torch.tensor(w, requires_grad=True)
    torch.linalg.matrix_norm(tensor, 2).backward()
    np.testing.assert_allclose(minirnn.grad(largest_singular_value)(w), tensor.grad.numpy(), atol=1e-12)


def test_a_third_derivative_is_an_error_and_not_a_wrong_number(rng):
    w = rng.standard_normal((3, 3))
    second = lambda w: minirnn.hvp(largest_singular_value)(w, np.ones((3, 3)))[0, 0]
    with pytest.raises(NotImplementedError, match="a third was asked for"):
        minirnn.grad(second)(w)


def test_no_vector_grows_in_a_layer_that_is_normalised(rng):
    layer = spectral_norm(LSTM(2, 6, rng=rng), per_gate=True)
    (weight,) = layer.computed(None).values()
    x = rng.standard_normal((100, 6)).astype(np.float32)
    for gate in np.split(weight, 4):
        assert (np.linalg.norm(x @ gate.T, axis=1) <= np.linalg.norm(x, axis=1) * (1 + 1e-5)).all()
    assert sigma(weight) > 1


@pytest.mark.parametrize(("per_gate", "zero"), [(False, slice(None)), (True, slice(None)), (True, slice(3, 6))])
def test_a_matrix_of_zeros_cannot_be_normalised(per_gate, zero, rng):
    w = rng.standard_normal((6, 3))
    w[zero] = 0
    with pytest.raises(ValueError, match="a matrix of zeros came"):
        SpectralNorm(w, per_gate)
    if per_gate:
        SpectralNorm(w + np.eye(6, 3) + 1, per_gate)
