import gc
import itertools
import threading
import warnings
from typing import NamedTuple

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from random_modules import at, module_trees

import minirnn
from minirnn import LSTM, Linear, Module, Parameter, StaleBoxError, UnreachedWarning, boxes, tree


class Pair(NamedTuple):
    first: object
    second: object


def weighted_squares(model, sites):
    """sum_k (k + 1) * sum(site_k ** 2) / 2 over the sites given: its gradient is known."""
    return sum((k + 1) * anp.sum(at(model, path) ** 2) / 2 for k, path in enumerate(sites))


def leaves_of(gradient):
    return list(gradient.values()) if isinstance(gradient, dict) else tree.leaves(gradient)


# ---------------------------------------------------------------- over random trees
@given(module_trees(dtype=np.float64))
def test_tied_and_frozen_parameters_get_the_gradients_they_should(case):
    model, expected = case
    before, sites = model.state_dict(), list(expected.home)
    value, grads = minirnn.value_and_grad(weighted_squares)(model, sites)
    assert isinstance(value, (float, np.floating, np.ndarray))
    assert list(grads) == expected.trained()
    for home, g in grads.items():
        weight = sum(sites.index(path) + 1 for path in expected.sites(home))
        assert type(g) is np.ndarray
        assert np.allclose(g, weight * before[home], atol=1e-12)
    assert all(np.array_equal(array, before[path]) for path, array in model.state_dict().items())


@given(module_trees())
def test_gradients_keep_each_arrays_dtype_and_share_memory_with_nothing(case):
    model, expected = case
    grads = minirnn.grad(weighted_squares)(model, list(expected.home))
    assert all(g.dtype == model.parameters()[path].dtype for path, g in grads.items())
    arrays = [*grads.values(), *(at(model, path) for path in expected.trained())]
    assert not any(np.shares_memory(a, b) for a, b in itertools.combinations(arrays, 2))


@given(module_trees(dtype=np.float64))
def test_forward_and_reverse_mode_agree(case):
    model, expected = case
    sites, rng = list(expected.home), np.random.default_rng(1)
    vector = {path: rng.standard_normal(value.shape) for path, value in model.parameters().items()}
    grads = minirnn.grad(weighted_squares)(model, sites)
    _, moved = minirnn.jvp(lambda model: weighted_squares(model, sites), (model,), (vector,))
    assert np.isclose(moved, sum(np.sum(grads[path] * vector[path]) for path in grads))
    curved = minirnn.hvp(weighted_squares)(model, sites, vector)
    for home, h in curved.items():
        weight = sum(sites.index(path) + 1 for path in expected.sites(home))
        assert np.allclose(h, weight * vector[home], atol=1e-12)


nestings = st.recursive(
    st.builds(lambda n: np.arange(1.0, n + 1), st.integers(0, 3)),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(st.sampled_from("abc"), inner, min_size=1),
        st.builds(Pair, inner, inner),
    ),
    max_leaves=6,
)


@given(nestings)
def test_a_gradient_is_nested_like_its_argument(argument):
    gradient = minirnn.grad(lambda nest: sum(anp.sum(leaf**2) for leaf in tree.leaves(nest)))(argument)
    assert [path for path, _ in tree.named_leaves(gradient)] == [path for path, _ in tree.named_leaves(argument)]
    assert type(gradient) is type(argument)
    assert all(np.array_equal(g, 2 * a) for g, a in zip(tree.leaves(gradient), tree.leaves(argument), strict=True))


# ---------------------------------------------------------------- signatures
def test_argnums_and_nested_modules(rng):
    model = {"head": Linear(3, 2, rng=rng, dtype=np.float64), "scale": np.array(2.0)}
    x = rng.standard_normal((4, 3))

    def loss(x, model):
        return anp.sum((model["scale"] * model["head"](x)) ** 2)

    dx, dmodel = minirnn.grad(loss, argnums=(0, 1))(x, model)
    assert dx.shape == x.shape
    assert list(dmodel["head"]) == ["weight", "bias"]
    assert dmodel["scale"].shape == ()
    assert np.array_equal(minirnn.grad(loss, argnums=-1)(x, model)["scale"], dmodel["scale"])


def test_has_aux_gives_plain_arrays_and_modules(rng):
    model = Linear(3, 2, rng=rng)

    def loss(model, x):
        y = model(x)
        return anp.sum(y), {"y": y, "model": model, "pair": Pair(y, None), "word": "kept"}

    (_, aux), grads = minirnn.value_and_grad(loss, has_aux=True)(model, np.ones((1, 3), np.float32))
    gradient, again = minirnn.grad(loss, has_aux=True)(model, np.ones((1, 3), np.float32))
    assert type(aux["y"]) is type(aux["pair"].first) is type(aux["model"].weight) is np.ndarray
    assert aux["word"] == "kept"
    assert np.array_equal(gradient["weight"], grads["weight"])
    assert np.array_equal(again["y"], aux["y"])


def test_jacobian_of_nestings(rng):
    a = rng.standard_normal((2, 3))
    jacobian = minirnn.jacobian(lambda a, x: {"y": a @ x, "s": anp.sum(x)}, argnums=(0, 1))(a, np.ones(3))
    assert jacobian["y"][0].shape == (2, 2, 3)
    assert np.array_equal(jacobian["y"][1], a)
    assert np.array_equal(jacobian["s"][1], np.ones(3))


def test_a_pullback_may_be_called_again(rng):
    a = rng.standard_normal((3, 3))
    y, pull = minirnn.vjp(lambda a: anp.tanh(a @ a), a)
    first, second = pull(np.ones_like(y))[0], pull(2 * np.ones_like(y))[0]
    assert np.allclose(2 * first, second)
    assert np.array_equal(first, pull(np.ones_like(y))[0])


def test_keyword_arguments_and_names_pass_through():
    def loss(x, *, power):
        return anp.sum(x**power)

    assert minirnn.grad(loss)(np.array([3.0]), power=2) == [6.0]
    assert minirnn.grad(loss).__name__ == "loss"


# ---------------------------------------------------------------- compositions
def cubic(x):
    return anp.sum(x**3) * anp.prod(x)


ORDERS = {
    "reverse over reverse": lambda f, x, v: minirnn.grad(lambda x: anp.sum(minirnn.grad(f)(x) * v))(x),
    "forward over reverse": lambda f, x, v: minirnn.jvp(minirnn.grad(f), (x,), (v,))[1],
    "reverse over forward": lambda f, x, v: minirnn.grad(lambda x: minirnn.jvp(f, (x,), (v,))[1])(x),
    "hvp": lambda f, x, v: minirnn.hvp(f)(x, v),
    "autograd outside": lambda f, x, v: autograd.grad(lambda x: anp.sum(minirnn.grad(f)(x) * v))(x),
    "autograd inside": lambda f, x, v: minirnn.grad(lambda x: anp.sum(autograd.grad(f)(x) * v))(x),
    "jacobian of grad": lambda f, x, v: minirnn.jacobian(minirnn.grad(f))(x) @ v,
    "vjp of grad": lambda f, x, v: minirnn.vjp(minirnn.grad(f), x)[1](v)[0],
}


@pytest.mark.parametrize("order", ORDERS)
def test_second_derivatives_agree_in_every_order(order, rng):
    x, v = rng.standard_normal(4), rng.standard_normal(4)
    eps = 1e-5
    numerical = (minirnn.grad(cubic)(x + eps * v) - minirnn.grad(cubic)(x - eps * v)) / (2 * eps)
    assert np.allclose(ORDERS[order](cubic, x, v), numerical, rtol=1e-7, atol=1e-8)


def test_the_gradient_of_an_hvp_is_a_third_derivative():
    x, v = np.array([2.0]), np.array([3.0])
    third = minirnn.grad(lambda x: anp.sum(minirnn.hvp(lambda x: anp.sum(x**4))(x, v)))(x)
    assert np.allclose(third, 24 * x * v)


@pytest.mark.parametrize("where", ["input", "parameters"])
def test_autograds_own_grad_works_around_a_layer(where, rng):
    layer, x = LSTM(3, 2, rng=rng, dtype=np.float64), rng.standard_normal((4, 2, 3))
    if where == "input":
        ours = minirnn.grad(lambda x: anp.sum(layer(x)[0] ** 2))(x)
        theirs = autograd.grad(lambda x: anp.sum(layer(x)[0] ** 2))(x)
        assert np.allclose(ours, theirs, rtol=0, atol=1e-14)
    else:
        ours = minirnn.grad(lambda layer: anp.sum(layer(x)[0] ** 2))(layer)
        theirs = autograd.grad(lambda values: anp.sum(layer.bind(values)(x)[0] ** 2))(layer.parameters())
        assert all(np.allclose(ours[name], theirs[name], rtol=0, atol=1e-14) for name in ours)


def test_stop_gradient_cuts_every_order():
    x = np.array([2.0])
    assert minirnn.grad(lambda x: anp.sum(minirnn.stop_gradient(x) * x))(x) == [2.0]
    assert minirnn.hvp(lambda x: anp.sum(minirnn.stop_gradient(x) * x))(x, x) == [0.0]
    assert minirnn.jvp(lambda x: minirnn.stop_gradient({"x": x})["x"] * x, (x,), (x,))[1] == [4.0]


# ---------------------------------------------------------------- dtypes and memory
FLOAT64_LEAKS = {
    "where": lambda x: anp.where(x > 0, x, 0 * x),
    "maximum": lambda x: anp.maximum(x, 0.1),
    "mean": anp.mean,
    "var": anp.var,
    "power": lambda x: x**3,
    "sqrt": lambda x: anp.sqrt(x * x + 1),
    "norm": lambda x: anp.sqrt(anp.sum(x**2)),
    "getitem": lambda x: x[1:] * x[np.array([0, 0])],
    "concatenate": lambda x: anp.concatenate([x, x]),
    "einsum": lambda x: anp.einsum("i,i->", x, x),
}


@pytest.mark.parametrize("function", FLOAT64_LEAKS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_stays_in_both_modes_and_second_order(function, dtype):
    x = np.array([0.5, -1.0, 2.0], dtype)
    loss = lambda x: anp.sum(FLOAT64_LEAKS[function](x))
    assert minirnn.grad(loss)(x).dtype == dtype
    assert np.result_type(minirnn.jvp(loss, (x,), (x,))[1]) == dtype
    assert minirnn.hvp(loss)(x, x).dtype == dtype


def test_gradients_share_no_memory_with_each_other_the_arguments_or_the_cotangent():
    a, b, cotangent = np.ones(3), np.ones(3), np.ones(3)
    _, pull = minirnn.vjp(lambda a, b: a + b, a, b)
    gradients = pull(cotangent)
    everything = [*gradients, a, b, cotangent]
    assert not any(np.shares_memory(x, y) for x, y in itertools.combinations(everything, 2))
    gradients[0][:] = 9
    assert np.array_equal(pull(cotangent)[0], np.ones(3))


# ---------------------------------------------------------------- unreached
class Two(Module):
    def __init__(self):
        self.used = Parameter([2.0])
        self.idle = Parameter([3.0])
        self.other = Parameter([4.0])


def test_unreached_parameters_get_zeros_and_one_warning_that_names_them():
    with pytest.warns(UnreachedWarning, match="idle, other") as caught:
        grads = minirnn.grad(lambda model: anp.sum(model.used**2))(Two())
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert grads["idle"].tolist() == [0.0]
    assert grads["idle"].dtype == np.float32


def test_hvp_does_not_warn_and_gives_zeros():
    vector = {"used": np.ones(1, np.float32), "idle": np.ones(1, np.float32), "other": np.ones(1, np.float32)}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        curved = minirnn.hvp(lambda model: anp.sum(model.used**2))(Two(), vector)
    assert (curved["used"], curved["idle"]) == ([2.0], [0.0])


def test_a_loss_that_depends_on_nothing_is_a_warning_and_zeros():
    with pytest.warns(UnreachedWarning, match="argument 0"):
        assert minirnn.grad(lambda x: 1.0)(np.ones(2)).tolist() == [0.0, 0.0]


# ---------------------------------------------------------------- stale boxes
def kept_box():
    kept = []
    minirnn.grad(lambda x: kept.append(x * 2) or anp.sum(x))(np.ones((2, 3)))
    return kept[0]


STALE = {
    "argument": lambda box: minirnn.grad(lambda x: anp.sum(x))(box),
    "closure": lambda box: minirnn.grad(lambda x: anp.sum(x) + 0 * box)(np.ones(3)),
    "aux": lambda box: minirnn.grad(lambda x: (anp.sum(x), box), has_aux=True)(np.ones(3)),
    "jvp": lambda box: minirnn.jvp(lambda x: box, (np.ones(3),), (np.ones(3),)),
    "tangent": lambda box: minirnn.jvp(lambda x: x, (np.ones((2, 3)),), (box,)),
    "cotangent": lambda box: minirnn.vjp(lambda x: x, np.ones((2, 3)))[1](box),
    "scan": lambda box: minirnn.scan(lambda h, x: (h, h), box, np.ones((4, 2, 3))),
    "scan in a gradient": lambda box: minirnn.grad(lambda x: anp.sum(minirnn.scan(lambda h, x: (h + x, h), box, x)[1]))(
        np.ones((4, 2, 3))
    ),
    "bound parameter": lambda box: minirnn.scan(
        minirnn.RNNCell(3, 3, dtype=np.float64).bind({"bias_ih": box[0]}), np.ones((2, 3)), np.ones((4, 2, 3))
    ),
}


@pytest.mark.parametrize("entrance", STALE)
def test_a_box_of_a_finished_gradient_is_refused(entrance):
    with pytest.raises(StaleBoxError, match="gradient that is finished"):
        STALE[entrance](kept_box())


def test_a_live_box_of_an_outer_gradient_is_welcome():
    def outer(x):
        return anp.sum(minirnn.grad(lambda y: anp.sum(y**2 * x))(np.ones(3)))

    assert np.array_equal(minirnn.grad(outer)(np.ones(3)), 2 * np.ones(3))


def test_a_failing_function_leaves_no_trace_behind():
    def fails(x):
        raise RuntimeError("inside")

    top = boxes.trace_stack.top
    with pytest.raises(RuntimeError, match="inside"):
        minirnn.grad(fails)(np.ones(3))
    assert boxes.trace_stack.top == top
    assert not boxes._alive


@pytest.mark.parametrize("engine", ["python", "compiled"])
def test_a_gradient_leaves_nothing_to_the_garbage_collector(engine, rng):
    layer, x = LSTM(3, 4, rng=rng, engine=engine), np.ones((3, 2, 3), np.float32)
    step = minirnn.value_and_grad(lambda layer, x: anp.sum(layer(x)[0]), argnums=(0, 1))
    step(layer, x)
    gc.collect()
    gc.set_debug(gc.DEBUG_SAVEALL)  # not a count of all garbage: threads of other libraries make their own meanwhile
    try:
        step(layer, x)
        gc.collect()
        where = [getattr(left, "__module__", None) or type(left).__module__ for left in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
    assert not [module for module in where if module.startswith(("minirnn", "autograd", "test_"))]


def test_threads_get_right_gradients_at_once(rng):
    layer = LSTM(3, 4, rng=rng, dtype=np.float64)
    xs = rng.standard_normal((8, 5, 2, 3))
    loss = lambda layer, x: anp.sum(layer(x)[0] ** 2)
    expected = [minirnn.grad(loss)(layer, x) for x in xs]
    got = [None] * len(xs)

    def work(i):
        for _ in range(3):
            got[i] = minirnn.grad(loss)(layer, xs[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(xs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(g[name], e[name]) for g, e in zip(got, expected, strict=True) for name in e)


# ---------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: minirnn.grad(lambda x: x)(np.ones(2)), TypeError, "float scalar was expected"),
        (lambda: minirnn.grad(lambda x: anp.sum(x))(np.arange(3)), TypeError, "int64 cannot be differentiated"),
        (lambda: minirnn.grad(lambda x: anp.sum(x))("abc"), TypeError, "str cannot be differentiated"),
        (lambda: minirnn.grad(lambda x: anp.sum(x), argnums=2)(np.ones(2)), ValueError, "1 positional"),
        (lambda: minirnn.grad(lambda x: anp.sum(x), has_aux=True)(np.ones(2)), TypeError, "pair"),
        (lambda: minirnn.vjp(lambda x: x, np.ones(2))[1](np.ones(3)), ValueError, "cotangent has shape"),
        (lambda: minirnn.vjp(lambda x: x, np.ones(2))[1](np.ones(2, np.float32)), ValueError, "dtype float32"),
        (lambda: minirnn.vjp(lambda x: (x, x), np.ones(2))[1](np.ones(2)), ValueError, "nestings differ"),
        (lambda: minirnn.jvp(lambda x: x, (np.ones(2),), ()), ValueError, "one tangent a primal"),
        (lambda: minirnn.jvp(lambda x: x, (np.ones(2),), (np.ones(3),)), ValueError, "tangent has shape"),
    ],
)
def test_misuse_is_an_error_that_says_what_was_expected(call, error, says):
    with pytest.raises(error, match=says):
        call()


# ---------------------------------------------------------------- beside autograd's own transforms
def curve(x):
    return anp.sin(x) * x**2


SLOPE = 4 * np.cos(2) + 4 * np.sin(2)
CURVATURE = 2 * np.sin(2) + 8 * np.cos(2) - 4 * np.sin(2)
THIRD = 6 * np.cos(2) - 12 * np.sin(2) - 4 * np.cos(2)
BESIDE_AUTOGRAD = {
    "grad of grad": (lambda x: autograd.grad(minirnn.grad(curve))(x), CURVATURE),
    "grad of autograd's": (lambda x: minirnn.grad(autograd.grad(curve))(x), CURVATURE),
    "ours between two": (lambda x: autograd.grad(minirnn.grad(autograd.grad(curve)))(x), THIRD),
    "theirs between two": (lambda x: minirnn.grad(autograd.grad(minirnn.grad(curve)))(x), THIRD),
    "value_and_grad": (lambda x: autograd.grad(lambda x: sum(minirnn.value_and_grad(curve)(x)))(x), SLOPE + CURVATURE),
    "vjp": (lambda x: autograd.grad(lambda x: minirnn.vjp(curve, x)[1](x)[0])(x), SLOPE + 2 * CURVATURE),
    "jvp": (lambda x: autograd.grad(lambda x: minirnn.jvp(curve, (x,), (x,))[1])(x), SLOPE + 2 * CURVATURE),
    "hvp": (lambda x: autograd.grad(lambda x: minirnn.hvp(curve)(x, 1.0))(x), THIRD),
    "jacobian": (lambda x: autograd.grad(minirnn.jacobian(curve))(x), CURVATURE),
    "in a dict": (
        lambda x: autograd.grad(lambda x: minirnn.grad(lambda d: curve(d["a"]))({"a": x})["a"])(x),
        CURVATURE,
    ),
    "elementwise": (lambda x: autograd.elementwise_grad(minirnn.grad(curve))(x), CURVATURE),
    "autograd's jacobian": (lambda x: autograd.jacobian(minirnn.grad(curve))(x), CURVATURE),
    "autograd's hessian": (lambda x: autograd.hessian(minirnn.grad(curve))(x), THIRD),
    "in the closure": (lambda x: autograd.grad(lambda x: minirnn.grad(lambda y: curve(y) * x)(2.0))(x), SLOPE),
}


@pytest.mark.parametrize("number", [2.0, np.float64(2), np.float32(2), np.array(2.0), np.array(2.0, np.float32)])
@pytest.mark.parametrize("case", BESIDE_AUTOGRAD)
def test_numbers_pass_between_autograds_transforms_and_ours(case, number):
    function, expected = BESIDE_AUTOGRAD[case]
    found = function(number)
    assert np.shape(found) == ()
    assert np.isclose(float(found), expected, rtol=1e-12 if np.result_type(number) == np.float64 else 1e-5)


USES = {
    "argument": lambda x, box: minirnn.grad(lambda y: y * y)(box),
    "closure": lambda x, box: minirnn.grad(lambda y: y * box)(x),
    "state": lambda x, box: minirnn.scan(lambda h, x: (h + x, h), box * np.ones((1, 1)), np.ones((2, 1, 1)))[0][0, 0],
    "result": lambda x, box: box,
}


@pytest.mark.parametrize("use", USES)
def test_a_box_of_autograds_own_finished_trace_is_refused_within_ours(use):
    kept = []

    def inner(y):
        kept.append(y)
        return y * y

    def outer(x):
        autograd.grad(inner)(x)
        return USES[use](x, kept[0])

    with pytest.raises(StaleBoxError, match="a gradient that is finished"):
        minirnn.grad(outer)(np.array(2.0))
