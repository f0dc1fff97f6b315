"""Every cell of the zoo, compiled: outputs, states and all gradients as the reference has them."""

import threading
from importlib.util import find_spec

import autograd.numpy as np
import numpy as onp
import pytest
from compile_cases import EVERY, Problem, cell_of, error, numbers, problem, worst
from few import few

import minirnn
from minirnn import tree
from minirnn.compile import engine, workspace
from minirnn.functional import linear, sigmoid, tanh
from minirnn.tier import tier

LENGTHS = onp.array([5, 1, 3, 4])
no_llvm = pytest.mark.skipif(find_spec("llvmlite") is None, reason="llvmlite is not installed")
TIERS = ["numpy", pytest.param("native", marks=no_llvm)]


@pytest.mark.parametrize("name", EVERY)
class TestEveryCell:
    def test_plain_sequences_agree_to_ten_digits(self, name):
        assert error(problem(cell_of(name))) < 1e-10

    def test_ragged_reversed_sequences_with_checkpoints_agree_to_ten_digits(self, name):
        assert error(problem(cell_of(name)), lengths=LENGTHS, reverse=True, checkpoint_every=2) < 1e-10


@pytest.mark.parametrize("name", few(EVERY))
def test_float32_is_as_near_to_float64_as_the_reference_is(name):
    given = problem(cell_of(name, onp.float32))
    exact = numbers(in_float64(given), "python", lengths=LENGTHS)
    ours, reference = (far(numbers(given, way, lengths=LENGTHS), exact) for way in ("compiled", "python"))
    assert ours < 4 * reference + 2e-6


def in_float64(given):
    wide = lambda a: a.astype(onp.float64) if a.dtype.kind == "f" else a
    return Problem(given.cell.astype(onp.float64), tree.map(wide, given.state), tree.map(wide, given.xs))


def far(found, exact):
    """The largest distance of any array, in units of its largest number."""
    return max(
        float(abs(a - b).max(initial=0.0) / (abs(b).max(initial=0.0) or 1.0)) for a, b in zip(found, exact, strict=True)
    )


@pytest.mark.parametrize("name", few(EVERY))
def test_generated_numpy_agrees_to_ten_digits(name):
    with tier("numpy"):
        assert error(problem(cell_of(name)), lengths=LENGTHS, checkpoint_every=3) < 1e-10


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_three_roads_to_one_gradient(kind):
    """Native code, generated NumPy, and the trace; test_classic_against_bptt.py holds them to what is by hand."""
    given, roads = problem(cell_of(kind), steps=9, batch=5), []
    for on, way in (("auto", "compiled"), ("numpy", "compiled"), ("auto", "python")):
        with tier(on):
            roads.append(numbers(given, way, lengths=onp.array([9, 3, 5, 9, 1])))
    assert worst(roads[0], roads[1]) < 1e-12
    assert worst(roads[0], roads[2]) < 1e-12


# ---------------------------------------------------------------- differentiable like anything else
def loss_of(given, engine):
    return lambda cell, xs: np.sum(np.sin(minirnn.scan(cell, given.state, xs, engine=engine)[1]))


@pytest.mark.parametrize("name", ["MGU", "LSTM", "coRNN"])
def test_second_derivatives_agree(name):
    given = problem(cell_of(name), steps=4, batch=2)
    found = []
    for way in ("compiled", "python"):
        penalty = lambda cell, xs, way=way: sum(
            np.sum(g * g) for g in minirnn.grad(loss_of(given, way))(cell, xs).values()
        )
        gradients = minirnn.grad(penalty, argnums=(0, 1))(given.cell, given.xs)
        found.append(tree.leaves(gradients))
    assert worst(*found) < 1e-10


@pytest.mark.parametrize("lengths", [pytest.param(None, marks=pytest.mark.slow), LENGTHS])
@pytest.mark.parametrize("name", few(EVERY))
def test_tangents_agree(name, lengths):
    given = problem(cell_of(name))
    rng = onp.random.default_rng(1)
    move = {name: rng.standard_normal(p.shape) for name, p in given.cell.parameters().items()}
    found = []
    for way in ("compiled", "python"):
        run = lambda cell, way=way: minirnn.scan(cell, given.state, given.xs, lengths=lengths, reverse=True, engine=way)
        found.append([onp.asarray(leaf) for leaf in tree.leaves(minirnn.jvp(run, (given.cell,), (move,))[1])])
    assert worst(*found) < 1e-10


@pytest.mark.parametrize("on", TIERS)
def test_a_pullback_called_twice_and_two_calls_in_one_loss_are_right(on):
    given = problem(cell_of("MGU"))

    def twice(cell, xs, way):
        first = minirnn.scan(cell, given.state, xs, engine=way)[1]
        return np.concatenate([first, minirnn.scan(cell, given.state, xs[::-1], engine=way)[1]])

    found = []
    for way in ("compiled", "python"):
        with tier(on):
            results, pull = minirnn.vjp(lambda cell, xs, way=way: twice(cell, xs, way), given.cell, given.xs)
            cotangent = onp.random.default_rng(2).standard_normal(results.shape)
            pull(2 * cotangent)
            found.append(tree.leaves(pull(cotangent)))
    assert worst(*found) < 1e-12


@pytest.mark.parametrize("on", TIERS)
@pytest.mark.parametrize("every", [None, 2])
def test_what_borrowed_memory_held_before_does_not_matter(on, every, monkeypatch):
    given = problem(cell_of("MGU"))
    options = {"lengths": LENGTHS, "checkpoint_every": every}
    with tier(on):
        expected = numbers(given, "compiled", **options)
        take = workspace.Workspace.__init__

        def taken_as_nan(self, role):
            take(self, role)
            for held in self._held.values():
                held.memory.fill(255)

        monkeypatch.setattr(workspace.Workspace, "__init__", taken_as_nan)
        found = numbers(given, "compiled", **options)
    assert all(onp.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_what_is_not_asked_for_is_not_needed():
    given = problem(cell_of("LSTM"))
    for argument in (0, 1):
        found = []
        for way in ("compiled", "python"):
            found.append(tree.leaves(minirnn.grad(loss_of(given, way), argnums=argument)(given.cell, given.xs)))
        assert worst(*found) < 1e-12


def test_gradients_share_memory_with_nothing():
    given = problem(cell_of("LSTM"))
    gradients = tree.leaves(minirnn.grad(loss_of(given, "compiled"), argnums=(0, 1))(given.cell, given.xs))
    for k, a in enumerate(gradients):
        assert a.base is None
        assert not any(onp.shares_memory(a, b) for b in gradients[:k])


def test_states_that_change_places_keep_their_cotangents_apart():
    @minirnn.cell(state_=("first", "second", "third"), w=("hidden", "input"))
    def turning(p, state, x):
        first = state.third + linear(x, p.w)
        return (first, state.first, state.second), first * state.second

    given = problem(turning(2, 3, rng=onp.random.default_rng(0), dtype=onp.float64), 7)
    assert error(given, lengths=onp.array([7, 1, 3, 5])) < 1e-12


def test_gradients_that_are_one_sum_in_two_shapes_share_no_memory():
    @minirnn.cell(w=("hidden", "input"), b=("hidden",), c=(1, "hidden"))
    def twice_biased(p, h, x):
        h = tanh(0.5 * h + linear(x, p.w) + p.b + p.c)
        return h, h

    given = problem(twice_biased(2, 3, rng=onp.random.default_rng(0), dtype=onp.float64))
    gradients = minirnn.grad(loss_of(given, "compiled"))(given.cell, given.xs)
    assert onp.allclose(gradients["b"], gradients["c"][0])
    assert not onp.shares_memory(gradients["b"], gradients["c"])


def test_nothing_given_is_modified_and_a_second_run_is_the_same_to_the_bit():
    given = problem(cell_of("PeepholeLSTM"))
    before = [leaf.copy() for leaf in tree.leaves(tuple(given))]
    first, second = numbers(given, "compiled"), numbers(given, "compiled")
    assert all(onp.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(onp.array_equal(a, b) for a, b in zip(tree.leaves(tuple(given)), before, strict=True))


@pytest.mark.parametrize("sizes", [(1, 1), (1, 7), (40, 1), (70, 9)])
def test_any_number_of_steps_and_rows(sizes):
    assert error(problem(cell_of("MGU"), *sizes)) < 1e-10


@pytest.mark.parametrize("count", [1, 2, 3])
def test_any_number_of_threads(count):
    pytest.importorskip("llvmlite")
    before = minirnn.get_num_threads()
    cell = minirnn.cells.MGU(20, 30, rng=onp.random.default_rng(0), dtype=onp.float64)
    try:
        minirnn.set_num_threads(count)
        with tier("native"):
            assert error(problem(cell, 30, 13), lengths=onp.arange(13) + 18) < 1e-10
    finally:
        minirnn.set_num_threads(before)


def test_threads_of_the_caller_may_compile_the_same_cell_at_once():
    given, found = problem(minirnn.cells.MGU(3, 4, rng=onp.random.default_rng(0), dtype=onp.float64)), []
    run = lambda: found.append(minirnn.scan(*given, engine="compiled")[1])
    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert all(onp.array_equal(found[0], other) for other in found)


def test_no_step_and_no_row_are_the_references():
    cell = cell_of("MGU")
    for shape in ((0, 2, 2), (3, 0, 2)):
        final, outputs = minirnn.scan(cell, cell.initial_state(shape[1]), onp.zeros(shape))
        assert outputs.shape == (*shape[:2], 3)
        assert final.shape == (shape[1], 3)


# ---------------------------------------------------------------- choosing it
class Branching(minirnn.RNNCell):
    def step(self, h, x):
        if np.sum(h) > 0:
            h = -h
        return super().step(h, x)


class Fancy(minirnn.RNNCell):
    def step(self, h, x):
        h = tanh(linear(x, self.weight_ih) + np.sort(h, axis=1))
        return h, h


class Sly(minirnn.RNNCell):
    def step(self, h, x):
        h = tanh(linear(x, self.weight_ih) + minirnn.stop_gradient(h))
        return h, h


@pytest.mark.parametrize(
    ("cls", "says"),
    [
        (Branching, r"branches on the value.*np\.where.*if np\.sum\(h\) > 0"),
        (Fancy, "calls sort"),
        (Sly, "leaves its trace"),
    ],
)
def test_what_cannot_be_compiled_runs_on_python_with_one_warning_that_says_why(cls, says):
    cell, xs = cls(2, 3, rng=onp.random.default_rng(0), dtype=onp.float64), onp.ones((4, 2, 2))
    engine._said.clear()
    with pytest.warns(UserWarning, match=says):
        first = minirnn.scan(cell, cell.initial_state(2), xs)
    second = minirnn.scan(cell, cell.initial_state(2), xs)  # a second warning would be an error
    expected = minirnn.scan(cell, cell.initial_state(2), xs, engine="python")
    assert onp.array_equal(first[1], expected[1])
    assert onp.array_equal(second[1], expected[1])
    with pytest.raises(ValueError, match=says):
        minirnn.scan(cell, cell.initial_state(2), xs, engine="compiled")


def test_a_bare_step_is_refused_by_name_and_silent_otherwise():
    step = lambda h, x: (sigmoid(h + x), h)
    with pytest.raises(ValueError, match="closure"):
        minirnn.scan(step, onp.zeros((2, 3)), onp.ones((4, 2, 3)), engine="compiled")
    minirnn.scan(step, onp.zeros((2, 3)), onp.ones((4, 2, 3)))


def test_a_step_that_writes_in_place_never_writes_into_the_callers_arrays():
    class Writes(minirnn.RNNCell):
        def step(self, h, x):
            self.weight_hh[0] = 7
            return super().step(h, x)

    cell = Writes(2, 3, dtype=onp.float64)
    before = cell.weight_hh.copy()
    with pytest.raises(ValueError, match="writes in place"):
        minirnn.scan(cell, cell.initial_state(2), onp.ones((4, 2, 2)))
    assert onp.array_equal(cell.weight_hh, before)


def test_a_wrong_program_is_an_error_that_carries_it(monkeypatch):
    def wrong(*args, **kwargs):
        found, gradients = original(*args, **kwargs)
        return found, [2 * g for g in gradients]

    from minirnn.compile import verify

    original = verify._compiled
    monkeypatch.setattr(verify, "_compiled", wrong)
    given = problem(minirnn.cells.MGU(2, 7, rng=onp.random.default_rng(0), dtype=onp.float64))
    with pytest.raises(verify.CompilerError, match=r"gradient of(.|\n)*backward:"):
        minirnn.scan(*given, engine="compiled")


def test_tied_arrays_are_one():
    @minirnn.cell(w=("hidden", "hidden"), u=("hidden", "hidden"))
    def twins(p, h, x):
        h = tanh(linear(x, p.w) + linear(h, p.u))
        return h, h

    cell = twins(3, 3, rng=onp.random.default_rng(0), dtype=onp.float64)
    minirnn.tie(cell, "u", "w")
    assert error(problem(cell)) < 1e-10
