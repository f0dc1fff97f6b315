"""LayerNorm against its formula and PyTorch's."""

import numpy as np
import pytest

from minirnn import LayerNorm


@pytest.mark.parametrize("shape", [4, (4,), (3, 4)])
@pytest.mark.parametrize("options", [{}, {"eps": 1e-3}, {"bias": False}, {"elementwise_affine": False}], ids=str)
def test_it_is_pytorchs(shape, options, torch, rng):
    ours, theirs = (
        LayerNorm(shape, dtype=np.float64, **options),
        torch.nn.LayerNorm(shape, dtype=torch.float64, **options),
    )
    for name, value in ours.parameters().items():
        value[...] = rng.standard_normal(value.shape)
        getattr(theirs, name).data = torch.from_numpy(value.copy())
    x = 1e-3 * rng.standard_normal((2, 5, 3, 4)) + 0.5  # so close together that eps counts
    np.testing.assert_allclose(ours(x), theirs(torch.from_numpy(x)).detach().numpy(), rtol=1e-9)


def test_it_begins_with_ones_and_zeros_and_keeps_float32():
    norm = LayerNorm((2, 3))
    assert norm.weight.tolist() == [[1, 1, 1]] * 2
    assert norm.bias.tolist() == [[0, 0, 0]] * 2
    assert norm(np.ones((4, 2, 3), np.float32)).dtype == np.float32
    assert norm.extra_repr() == "2, 3"


@pytest.mark.parametrize("shape", [(3, 2), (3,), (4, 2, 4)])
def test_another_shape_is_an_error(shape):
    with pytest.raises(ValueError, match=r"LayerNorm: x has shape .*\(\.\.\., 2, 3\) was expected"):
        LayerNorm((2, 3))(np.ones(shape, np.float32))
    with pytest.raises(ValueError, match="normalized_shape=0"):
        LayerNorm((2, 0))
