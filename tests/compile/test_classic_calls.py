"""What a call owes beyond its numbers: caches of its own, derivatives of derivatives, errors that say why."""

import contextvars
import threading

import autograd
import autograd.numpy as anp
import numpy as np
import pytest
from classic_cases import CELLS, both, draw_like, problem, worst

import minirnn
from minirnn import tree
from minirnn.compile import workspace

EVERY_CELL = pytest.mark.parametrize("kind", CELLS)


def same_bits(a, b):
    return all(np.array_equal(x, y) for x, y in zip(tree.leaves(a), tree.leaves(b), strict=True))


# ---------------------------------------------------------------- caches
@EVERY_CELL
@pytest.mark.parametrize("every", [None, 2])
def test_two_calls_in_one_loss_keep_their_caches_apart(kind, every, on_tier):
    made, other = problem(kind), problem(kind, seed=5)

    def loss(engine):
        run = made.scan(engine, every if engine == "compiled" else None)
        return lambda cell, x, y: anp.sum(run(cell, x, made.state)[1] * run(cell, y, other.state)[1])

    ours, reference = (
        minirnn.grad(loss(engine), argnums=(0, 1, 2))(made.cell, made.xs, other.xs) for engine in ("compiled", "python")
    )
    assert worst(ours, reference)[0] < 1e-12


@EVERY_CELL
def test_a_pullback_may_be_called_again_and_outlive_other_calls(kind, on_tier):
    made = problem(kind)
    results, pullback = minirnn.vjp(made.scan("compiled"), *made.primals())
    cotangent = draw_like(results, np.random.default_rng(2))
    first = pullback(cotangent)
    for leaf in tree.leaves(results):
        leaf[...] = 7.0  # the results are the caller's to write to
    both(problem(kind, seed=9))
    assert same_bits(pullback(cotangent), first)
    assert worst(pullback(tree.map(lambda g: 2 * g, cotangent)), tree.map(lambda g: 2 * g, first))[0] < 1e-14


def test_memory_is_lent_and_returned(on_tier):
    made = problem("lstm")
    for _ in range(3):  # from the third call on, what follows from the weights is kept
        results, pullback = minirnn.vjp(made.scan("compiled"), *made.primals())
        pullback(results)
    del pullback
    workspace.release_all()
    results, pullback = minirnn.vjp(made.scan("compiled"), *made.primals())
    during = workspace.free_bytes()
    pullback(results)
    del pullback
    after = workspace.free_bytes()
    assert during < after
    minirnn.vjp(made.scan("compiled"), *made.primals())[1](results)
    assert workspace.free_bytes() == after


@pytest.mark.parametrize("forward_mode", [False, True])
def test_nothing_is_kept_where_nothing_is_differentiated_backward(forward_mode, on_tier):
    problem("lstm", steps=2, batch=2, hidden=64, dtype=np.float32).scan(
        "compiled"
    )(  # compiled, and held to the reference
        *problem("lstm", steps=2, batch=2, hidden=64, dtype=np.float32).primals()
    )
    minirnn.set_num_threads(1)  # of two, the second takes what the first gives back, or not
    held = []
    for steps in (2, 3000, 6000):  # the first compiles, and is held to the reference
        made = problem("lstm", steps=steps, batch=2, hidden=64, dtype=np.float32)
        workspace.release_all()
        if forward_mode:
            minirnn.jvp(lambda xs, made=made: made.scan("compiled")(made.cell, xs, made.state), (made.xs,), (made.xs,))
        else:
            made.scan("compiled")(*made.primals())
        held.append(workspace.free_bytes())
    workspace.release_all()
    assert held[1] == held[2]


def test_threads_have_caches_of_their_own(on_tier):
    mades = [problem("lstm", 20, 4, 5, 16, seed=seed) for seed in range(6)]
    expected = [made.scan("compiled")(*made.primals()) for made in mades]
    wrong = []

    def work(made, reference):
        for _ in range(20):
            if not same_bits(made.scan("compiled")(*made.primals()), reference):
                wrong.append(made)

    threads = [  # a new thread does not know of the tier that is chosen here
        threading.Thread(target=contextvars.copy_context().run, args=(work, *pair))
        for pair in zip(mades, expected, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# ---------------------------------------------------------------- second order
def squared_gradient(engine, made, where):
    """||dL/dW||^2 as a function of V, which scales the input, the head, or the cotangent alone."""
    run, head = made.scan(engine), 1.0 + np.arange(made.cell.hidden_size)

    def of(v):
        xs = made.xs * v if where == "input" else made.xs

        def loss(cell):
            outputs = run(cell, xs, made.state)[1]
            if where == "linear loss":
                return anp.sum(run(cell, made.xs * v, made.state)[1])
            if where == "head":
                return anp.sum((outputs * (v * head)[: outputs.shape[-1]]) ** 2)
            return anp.sum(outputs * v) if where == "cotangent" else anp.sum(anp.tanh(outputs))

        return sum(anp.sum(g**2) for g in minirnn.grad(loss)(made.cell).values())

    return of


ORDERS = {
    "reverse over reverse": lambda f, v: minirnn.grad(f)(v),
    "forward over reverse": lambda f, v: minirnn.jvp(f, (v,), (np.ones_like(v),))[1],
    "autograd outside": lambda f, v: autograd.grad(f)(v),
}


@EVERY_CELL
@pytest.mark.parametrize("where", ["input", "head", "cotangent", "linear loss"])
@pytest.mark.parametrize("order", ORDERS)
def test_the_derivative_of_a_squared_gradient(kind, where, order):
    made, v = problem(kind, steps=3), np.array(0.7)
    ours, reference = (ORDERS[order](squared_gradient(engine, made, where), v) for engine in ("compiled", "python"))
    assert abs(reference) > 1e-6
    assert np.allclose(ours, reference, rtol=1e-11)


@EVERY_CELL
@pytest.mark.parametrize("order", ["reverse over forward", "forward over forward", "hvp", "gradient of hvp"])
@pytest.mark.parametrize("every", [None, 2])
def test_other_orders_of_the_second_derivative(kind, order, every):
    made = problem(kind, steps=3)
    direction = draw_like(made.xs, np.random.default_rng(4))

    def second(engine):
        run = made.scan(engine, every if engine == "compiled" else None)
        loss = lambda xs: anp.sum(anp.sin(run(made.cell, xs, made.state)[1]))
        if order == "hvp":
            return minirnn.hvp(loss)(made.xs, direction)
        if order == "gradient of hvp":
            return minirnn.grad(lambda xs: anp.sum(minirnn.hvp(loss)(xs, direction) ** 2))(made.xs)
        slope = lambda xs: minirnn.jvp(loss, (xs,), (direction,))[1]
        if order == "reverse over forward":
            return minirnn.grad(slope)(made.xs)
        return minirnn.jvp(slope, (made.xs,), (direction,))[1]

    ours, reference = second("compiled"), second("python")
    assert np.max(np.abs(reference)) > 1e-9 or kind == "relu"
    assert np.allclose(ours, reference, rtol=1e-10, atol=1e-12)


@EVERY_CELL
def test_autograds_own_gradient_works_around_a_kernel(kind, on_tier):
    made = problem(kind)
    loss = lambda xs: anp.sum(made.scan("compiled")(made.cell, xs, made.state)[1] ** 2)
    assert np.allclose(autograd.grad(loss)(made.xs), minirnn.grad(loss)(made.xs), rtol=1e-14, atol=0)


# ---------------------------------------------------------------- which cells
class Louder(minirnn.LSTMCell):
    def step(self, state, x):
        return super().step(state, 2 * x)


def test_a_subclass_that_changes_the_step_runs_its_own():
    louder, xs = Louder(2, 4), np.ones((5, 3, 2), np.float32)
    state = louder.initial_state(3)
    pairs = zip(*[tree.leaves(minirnn.scan(louder, state, xs, engine=e)) for e in ("auto", "python")], strict=True)
    assert all(np.allclose(a, b, atol=1e-6) for a, b in pairs)


def test_a_bare_step_cannot_be_compiled_and_is_told_why():
    with pytest.raises(ValueError, match=r"'compiled' cannot run function: .*bare step.*make it a Cell"):
        minirnn.scan(lambda h, x: (h, h), np.ones((3, 4)), np.ones((5, 3, 2)), engine="fused")


def test_a_step_that_is_replaced_between_two_calls_is_the_one_that_runs(monkeypatch):
    class Later(minirnn.RNNCell):
        pass

    cell, xs = Later(2, 3, rng=np.random.default_rng(0)), np.ones((4, 2, 2), np.float32)
    run = lambda engine: minirnn.scan(cell, cell.initial_state(2), xs, engine=engine)[1]
    before = run("auto")
    monkeypatch.setattr(Later, "step", lambda self, h, x: (0.5 * h, h + x[:, :1]))
    assert np.allclose(run("auto"), run("python"))
    assert not np.allclose(run("auto"), before)


def test_tied_parameters_are_one():
    made = problem("gru")
    minirnn.tie(made.cell, "bias_ih", "bias_hh")
    ours, reference = both(made)
    assert worst(ours, reference)[0] < 1e-12
    direction = draw_like(made.cell.parameters(), np.random.default_rng(0))

    def second(run):
        return minirnn.hvp(lambda cell: anp.sum(run(cell, made.xs, made.state)[1] ** 2))(made.cell, direction)

    assert worst(second(made.scan("compiled")), second(made.scan("python")))[0] < 1e-11


@pytest.mark.parametrize("every", [0, -1, 2.5, True])
def test_checkpoint_every_is_a_positive_integer(every):
    with pytest.raises(ValueError, match=r"checkpoint_every=.* a positive integer was expected"):
        problem("gru").scan("auto", every)(*problem("gru").primals())


@EVERY_CELL
@pytest.mark.parametrize("every", [None, 2])
def test_what_borrowed_memory_held_before_does_not_matter(kind, every, on_tier, monkeypatch):
    made = problem(kind, lengths=np.array([5, 1, 3]), every=every)
    expected = both(made)
    new, take = workspace.aligned, workspace.Workspace.__init__

    def poisoned(memory):
        memory.fill(255)  # every float in it is nan
        return memory

    def taken_poisoned(self, role):
        take(self, role)
        for held in self._held.values():
            poisoned(held.memory)

    monkeypatch.setattr(workspace, "aligned", lambda size: poisoned(new(size)))
    monkeypatch.setattr(workspace.Workspace, "__init__", taken_poisoned)
    assert same_bits(both(made), expected)
