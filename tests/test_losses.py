"""The losses against PyTorch's, at extremes, and on bad input."""

import numpy as np
import pytest

import minirnn
from minirnn import losses
from minirnn.losses import binary_cross_entropy_with_logits, cross_entropy, mse

reductions = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def gradient(loss, x):
    return minirnn.grad(lambda x: np.sum(loss(x)) if np.ndim(loss(x)) else loss(x))(x)


def agree(ours, torch_loss, torch, x):
    """Values and gradients, ours(x) a function of an array and torch_loss of a tensor."""
    tensor = torch.from_numpy(x.copy()).requires_grad_()
    theirs = torch_loss(tensor)
    theirs.sum().backward()
    found, pull = minirnn.vjp(ours, x)
    assert found.dtype == x.dtype
    assert np.allclose(found, theirs.detach().numpy(), rtol=1e-6, atol=1e-12)
    (g,) = pull(np.ones_like(found))
    assert g.dtype == x.dtype
    assert np.allclose(g, tensor.grad.numpy(), rtol=1e-5, atol=1e-7)


@dtypes
@reductions
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("ignore", [None, 2, -1])
def test_cross_entropy_is_pytorchs(reduction, smoothing, ignore, dtype, torch, rng):
    x = (5 * rng.standard_normal((4, 3, 6))).astype(dtype)
    targets = rng.integers(0, 6, (4, 3))
    if ignore is not None:
        targets[0] = ignore

    def theirs(tensor):
        flat, chosen = tensor.reshape(-1, 6), torch.from_numpy(targets.ravel())
        keywords = {"ignore_index": -100 if ignore is None else ignore, "label_smoothing": smoothing}
        loss = torch.nn.functional.cross_entropy(flat, chosen, reduction=reduction, **keywords)
        return loss.reshape(4, 3) if reduction == "none" else loss

    ours = lambda x: cross_entropy(x, targets, ignore_index=ignore, label_smoothing=smoothing, reduction=reduction)
    agree(ours, theirs, torch, x)


@dtypes
@reductions
def test_mse_and_binary_cross_entropy_are_pytorchs(reduction, dtype, torch, rng):
    x, targets = (4 * rng.standard_normal((5, 3))).astype(dtype), rng.random((5, 3)).astype(dtype)
    f, t = torch.nn.functional, torch.from_numpy(targets)
    agree(lambda x: mse(x, targets, reduction=reduction), lambda x: f.mse_loss(x, t, reduction=reduction), torch, x)
    agree(
        lambda x: binary_cross_entropy_with_logits(x, targets, reduction=reduction),
        lambda x: f.binary_cross_entropy_with_logits(x, t, reduction=reduction),
        torch,
        x,
    )


@dtypes
def test_cross_entropy_of_huge_logits_is_right(dtype):
    x = np.array([[1e4, -1e4, 0], [1e4, 1e4, -1e4], [1e4, 1e4 - 1, -1e4]], dtype)
    losses = cross_entropy(x, np.array([1, 0, 0]), reduction="none")
    assert np.allclose(losses, [2e4, np.log(2), np.log1p(np.exp(-1))], rtol=1e-6)
    expected = [[1, -1, 0], [-0.5, 0.5, 0], [1 / (1 + np.exp(-1)) - 1, 1 / (1 + np.e), 0]]
    assert np.allclose(gradient(lambda x: cross_entropy(x, np.array([1, 0, 0]), reduction="sum"), x), expected)


@dtypes
def test_binary_cross_entropy_of_huge_logits_is_right(dtype):
    x, t = np.array([1e4, 1e4, -1e4, 40, -40, 0], dtype), np.array([1, 0, 0.5, 1, 0, 0], dtype)
    losses = binary_cross_entropy_with_logits(x, t, reduction="none")
    assert np.allclose(losses, [0, 1e4, 5e3, np.exp(-40), np.exp(-40), np.log(2)], rtol=1e-6, atol=0)
    g = gradient(lambda x: binary_cross_entropy_with_logits(x, t, reduction="sum"), x)
    assert np.allclose(g, [0, 1, -0.5, 0, 0, 0.5])


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_a_logit_that_is_not_finite_spoils_its_own_row_alone(value):
    logits, targets = np.zeros((3, 4)), np.array([0, 1, 2])
    logits[1, 3] = value
    with np.errstate(invalid="ignore"):
        gradient = minirnn.grad(lambda x: cross_entropy(x, targets))(logits)
        assert not np.isfinite(cross_entropy(logits, targets))
    assert np.array_equal(gradient[::2], minirnn.grad(lambda x: cross_entropy(x, targets))(np.zeros((3, 4)))[::2])
    assert np.isnan(gradient[1]).any()


def test_ignored_entries_do_not_count_even_where_logits_are_nan():
    x = np.array([[0.0, 0.0], [np.nan, np.nan]])
    loss = lambda x: cross_entropy(x, np.array([1, -1]), ignore_index=-1)
    assert np.isclose(loss(x), np.log(2))
    assert np.allclose(gradient(loss, np.zeros((2, 2)))[1], 0)


X, T, I = np.zeros((2, 3)), np.zeros((2, 3)), np.zeros(2, int)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: cross_entropy(X, np.zeros(2)), TypeError, "targets are float64, integers"),
        (lambda: cross_entropy(X.astype(int), I), TypeError, "logits: int64 came, a float array"),
        (lambda: cross_entropy([[0.0]], I), TypeError, "logits: list came"),
        (lambda: cross_entropy(X, np.zeros((3, 2), int)), ValueError, r"targets have shape \(3, 2\), logits \(2, 3\)"),
        (lambda: cross_entropy(X, np.array([0, 3])), ValueError, "target 3 came, 0 to 2"),
        (lambda: cross_entropy(X, np.array([-1, 0])), ValueError, "target -1 came"),
        (lambda: cross_entropy(X, I, ignore_index=0), ValueError, "a mean over no entries"),
        (lambda: cross_entropy(X, I, label_smoothing=1.5), ValueError, "label_smoothing=1.5"),
        (lambda: cross_entropy(X, I, reduction="avg"), ValueError, "reduction='avg' came, one of mean, sum, none"),
        (lambda: mse(X, T[:1]), ValueError, "nothing is broadcast"),
        (lambda: mse(X, T.astype(np.float32)), TypeError, "predictions are float64, targets float32"),
        (lambda: mse(X[:0], T[:0]), ValueError, "a mean over no entries"),
        (lambda: binary_cross_entropy_with_logits(X, T - 1), ValueError, "outside 0 to 1"),
        (lambda: binary_cross_entropy_with_logits(X, I), TypeError, "targets: int64 came"),
    ],
)
def test_bad_input_is_an_error_that_says_what_was_expected(call, error, says):
    with pytest.raises(error, match=says):
        call()


@pytest.mark.usefixtures("on_tier")
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("ignore", [None, 2])
def test_the_fused_cross_entropy_equals_its_twin_of_primitives_in_every_order(smoothing, ignore, rng):
    x, targets = 3 * rng.standard_normal((7, 5)), rng.integers(0, 5, 7)
    scored = targets != ignore if ignore is not None else None
    twin = losses._CrossEntropy(targets, scored, 7, smoothing, "none")._by_primitives
    weights, direction = rng.standard_normal(7), rng.standard_normal(x.shape)

    def fused(x):
        each = cross_entropy(x, targets, ignore_index=ignore, label_smoothing=smoothing, reduction="none")
        return (weights * each).sum()

    def slow(x):
        return (weights * twin(x)[0]).sum()

    orders = [lambda f: f(x), lambda f: minirnn.grad(f)(x), lambda f: minirnn.jvp(f, [x], [direction])[1]]
    for order in [*orders, lambda f: minirnn.hvp(f)(x, direction)]:
        np.testing.assert_allclose(order(fused), order(slow), rtol=1e-12, atol=1e-12)


# ---------------------------------------------------------------- activation regularisation
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activation_regularization_is_its_formula(dtype, rng):
    h = rng.standard_normal((5, 3, 4)).astype(dtype)
    ar, tar = losses.activation_regularization(h), losses.temporal_activation_regularization(h)
    assert ar.dtype == tar.dtype == dtype
    np.testing.assert_allclose(ar, np.mean(h**2), rtol=1e-6)
    np.testing.assert_allclose(tar, np.mean([(h[t + 1] - h[t]) ** 2 for t in range(4)]), rtol=1e-6)


def test_activation_regularization_counts_each_sequence_to_its_end(rng):
    h, lengths = rng.standard_normal((5, 4, 3)), [5, 2, 1, 0]
    entries = [h[t, b] for b, n in enumerate(lengths) for t in range(n)]
    moves = [h[t + 1, b] - h[t, b] for b, n in enumerate(lengths) for t in range(n - 1)]
    ar = losses.activation_regularization(h, lengths=lengths)
    tar = losses.temporal_activation_regularization(h, lengths=lengths)
    np.testing.assert_allclose(ar, np.mean(np.square(entries)))
    np.testing.assert_allclose(tar, np.mean(np.square(moves)))
    assert losses.temporal_activation_regularization(h[:1]) == 0


@pytest.mark.parametrize("lengths", [None, [3, 1]])
@pytest.mark.parametrize("name", ["activation_regularization", "temporal_activation_regularization"])
def test_activation_regularizations_gradient(name, lengths, rng, gradcheck):
    assert gradcheck(lambda h: getattr(losses, name)(h, lengths=lengths), rng.standard_normal((3, 2, 2))).ok


def test_activation_regularization_refuses_what_is_no_sequence():
    with pytest.raises(TypeError, match="temporal_activation_regularization: outputs: int64 came"):
        losses.temporal_activation_regularization(np.ones((2, 3, 1), int))
    with pytest.raises(ValueError, match=r"\(T, B, ...\) was expected"):
        losses.activation_regularization(np.ones(3), lengths=[1])
    with pytest.raises(ValueError, match="between 1 and 4, xs has 3 steps"):
        losses.temporal_activation_regularization(np.ones((3, 2, 1)), lengths=[1, 4])


@reductions
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("rubbish", [np.nan, np.inf, -np.inf, 1e38])
def test_ignored_rows_may_hold_anything(rubbish, smoothing, reduction, rng):
    x, targets = rng.standard_normal((5, 4)).astype(np.float32), np.array([1, -1, 3, -1, 0])
    clean = x.copy()
    x[1], x[3, 2] = rubbish, rubbish
    loss = lambda x: np.sum(cross_entropy(x, targets, ignore_index=-1, label_smoothing=smoothing, reduction=reduction))
    assert loss(x) == loss(clean)
    assert np.array_equal(gradient(loss, x), gradient(loss, clean))
    t = rng.standard_normal(x.shape).astype(np.float32)
    assert minirnn.jvp(loss, (x,), (t,))[1] == minirnn.jvp(loss, (clean,), (t,))[1]
    assert np.array_equal(minirnn.hvp(loss)(x, t), minirnn.hvp(loss)(clean, t))


@pytest.mark.parametrize("regulariser", [losses.activation_regularization, losses.temporal_activation_regularization])
@pytest.mark.parametrize("rubbish", [np.nan, np.inf])
def test_what_stands_past_an_end_reaches_no_regularisers_gradient(regulariser, rubbish, rng):
    x, lengths = rng.standard_normal((5, 3, 2)), [5, 2, 0]
    clean = x.copy()
    x[2:, 1], x[:, 2] = rubbish, rubbish
    loss = lambda x: regulariser(x, lengths=lengths)
    assert loss(x) == loss(clean)
    assert np.array_equal(gradient(loss, x), gradient(loss, clean))
