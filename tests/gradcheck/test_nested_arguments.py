"""Every float leaf of every argument is varied, whatever it is nested in; what is not is named."""

import dataclasses
import functools
from types import SimpleNamespace
from typing import Any, NamedTuple

import autograd.numpy as anp
import numpy as np
import pytest

import minirnn
from minirnn.gradcheck import gradcheck

RNG = np.random.default_rng(0)
W, B, X = RNG.standard_normal((3, 2)), RNG.standard_normal(2), RNG.standard_normal((4, 3))


class Pair(NamedTuple):
    w: Any
    b: Any


@dataclasses.dataclass(frozen=True)
class Layer:
    w: Any
    b: Any
    size: int = 3


class Foreign:
    """A Module by its protocol, and nothing of minirnn."""

    def __init__(self, w, b):
        self.w, self.b = w, b

    def parameters(self):
        return {"w": self.w, "b": self.b}

    def bind(self, values):
        return Foreign(**{"w": self.w, "b": self.b, **values})


class Sub(dict):
    pass


MAKERS = {
    "dict": lambda w, b: {"w": w, "b": b},
    "subclass of dict": lambda w, b: Sub(w=w, b=b),
    "list": lambda w, b: [w, b],
    "tuple": lambda w, b: (w, b),
    "NamedTuple": Pair,
    "frozen dataclass": Layer,
    "SimpleNamespace": lambda w, b: SimpleNamespace(w=w, b=b),
    "Module": Foreign,
    "nested": lambda w, b: [{"deep": (w,)}, b],
}


def parts(p):
    if isinstance(p, dict):
        return p["w"], p["b"]
    if isinstance(p, list) and isinstance(p[0], dict):
        return p[0]["deep"][0], p[1]
    return (p[0], p[1]) if type(p) in (list, tuple) else (p.w, p.b)


def f(p, x):
    w, b = parts(p)
    return anp.tanh(anp.dot(x, w) + b)


def backward(make, wrong=1.0):
    def vjp(g, p, x):
        w, b = parts(p)
        d = g * (1 - np.tanh(x @ w + b) ** 2)
        return make(x.T @ d, wrong * d.sum(0)), d @ w.T

    return vjp


@pytest.mark.parametrize("nesting", MAKERS)
def test_a_wrong_gradient_inside_an_argument_is_found_and_a_right_one_passes(nesting):
    make = MAKERS[nesting]
    right = gradcheck(f, make(W, B), X, vjp=backward(make))
    assert right.kind == "ok", str(right)
    assert [a.shape for a in right.arguments] == [(3, 2), (2,), (4, 3)]
    wrong = gradcheck(f, make(W, B), X, vjp=backward(make, 3.0))
    assert wrong.kind == "mismatch"
    assert [a.name for a in wrong.arguments if a.disagree] == [wrong.worst.argument] == [right.arguments[1].name]
    assert f"wrong by {wrong.worst.argument}\n" in str(wrong)


@pytest.mark.parametrize("nesting", MAKERS)
@pytest.mark.parametrize("alone", [True, False])
def test_one_nested_argument_has_its_gradient_alone_or_in_a_tuple(nesting, alone):
    make = MAKERS[nesting]
    vjp = lambda g, p: backward(make)(g, p, X)[0 if alone else slice(1)]
    assert gradcheck(lambda p: f(p, X), make(W, B), vjp=vjp).kind == "ok"


@pytest.mark.parametrize("nesting", MAKERS)
def test_autograds_gradient_of_a_nesting_is_checked(nesting):
    report = gradcheck(f, MAKERS[nesting](W, B), X)
    assert report.kind == "ok", str(report)
    assert len(report.arguments) == 3


@pytest.mark.parametrize("nesting", ["frozen dataclass", "Module"])
def test_a_dict_stands_for_the_gradient_of_what_has_names(nesting):
    make = MAKERS[nesting]
    assert gradcheck(f, make(W, B), X, vjp=backward(MAKERS["dict"])).ok
    assert not gradcheck(f, make(W, B), X, vjp=backward(MAKERS["dict"], 0.5)).ok


class Table:
    """Named items as a traced dict has them: no Mapping."""

    def __init__(self, w, b):
        self._items = {"w": w, "b": b}

    def keys(self):
        return self._items.keys()

    def get(self, key, default=None):
        return self._items.get(key, default)


def test_items_of_what_is_no_mapping_are_found_by_name():
    assert gradcheck(f, MAKERS["dict"](W, B), X, vjp=backward(Table)).ok
    assert not gradcheck(f, MAKERS["dict"](W, B), X, vjp=backward(Table, 0.5)).ok


def test_a_list_of_one_array_is_read_either_way():
    for vjp in (lambda g, p: [g * np.cos(p[0])], lambda g, p: ([g * np.cos(p[0])],)):
        assert gradcheck(lambda p: np.sin(p[0]), [X], vjp=vjp).ok


@pytest.mark.parametrize(
    ("gradient", "says"),
    [
        (lambda w, b: {"w": w}, "the gradient of p.b is None"),
        (lambda w, b: {"w": w, "bias": b}, "the gradient of p has bias; p has w, b"),
        (lambda w, b: [w, b], "the gradient of p is a list, and was expected to be dict too"),
        (lambda w, b: w, "the gradient of p is a float64 array"),
        (lambda w, b: {"w": w.T, "b": b}, r"the gradient of p.w has shape (2, 3)"),
    ],
)
def test_a_gradient_nested_otherwise_is_a_shape_fault_that_names_the_part(gradient, says):
    report = gradcheck(f, {"w": W, "b": B}, X, vjp=backward(gradient))
    assert report.kind == "shape"
    assert says in str(report)


@pytest.mark.parametrize("count", [1, 3])
def test_a_list_of_another_length_is_a_shape_fault(count):
    report = gradcheck(f, [W, B], X, vjp=lambda g, p, x: ([W] * count, x))
    assert f"the gradient of p has {count} parts; p has 2" in str(report)


def test_gradients_of_the_leaves_in_a_row_are_refused_with_the_right_nesting():
    report = gradcheck(f, {"w": W, "b": B}, X, vjp=lambda g, p, x: (p["w"], p["b"], x))
    assert "3 gradients, 2 were expected: one for each of p, x; that of p is nested like p" in str(report)


def test_a_nested_argument_that_is_written_into_is_named():
    def writes(p):
        p["w"] *= 2
        return p["w"]

    report = gradcheck(writes, {"w": W.copy()}, vjp=lambda g, p: {"w": 2 * g})
    assert (report.kind, "its argument p.w" in str(report)) == ("mutates-input", True)
    report = gradcheck(lambda p: p.pop("w"), {"w": W, "b": B}, vjp=lambda g, p: {"w": g, "b": 0 * B})
    assert (report.kind, "its argument p.w" in str(report)) == ("mutates-input", True)


NESTED_OUTPUTS = {
    "dict": (lambda x: {"a": anp.sin(x), "b": anp.sum(x)}, lambda g, x: g["a"] * np.cos(x) + g["b"]),
    "list": (lambda x: [anp.sin(x), anp.sum(x)], lambda g, x: g[0] * np.cos(x) + g[1]),
    "in a tuple": (lambda x: (anp.sin(x), (anp.sum(x), 2 * x)), lambda g, x: g[0] * np.cos(x) + g[1][0] + 2 * g[1][1]),
    "dataclass": (lambda x: Layer(anp.sin(x), anp.sum(x), 1.0), lambda g, x: g.w * np.cos(x) + g.b),
}


@pytest.mark.parametrize("nesting", NESTED_OUTPUTS)
@pytest.mark.parametrize("traced", [True, False])
def test_outputs_may_be_nested_and_the_cotangent_is_nested_alike(nesting, traced):
    function, vjp = NESTED_OUTPUTS[nesting]
    report = gradcheck(function, X, vjp=None if traced else vjp)
    assert report.kind == "ok", str(report)
    if not traced:
        assert gradcheck(function, X, vjp=lambda g, x: 1.001 * vjp(g, x)).kind == "mismatch"


# ---------------------------------------------------------------- models
MODEL = minirnn.RNN(2, 3, rng=np.random.default_rng(1), dtype=np.float64)
XS = RNG.standard_normal((4, 2, 2))


def loss(model, xs):
    return anp.sum(anp.sin(model(xs)[0]))


def model_backward(wrong):
    def vjp(g, model, xs):
        by_path, by_xs = minirnn.grad(loss, argnums=(0, 1))(model, xs)
        return {path: g * d * (wrong if path.endswith("weight_hh") else 1) for path, d in by_path.items()}, g * by_xs

    return vjp


def test_a_models_parameters_are_varied_beside_its_input():
    assert gradcheck(loss, MODEL, XS, vjp=model_backward(1)).ok
    report = gradcheck(loss, MODEL, XS, vjp=model_backward(3), method="directions")
    assert (report.kind, report.worst.argument) == ("mismatch", "model.layers.0.cell.weight_hh")
    assert [a.name for a in report.arguments] == [*(f"model.{path}" for path in MODEL.parameters()), "xs"]


def test_a_wrong_primitive_inside_a_model_is_found_through_the_call_of_the_model_itself():
    wrong = minirnn.primitive.primitive(lambda x: x * x, [lambda g, y, x: 6 * x * g])

    @minirnn.cell(w=("hidden", "input"))
    def cell(p, h, x):
        h = 0.5 * h + wrong(p.w[:, 0]) + x @ p.w.T
        return h, h

    layer = minirnn.Recurrent(cell(2, 3, rng=np.random.default_rng(0), dtype=np.float64), engine="python")
    for report in (
        gradcheck(lambda layer, xs: anp.sum(layer(xs)[0]), layer, XS),
        gradcheck(lambda both: anp.sum(both["layer"](XS)[0]), {"layer": layer}),
        gradcheck(layer, XS),
    ):
        assert report.kind == "mismatch"
        assert report.worst.argument.endswith("cell.w")


def test_a_float32_model_is_judged_in_float64():
    report = gradcheck(loss, MODEL.astype(np.float32), XS.astype(np.float32), method="directions")
    assert (report.kind, report.precision) == ("ok", "float64")


# ---------------------------------------------------------------- what is not varied
def test_what_is_not_varied_is_named():
    model = minirnn.RNN(2, 3, rng=np.random.default_rng(1), dtype=np.float64).freeze("*hh*")
    report = gradcheck(lambda m, n, key, o: n * loss(m, XS), model, 2, {"kind": "a", "none": None}, 1 + 2j)
    assert report.constants == [
        "n (int)",
        "key.kind (str)",
        "o (complex)",
        "m.layers.0.cell.weight_hh (no parameter)",
        "m.layers.0.cell.bias_hh (no parameter)",
    ]
    assert f"not varied: {', '.join(report.constants)}" in str(report)
    assert report.as_dict()["constants"] == report.constants


def test_arguments_left_out_by_argnums_are_named():
    report = gradcheck(lambda x, y: x * y, X, X + 1, vjp=lambda g, x, y: g * y, argnums=0)
    assert report.constants == ["y (float64 array)"]


def test_a_model_or_an_array_that_f_brings_along_is_named():
    held = minirnn.Linear(3, 2, rng=RNG, dtype=np.float64)
    w = W.copy()
    cases = [
        (functools.partial(f, {"w": W, "b": B}), []),
        (functools.partial(loss, MODEL), ["args[0] of the partial (RNN)"]),
        (held.__call__, ["f.__self__ (Linear)"]),
        (lambda x: anp.dot(x, w), ["w (float64 array)"]),
        (lambda x: held(x), ["held (Linear)"]),
    ]
    for function, names in cases:
        report = gradcheck(function, XS if "partial (RNN)" in str(names) else X, method="directions")
        assert (report.kind, report.constants) == ("ok", names)


def test_a_long_list_is_cut():
    report = gradcheck(lambda x, ns: x, X, list(range(30)), vjp=lambda g, x, ns: g)
    assert "ns[19] (int) and 10 more" in str(report)


@pytest.mark.parametrize(("factor", "kind"), [(1.0, "ok"), (3.0, "mismatch")])
def test_a_python_float_beside_arrays_is_varied_where_the_backward_has_a_gradient_for_it(factor, kind):
    f = lambda x, s: x * s
    report = gradcheck(f, X, 2.0, vjp=lambda g, x, s: (g * s, factor * float(np.sum(g * x))))
    assert (report.kind, [a.name for a in report.arguments]) == (kind, ["x", "s"])
    for vjp in (lambda g, x, s: g * s, lambda g, x, s: (g * s, None)):
        report = gradcheck(f, X, 2.0, vjp=vjp)
        assert (report.kind, report.constants) == ("ok", ["s (float)"])


@pytest.mark.parametrize("constant", [1, np.array([0, 1]), None, "mean", True])
def test_none_stands_for_the_gradient_of_what_is_no_float(constant):
    assert gradcheck(lambda x, c: np.sin(x), X, constant, vjp=lambda g, x, c: (g * np.cos(x), None)).ok
    assert not gradcheck(lambda x, c: np.sin(x), X, constant, vjp=lambda g, x, c: (g, None)).ok
    report = gradcheck(lambda c, x: np.sin(x), constant, X, vjp=lambda g, c, x: (np.ones(2), g * np.cos(x)))
    assert (report.kind, "return None for it" in str(report)) == ("shape", True)


def test_masked_arrays_are_refused():
    with pytest.raises(TypeError, match=r"x is a masked array; fill it"):
        gradcheck(np.sin, np.ma.array(X), vjp=lambda g, x: g * np.cos(x))


# ---------------------------------------------------------------- whose gradient
def f_backward(g, p, x):
    return backward(MAKERS["dict"])(g, p, x)


class Caller:
    def __call__(self, x):
        return anp.sin(x)


@pytest.mark.parametrize(
    ("call", "whose"),
    [
        (lambda: gradcheck(f, {"w": W, "b": B}, X, vjp=f_backward), "f_backward, the backward of f"),
        (lambda: gradcheck(f, {"w": W, "b": B}, X), "autograd's gradient of f"),
        (lambda: gradcheck(lambda x: anp.sin(x), X), "autograd's gradient of a lambda"),
        (lambda: gradcheck(functools.partial(f, {"w": W, "b": B}), X), "autograd's gradient of f"),
        (lambda: gradcheck(Caller(), X), "autograd's gradient of Caller"),
    ],
)
def test_the_first_line_says_whose_gradient_was_checked(call, whose):
    report = call()
    assert report.checked == whose
    assert str(report).splitlines()[0] == f"gradcheck: ok ({whose}): the gradient is right"
