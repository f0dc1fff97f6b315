"""What every parametrisation owes, whichever it is; its own formula is tested in its own file."""

import pickle

import autograd.numpy as anp
import numpy as np
import pytest

import minirnn
from minirnn import GRU, LSTM, RNN, Linear, Recurrent, Reparametrized, Sequential, cells, tree
from minirnn.layers import Parametrization, RecurrentLayer
from minirnn.layers.orthogonal import orthogonal
from minirnn.layers.spectral_norm import spectral_norm
from minirnn.layers.weight_norm import weight_norm

T, B, I, H = 5, 3, 2, 4
MAKERS = {
    "weight norm": weight_norm,
    "spectral norm": spectral_norm,
    "spectral norm per gate": lambda layer, *pattern: spectral_norm(layer, *pattern, per_gate=True),
    "orthogonal": orthogonal,
    "cayley": lambda layer, *pattern: orthogonal(layer, *pattern, map="cayley"),
}
each = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


def seeded(seed=0):
    return np.random.default_rng(seed)


def moved(layer, scale=0.3):
    """The layer, somewhere else than at its start."""
    rng = seeded(9)
    for value in layer.parameters().values():
        value += (scale * rng.standard_normal(value.shape)).astype(value.dtype)
    return layer


def same(found, expected, rtol=1e-12):
    for one, other in zip(tree.leaves(found), tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=1e-15)


@each
def test_a_call_is_that_of_the_plain_layer_with_the_computed_weights(make, rng):
    layer, xs = moved(make(LSTM(I, H, 2, rng=rng, dtype=np.float64))), rng.standard_normal((T, B, I))
    plain = layer.plain()
    assert type(plain) is LSTM
    same(layer(xs, lengths=[5, 2, 3]), plain(xs, lengths=[5, 2, 3]))
    changed = [
        path for path, value in plain.parameters().items() if not (value == layer.layer.parameters()[path]).all()
    ]
    assert changed == ["layers.0.cell.weight_hh", "layers.1.cell.weight_hh"]


@each
def test_the_gradient_of_what_is_trained_is_right(make, rng):
    layer, xs = moved(make(GRU(I, 2, rng=rng, dtype=np.float64))), rng.standard_normal((2, 2, I))
    report = minirnn.gradcheck.gradcheck_module(layer, lambda layer: anp.sum(layer(xs)[0] ** 2))
    assert report.ok, report


@each
def test_second_derivatives_and_forward_mode_agree_with_differences(make, rng):
    layer, xs = moved(make(RNN(I, 3, rng=rng, dtype=np.float64))), rng.standard_normal((3, 2, I))
    loss = lambda layer: anp.sum(layer(xs)[0] ** 2)
    at, direction = layer.parameters(), {path: rng.standard_normal(v.shape) for path, v in layer.parameters().items()}

    def gradient(h):
        return minirnn.grad(loss)(layer.bind({path: at[path] + h * direction[path] for path in at}))

    up, down = gradient(1e-5), gradient(-1e-5)
    curved = minirnn.hvp(loss)(layer, direction)
    for path in at:
        np.testing.assert_allclose(curved[path], (up[path] - down[path]) / 2e-5, rtol=1e-5, atol=1e-7)
    _, slope = minirnn.jvp(loss, (layer,), (direction,))
    expected = sum((g * direction[path]).sum() for path, g in minirnn.grad(loss)(layer).items())
    np.testing.assert_allclose(slope, expected, rtol=1e-10)


@each
@pytest.mark.parametrize("chosen", ["auto", "compiled"])
def test_every_engine_gives_the_references_numbers(make, chosen, rng):
    layer, xs = moved(make(LSTM(I, H, rng=rng, dtype=np.float64))), rng.standard_normal((T, B, I))

    def numbers(name):
        with minirnn.engine(name):
            return minirnn.value_and_grad(lambda layer: anp.sum(layer(xs)[0] ** 2))(layer)

    same(numbers(chosen), numbers("python"), rtol=1e-8)


@each
def test_float32_stays_float32_and_astype_goes_through(make, rng):
    layer = moved(make(GRU(I, H, rng=rng)))
    xs = rng.standard_normal((T, B, I)).astype(np.float32)
    gradients = minirnn.grad(lambda layer: anp.sum(layer(xs)[0]))(layer)
    assert all(leaf.dtype == np.float32 for leaf in tree.leaves((layer(xs), gradients, layer.computed(None))))
    np.testing.assert_allclose(layer.astype(np.float64)(xs.astype(np.float64))[0], layer(xs)[0], atol=1e-5)


@each
def test_it_is_saved_loaded_pickled_and_trained(make, tmp_path, rng):
    layer, other = moved(make(LSTM(I, H, rng=rng))), make(LSTM(I, H, rng=seeded(5)))
    minirnn.save(layer, tmp_path / "w")
    minirnn.load(other, tmp_path / "w")
    xs = rng.standard_normal((T, B, I)).astype(np.float32)
    same(other(xs), layer(xs), rtol=0)
    same(pickle.loads(pickle.dumps(layer))(xs), layer(xs), rtol=0)
    loss = lambda layer: anp.sum((layer(xs)[0] - 0.1) ** 2)
    optimizer = minirnn.optim.Adam(layer, lr=1e-2)
    before = loss(layer)
    for _ in range(20):
        optimizer.step(minirnn.grad(loss)(layer))
    assert loss(layer) < 0.8 * before


@each
def test_nothing_is_trained_that_does_not_count(make, rng):
    """No stale second array of a weight: every parameter has a gradient, and unfreezing everything changes nothing."""
    layer = moved(make(GRU(I, H, rng=rng, dtype=np.float64)))
    names = list(layer.parameters())
    assert list(layer.unfreeze("*").parameters()) == names
    gradients = minirnn.grad(lambda layer: anp.sum(layer(rng.standard_normal((T, B, I)))[0] ** 2))(layer)
    assert all(gradient.any() for gradient in gradients.values())


@each
def test_it_is_a_recurrent_layer_where_the_layer_is_one(make, rng):
    layer = make(LSTM(I, H, batch_first=True, rng=rng))
    xs = rng.standard_normal((B, T, I)).astype(np.float32)
    assert isinstance(layer, RecurrentLayer)
    outputs, (states,) = Sequential(layer, Linear(H, 3))(xs)
    assert outputs.shape == (B, T, 3)
    assert states.h.shape == (1, B, H)
    zoo = make(Recurrent(cells.MGU(I, H, rng=rng)), "cell.u")
    assert zoo(xs.swapaxes(0, 1))[0].shape == (T, B, H)


class Doubled(Parametrization):
    def __init__(self, array):
        pass

    def __call__(self, free):
        return 2 * free

    def start(self, array):
        return array / 2


def test_a_parametrization_of_ones_own_is_a_few_lines(rng):
    layer = Linear(I, H, rng=rng)
    weight, bias, x = layer.weight.copy(), layer.bias, rng.standard_normal((B, I)).astype(np.float32)
    doubled = Reparametrized(layer, "weight", Doubled)
    np.testing.assert_allclose(doubled(x), x @ weight.T + bias, rtol=1e-6)
    np.testing.assert_allclose(layer.weight, weight / 2)
    np.testing.assert_allclose(doubled.plain().weight, weight)
    assert list(doubled.parameters()) == ["layer.weight", "layer.bias"]


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: weight_norm(GRU(I, H), "*.v"), ValueError, r"no parameter matches '\*\.v'; the paths are layers\.0\."),
        (lambda: weight_norm(minirnn.GRUCell(I, H)), TypeError, "GRUCell came, which is a cell"),
        (lambda: weight_norm(GRU(I, H), "*bias_hh"), ValueError, r"cell\.bias_hh: weight_norm: shape \(12,\) came"),
        (lambda: spectral_norm(GRU(I, H), "*bias_hh"), ValueError, r"spectral_norm: shape \(12,\) came"),
        (lambda: orthogonal(GRU(5, H), "*weight_ih"), ValueError, r"orthogonal: shape \(12, 5\) came, a recurrent"),
        (lambda: orthogonal(LSTM(I, 5, proj_size=3)), ValueError, r"orthogonal: shape \(20, 3\) came"),
        (lambda: orthogonal(GRU(I, H), map="qr"), ValueError, "map='qr' came, exponential or cayley"),
        (lambda: weight_norm(zeroed(Linear(I, H)), "weight"), ValueError, "row 0 is zero"),
        (lambda: spectral_norm(zeroed(Linear(I, H)), "weight"), ValueError, "a matrix of zeros came"),
    ],
)
def test_bad_input_is_refused(call, error, says):
    with pytest.raises(error, match=says):
        call()


def zeroed(layer):
    layer.weight = np.zeros_like(layer.weight)
    return layer


def test_a_refusal_leaves_the_layer_as_it_was():
    layer = GRU(5, H)
    before = layer.state_dict()
    with pytest.raises(ValueError, match="orthogonal: shape"):
        orthogonal(layer, "*weight_?h")
    assert all(np.array_equal(value, before[path]) for path, value in layer.state_dict().items())
