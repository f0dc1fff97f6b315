"""A backward that ignores its cotangent or takes it last, one zero entry among many, and a check that takes long."""

import numpy as np
import pytest

from minirnn.gradcheck import gradcheck
from minirnn.gradcheck.progress import EVERY, Progress

X = np.random.default_rng(0).standard_normal((4, 3))
W = np.random.default_rng(1).standard_normal((3, 4))


@pytest.mark.parametrize(
    ("f", "vjp"),
    [
        (lambda x: np.sum(x**2), lambda g, x: 2 * x),
        (lambda x: np.sum(x**2), lambda g, x: (2 * x / np.sqrt(1),)),
        (lambda x: np.mean(np.sin(x)), lambda g, x: np.cos(x) / x.size),
        (lambda x: np.sin(x), lambda g, x: np.cos(x)),
    ],
)
def test_a_backward_that_ignores_its_cotangent_is_told_so(f, vjp):
    report = gradcheck(f, X, vjp=vjp)
    assert report.kind == "mismatch"
    assert "hint: x: does not depend on the cotangent g: multiply by g" in str(report)
    assert "clipped" not in str(report)


def test_the_argument_whose_gradient_ignores_the_cotangent_is_named():
    report = gradcheck(lambda x, y: np.sum(x**2) + np.sum(y**3), X, X + 1, vjp=lambda g, x, y: (2 * g * x, 3 * y**2))
    assert "hint: y: does not depend on the cotangent" in str(report)
    assert "hint: x" not in str(report)


SWAPPED = {
    "of the right shape": (lambda x: np.sum(np.sin(x)), (X,), lambda x, g: np.cos(x) * g),
    "elementwise": (np.sin, (X,), lambda x, g: np.cos(x) * g),
    "an error": (lambda x, w: np.sum((x @ w) ** 2), (X, W), lambda x, w, g: (2 * g * x @ w @ w.T, 2 * g * x.T @ x @ w)),
}


@pytest.mark.parametrize("case", SWAPPED)
def test_a_backward_that_takes_its_cotangent_last_is_told_so(case):
    f, args, vjp = SWAPPED[case]
    report = gradcheck(f, *args, vjp=vjp)
    assert (report.kind, report.ok) == ("mismatch", False)
    assert "called with the cotangent first, as in backward(g, x" in str(report)
    assert "this one is right where g comes last" in str(report)
    assert "hint" not in str(report)


def test_a_backward_that_is_wrong_either_way_is_not_told_so():
    assert "g comes last" not in str(gradcheck(np.sin, X, vjp=lambda x, g: 2 * np.cos(x) * g))
    with pytest.raises(ValueError, match="matmul"):
        gradcheck(lambda x: np.sum(x**2), X, vjp=lambda g, x: x @ x)


def test_a_product_may_be_swapped_unseen_but_the_name_is_noted():
    report = gradcheck(lambda x: np.sum(x**2), X, vjp=lambda x, g: 2 * x * g)
    assert report.ok
    assert "the first parameter of this one is named like an argument of f" in str(report)
    assert "named like" not in str(gradcheck(lambda x: np.sum(x**2), X, vjp=lambda g, x: 2 * x * g))


# ---------------------------------------------------------------- zero
@pytest.mark.parametrize("shape", [(231,), (21, 11)])
def test_one_zero_entry_of_many_is_not_called_zero_throughout(shape):
    x = np.random.default_rng(0).standard_normal(shape)
    entry = (7,) if len(shape) == 1 else (7, 4)
    report = gradcheck(lambda x: x[entry] ** 2, x, vjp=lambda g, x: 0 * x)
    where = "at index 7 of axis 0 (only that one of 231)" if len(shape) == 1 else "at [7, 4] alone"
    assert f"hint: x: the gradient {where} is zero, and should not be" in str(report)
    assert "throughout" not in str(report)
    assert "zero throughout" in str(gradcheck(lambda x: np.sum(x**2), x, vjp=lambda g, x: 0 * x))
    assert "zero throughout" in str(gradcheck(lambda x: x**2, 0.5, vjp=lambda g, x: 0 * x))


# ---------------------------------------------------------------- progress
class Clock:
    def __init__(self, step):
        self.now, self.step = 0.0, step

    def __call__(self):
        self.now += self.step
        return self.now


@pytest.mark.parametrize(("step", "told"), [(0.001, False), (0.1, True)])
def test_a_long_check_says_every_few_seconds_what_it_does(step, told, monkeypatch, capsys):
    monkeypatch.setattr("minirnn.gradcheck.progress.monotonic", Clock(step))
    report = gradcheck(np.sin, X, vjp=lambda g, x: g * np.cos(x))
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == (int(report.evaluations * step / (EVERY + step)) if told else 0)
    if told:
        assert lines[0] == "gradcheck: 4 s, 40 evaluations of f, at the given point"
        assert lines[-1].endswith("about 10 times as large")
    gradcheck(np.sin, X, vjp=lambda g, x: g * np.cos(x), progress=False)
    assert not capsys.readouterr().err


def test_progress_is_quiet_unless_asked(monkeypatch, capsys):
    monkeypatch.setattr("minirnn.gradcheck.progress.monotonic", Clock(10.0))
    Progress().tick(3)
    assert not capsys.readouterr().err
    Progress(quiet=False).tick(3)
    assert capsys.readouterr().err == "gradcheck: 10 s, 3 evaluations of f, \n"
