"""gradcheck_module: models of our own, and anything with `parameters` and `bind`."""

import autograd.numpy as anp
import numpy as np
import pytest

import minirnn
from minirnn.gradcheck import assert_gradients, gradcheck_module

XS = np.random.default_rng(0).standard_normal((3, 2, 3)).astype(np.float32)


def loss(model, xs):
    return anp.sum(model(xs)[0] ** 2)


@pytest.fixture
def model(rng):
    return minirnn.RNN(3, 4, rng=rng)


def test_every_parameter_is_reported_by_its_path(model):
    report = gradcheck_module(model, loss, XS)
    assert report.ok, str(report)
    assert [a.name for a in report.arguments] == list(model.parameters())
    assert report.precision == "float64"  # though the model is float32


BY_HAND = {
    "a function": lambda model, change: lambda m, xs: change(minirnn.grad(loss)(m, xs)),
    "a dict": lambda model, change: change(minirnn.grad(loss)(model, XS)),
}


@pytest.mark.parametrize("given", BY_HAND)
def test_a_gradient_made_elsewhere_is_checked(model, given):
    path = next(p for p in model.parameters() if p.endswith("weight_hh"))
    halved = lambda grads: {k: v * v.dtype.type(0.5 if k == path else 1) for k, v in grads.items()}
    assert gradcheck_module(model, loss, XS, grads=BY_HAND[given](model, lambda grads: grads)).ok
    report = gradcheck_module(model, loss, XS, grads=BY_HAND[given](model, halved))
    assert (report.kind, report.worst.argument) == ("mismatch", path)
    assert f"hint: {path}: the gradient is 0.5 (1/2) times" in str(report)


class Foreign:
    """The protocol, and nothing of minirnn."""

    def __init__(self, w):
        self.w = w

    def parameters(self):
        return {"w": self.w}

    def bind(self, values):
        return Foreign(values["w"])


def test_any_object_with_parameters_and_bind_will_do():
    square = lambda model: anp.sum(model.w**2)
    assert assert_gradients(Foreign(np.ones(3)), square).ok
    with pytest.raises(AssertionError, match=r"1\.5 \(3/2\) times"):
        assert_gradients(Foreign(np.ones(3)), square, grads=lambda model: {"w": 3 * model.w})


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: gradcheck_module(np.sin, loss), TypeError, "no method parameters"),
        (lambda: gradcheck_module(Foreign(np.ones(3)), lambda m: m.w), ValueError, r"shape \(3,\), a scalar"),
        (lambda: gradcheck_module(Foreign(np.ones(3)), lambda m: 1.0, method="x"), ValueError, "one of auto"),
        (
            lambda: gradcheck_module(Foreign(np.ones(3)), lambda m: m.w.sum(), grads={"v": 1}),
            ValueError,
            r"\['v'\] came, one for each of \['w'\]",
        ),
        (lambda: gradcheck_module(minirnn.Dropout(0.1), loss), ValueError, "no trainable parameter"),
    ],
)
def test_bad_use_is_an_error_that_says_what_was_expected(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_a_function_is_asked_at_other_points_too_and_a_dict_is_known_at_one_alone():
    model, cubes, known = (
        Foreign(np.arange(1.0, 4.0)),
        lambda model: anp.sum(model.w**3),
        {"w": 3 * np.arange(1.0, 4.0) ** 2},
    )
    given, traced = gradcheck_module(model, cubes, grads=known), gradcheck_module(model, cubes)
    assert (given.points, given.checked) == (1, "the gradient that was given, of Foreign by parameter")
    assert (traced.points, traced.checked) == (8, "autograd's gradient, of Foreign by parameter")
    report = gradcheck_module(model, cubes, grads=lambda model: known)
    assert (report.kind, report.text) == ("mismatch", "at the given point it does not show;")
