"""Points where differences deceive: large numbers that cancelled exactly, and equal entries where f bends."""

import numpy as np
import pytest

from minirnn.gradcheck import gradcheck

SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 8))]
RNG = np.random.default_rng(5)
WHOLE = RNG.integers(-3, 4, (5, 3)).astype(float), RNG.integers(-3, 4, (3, 2)).astype(float)
BROKEN = RNG.standard_normal((5, 3)), RNG.standard_normal((3, 2))
LOSSES = {  # of the residual r, and its derivative
    "squared": (lambda r: np.mean(r**2), lambda r: 2 * r / r.size),
    "quartic": (lambda r: np.mean(r**4), lambda r: 4 * r**3 / r.size),
    "log cosh": (lambda r: np.sum(np.log(np.cosh(r))), np.tanh),
    "Huber": (lambda r: np.sum(np.where(np.abs(r) < 1, r**2 / 2, np.abs(r) - 0.5)), lambda r: np.clip(r, -1, 1)),
}
FITS = {
    "integers": (WHOLE, 1, 1),
    "large integers": (WHOLE, 1000, 1000),
    "small": (WHOLE, 1e-9, 1e-3),
    "huge": (WHOLE, 1e20, 1),
    "broken numbers": (BROKEN, 1, 1),
}


def fit(loss, factor):
    value, slope = LOSSES[loss]

    def backward(g, x, w, y):
        d = (factor * g * slope(x @ w - y)).astype(x.dtype)
        return d @ w.T, x.T @ d, -d

    return lambda x, w, y: value(x @ w - y), backward


@pytest.mark.parametrize(
    ("loss", "numbers"),
    [*(("squared", numbers) for numbers in FITS), *((loss, "integers") for loss in LOSSES if loss != "squared")],
)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_right_gradient_at_an_exact_fit_is_ok_and_a_wrong_one_is_caught_beside_it(loss, numbers, seed):
    (x, w), size_x, size_w = FITS[numbers]
    x, w = size_x * x, size_w * w
    f, backward = fit(loss, 1.0)
    assert backward(1.0, x, w, x @ w)[0].any() == np.False_
    report = gradcheck(f, x, w, x @ w, vjp=backward, seed=seed)
    assert report.kind == "ok", str(report)
    report = gradcheck(f, x, w, x @ w, vjp=fit(loss, 1.01)[1], seed=seed)
    assert (report.kind, report.points) == ("mismatch", 2), str(report)  # the first other point
    if loss == "squared":
        off = lambda g, x, w, y: tuple(d + 1e-7 * np.abs(v).mean() * size_w for d, v in
                                       zip(backward(g, x, w, y), (x, w, y), strict=True))  # fmt: skip
        assert gradcheck(f, x, w, x @ w, vjp=off, seed=seed).kind == "mismatch"


@pytest.mark.parametrize("factor", [1.0, 1.01])
def test_an_exact_fit_in_single_precision(factor):
    x, w = (a.astype(np.float32) for a in WHOLE)
    f, backward = fit("squared", factor)
    assert gradcheck(f, x, w, x @ w, vjp=backward).ok == (factor == 1)


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("room", [0.1, 0.01])
def test_an_exact_fit_beside_the_edge_of_its_domain(room, side):
    """Where f is not defined as far as the largest step goes, the largest that is inside tells how much cancels."""
    x, w = BROKEN
    f, backward = fit("squared", 1.0)
    inside = lambda *args: f(*args) if side * (args[0][0, 0] - x[0, 0]) > -room else np.nan
    assert gradcheck(inside, x, w, x @ w, vjp=backward).kind == "ok"


# ---------------------------------------------------------------- ties
first = lambda g, x: g * (np.arange(x.size) == x.argmax())
whole = lambda g, x: g * (x == x.max())
mean = lambda g, x: whole(g, x) / whole(1, x).sum()
TIES = {
    "all": np.ones(4),
    "two": np.array([1.0, 3, 3, 0]),
    "zeros": np.zeros(6),
    "negative": -np.ones(3),
    "large": np.array([1e8, 1e8, 0]),
    "two of many": np.concatenate([RNG.uniform(-1, 1, 50), [9, 9]]),
    "more than are looked at": np.ones(150),
}


@pytest.mark.parametrize("tie", TIES)
def test_max_over_equal_entries_gives_the_gradient_once(tie):
    x = TIES[tie]
    for right in (first, mean):
        report = gradcheck(np.max, x, vjp=right)
        assert (report.kind, report.ok) == ("kink", True), str(report)
    report = gradcheck(np.max, x, vjp=whole)
    assert (report.kind, report.ok) == ("mismatch", False), str(report)
    assert "f does not bend, and there the gradient is wrong" in str(report)
    assert report.worst.error < 1e-6 * abs(report.worst.numeric)


A, B = np.array([1.0, 2, 3]), np.array([1.0, 2, 4])
Q = RNG.standard_normal(4)
rank = lambda x: np.argsort(np.argsort(x, kind="stable"), kind="stable")
SMOOTH_TOGETHER = {
    "maximum: both, none": (np.maximum, (A, B), lambda g, x, y: (g * (x >= y), g * (y > x)),
                            [lambda g, x, y: (g * (x >= y), g * (y >= x)), lambda g, x, y: (g * (x > y), g * (y > x))]),
    "relu of a sum, two conventions": (lambda a, b: np.maximum(a + b, 0), (Q, -Q),
                                       lambda g, a, b: (g * (a + b > 0), g * (a + b > 0)),
                                       [lambda g, a, b: (g * (a + b > 0), g * (a + b >= 0))]),
    "min of rows": (lambda x: x.min(1), (np.array([[1.0, 1, 2], [0, 0, 0], [5, 6, 7]]),),
                    lambda g, x: np.eye(3)[x.argmin(1)] * g[:, None],
                    [lambda g, x: (x == x.min(1, keepdims=True)) * g[:, None]]),
    "median": (lambda x: np.sort(x)[x.size // 2], (np.array([1.0, 2, 2, 2, 5]),),
               lambda g, x: g * (np.arange(x.size) == np.argsort(x, kind="stable")[x.size // 2]),
               [lambda g, x: g * (x == np.median(x))]),
    "sort": (np.sort, (np.array([3.0, 1, 1, 2]),), lambda g, x: g[rank(x)], [lambda g, x: 2 * g[rank(x)]]),
    "relu network at zero": (lambda x, w, v: np.maximum(x @ w, 0) @ v,
                             (np.zeros((3, 2)), RNG.standard_normal((2, 6)), RNG.standard_normal(6)),
                             lambda g, x, w, v: ((d := np.outer(g, v) * (x @ w > 0)) @ w.T, x.T @ d,
                                                 np.maximum(x @ w, 0).T @ g), []),
    "abs of an exact fit": (lambda x, y: np.sum(np.abs(x - y)), (Q, Q),
                            lambda g, x, y: (g * np.sign(x - y), g * np.sign(y - x)),
                            [lambda g, x, y: (g * np.where(x >= y, 1, -1), g * np.where(y >= x, 1, -1))]),
}  # fmt: skip


@pytest.mark.parametrize("case", SMOOTH_TOGETHER)
@pytest.mark.parametrize("seed", SEEDS)
def test_where_entries_move_together_and_f_is_smooth_the_gradient_is_judged(case, seed):
    f, args, right, wrongs = SMOOTH_TOGETHER[case]
    report = gradcheck(f, *args, vjp=right, seed=seed)
    assert (report.kind, report.ok) == ("kink", True), str(report)
    for wrong in wrongs:
        assert gradcheck(f, *args, vjp=wrong, seed=seed).kind == "mismatch"
