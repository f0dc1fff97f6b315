import autograd
import autograd.numpy as anp
import numpy as np
import pytest

import minirnn
from minirnn import bundle
from minirnn.primitive import elementwise, is_traced, joint, primitive, variadic

square = elementwise(lambda x: x * x, lambda y, x: 2 * x)
times = primitive(lambda a, b: a * b, [lambda g, y, a, b: g * b, lambda g, y, a, b: g * a])
total = variadic(lambda *xs: sum(xs), lambda i, g: g, lambda *ts: sum(ts))


def test_a_primitive_differentiates_in_both_modes_and_again():
    x, v = np.array([1.0, -2.0]), np.array([0.5, 3.0])
    f = lambda x: anp.sum(times(square(x), x))
    assert np.array_equal(minirnn.grad(f)(x), 3 * x**2)
    assert np.array_equal(autograd.grad(f)(x), 3 * x**2)
    assert np.array_equal(minirnn.jvp(f, (x,), (v,))[1], np.sum(3 * x**2 * v))
    assert np.array_equal(minirnn.hvp(f)(x, v), 6 * x * v)


def test_variadic_functions_move_with_some_of_their_arguments():
    a, b = np.array([1.0]), np.array([2.0])
    assert minirnn.jvp(lambda a: total(a, b, a), (a,), (b,)) == (4.0, 4.0)
    assert minirnn.grad(lambda a: anp.sum(total(a, b, a)))(a) == [2.0]


def test_joint_cotangents_are_one_computation_for_all_arguments():
    calls = []
    product = joint(
        lambda a, b: a * b,
        lambda g, y, a, b: calls.append(1) or (g * b, g * a),
        lambda ts, y, a, b: ts[0] * b + a * ts[1],
    )
    a, b = np.array([3.0]), np.array([5.0])
    assert minirnn.grad(lambda a, b: anp.sum(product(a, b)), argnums=(0, 1))(a, b) == ([5.0], [3.0])
    assert calls == [1]
    assert minirnn.jvp(lambda b: product(a, b), (b,), (np.array([2.0]),)) == (15.0, 6.0)
    assert minirnn.hvp(lambda a: anp.sum(product(a, product(a, a))))(a, np.ones(1)) == [18.0]


def test_is_traced():
    seen = []
    minirnn.grad(lambda x: seen.append(is_traced(x)) or anp.sum(x))(np.ones(1))
    assert seen == [True]
    assert not is_traced(np.ones(1))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tanh_is_right_to_any_order_where_it_saturates(dtype):
    x = np.array([-1e4, -100, -50, 0, 50, 100, 1e4], dtype)
    f = lambda x: anp.sum(anp.tanh(x))
    assert minirnn.grad(f)(x).tolist() == [0, 0, 0, 1, 0, 0, 0]
    assert not minirnn.hvp(f)(x, np.ones_like(x)).any()
    assert minirnn.jvp(anp.tanh, (x,), (np.ones_like(x),))[1].tolist() == [0, 0, 0, 1, 0, 0, 0]


INDICES = {
    "slice": np.s_[1:3],
    "integer": 2,
    "numpy integer": np.int64(1),
    "ellipsis": np.s_[..., 0],
    "new axis": np.s_[:, None, ::-1],
    "array with repeats": np.array([0, 0, 3]),
    "mask": np.array([True, False, True, False]),
    "mixed": (np.array([1, 1]), slice(0, 2)),
}


@pytest.mark.parametrize("name", INDICES)
def test_indexing_differentiates_as_autograds_rule_does(name, rng):
    x, index = rng.standard_normal((4, 3)), INDICES[name]
    f = lambda x: anp.sum(x[index] ** 3)
    assert np.allclose(minirnn.grad(f)(x), autograd.grad(f)(x), rtol=0, atol=1e-15)
    v = rng.standard_normal(x.shape)
    assert np.allclose(minirnn.hvp(f)(x, v), minirnn.grad(lambda x: anp.sum(minirnn.grad(f)(x) * v))(x), atol=1e-14)


def test_a_function_without_a_rule_is_named():
    with pytest.raises(NotImplementedError, match="forward-mode rule for"):
        minirnn.jvp(anp.linalg.svd, (np.eye(2),), (np.eye(2),))


def test_a_primitive_of_a_numpy_function_leaves_autograds_own_alone():
    wrong = primitive(np.add, [lambda g, y, a, b: 3 * g, lambda g, y, a, b: 3 * g])
    assert minirnn.grad(lambda a: wrong(a, a))(np.array(1.0)) == 6
    assert minirnn.grad(lambda a: a + np.add(a, 1.0))(np.array(1.0)) == 2


SUMS = {
    "all": {},
    "one axis": {"axis": 1},
    "kept": {"axis": -1, "keepdims": True},
    "two axes": {"axis": (0, -1)},
    "all kept": {"keepdims": True},
    "no axis": {"axis": ()},
}


@pytest.mark.parametrize("name", SUMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_differentiate_as_autograds_rule_does(name, dtype, rng):
    x = rng.standard_normal((2, 3, 4)).astype(dtype)
    f = lambda x: anp.sum(anp.sin(anp.sum(x, **SUMS[name]) ** 2))
    assert minirnn.grad(f)(x).dtype == dtype
    assert np.allclose(minirnn.grad(f)(x), autograd.grad(f)(x), rtol=0, atol=1e-5 if dtype == np.float32 else 1e-14)
    v = rng.standard_normal(x.shape).astype(dtype)
    assert np.allclose(minirnn.hvp(f)(x, v), minirnn.grad(lambda x: anp.sum(minirnn.grad(f)(x) * v))(x), atol=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(), (3,)])
def test_a_rules_backward_is_given_arrays_of_its_results_dtype(dtype, shape):
    seen = []

    class Twice(bundle.Rule):
        def __init__(self):
            super().__init__(lambda x: (2 * x,))

        def forward(self, arrays, keep):
            return (np.asarray(2 * arrays[0]),), None

        def backward(self, arrays, cache, cotangents, wanted):
            seen.extend(cotangents)
            return [2 * cotangents[0]]

    gradient = minirnn.grad(lambda x: anp.sum(3.0 * bundle.call(Twice(), [x])[0]))(np.ones(shape, dtype))
    assert np.array_equal(gradient, np.full(shape, 6.0))
    assert [(type(g), g.dtype, g.shape) for g in seen] == [(np.ndarray, dtype, shape)]
