"""Calls that one block holds: those of a single row read matrices as they lie, and give what packed ones give."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from compile_cases import CLASSIC, EVERY, cell_of, numbers, problem, worst

import minirnn
from minirnn import value_and_grad
from minirnn.call import Call
from minirnn.compile import engine, frames, sequence, workspace

pytest.importorskip("llvmlite", reason="llvmlite is not installed: pip install 'minirnn[fast]'")


def frames_of(given):
    call = Call(*given, None, False, None)
    return sequence.frames(engine.program_for(call), call.steps, call.batch)


SOME = ("RNN", "LSTM", "GRU", "MGU", "mLSTM", "SRU", "ConvLSTM", "PhasedLSTM")  # a gate, a norm, a clock, a convolution


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in SOME else pytest.mark.slow) for n in EVERY])
def test_a_single_row_needs_no_packed_matrices(name, dtype, monkeypatch):
    given = problem(cell_of(name, dtype), steps=4, batch=1)
    direct = numbers(given, "compiled")
    found = frames_of(given)
    assert found.direct
    monkeypatch.setattr(found, "direct", False)
    assert all(np.array_equal(a, b) for a, b in zip(direct, numbers(given, "compiled"), strict=True))


@pytest.mark.parametrize("steps", [frames.DIRECT_STEPS, frames.DIRECT_STEPS + 1])
def test_matrices_are_packed_beforehand_from_some_length_on(steps):
    given = problem(cell_of("LSTM"), steps=steps, batch=1)
    assert frames_of(given).direct == (steps == frames.DIRECT_STEPS)
    assert worst(numbers(given, "compiled"), numbers(given, "python")) < 1e-11


@pytest.mark.parametrize("hidden", [1, 7, 16, 33, 130])  # below, at and above vectors, and columns of one pass
@pytest.mark.parametrize("kind", CLASSIC)
def test_single_rows_of_every_width_are_the_reference_s(kind, hidden):
    cell = CLASSIC[kind](3, hidden, rng=np.random.default_rng(0), dtype=np.float64)
    given = problem(cell, steps=3, batch=1)
    assert worst(numbers(given, "compiled"), numbers(given, "python")) < 1e-12


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_a_row_alone_is_that_row_among_others(kind):
    layer = getattr(minirnn, kind)(5, 9, rng=np.random.default_rng(0))
    xs = np.random.default_rng(1).standard_normal((6, 3, 5)).astype(np.float32)
    assert np.array_equal(layer(xs)[0][:, :1], layer(xs[:, :1])[0])


@pytest.mark.parametrize("batch", [1, 3])
def test_weights_written_in_place_are_seen_at_once(batch):
    layer = minirnn.LSTM(4, 3, rng=np.random.default_rng(0), dtype=np.float64)
    xs = np.random.default_rng(1).standard_normal((5, batch, 4))
    train = value_and_grad(lambda layer: minirnn.losses.mse(layer(xs)[0], np.ones((5, batch, 3))))
    for array in [None, *layer.parameters().values()] * 2:
        if array is not None:
            array.flat[-1] += 0.5
        value, gradient = train(layer)
        with minirnn.engine("python"):
            expected, exact = train(layer)
        assert np.isclose(value, expected, rtol=1e-13)
        assert all(np.allclose(gradient[name], exact[name], rtol=1e-10, atol=1e-13) for name in exact)


def test_weights_that_lie_apart_in_memory_are_read_as_they_are():
    cell = minirnn.LSTMCell(4, 3, rng=np.random.default_rng(0), dtype=np.float64)
    apart = cell.bind({name: np.asfortranarray(array) for name, array in cell.parameters().items()})
    given = problem(cell, batch=1)
    assert worst(numbers(given._replace(cell=apart), "compiled"), numbers(given, "compiled")) < 1e-14


def test_a_pullback_keeps_its_frame_while_others_come_and_go():
    layer = minirnn.GRU(4, 3, rng=np.random.default_rng(0), dtype=np.float64)
    xs = np.random.default_rng(1).standard_normal((5, 1, 4))
    pulled = [minirnn.vjp(lambda xs, k=k: layer(xs * k)[0], xs) for k in range(1, 5)]
    for _ in range(frames.FREE + 2):
        layer(xs)
    again = [minirnn.vjp(lambda xs, k=k: layer(xs * k)[0], xs) for k in range(1, 5)]
    for (out, pull), (same, other) in zip(pulled, again, strict=True):
        ones = np.ones_like(out)
        assert np.array_equal(out, same)
        first = pull(ones)[0]
        assert np.array_equal(first, other(ones)[0])
        assert np.array_equal(first, pull(ones)[0])


def test_threads_that_call_one_layer_do_not_meet():
    layer = minirnn.LSTM(6, 8, rng=np.random.default_rng(0))
    many = [np.random.default_rng(k).standard_normal((7, 1, 6)).astype(np.float32) for k in range(8)]
    train = value_and_grad(lambda xs: minirnn.losses.mse(layer(xs)[0], np.zeros((7, 1, 8), np.float32)))
    expected = [train(xs)[1] for xs in many]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            assert all(map(np.array_equal, pool.map(lambda xs: train(xs)[1], many), expected))


def test_memory_does_not_grow_with_calls():
    layer = minirnn.LSTM(6, 8, rng=np.random.default_rng(0))
    xs = np.zeros((7, 1, 6), np.float32)
    train = value_and_grad(lambda layer: minirnn.losses.mse(layer(xs)[0], np.ones((7, 1, 8), np.float32)))
    held = []
    for _ in range(3):
        for _ in range(50):
            layer(xs)
            train(layer)
        held.append(workspace.free_bytes())
    assert held[0] == held[1] == held[2]
