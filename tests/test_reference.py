"""checkpoint_every: the same numbers from less memory, on every engine."""

import tracemalloc
from typing import NamedTuple

import autograd.numpy as anp
import numpy as np
import pytest

import minirnn
from minirnn import tree
from minirnn.compile import workspace

T, B, I, H = 11, 3, 2, 4


class Pair(NamedTuple):
    h: object
    total: object


class Summing(minirnn.Cell):
    """A cell of nobody's engine, with a nested state and input, a frozen parameter and a buffer."""

    def __init__(self, rng):
        self.input_size, self.hidden_size = I, H
        self.w = minirnn.Parameter(rng.standard_normal((H, I)))
        self.u = minirnn.Parameter(rng.standard_normal((H, H)) / 2)
        self.rate = minirnn.Buffer(np.array([0.5]))
        self.freeze("u")

    def initial_state(self, batch_size, dtype=None):
        return Pair(np.zeros((batch_size, H)), np.zeros((batch_size, 1)))

    def step(self, state, x):
        h = anp.tanh(x["x"] @ self.w.T + state.h @ self.u.T) * self.rate * x["dt"]
        return Pair(h, state.total + anp.sum(h, axis=1)[:, None]), {"h": h, "total": state.total}


def gradients(every, lengths, reverse):
    rng = np.random.default_rng(0)
    cell = Summing(rng)
    xs = {"x": rng.standard_normal((T, B, I)), "dt": rng.uniform(0.5, 1, (T, B, 1))}

    def run(cell, xs, state):
        return minirnn.scan(cell, state, xs, lengths=lengths, reverse=reverse, engine="python", checkpoint_every=every)

    results, pullback = minirnn.vjp(run, cell, xs, tree.map(lambda leaf: leaf + 0.3, cell.initial_state(B)))
    return results, pullback(tree.map(np.cos, results))


@pytest.mark.parametrize("every", [1, 3, 4, T, 50])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [None, np.array([11, 0, 5])])
def test_any_cell_gives_the_same_numbers_with_checkpoints(every, reverse, lengths):
    plain, checkpointed = gradients(None, lengths, reverse), gradients(every, lengths, reverse)
    for (path, a), (_, b) in zip(tree.named_leaves(checkpointed), tree.named_leaves(plain), strict=True):
        assert np.allclose(a, b, rtol=1e-13, atol=1e-13), path


@pytest.mark.parametrize("engine", ["python", "compiled"])
def test_second_derivatives_go_through_checkpoints(engine):
    rng = np.random.default_rng(1)
    cell, xs = minirnn.GRUCell(I, H, rng=rng, dtype=np.float64), rng.standard_normal((T, B, I))

    def curved(every, engine):
        scan = lambda xs: minirnn.scan(cell, cell.initial_state(B), xs, engine=engine, checkpoint_every=every)
        return minirnn.hvp(lambda xs: anp.sum(scan(xs)[1] ** 2))(xs, np.cos(xs))

    assert np.allclose(curved(4, engine), curved(None, "python"), rtol=1e-12, atol=1e-13)


def test_a_bare_step_is_refused_since_its_closure_cannot_be_seen():
    with pytest.raises(ValueError, match=r"bare step.*Make it a Cell"):
        minirnn.scan(lambda h, x: (h, h), np.zeros((B, H)), np.ones((T, B, I)), checkpoint_every=2)


def test_a_layer_takes_it_too():
    cell, xs = minirnn.LSTMCell(I, H, rng=np.random.default_rng(0)), np.ones((T, B, I), np.float32)
    loss = lambda layer: anp.sum(layer(xs)[0] ** 2)
    plain, checkpointed = (minirnn.grad(loss)(minirnn.Recurrent(cell, checkpoint_every=k)) for k in (None, 3))
    assert all(np.allclose(plain[name], checkpointed[name], rtol=1e-5, atol=1e-6) for name in plain)
    with pytest.raises(ValueError, match="checkpoint_every=0"):
        minirnn.Recurrent(cell, checkpoint_every=0)


class Counted(NamedTuple):
    h: object
    n: object
    flag: object


class Counting(minirnn.Cell):
    """A cell with a counter and a flag in its state, and the counter among its outputs."""

    def __init__(self, rng):
        self.input_size, self.hidden_size = I, H
        self.w = minirnn.Parameter(rng.standard_normal((H, I + H)))

    def initial_state(self, batch_size, dtype=None):
        return Counted(np.full((batch_size, H), 0.3), np.zeros(batch_size, np.int64), np.zeros(batch_size, bool))

    def step(self, state, x):
        h = anp.tanh(anp.concatenate([x, state.h], axis=1) @ self.w.T) * anp.where(state.flag, 0.5, 1.0)[:, None]
        return Counted(h, state.n + 1, (state.n + 1) % 2 == 0), {"h": h, "n": state.n}


def derivatives_of_counting(engine, every, lengths):
    rng = np.random.default_rng(0)
    cell, xs, v = Counting(rng), rng.standard_normal((T, B, I)), rng.standard_normal((T, B, I))
    state = cell.initial_state(B)

    def loss(cell, xs, h):
        options = {"engine": engine, "checkpoint_every": every, "lengths": lengths}
        final, outputs = minirnn.scan(cell, state._replace(h=h), xs, **options)
        assert np.array_equal(final.n, np.full(B, T) if lengths is None else lengths)
        return anp.sum(outputs["h"] ** 2 * (outputs["n"] + 1)[..., None]) + anp.sum(final.h)

    gradient = minirnn.grad(loss, argnums=(0, 1, 2))(cell, xs, state.h)
    moved = minirnn.jvp(loss, (cell, xs, state.h), ({"w": np.cos(cell.w)}, v, state.h))
    return gradient, moved, minirnn.hvp(loss, argnums=1)(cell, xs, state.h, v)


@pytest.mark.parametrize("engine", ["python", "compiled", "auto"])
@pytest.mark.parametrize("every", [None, 4])
@pytest.mark.parametrize("lengths", [None, np.array([11, 0, 6], np.uint8)])
def test_counters_and_flags_in_the_state_pass_through_checkpoints_in_every_mode(engine, every, lengths):
    found = derivatives_of_counting(engine, every, lengths)
    expected = derivatives_of_counting("python", None, lengths)
    for a, b in zip(tree.leaves(found), tree.leaves(expected), strict=True):
        assert np.allclose(a, b, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.uint32, np.uint64, np.int64])
@pytest.mark.parametrize("every", [None, 3])
def test_lengths_of_any_integer_type_mean_the_same(dtype, every):
    lengths = np.array([11, 0, 5])
    for reverse in (False, True):
        same = gradients(every, lengths.astype(dtype), reverse), gradients(every, lengths, reverse)
        assert all(map(np.array_equal, *map(tree.leaves, same)))


# ---------------------------------------------------------------- memory
def memory_beyond_results(engine, steps, batch, inputs, hidden, every):
    """The most memory (bytes) that a gradient takes beside its outputs and gradients."""
    rng = np.random.default_rng(0)
    cell = minirnn.LSTMCell(inputs, hidden, rng=rng)
    state, xs = cell.initial_state(batch), rng.standard_normal((steps, batch, inputs), dtype=np.float32)
    run = lambda cell, xs: minirnn.scan(cell, state, xs, engine=engine, checkpoint_every=every)[1]
    minirnn.vjp(run, cell, xs[:2])
    cotangent = np.ones((steps, batch, hidden), np.float32)
    workspace.release_all()
    tracemalloc.start()
    try:
        outputs, pullback = minirnn.vjp(run, cell, xs)
        gradient = pullback(cotangent)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return peak - outputs.nbytes - sum(leaf.nbytes for leaf in tree.leaves(gradient))


@pytest.mark.parametrize(("engine", "steps"), [("python", 256), ("compiled", 4096)])
def test_checkpoints_save_memory(engine, steps):
    sizes = (engine, steps, 4, 8, 32)
    assert memory_beyond_results(*sizes, int(steps**0.5)) < memory_beyond_results(*sizes, None) / 4


@pytest.mark.slow
def test_a_hundred_thousand_steps_train_within_300_mebibytes():
    assert memory_beyond_results("compiled", 100_000, 8, 64, 128, 316) < 300 << 20
