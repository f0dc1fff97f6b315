"""CTC against PyTorch's, against the enumeration of all paths, and against its own slow twin."""

import itertools

import autograd.numpy as np
import numpy as onp
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minirnn
from minirnn.ctc import best_path
from minirnn.losses import ctc

dtypes = pytest.mark.parametrize("dtype", [onp.float32, onp.float64])


def spelled(path, blank):
    return tuple(label for label, _ in itertools.groupby(path) if label != blank)


def by_enumeration(logits, labels, blank):
    """-log of the sum of p(path) over every path that spells the labels. logits: (T, C)."""
    log_p = logits - onp.log(onp.exp(logits).sum(axis=1, keepdims=True))
    paths = itertools.product(range(logits.shape[1]), repeat=len(logits))
    spelling = [path for path in paths if spelled(path, blank) == tuple(labels)]
    p = sum(onp.exp(sum(log_p[t, k] for t, k in enumerate(path))) for path in spelling)
    return -onp.log(p) if p else onp.inf


@st.composite
def problems(draw, classes=3):
    """(logits, targets, input lengths, target lengths, blank), small enough to enumerate."""
    steps, batch, count = draw(st.integers(1, 5)), draw(st.integers(1, 3)), draw(st.integers(0, 3))
    rng = onp.random.default_rng(draw(st.integers(0, 99)))
    blank = draw(st.integers(0, classes - 1))
    labels = rng.choice([k for k in range(classes) if k != blank], (count, batch))
    lengths = rng.integers(0, steps + 1, batch), rng.integers(0, count + 1, batch)
    return rng.standard_normal((steps, batch, classes)), labels, *lengths, blank


@given(problems())
def test_the_loss_is_that_of_all_paths_that_spell_the_target(problem):
    logits, targets, steps, counts, blank = problem
    losses = ctc(logits, targets, steps, counts, blank=blank, reduction="none")
    for b, (t, s) in enumerate(zip(steps, counts, strict=True)):
        assert onp.allclose(losses[b], by_enumeration(logits[:t, b], targets[:s, b], blank), rtol=1e-10)


def drawn(rng, dtype, steps=12, batch=5, classes=6, count=4):
    logits = (2 * rng.standard_normal((steps, batch, classes))).astype(dtype)
    targets = rng.integers(1, classes, (count, batch))
    targets[1, 0] = targets[0, 0]  # a repeat, which takes a blank between
    return logits, targets, onp.array([12, 9, 10, 12, 8]), onp.array([4, 2, 0, 1, 4])


@dtypes
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("blank", [0, 5])
@pytest.mark.parametrize("zero_infinity", [False, True])
def test_values_and_gradients_are_pytorchs(reduction, blank, zero_infinity, dtype, torch, rng):
    logits, targets, steps, counts = drawn(rng, dtype)
    if blank == 5:
        targets -= 1
    if zero_infinity:
        steps[0] = 2  # too short for four labels
    tensor = torch.from_numpy(logits.copy()).requires_grad_()
    given = [torch.from_numpy(a) for a in (targets.T, steps, counts)]
    options = {"blank": blank, "reduction": reduction, "zero_infinity": zero_infinity}
    theirs = torch.nn.functional.ctc_loss(tensor.log_softmax(2), *given, **options)
    theirs.sum().backward()
    ours, pull = minirnn.vjp(lambda logits: ctc(logits, targets, steps, counts, **options), logits)
    (g,) = pull(onp.ones_like(ours))
    tight = dtype == onp.float64
    assert ours.dtype == g.dtype == dtype
    assert onp.allclose(ours, theirs.detach().numpy(), rtol=1e-12 if tight else 1e-5)
    assert onp.allclose(g, tensor.grad.numpy(), rtol=1e-9 if tight else 1e-4, atol=1e-13 if tight else 2e-6)


def test_derivatives_of_both_orders_and_modes_agree(rng, gradcheck):
    logits, targets, steps, counts = drawn(rng, onp.float64, steps=12)
    loss = lambda x: ctc(x, targets, steps, counts, reduction="sum")
    gradcheck(loss, logits)
    v = rng.standard_normal(logits.shape)
    assert onp.isclose(minirnn.jvp(loss, (logits,), (v,))[1], onp.sum(minirnn.grad(loss)(logits) * v))
    numerical = (minirnn.grad(loss)(logits + 1e-5 * v) - minirnn.grad(loss)(logits - 1e-5 * v)) / 2e-5
    assert onp.allclose(minirnn.hvp(loss)(logits, v), numerical, atol=1e-8)
    reverse_over_reverse = minirnn.grad(lambda x: np.sum(minirnn.grad(loss)(x) * v))(logits)
    assert onp.allclose(reverse_over_reverse, numerical, atol=1e-8)


def test_an_impossible_target_is_infinite_or_counts_as_zero_and_moves_nothing(rng):
    logits, targets = rng.standard_normal((3, 2, 4)), onp.array([[1, 1], [1, 2], [2, 3]])  # 1 1 2 takes four steps
    losses = lambda x, **options: ctc(x, targets, reduction="none", **options)
    assert onp.isinf(losses(logits)[0])
    assert onp.isclose(losses(logits)[1], by_enumeration(logits[:, 1], targets[:, 1], 0))
    assert losses(logits, zero_infinity=True)[0] == 0
    for options in ({}, {"zero_infinity": True}):
        g = minirnn.grad(lambda x, o=options: np.sum(losses(x, **o)[1:]) + 0 * np.sum(x))(logits)
        assert onp.isfinite(minirnn.vjp(lambda x, o=options: losses(x, **o), logits)[1](onp.ones(2))[0]).all()
        assert not g[:, 0].any()
        assert g[:, 1].any()


@dtypes
def test_long_and_certain_sequences_stay_finite(dtype, rng):
    logits = (300 * rng.standard_normal((400, 2, 5))).astype(dtype)
    targets = rng.integers(1, 5, (50, 2))
    loss, g = minirnn.value_and_grad(lambda x: ctc(x, targets))(logits)
    assert onp.isfinite(loss)
    assert onp.isfinite(g).all()


def test_what_stands_past_an_end_does_not_matter(rng):
    logits, targets, steps, counts = drawn(rng, onp.float64)
    expected = minirnn.value_and_grad(lambda x: ctc(x, targets, steps, counts))(logits)
    past = onp.arange(len(logits))[:, None] >= steps
    logits[past], targets[onp.arange(4)[:, None] >= counts] = onp.nan, -1
    loss, g = minirnn.value_and_grad(lambda x: ctc(x, targets, steps, counts))(logits)
    assert loss == expected[0]
    assert (g == expected[1]).all()
    assert not g[past].any()


@given(problems(), st.booleans())
def test_the_best_path_is_merged_and_its_blanks_left_out(problem, ragged):
    logits, _, steps, _, blank = problem
    found = best_path(logits, steps if ragged else None, blank=blank)
    for b, labels in enumerate(found):
        path = logits[: steps[b] if ragged else None, b].argmax(axis=1)
        assert tuple(labels) == spelled(path, blank)


def test_training_on_the_loss_finds_the_labels(rng):
    model = minirnn.Sequential(minirnn.GRU(3, 16, rng=rng), minirnn.Linear(16, 4, rng=rng))
    xs, targets = rng.standard_normal((10, 2, 3), dtype=onp.float32), onp.array([[1, 3], [1, 2], [2, 1]])
    optimizer = minirnn.optim.Adam(model, lr=3e-2)
    for _ in range(60):
        optimizer.step(minirnn.grad(lambda model: ctc(model(xs)[0], targets))(model))
    assert [list(labels) for labels in best_path(model(xs)[0])] == [[1, 1, 2], [3, 2, 1]]


X, T = onp.zeros((4, 2, 3)), onp.ones((2, 2), int)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: ctc(X[0], T), ValueError, r"logits have shape \(2, 3\), \(T, B, C\)"),
        (lambda: ctc(X.astype(int), T), TypeError, "logits are int64"),
        (lambda: ctc(X, T * 1.0), TypeError, "targets are float64, integers"),
        (lambda: ctc(X, T[:, :1]), ValueError, r"targets have shape \(2, 1\), \(S, B=2\)"),
        (lambda: ctc(X, 3 * T), ValueError, "label 3 came, 0 to 2 without the blank 0"),
        (lambda: ctc(X, 0 * T), ValueError, "label 0 came"),
        (lambda: ctc(X, T, blank=3), ValueError, "blank=3 came, 0 to 2"),
        (lambda: ctc(X, T, [4, 5]), ValueError, "between 4 and 5, xs has 4 steps"),
        (lambda: ctc(X, T, None, [4, 1]), ValueError, "between 1 and 4"),
        (lambda: ctc(X, T, reduction="avg"), ValueError, "reduction='avg'"),
        (lambda: ctc(X[:, :0], T[:, :0]), ValueError, "a mean over no sequences"),
    ],
)
def test_bad_input_is_an_error_that_says_what_was_expected(call, error, says):
    with pytest.raises(error, match=says):
        call()
