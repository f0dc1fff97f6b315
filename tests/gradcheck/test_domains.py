"""Where f is not defined: whatever it raises there."""

import numpy as np
import pytest

from minirnn.gradcheck import gradcheck
from minirnn.gradcheck.problem import BUGS

X = np.array([0.1, 0.5, 3.0])


class Outside(Exception):
    pass


def asserts(x):
    assert np.all(x > 0), "x > 0"
    return np.log(x)


def raises(error):
    def f(x):
        if np.any(x <= 0):
            raise error
        return np.log(x)

    return f


def inverse(x):
    if np.any(x <= 0):
        np.linalg.inv(np.zeros((2, 2)))
    return np.log(x)


def float_error(x):
    with np.errstate(all="raise"):
        return np.log(x)


DOMAINS = {
    "assert": asserts,
    "LinAlgError": inverse,
    "FloatingPointError": float_error,
    **{
        type(error).__name__: raises(error)
        for error in (ValueError("a"), Outside("b"), ZeroDivisionError(), RuntimeError(), IndexError(), KeyError(),
                      NotImplementedError(), OverflowError(), RuntimeWarning())
    },
}  # fmt: skip


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize(("factor", "kind"), [(1.0, "ok"), (1.5, "mismatch")])
def test_an_error_outside_the_domain_bounds_it(domain, factor, kind):
    report = gradcheck(DOMAINS[domain], X, vjp=lambda g, x: factor * g / x)
    assert report.kind == kind, str(report)
    assert kind == "mismatch" or report.points >= 4


@pytest.mark.parametrize("domain", DOMAINS)
def test_at_the_given_point_it_comes_through(domain):
    with pytest.raises(Exception) as caught:  # noqa: PT011
        gradcheck(DOMAINS[domain], -X, vjp=lambda g, x: g / x)
    assert type(caught.value).__name__ == {"assert": "AssertionError"}.get(domain, domain)


@pytest.mark.parametrize("error", [TypeError, NameError, AttributeError, ImportError])
@pytest.mark.parametrize("x", [X, -X], ids=["at a varied point", "at the given point"])
def test_a_bug_is_reported_as_itself(error, x):
    with pytest.raises(error, match="a bug"):
        gradcheck(raises(error("a bug")), x, vjp=lambda g, x: g / x)


def beyond(distance, otherwise):
    """A backward of sin that does something else where x is further than that from X."""
    return lambda g, x: otherwise(g, x) if np.any(np.abs(x - X) > distance) else g * np.cos(x)


@pytest.mark.parametrize("error", BUGS)
@pytest.mark.parametrize("distance", [0.0, 2.0])
def test_a_bug_of_a_backward_at_a_varied_point_is_reported_as_itself(error, distance):
    def bug(g, x):
        raise error("a bug")

    with pytest.raises(error, match="a bug"):
        gradcheck(np.sin, X, vjp=beyond(distance, bug))


def writes_into(array):
    array *= 0.5
    return array


@pytest.mark.parametrize("distance", [0.0, 2.0])
@pytest.mark.parametrize(
    ("otherwise", "kind"),
    [
        (lambda g, x: (g * np.cos(x))[:2], "shape"),
        (lambda g, x: None, "shape"),
        (lambda g, x: (g * np.cos(x)).astype(int), "dtype"),
        (lambda g, x: writes_into(g), "mutates-input"),
        (lambda g, x: writes_into(x), "mutates-input"),
    ],
)
def test_a_backward_that_returns_something_else_at_a_varied_point_is_told(otherwise, kind, distance):
    report = gradcheck(np.sin, X, vjp=beyond(distance, otherwise))
    assert (report.kind, report.ok) == (kind, False)


@pytest.mark.parametrize("error", [AssertionError("narrow"), Outside("narrow")])
def test_a_backward_that_raises_where_f_is_defined_is_told(error):
    def vjp(g, x):
        if np.any(x != X):
            raise error
        return g * np.cos(x)

    report = gradcheck(np.sin, X, vjp=vjp)
    assert (report.kind, report.ok) == ("non-finite", False)
    assert f"the backward raises {type(error).__name__}: narrow" in str(report)


def test_a_backward_may_raise_far_from_the_given_point():
    def vjp(g, x):
        assert np.all(np.abs(x) < 5)
        return g * np.cos(x)

    report = gradcheck(np.sin, X, vjp=vjp)
    assert report.ok, str(report)
    assert "f is defined, and the backward raises AssertionError" in str(report)


def test_an_edge_of_the_domain_may_be_given():
    def f(x):
        assert np.all(x <= 1)
        return x**2

    def vjp(g, x):
        assert np.all(x <= 1)
        return 2 * g * x

    assert gradcheck(f, np.array([1.0, 0.5]), vjp=vjp).ok
    assert not gradcheck(f, np.array([1.0, 0.5]), vjp=lambda g, x: 2.1 * g * x).ok


ELSEWHERE = {
    "max": (lambda x: max(0, x), lambda x: float(x > 0)),
    "a root": (lambda x: x**1.5, lambda x: 1.5 * x**0.5),
    "a branch": (lambda x: x**2 if x > 0 else 0, lambda x: 2 * x * (x > 0)),
}


@pytest.mark.parametrize("case", ELSEWHERE)
@pytest.mark.parametrize(("factor", "kind"), [(1.0, "ok"), (1.1, "mismatch")])
def test_a_python_float_may_become_an_integer_or_complex_elsewhere(case, factor, kind):
    f, slope = ELSEWHERE[case]
    assert gradcheck(f, 0.3, vjp=lambda g, x: factor * g * slope(x)).kind == kind
