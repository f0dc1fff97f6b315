"""gradcheck: what it calls right, what it calls wrong and by which name, and what it refuses to be asked."""

import json
import math
from typing import NamedTuple

import autograd.numpy as anp
import numpy as np
import pytest

from minirnn.gradcheck import Report, assert_gradients, gradcheck

cos_backward = lambda g, x: (g * np.cos(x),)
X = np.random.default_rng(0).standard_normal((2, 3))


class Pair(NamedTuple):
    h: np.ndarray
    c: np.ndarray


def float16_inside(x):
    return x.astype(np.float32).astype(np.float64) ** 2


RIGHT = {
    "autograd's own": (lambda x: anp.tanh(x) @ anp.ones(3), None, (X,)),
    "autograd's, of several outputs": (lambda x, y: (x * y, anp.sum(x)), None, (X, X + 1)),
    "an array alone": (np.sin, lambda g, x: g * np.cos(x), (X,)),
    "a Python float": (np.sin, cos_backward, (0.3,)),
    "a NumPy scalar": (np.sin, cos_backward, (np.float32(0.3),)),
    "a 0-d array": (np.sin, cos_backward, (np.array(0.3),)),
    "an empty array": (lambda x: x.sum() * 2.0, lambda g, x: (2 * g * np.ones_like(x),), (np.zeros((0, 3)),)),
    "a constant": (lambda x: 0 * x, lambda g, x: (0 * g,), (X,)),
    "an argument that does nothing": (lambda x, y: np.sin(x), lambda g, x, y: (g * np.cos(x), 0 * y), (X, X)),
    "a NamedTuple": (lambda x: Pair(x, 2 * x), lambda g, x: (g.h + 2 * g.c,), (X,)),
    "integers and objects pass": (lambda x, i, o: x[i], lambda g, x, i, o: (np.eye(2)[[i]].T * g,), (X, 1, None)),
    "Fortran order": (np.sin, cos_backward, (np.asfortranarray(X),)),
    "read-only": (np.sin, cos_backward, (np.broadcast_to(1.5, (2, 3)),)),
    "float32, judged in float64": (np.sin, cos_backward, (X.astype(np.float32),)),
    "float16": (np.sin, cos_backward, (X.astype(np.float16),)),
    "single precision inside float64": (float16_inside, lambda g, x: (2 * g * x,), (X,)),
    "float32 out of float64": (lambda x: np.sin(x).astype(np.float32), cos_backward, (X,)),
    "cancellation inside": (lambda x: (x + 1e6) ** 2 - 1e12, lambda g, x: (2 * g * (x + 1e6),), (X,)),
    "oscillation": (lambda x: np.sin(300 * x), lambda g, x: (300 * g * np.cos(300 * x),), (X,)),
    "exp of large numbers": (np.exp, lambda g, x: (g * np.exp(x),), (300 + X,)),
    "log at 1e-8 among ones": (np.log, lambda g, x: (g / x,), (np.array([1e-8, 1.0, 3.0]),)),
    "sqrt near 0": (np.sqrt, lambda g, x: (0.5 * g / np.sqrt(x),), (np.array([1e-8, 1e-12, 3.0]),)),
    "mixed scales": (lambda x: x**2, lambda g, x: (2 * g * x,), (np.array([1e-8, 1.0, 1e8]),)),
    "the edge of the domain": (lambda x: x * np.sqrt(x), lambda g, x: (1.5 * g * np.sqrt(x),), (np.array([0.0, 1.0]),)),
    "f that raises outside its domain": (lambda x: math.log(x), lambda g, x: g / x, (0.01,)),
    "lost in the last bit": (lambda x: 1 + np.exp(-x), lambda g, x: (-g * np.exp(-x),), (60 + X,)),
    "an inactive maximum": (lambda x: np.maximum(x, -50), lambda g, x: (g * (x > -50),), (X,)),
}


@pytest.mark.parametrize("case", RIGHT)
@pytest.mark.parametrize("seed", range(3))
def test_right_gradients_pass(case, seed):
    f, vjp, args = RIGHT[case]
    report = gradcheck(f, *args, vjp=vjp, seed=seed)
    assert report.kind == "ok", str(report)


KINKS = {
    "relu": (lambda x: np.maximum(x, 0), lambda g, x: (g * (x > 0),), np.zeros(3)),
    "relu, the other convention": (lambda x: np.maximum(x, 0), lambda g, x: (g * (x >= 0),), np.zeros(3)),
    "relu, halfway": (lambda x: np.maximum(x, 0), lambda g, x: (g * np.heaviside(x, 0.5),), np.zeros(3)),
    "abs": (np.abs, lambda g, x: (g * np.sign(x),), np.array([0.0, 1.0])),
    "clip": (lambda x: np.clip(x, -1, 1), lambda g, x: (g * (np.abs(x) <= 1),), np.array([-1.0, 0.5, 1.0])),
    "kinks that meet": (lambda x: np.maximum(x @ MIXED, 0).sum(1),
                        lambda g, x: ((g[:, None] * (x @ MIXED > 0)) @ MIXED.T,), np.zeros((2, 3))),
    "many": (lambda x: np.maximum(x, 0), lambda g, x: (g * (x > 0),), np.zeros(2000)),
}  # fmt: skip
MIXED = np.random.default_rng(1).standard_normal((3, 5))


@pytest.mark.parametrize("case", KINKS)
def test_a_subgradient_at_a_kink_is_right_and_called_a_kink(case):
    f, vjp, x = KINKS[case]
    report = gradcheck(f, x, vjp=vjp)
    assert (report.kind, report.ok) == ("kink", True), str(report)


def beyond(g, x):
    return (g * np.where(x == 0, 1.5, x > 0),)


def at_zero_alone(g, x):
    return (np.where(x == 0, 0, g * np.cos(x)),)


WRONG = {
    "outside the one-sided derivatives": (lambda x: np.maximum(x, 0), beyond, np.array([0.0, 1.0]), "mismatch"),
    "wrong beside a kink": (np.abs, lambda g, x: (g * np.where(x < 0, -2.0, 1.0),), np.zeros(3), "mismatch"),
    "wrong at one smooth point alone": (np.sin, at_zero_alone, np.array([0.0, 1.0]), "mismatch"),
    "straight through a rounding": (lambda x: np.round(4 * x) / 4, lambda g, x: (g,), X, "mismatch"),
    "a jump": (lambda x: x + np.sign(x), lambda g, x: (g,), np.array([0.0, 1.0]), "discontinuous"),
    "nan of f": (lambda x: np.log(x), lambda g, x: (g / x,), np.array([-1.0, 1.0]), "non-finite"),
    "nan given": (np.sin, cos_backward, np.array([np.nan, 1.0]), "non-finite"),
    "infinite gradient": (np.sqrt, lambda g, x: (0.5 * g / np.sqrt(x),), np.array([0.0, 1.0]), "non-finite"),
    "too many gradients": (np.sin, lambda g, x: (g, g), X, "shape"),
    "None": (np.sin, lambda g, x: (None,), X, "shape"),
    "transposed shape": (np.sin, lambda g, x: ((g * np.cos(x)).T,), X, "shape"),
    "an axis too many": (np.sin, lambda g, x: ((g * np.cos(x))[None],), X, "shape"),
    "complex": (np.sin, lambda g, x: (g * np.cos(x) + 0j,), X, "dtype"),
    "float32 of float64": (np.sin, lambda g, x: ((g * np.cos(x)).astype(np.float32),), X, "dtype"),
    "another kernel for float32": (np.sin, lambda g, x: (g * np.cos(x) * x.dtype.type(1 + (x.dtype == np.float32)),),
                                   X.astype(np.float32), "mismatch"),
    "state in f": (lambda x, calls=[]: (calls.append(0), x * len(calls))[1], lambda g, x, calls: (g,), X,
                   "nondeterministic"),
    "normalised cotangent": (np.sin, lambda g, x: (g * np.cos(x) / (1 + 1e-3 * np.abs(g).max()),), X, "mismatch"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_called_by_its_name(case):
    f, vjp, x, kind = WRONG[case]
    report = gradcheck(f, x, vjp=vjp)
    assert (report.kind, report.ok) == (kind, False), str(report)
    assert kind in str(report)


@pytest.mark.parametrize(
    ("size", "method", "coordinates", "directions"),
    [  # at the given point, and at each of the others; "auto" takes 100 coordinates for few
        (1, "auto", 1, (0, 1)),
        (100, "auto", 100, (0, 2)),
        (101, "auto", 24, (8, 3)),
        (101, "coordinates", 101, (0, 3)),
        (101, "directions", 0, (8, 3)),
        (6, "directions", 0, (6, 2)),
    ],
)
def test_the_report_counts_what_was_checked(size, method, coordinates, directions):
    report = gradcheck(np.sin, np.linspace(0.1, 1, size), vjp=cos_backward, method=method)
    argument, (here, elsewhere) = report.arguments[0], directions
    assert report.points == 8
    assert (argument.coordinates, argument.directions) == (coordinates, here + 7 * elsewhere)


def test_only_the_argument_that_is_wrong_is_shown_so_where_its_coordinates_agree():
    """The backward clips: wrong where the cotangent is large alone, and right along every coordinate."""
    f = lambda x, y: np.sin(x) * np.cos(y)
    vjp = lambda g, x, y: (g * np.cos(x) * np.cos(y), np.clip(-g * np.sin(x) * np.sin(y), -50, 50))
    report = gradcheck(f, X, X + 1, vjp=vjp)
    x, y = report.arguments
    assert (report.kind, report.worst) == ("mismatch", y.worst)
    assert (x.disagree, y.disagree) == (0, 0)
    assert x.worst.relative < 1e-6 < 0.1 < y.worst.relative
    assert abs(y.worst.analytic) <= 50 < abs(y.worst.numeric)  # what it is, and what a linear one would be


@pytest.mark.parametrize("insists", ["f", "the backward"])
def test_what_insists_on_float32_is_never_given_float64(insists):
    def float32(x):
        if x.dtype != np.float32:
            raise TypeError("float32 was expected")
        return x

    f = lambda x: np.sin(float32(x) if insists == "f" else x)
    assert gradcheck(f, X.astype(np.float32), vjp=lambda g, x: g * np.cos(float32(x))).kind == "ok"


@pytest.mark.parametrize("writer", ["f", "vjp", "cotangent"])
def test_the_callers_arrays_are_never_touched(writer):
    def f(x):
        if writer == "f":
            x[0] = 9
        return x * 2

    def vjp(g, x):
        (x if writer == "vjp" else g)[0] = 9
        return (2 * g,)

    x = X.copy()
    report = gradcheck(f, x, vjp=vjp)
    assert report.kind == "mutates-input"
    assert {"f": "f writes into its argument x", "vjp": "the backward writes into its argument x"}.get(
        writer, "its cotangent g"
    ) in str(report)
    assert np.array_equal(x, X)


def test_constants_are_not_moved_and_their_names_are_those_of_the_signature():
    mask_sum = []
    f = lambda x, mask: (mask_sum.append(mask.sum()), (x * mask))[1]
    assert gradcheck(f, X, np.ones(3), vjp=lambda g, x, mask: (g * mask, g * x), argnums=0).ok  # of all, one is asked
    assert gradcheck(f, X, np.ones(3), vjp=lambda g, x, mask: (g * mask, "none"), argnums=0).ok
    assert gradcheck(f, X, np.ones(3), vjp=lambda g, x, mask: (g * mask,), argnums=0).ok
    assert set(mask_sum) == {3.0}
    report = gradcheck(f, X, np.ones(3), vjp=lambda g, x, mask: (g * mask, 0 * mask))
    assert report.worst.argument == "mask"
    assert [a.name for a in report.arguments] == ["x", "mask"]


def test_a_backward_may_use_what_the_forward_left_behind():
    cache = {}

    def f(x):
        cache["cos"] = np.cos(x)
        return np.sin(x)

    assert gradcheck(f, X, vjp=lambda g, x: g * cache["cos"]).ok


def test_an_output_buffer_may_be_used_again():
    buffer = np.empty_like(X)
    assert gradcheck(lambda x: np.sin(x, out=buffer), X, vjp=cos_backward).ok


def test_the_global_generator_is_neither_used_nor_moved():
    np.random.seed(3)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    gradcheck(np.sin, X, vjp=cos_backward)
    assert np.array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_the_report_names_the_worst_coordinate_with_an_error_estimate():
    def wrong(g, x):
        d = g * np.cos(x)
        d[1, 2] *= 1.25
        return (d,)

    report = gradcheck(lambda x: np.sin(x), X, vjp=wrong)
    worst = report.worst
    assert (worst.argument, worst.index) == ("x", (1, 2))
    assert worst.analytic == pytest.approx(1.25 * worst.numeric, rel=1e-9)
    assert worst.relative == pytest.approx(0.2)
    assert 0 < worst.error < 1e-8 * abs(worst.numeric)
    assert (report.arguments[0].disagree, report.arguments[0].coordinates) == (1, 6)
    assert "[1, 2]" in str(report)


def test_the_same_seed_gives_the_same_report_and_another_seed_another():
    reports = [str(gradcheck(np.sin, X, vjp=cos_backward, seed=s)) for s in (1, 1, 2)]
    assert reports[0] == reports[1] != reports[2]


@pytest.mark.parametrize("kind", ["ok", "mismatch", "non-finite"])
def test_a_report_is_json(kind):
    vjp = {"ok": cos_backward, "mismatch": lambda g, x: (g,), "non-finite": lambda g, x: (g * np.nan,)}[kind]
    plain = json.loads(json.dumps(gradcheck(np.sin, X, vjp=vjp).as_dict(), allow_nan=False))
    assert (plain["kind"], plain["ok"]) == (kind, kind == "ok")
    assert plain["arguments"][0]["shape"] == [2, 3]


def test_a_report_has_no_truth_value_of_its_own():
    with pytest.raises(TypeError, match=r"report\.ok"):
        bool(Report("mismatch"))


# ---------------------------------------------------------------- large functions and methods
WIDE = np.random.default_rng(2).standard_normal((316, 316)) / 18


def dense_backward(g, x, w):
    d = g * (1 - np.tanh(x @ w) ** 2)
    return d @ w.T, x.T @ d


def one_entry_wrong(g, x, w):
    dx, dw = dense_backward(g, x, w)
    dw[17, 33] *= 1.01
    return dx, dw


@pytest.mark.parametrize(("vjp", "kind"), [(dense_backward, "ok"), (one_entry_wrong, "mismatch")])
def test_a_function_of_100_000_parameters_takes_few_evaluations_and_one_wrong_entry_is_found(vjp, kind):
    x = np.random.default_rng(3).standard_normal((4, 316))
    report = gradcheck(lambda x, w: np.tanh(x @ w), x, WIDE, vjp=vjp)
    assert report.kind == kind
    assert report.evaluations < 8000
    assert kind == "ok" or (report.worst.argument, report.worst.index) == ("w", (17, 33))


@pytest.mark.parametrize(("method", "coordinates"), [("auto", 24), ("coordinates", 144), ("directions", 0)])
def test_the_method_decides_how_many_coordinates_are_checked_one_by_one(method, coordinates):
    x = np.random.default_rng(3).standard_normal((12, 12))
    report = gradcheck(np.sin, x, vjp=cos_backward, method=method)
    assert report.ok
    assert report.arguments[0].coordinates == coordinates
    assert gradcheck(np.sin, x, vjp=lambda g, x: (g * np.cos(x) * 1.01,), method=method).kind == "mismatch"


# ---------------------------------------------------------------- second derivatives
def test_the_second_derivative_of_a_traced_function_is_checked_too():
    from autograd.extend import defvjp, primitive

    cube = primitive(lambda x: x**3)
    slope = primitive(lambda x: 3 * x**2)
    defvjp(cube, lambda out, x: lambda g: g * slope(x))
    defvjp(slope, lambda out, x: lambda g: g * 5 * x)
    f = lambda x: anp.sum(cube(x))
    assert gradcheck(f, X).ok
    report = gradcheck(f, X, order=2)
    assert report.kind == "mismatch"
    assert "second derivative" in str(report)
    assert gradcheck(lambda x: (anp.tanh(x), anp.sum(x**2)), X, order=2).ok
    assert gradcheck(lambda x: 2 * x, X, order=2).ok


# ---------------------------------------------------------------- bad use
@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: gradcheck(np.sin, np.arange(3)), ValueError, "no argument is a float array"),
        (lambda: gradcheck(lambda: 1.0), ValueError, "none came"),
        (lambda: gradcheck(np.sin, X, argnums=1), ValueError, "argnums holds 1, f got 1"),
        (lambda: gradcheck(np.sin, X, argnums=(0, 0)), ValueError, "twice"),
        (lambda: gradcheck(np.sin, X, argnums=()), ValueError, "argnums is empty"),
        (lambda: gradcheck(lambda x, n: x, X, 3, argnums=1), TypeError, "argument n is int"),
        (lambda: gradcheck(np.sin, X, method="all"), ValueError, "one of auto, coordinates, directions"),
        (lambda: gradcheck(np.sin, X, order=3), ValueError, "1 or 2"),
        (lambda: gradcheck(np.sin, X, vjp=cos_backward, order=2), ValueError, "cannot see inside a vjp"),
        (lambda: gradcheck(lambda x: x > 0, X, vjp=cos_backward), TypeError, "returned bool"),
        (lambda: gradcheck(lambda x: (x, 3), X, vjp=cos_backward), TypeError, "int64 as output 1"),
        (lambda: gradcheck(lambda x: None, X, vjp=cos_backward), TypeError, "NoneType"),
        (lambda: gradcheck(lambda x: (), X, vjp=cos_backward), TypeError, "empty tuple"),
        (lambda: gradcheck(lambda x: np.tanh(np.array(x)), X), TypeError, "autograd could not differentiate f"),
    ],
)
def test_bad_use_is_an_error_that_says_what_was_expected(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_assert_gradients_raises_with_the_report_and_returns_a_right_one():
    assert assert_gradients(np.sin, X, vjp=cos_backward).ok
    with pytest.raises(AssertionError, match="gradcheck: mismatch"):
        assert_gradients(np.sin, X, vjp=lambda g, x: (g,))


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_the_worst_coordinate_is_told_in_the_callers_units(size):
    x = size * np.array([1.0, -2.0, 0.5])
    wrong = lambda g, x: g * (2 * x + size * np.array([0, 0, 1.0]))
    worst = gradcheck(lambda x: x**2, x, vjp=wrong).worst
    cotangent = worst.numeric / (2 * x[2])
    assert worst.index == (2,)
    assert worst.analytic == pytest.approx(cotangent * 2 * size)
    assert worst.error < 1e-6 * abs(worst.numeric)
    assert 0.01 < abs(cotangent) < 10


def test_an_argument_of_which_nothing_is_to_be_checked_has_a_row_without_numbers():
    report = gradcheck(lambda x, y: np.sin(x), X, np.zeros((0, 3)), vjp=lambda g, x, y: (g * np.cos(x), 0 * y))
    [row] = [line.split() for line in str(report).splitlines() if line.split()[:1] == ["y"]]
    assert row == ["y", "(0,", "3)", "-", "(0", "directions)", "-"]


@pytest.mark.parametrize("method", ["parameters", "bind"])
def test_half_a_model_is_an_argument_like_any_other_object(method):
    half = type("Half", (), {method: lambda self, values=None: {}})()
    assert gradcheck(lambda x, other: np.sin(x), X, half, vjp=lambda g, x, other: (g * np.cos(x), None)).ok


def test_a_mismatch_of_what_changes_now_and_then_is_put_down_to_that():
    """f is the same in the first calls, and another in every later one: what disagrees is no gradient."""
    calls = []
    f = lambda x: (calls.append(0), np.sin(x) * (1 + 1e-3 * (len(calls) > 20) * len(calls)))[1]
    assert gradcheck(f, X, vjp=cos_backward).kind == "nondeterministic"


@pytest.mark.parametrize("says", ["float64", "single precision"])
def test_the_report_says_in_which_precision_f_was_judged(says):
    def single(x):
        if says != "float64" and x.dtype != np.float32:
            raise TypeError("float32 was expected")
        return np.sin(x)

    report = gradcheck(single, X.astype(np.float32), vjp=lambda g, x: g * np.cos(x))
    assert report.precision == says
    assert f"evaluations of f in {says}" in str(report)
