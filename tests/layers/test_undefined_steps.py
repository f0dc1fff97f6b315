"""A step that is undefined at zeros (log x, x / dt, x / |x|) never meets padding: outputs, states and gradients of a
padded batch are those of each sequence alone, whatever runs it."""

import autograd.numpy as np
import numpy as onp
import pytest
from padded_batches import assert_alone_is_the_same

import minirnn
from minirnn import Bidirectional, Cell, Recurrent, Stacked, TimeReversed
from minirnn.tier import tier

LENGTHS = [4, 1, 3, 0]
SHAPES = {"w": ("hidden", "input"), "u": ("hidden", "hidden")}


def _next(p, h, x):
    h = np.tanh(x @ p.w.T + h @ p.u.T)
    return h, h


@minirnn.cell(**SHAPES)
def logarithm(p, h, x):
    return _next(p, h, np.log(x))


@minirnn.cell(**SHAPES)
def rate(p, h, x):
    return _next(p, h, x / x[:, 1:])


@minirnn.cell(**SHAPES)
def direction(p, h, x):
    return _next(p, h, x / np.sqrt(np.sum(x * x, axis=1, keepdims=True)))


@minirnn.cell(**SHAPES)
def root(p, h, x):
    return _next(p, h, x**0.5)


@minirnn.cell(**SHAPES, state_={"h": ("hidden",), "last": (1,)})
def clock(p, s, x):
    """The first feature is a time, which rises: log of what has passed since the last one."""
    h = np.tanh(np.log(x[:, :1] - s.last) * np.sum(p.w) + s.h @ p.u.T)
    return (h, x[:, :1]), h


class LogOfInputs(Cell):
    """The function stands before the loop."""

    def __init__(self, *, rng):
        self.input_size, self.hidden_size = 2, 3
        self.w = minirnn.Parameter(rng.standard_normal((3, 2)))
        self.gain = minirnn.Parameter(onp.array([0.7, 1.3]))

    def inputs(self, xs, *, rng=None):
        return np.log(xs) * self.gain

    def step(self, h, x):
        h = np.tanh(0.5 * h + x @ self.w.T)
        return h, h


class Unit(minirnn.Module):
    """x / |x|: a norm that is undefined at the zeros of padded outputs."""

    def __init__(self, size):
        self.gain = minirnn.Parameter(onp.linspace(0.5, 1.5, size))

    def __call__(self, x):
        return self.gain * x / np.sqrt(np.sum(x * x, axis=-1, keepdims=True))


CELLS = [logarithm, rate, direction, root]


def made(cell, rng, **options):
    return cell(2, 3, rng=rng, dtype=onp.float64, **options)


def check(layer, lengths=LENGTHS):
    assert_alone_is_the_same(layer, lengths, padding=1, own_state=True, rising=True)


@pytest.mark.parametrize("every", [None, 2])
@pytest.mark.parametrize("engine", ["python", "compiled"])
@pytest.mark.parametrize("cell", [*CELLS, clock])
def test_an_undefined_step_on_every_engine(cell, engine, every, rng):
    check(Recurrent(made(cell, rng), engine=engine, checkpoint_every=every))


@pytest.mark.parametrize("cell", [logarithm, clock])
def test_an_undefined_step_in_native_code(cell, rng):
    with tier("native"):
        check(Recurrent(made(cell, rng), engine="compiled"))


@pytest.mark.parametrize("engine", ["python", "compiled"])
@pytest.mark.parametrize("cell", CELLS)
def test_an_undefined_step_in_both_directions(cell, engine, rng):
    check(Bidirectional(lambda: Recurrent(made(cell, rng)), engine=engine))
    check(Recurrent(made(cell, rng), reverse=True, engine=engine, checkpoint_every=3))
    check(TimeReversed(Recurrent(made(cell, rng), engine=engine)))


@pytest.mark.parametrize("engine", ["python", "compiled"])
def test_an_undefined_function_before_the_loop_or_between_layers(engine, rng):
    check(Recurrent(LogOfInputs(rng=rng), engine=engine))
    check(Recurrent(LogOfInputs(rng=rng), reverse=True, engine=engine))
    check(Stacked([made(rate, rng), minirnn.LSTM(3, 3, rng=rng, dtype=onp.float64)], norm=Unit, engine=engine))


@pytest.mark.parametrize("engine", ["python", "compiled"])
@pytest.mark.parametrize("every", [None, 2])
def test_tangents_of_an_undefined_step_are_finite_and_right(engine, every, rng):
    layer = Recurrent(made(logarithm, rng), engine=engine, checkpoint_every=every)
    xs, t = 0.1 + rng.random((4, 2, 2)), rng.standard_normal((4, 2, 2))
    xs[2:, 1] = onp.nan
    out, tangent = minirnn.jvp(lambda xs: np.sum(layer(xs, lengths=[4, 2])[0]), (xs,), (t,))
    moved = [float(np.sum(layer(xs + d * t, lengths=[4, 2])[0])) for d in (1e-6, -1e-6)]
    assert onp.isfinite(out)
    onp.testing.assert_allclose(tangent, (moved[0] - moved[1]) / 2e-6, rtol=1e-6)


@pytest.mark.parametrize("engine", ["python", "compiled"])
def test_a_batch_without_any_step_holds_its_state_and_has_zeros(engine, rng):
    layer = Recurrent(made(logarithm, rng), engine=engine)
    state = rng.standard_normal((2, 3))
    outputs, final = layer(onp.full((3, 2, 2), onp.nan), state, lengths=[0, 0])
    assert outputs.shape == (3, 2, 3)
    assert not outputs.any()
    assert onp.array_equal(final, state)


def test_sequences_whose_rows_meet_are_the_references_where_their_lengths_differ(rng):
    class Together(Cell):
        input_size, hidden_size = 2, 2

        def step(self, h, x):
            h = 0.5 * h + x - np.sum(x, axis=0, keepdims=True)
            return h, h

    xs = rng.standard_normal((4, 3, 2)).astype(onp.float32)
    found = [Recurrent(Together(), engine=engine)(xs, lengths=[4, 2, 3])[0] for engine in ("python", "compiled")]
    onp.testing.assert_allclose(*found, rtol=1e-6)


def test_an_attention_whose_keys_are_undefined_at_zeros(rng):
    class LogKeys(minirnn.DotAttention):
        def keys(self, memory):
            return super().keys(np.log(memory))

    attention = LogKeys(2, general=True, rng=rng, dtype=onp.float64)
    memory, query = 0.1 + rng.random((4, 3, 2)), rng.standard_normal((3, 2))
    memory[2:, 0] = onp.nan
    loss = lambda attention, memory: np.sum(attention(query, memory, lengths=[2, 4, 0])[0] ** 2)
    of_weights, of_memory = minirnn.grad(loss, argnums=(0, 1))(attention, memory)
    assert onp.isfinite(of_weights["weight"]).all()
    assert onp.isfinite(of_memory).all()
    alone = minirnn.grad(lambda memory: np.sum(attention(query[:1], memory)[0] ** 2))(memory[:2, :1])
    onp.testing.assert_allclose(of_memory[:2, :1], alone, rtol=1e-12)
