"""checkpoint_every: the same numbers from less memory, on every engine."""

import tracemalloc
from typing import NamedTuple

import autograd.numpy as anp
import numpy as np
import pytest

import minirnn
from minirnn import tree
from minirnn.kernels import workspace

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


@pytest.mark.parametrize("engine", ["python", "fused"])
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


@pytest.mark.parametrize(("engine", "steps"), [("python", 256), ("fused", 4096)])
def test_checkpoints_save_memory(engine, steps):
    sizes = (engine, steps, 4, 8, 32)
    assert memory_beyond_results(*sizes, int(steps**0.5)) < memory_beyond_results(*sizes, None) / 4


@pytest.mark.slow
def test_a_hundred_thousand_steps_train_within_300_mebibytes():
    assert memory_beyond_results("fused", 100_000, 8, 64, 128, 316) < 300 << 20
