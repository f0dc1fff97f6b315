"""Numerical derivatives: their values, and that their error estimates hold."""

import numpy as np
import pytest

from minirnn.gradcheck.differences import (
    Samples,
    bends,
    extrapolate,
    fine_steps,
    jumps,
    one_sided,
    sample,
    steps,
    without_absorbed,
)

EPS = float(np.finfo(float).eps)
CASES = {
    "exp": (np.exp, 1.0),
    "tame polynomial": (lambda t: 1 + t + t**3, 1.0),
    "stiff": (lambda t: np.exp(40 * t), 40.0),
    "fast": (lambda t: np.sin(500 * t), 500.0),
    "single precision inside": (lambda t: np.float64(np.exp(np.float32(t))), 1.0),
    "cancellation": (lambda t: (np.sin(t) + 1e6) - 1e6, 1.0),
    "kink at 1e-6": (lambda t: abs(t - 1e-6), -1.0),
    "pole at 0.01": (lambda t: 1 / (0.01 - t), 1e4),
    "log near its edge": (lambda t: np.log(1e-6 + t) if t > -1e-6 else np.nan, 1e6),
}


def samples_of(f, at):
    return sample(lambda t: np.array([f(t)]), np.array([f(0.0)], dtype=float), at)


@pytest.mark.parametrize("case", CASES)
def test_the_true_derivative_lies_within_the_estimated_error(case):
    f, true = CASES[case]
    s = samples_of(f, fine_steps(EPS))
    table = without_absorbed((s.plus - s.minus) / (2 * s.steps[:, None]), s.steps, s.size)
    value, error = extrapolate(table, s.steps, EPS * np.abs(s.centre), 2)
    assert abs(value[0] - true) <= 10 * error[0]
    assert error[0] < 0.01 * abs(true)


def test_four_steps_do_for_a_tame_function():
    s = samples_of(np.exp, steps(EPS))
    value, error = extrapolate((s.plus - s.minus) / (2 * s.steps[:, None]), s.steps, np.array([EPS]), 2)
    assert abs(value[0] - 1) <= 10 * error[0] < 1e-9


def test_where_nothing_is_finite_the_error_is_infinite():
    value, error = extrapolate(np.full((4, 2), np.nan), steps(EPS), np.zeros(2), 2)
    assert np.isnan(value).all()
    assert np.isinf(error).all()


@pytest.mark.parametrize(
    ("f", "left", "right"),
    [(abs, -1, 1), (lambda t: max(t, 0) + np.exp(t), 1, 2), (lambda t: np.sin(t), 1, 1)],
)
def test_one_sided_derivatives_tell_a_kink_from_a_bend(f, left, right):
    s = samples_of(f, fine_steps(EPS))
    found = one_sided(s, EPS * (np.abs(s.centre) + 1))
    assert found[0][0] == pytest.approx(left, abs=10 * found[1][0])
    assert found[2][0] == pytest.approx(right, abs=10 * found[3][0])
    assert max(found[1][0], found[3][0]) < 1e-6
    assert bends(samples_of(f, steps(EPS)), np.ones((1, 1)), EPS * np.ones(1)) == (left != right)


def rounding_only(t):
    return np.exp(1e-5 * (1 + t)) - np.exp(-1e-5 * (1 + t)) - 2e-5 * (1 + t)


@pytest.mark.parametrize(
    ("f", "jump"),
    [(np.sign, True), (lambda t: float(t >= 0) + t, True), (abs, False), (np.exp, False), (rounding_only, False)],
)
def test_a_jump_is_told_from_a_slope_and_from_rounding(f, jump):
    assert jumps(samples_of(f, fine_steps(EPS)), np.ones((1, 1))) == jump


def test_known_samples_are_not_taken_again():
    known = samples_of(np.exp, steps(EPS))
    asked = []
    line = lambda t: asked.append(t) or np.array([np.exp(t)])
    both = sample(line, known.centre, np.union1d(known.steps, [0.25])[::-1], known)
    assert isinstance(both, Samples)
    assert asked == [0.25, -0.25]
