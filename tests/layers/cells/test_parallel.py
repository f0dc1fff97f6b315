"""linear_scan against the loop it stands for, in values and all derivatives; `parallel` against the step by step."""

import sys
import warnings

import autograd.numpy as np
import numpy as onp
import pytest

import minirnn
from minirnn import Recurrent, cells, tree
from minirnn.gradcheck import gradcheck
from minirnn.layers.cells.associative_scan import METHODS, linear_scan, multiply_pairs

LINEAR = [name for name in cells.names() if hasattr(cells.get(name), "parallel")]
METHOD = pytest.mark.parametrize("method", METHODS)
PAIRS = pytest.mark.parametrize("pairs", [False, True])


def drawn(rng, steps, pairs=False, width=3):
    shape = (2, width, 2) if pairs else (2, width)
    return [rng.standard_normal((steps, *shape)), rng.standard_normal((steps, *shape)), rng.standard_normal(shape)]


def slowly(a, b, h, pairs):
    """The recurrence as it is written, on autograd's boxes or plain arrays."""
    hs = []
    for t in range(len(b)):
        h = (multiply_pairs(a[t], h) if pairs else a[t] * h) + b[t]
        hs.append(h)
    return np.stack(hs)


def close(came, expected, tolerance=1e-12):
    pairs = list(zip(tree.leaves(came), tree.leaves(expected), strict=True))
    assert all(onp.shape(a) == onp.shape(b) for a, b in pairs)
    assert (
        max(onp.max(onp.abs(a - b), initial=0) / max(1, onp.max(onp.abs(b), initial=0)) for a, b in pairs) < tolerance
    )


# ---------------------------------------------------------------- linear_scan
@METHOD
@PAIRS
@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7, 8, 33])
def test_all_states_at_once_are_the_states_one_by_one(rng, method, pairs, steps):
    given = drawn(rng, steps, pairs)
    close(linear_scan(*given, pairs=pairs, method=method), slowly(*given, pairs))


def test_pairs_are_complex_numbers(rng):
    a, b, h = drawn(rng, 6, pairs=True)
    as_complex = [x[..., 0] + 1j * x[..., 1] for x in (a, b, h)]
    hs = linear_scan(a, b, h, pairs=True)
    close(hs[..., 0] + 1j * hs[..., 1], slowly(*as_complex, False))


@METHOD
@PAIRS
def test_first_and_second_derivatives_in_both_modes(rng, method, pairs):
    given, moves = drawn(rng, 7, pairs), drawn(rng, 7, pairs)
    weights = rng.standard_normal(given[1].shape)

    def both(scan):
        def loss(a, b, h):
            return np.sum(weights * np.tanh(scan(a, b, h)))

        gradient = minirnn.grad(loss, argnums=(0, 1, 2))
        forward = minirnn.jvp(loss, tuple(given), tuple(moves))[1]
        return gradient(*given), forward, minirnn.jvp(gradient, tuple(given), tuple(moves))[1]

    fast = both(lambda a, b, h: linear_scan(a, b, h, pairs=pairs, method=method))
    close(fast, both(lambda a, b, h: slowly(a, b, h, pairs)))


@PAIRS
def test_the_gradient_is_that_of_finite_differences(rng, pairs):
    given = drawn(rng, 5, pairs)
    assert gradcheck(lambda a, b, h: linear_scan(a, b, h, pairs=pairs, method="prefix"), *given).ok


def test_only_what_is_differentiated_counts(rng):
    a, b, h = drawn(rng, 5)
    alone = minirnn.grad(lambda b: np.sum(linear_scan(a, b, h) ** 2))(b)
    close(alone, minirnn.grad(lambda b: np.sum(slowly(a, b, h, False) ** 2))(b))
    tangent = minirnn.jvp(lambda h: linear_scan(a, b, h), (h,), (h,))[1]
    close(tangent, minirnn.jvp(lambda h: slowly(a, b, h, False), (h,), (h,))[1])


@PAIRS
@METHOD
def test_float32_stays_float32_and_nothing_is_written_to(rng, method, pairs):
    given = [x.astype(onp.float32) for x in drawn(rng, 9, pairs)]
    for x in given:
        x.flags.writeable = False
    value, gradient = minirnn.value_and_grad(
        lambda *given: np.sum(linear_scan(*given, pairs=pairs, method=method)), argnums=(0, 1, 2)
    )(*given)
    assert {leaf.dtype for leaf in (value, *gradient)} == {onp.dtype(onp.float32)}


@PAIRS
@METHOD
def test_no_steps_give_no_states_and_no_gradient(rng, method, pairs):
    given = drawn(rng, 0, pairs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", minirnn.UnreachedWarning)
        gradient = minirnn.grad(lambda *given: np.sum(linear_scan(*given, pairs=pairs, method=method)), (0, 1, 2))
        assert not gradient(*given)[2].any()
    assert linear_scan(*given, pairs=pairs, method=method).shape == given[1].shape


def test_where_a_forgets_what_was_huge_before_does_not_matter():
    a, b = onp.zeros((70, 1)), onp.ones((70, 1))
    b[0] = 1e300
    assert (linear_scan(a, b, onp.array([1e300]), method="prefix")[1:] == 1).all()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda a, b, h: ((a[:-1], b, h), {}), r"a \(4, 2, 3\), b \(5, 2, 3\) and h \(2, 3\) came"),
        (lambda a, b, h: ((a, b, h[0]), {}), r"h \(3,\) came"),
        (lambda a, b, h: ((a, b, h), {"method": "fast"}), "one of auto, loop, prefix"),
        (lambda a, b, h: ((a, b, h), {"pairs": True}), r"pairs \(\.\.\., 2\) were expected"),
    ],
)
def test_what_does_not_fit_is_refused(rng, change, says):
    args, options = change(*drawn(rng, 5))
    with pytest.raises(ValueError, match=says):
        linear_scan(*args, **options)


# ---------------------------------------------------------------- cells
@pytest.fixture(params=LINEAR)
def cell(request, rng):
    return cells.small(request.param, rng=rng)


def sequence(cell, rng, steps=6, batch=2):
    xs = rng.standard_normal((steps, batch, cell.input_size)).astype(cell.dtype)
    state = tree.map(lambda leaf: leaf + rng.standard_normal(leaf.shape).astype(leaf.dtype), cell.initial_state(batch))
    return xs, state


def test_the_linear_cells_are_these():
    assert LINEAR == ["LRU", "MinGRU", "MinLSTM", "QRNN", "RGLRU", "SRU"]


@pytest.mark.parametrize("steps", [1, 6, 70])
def test_parallel_is_step_by_step_in_outputs_states_and_gradients(cell, rng, steps, on_tier):
    xs, state = sequence(cell, rng, steps)
    weights = tree.map(lambda leaf: rng.standard_normal(leaf.shape), cell.parallel(xs, state))

    def both(run):
        def loss(cell, xs, state):
            found = run(cell, xs, state)
            pairs = zip(tree.leaves(found), tree.leaves(weights), strict=True)
            return sum(np.sum(leaf * weight) for leaf, weight in pairs), found

        (_, found), gradients = minirnn.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)(cell, xs, state)
        return found, gradients

    slow = lambda cell, *given: Recurrent(cell, engine="python")(*given)
    close(both(lambda cell, xs, state: cell.parallel(xs, state)), both(slow))


@pytest.mark.parametrize("engine", ["auto", "python"])
def test_parallel_is_the_loop_where_that_is_native_and_nobody_asks_for_another(cell, rng, on_tier, engine, monkeypatch):
    scanned = []
    module = sys.modules[type(cell).parallel.__module__]
    run = module.linear_scan
    monkeypatch.setattr(module, "linear_scan", lambda *given, **how: scanned.append(1) or run(*given, **how))
    with minirnn.engine(engine):
        cell.parallel(*sequence(cell, rng))
    assert bool(scanned) == (on_tier == "numpy" or engine == "python")


def test_parallel_starts_at_zeros_and_goes_on_from_a_state(cell, rng):
    xs, _ = sequence(cell, rng)
    outputs, final = cell.parallel(xs)
    close((outputs, final), cell.parallel(xs, cell.initial_state(2)))
    first, middle = cell.parallel(xs[:4])
    second, last = cell.parallel(xs[4:], middle)
    close((onp.concatenate([first, second]), last), (outputs, final))


def test_parallel_over_no_steps_leaves_the_state(cell, rng, on_tier):
    xs, state = sequence(cell, rng, steps=0)
    outputs, final = cell.parallel(xs, state)
    assert outputs.shape == (0, 2, cell.hidden_size)
    close(final, state)


def test_parallel_refuses_what_does_not_fit(cell, rng):
    xs, state = sequence(cell, rng)
    name = type(cell).__name__
    with pytest.raises(ValueError, match=rf"{name}\.parallel: xs has shape"):
        cell.parallel(xs[0])
    with pytest.raises(TypeError, match=r"use np\.asarray\(xs, np\.float64\)"):
        cell.parallel(xs.astype(onp.float32))
    with pytest.raises(ValueError, match=rf"{name}\.parallel: state"):
        cell.parallel(xs, tree.map(lambda leaf: leaf[:1], state))


@pytest.mark.parametrize("name", LINEAR)
def test_parallel_in_float32_is_finite_with_huge_inputs(name, rng):
    cell = cells.small(name, rng=rng, dtype=onp.float32)
    xs, _ = sequence(cell, rng)
    value, gradient = minirnn.value_and_grad(lambda cell: np.sum(cell.parallel(1000 * xs)[0]))(cell)
    assert all(onp.isfinite(leaf).all() and leaf.dtype == onp.float32 for leaf in [value, *gradient.values()])
