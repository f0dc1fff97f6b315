"""What the check before first use lets pass, and what it catches."""

import autograd.numpy as np
import numpy as onp
import pytest
from compile_cases import error, problem

import minirnn
from minirnn.call import Call
from minirnn.compile import engine, verify
from minirnn.functional import linear, softmax


@minirnn.cell(w=("hidden", "input"), u=("hidden", "hidden"))
def sharp(p, h, x):
    h = softmax(linear(x, p.w) + linear(h, p.u))
    return h, h


def large(seed, dtype):
    """Inputs in the thousands: gradients are small differences of large numbers, in which rounding is all there is."""
    cell = sharp(4, 6, rng=onp.random.default_rng(seed), dtype=dtype)
    xs = (1e3 * onp.random.default_rng(seed + 10).standard_normal((6, 3, 4))).astype(dtype)
    engine._known.clear()
    return cell, cell.initial_state(3), xs


def gradient(cell, state, xs, way="compiled"):
    loss = lambda cell, xs: np.sum(np.sin(minirnn.scan(cell, state, xs, engine=way)[1]))
    return minirnn.grad(loss)(cell, xs)


@pytest.mark.parametrize(("seed", "dtype"), [(3, "f4"), (2, "f8"), (5, "f8"), (0, "f4"), (1, "f8")])
def test_numbers_that_rounding_does_not_determine_are_judged_by_the_float64_gradient(seed, dtype):
    cell, state, xs = large(seed, dtype)
    found = gradient(cell, state, xs)
    exact = gradient(cell.astype("f8"), state.astype("f8"), xs.astype("f8"), "python")
    bound = 100 * onp.finfo(dtype).eps * onp.abs(xs).max()
    assert all(onp.abs(found[name] - exact[name]).max() < bound for name in exact)


def doubled(results, gradients):
    return results, [2 * g for g in gradients]


def moved(results, gradients):
    return [r + 0.01 for r in results], gradients


def not_a_number(results, gradients):
    return results, [onp.full_like(g, onp.nan) for g in gradients]


@pytest.mark.parametrize("given", [lambda: large(3, "f4"), lambda: problem(minirnn.cells.MGU(2, 7, dtype="f8"))])
@pytest.mark.parametrize("slip", [doubled, moved, not_a_number])
def test_a_wrong_program_is_caught_on_any_numbers(slip, given, monkeypatch):
    original = verify._compiled
    monkeypatch.setattr(verify, "_compiled", lambda *args: slip(*original(*args)))
    made = given()
    engine._known.clear()
    with pytest.raises(verify.CompilerError, match=r"relative(.|\n)*backward:"):
        minirnn.scan(*made, engine="compiled")


def test_a_program_that_is_wrong_on_the_calls_own_numbers_alone_is_caught(monkeypatch):
    original = verify._compiled

    def compiled(program, leaves, *args):
        found = original(program, leaves, *args)
        return moved(*found) if onp.abs(leaves[0]).max() > 100 else found

    monkeypatch.setattr(verify, "_compiled", compiled)
    with pytest.raises(verify.CompilerError):
        minirnn.scan(*large(3, "f4"), engine="compiled")


def test_a_step_that_knows_its_domain_is_compared_inside_it():
    @minirnn.cell(w=("hidden", "input"))
    def bounded(p, h, x):
        if np.shape(x)[0] == 2 and isinstance(x, onp.ndarray) and onp.abs(x).max() > 1:  # the check's rows alone
            raise ValueError("outside")
        h = 0.5 * h + linear(x, p.w)
        return h, h

    cell, xs = bounded(2, 3, dtype=onp.float64), onp.ones((4, 2, 2))
    expected = minirnn.scan(cell, cell.initial_state(2), xs, engine="python")[1]
    assert onp.allclose(minirnn.scan(cell, cell.initial_state(2), xs)[1], expected)


def test_a_step_that_computes_in_two_precisions_is_judged_by_the_coarser():
    @minirnn.cell(w=("hidden", "input"))
    def rough(p, h, x):
        h = np.tanh((linear(x, p.w) + h).astype("f4")).astype("f8")
        return h, h

    given = problem(rough(2, 3, rng=onp.random.default_rng(0), dtype=onp.float64))
    assert not isinstance(engine.prepare(Call(*given, None, False, None)), str)
    assert error(given) < 1e-5


def test_the_gradient_of_a_number_that_nothing_uses_is_compared():
    class Idle(minirnn.Cell):
        def __init__(self):
            self.input_size = self.hidden_size = 2
            self.idle = minirnn.Parameter(onp.array(0.5))

        def initial_state(self, batch_size, dtype=None):
            return onp.zeros((batch_size, 2))

        def step(self, h, x):
            return np.tanh(h + x), h

    assert error(problem(Idle())) < 1e-12
