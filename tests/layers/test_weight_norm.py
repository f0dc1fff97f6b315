import numpy as np

from minirnn import LSTM, Linear
from minirnn.layers.weight_norm import WeightNorm, weight_norm


def test_each_row_is_its_gain_times_its_direction(rng):
    norm, v = WeightNorm(rng.standard_normal((4, 3))), rng.standard_normal((4, 3))
    norm.gain = rng.standard_normal((4, 1))
    expected = [g * row / np.linalg.norm(row) for g, row in zip(norm.gain, v, strict=True)]
    np.testing.assert_allclose(norm(v), expected)
    np.testing.assert_allclose(norm(7 * v), expected)


def test_nothing_changes_at_the_start(rng):
    layer = LSTM(3, 5, 2, rng=rng)
    before, xs = layer.state_dict(), rng.standard_normal((4, 2, 3)).astype(np.float32)
    outputs, _ = layer(xs)
    normed = weight_norm(layer)
    np.testing.assert_allclose(normed(xs)[0], outputs, atol=1e-6)
    assert all(np.array_equal(before[path], value) for path, value in layer.state_dict().items())
    assert normed.num_parameters() == layer.num_parameters() + 2 * 20


def test_it_is_pytorchs(torch, rng):
    layer = Linear(3, 4, rng=rng)
    theirs = torch.nn.Linear(3, 4)
    theirs.load_state_dict({name: torch.from_numpy(value) for name, value in layer.state_dict().items()})
    theirs = torch.nn.utils.parametrizations.weight_norm(theirs)
    ours = weight_norm(layer, "weight")
    gain, x = rng.standard_normal((4, 1)).astype(np.float32), rng.standard_normal((2, 3)).astype(np.float32)
    ours.parametrizations["weight"].gain = gain
    theirs.parametrizations.weight.original0.data = torch.from_numpy(gain)
    np.testing.assert_allclose(ours(x), theirs(torch.from_numpy(x)).detach().numpy(), atol=1e-6)
