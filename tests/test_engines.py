from typing import NamedTuple

import autograd.numpy as np
import numpy as onp
import pytest

import minirnn
from minirnn import engines


def leaky(h, x):
    h = 0.9 * h + x
    return h, 2 * h


class Tagged(minirnn.RNNCell):
    """A cell that only the engine "tagged" of these tests claims to run."""


@pytest.fixture
def tagged(monkeypatch):
    """An engine that records its calls and runs the reference."""
    calls = []

    def prepare(call):
        if not isinstance(call.cell, Tagged):
            return "it runs Tagged cells only"
        calls.append(type(call.cell).__name__)
        return engines._reference(call)

    monkeypatch.setattr(engines, "_engines", list(engines._engines))
    engines.register_engine(engines.Engine("tagged", prepare))
    return calls


def test_scan_of_a_bare_step():
    final, outputs = minirnn.scan(leaky, onp.zeros((2, 1)), onp.ones((3, 2, 1)))
    assert np.allclose(outputs[:, 0, 0], [2, 3.8, 5.42])
    assert np.allclose(final, 2.71)


def test_inputs_and_outputs_may_be_nested():
    class Timed(NamedTuple):
        x: object
        dt: object

    def step(h, timed):
        h = h + timed.dt * timed.x
        return h, {"h": h, "rate": timed.x}

    xs = Timed(onp.ones((4, 2, 3)), 0.5 * onp.ones((4, 2, 1)))
    final, outputs = minirnn.scan(step, onp.zeros((2, 3)), xs)
    assert (final == 2).all()
    assert outputs["h"].shape == outputs["rate"].shape == (4, 2, 3)
    _, none = minirnn.scan(step, onp.zeros((2, 3)), Timed(xs.x[:0], xs.dt[:0]))
    assert none["h"].shape == (0, 2, 3)


def test_a_scan_is_differentiable_in_everything():
    w, h, xs = onp.full((1,), 0.5), onp.ones((2, 1)), onp.ones((3, 2, 1))
    loss = lambda w, h, xs: np.sum(minirnn.scan(lambda h, x: (w * h + x, h), h, xs)[0])
    dw, dh, dxs = minirnn.grad(loss, argnums=(0, 1, 2))(w, h, xs)
    assert np.allclose(dh, 0.5**3)
    assert np.allclose(dxs[:, 0, 0], [0.25, 0.5, 1])
    assert np.allclose(dw, 2 * (3 * 0.25 + 2 * 0.5 + 1))


# ---------------------------------------------------------------- choosing an engine
def test_auto_takes_the_newest_engine_that_can_and_the_reference_otherwise(tagged):
    xs = onp.ones((3, 2, 2), onp.float32)
    minirnn.Recurrent(Tagged(2, 2))(xs)
    minirnn.Recurrent(minirnn.RNNCell(2, 2))(xs)
    assert tagged == ["Tagged"]


def test_a_block_sets_what_is_left_at_auto_and_a_layers_own_engine_wins(tagged):
    xs, auto = onp.ones((3, 2, 2), onp.float32), minirnn.Recurrent(Tagged(2, 2))
    with minirnn.engine("python"):
        auto(xs)
        assert tagged == []
        minirnn.Recurrent(Tagged(2, 2), engine="tagged")(xs)
        with minirnn.engine("auto"):
            auto(xs)
    assert tagged == ["Tagged"] * 2


def test_an_outer_layers_engine_reaches_the_inner_ones(tagged):
    xs = onp.ones((3, 2, 2), onp.float32)
    minirnn.Stacked([Tagged(2, 2), minirnn.Recurrent(Tagged(2, 2), engine="tagged")], engine="python")(xs)
    assert tagged == ["Tagged"]


def test_asking_by_name_for_an_engine_that_cannot_says_why(tagged):
    with (
        minirnn.engine("tagged"),
        pytest.raises(ValueError, match="'tagged' cannot run RNNCell: it runs Tagged cells only"),
    ):
        minirnn.Recurrent(minirnn.RNNCell(2, 2))(onp.ones((3, 2, 2), onp.float32))


# ---------------------------------------------------------------- errors
h0, inputs = onp.zeros((2, 3)), onp.ones((4, 2, 3))


def writes_state(h, x):
    h += x
    return h, h


def writes_input(h, x):
    x *= 2
    return h + x, h


class WritesParameter(minirnn.RNNCell):
    def step(self, h, x):
        self.weight_hh[0] = 0
        return super().step(h, x)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: minirnn.scan(writes_state, h0, inputs), ValueError, "writes in place"),
        (lambda: minirnn.scan(writes_input, h0, inputs), ValueError, "writes in place"),
        (lambda: minirnn.scan(WritesParameter(3, 3, dtype=float), h0, inputs), ValueError, "writes in place"),
        (lambda: minirnn.scan(lambda h, x: (h[:, :2], h), h0, inputs), ValueError, r"\(2, 3\) and left with \(2, 2\)"),
        (lambda: minirnn.scan(lambda h, x: (h.astype("f4"), h), h0, inputs), TypeError, "left as float32.*dtype"),
        (lambda: minirnn.scan(lambda h, x: ((h, h), h), h0, inputs), TypeError, "leaves"),
        (lambda: minirnn.scan(lambda h, x: h, h0, inputs), TypeError, r"pair \(state, output\)"),
        (lambda: minirnn.scan("tanh", h0, inputs), TypeError, "str came as cell"),
        (lambda: minirnn.scan(leaky, h0[:1], inputs), ValueError, "xs has a batch of 2"),
        (lambda: minirnn.scan(leaky, h0, inputs[:, 0, 0]), ValueError, "one T and one B"),
        (lambda: minirnn.scan(leaky, h0, (inputs, inputs[1:])), ValueError, "one T and one B"),
        (lambda: minirnn.scan(leaky, h0, ()), ValueError, "holds no array"),
        (lambda: minirnn.scan(leaky, h0, inputs, lengths=[9, 9]), ValueError, "xs has 4 steps"),
        (lambda: minirnn.scan(leaky, h0, inputs, engine="turbo"), ValueError, "one of auto, compiled, python"),
    ],
)
def test_bad_input_is_an_error_that_says_what_was_expected(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_a_dtype_that_drifts_is_named_with_its_leaf_and_cause():
    cell, xs = minirnn.LSTMCell(3, 3), onp.ones((4, 2, 3), onp.float32)

    def step(state, x):
        new, output = cell.step(state, x)
        return new._replace(c=new.c / onp.sqrt(onp.array([4.0]))), output

    with pytest.raises(TypeError, match=r"state c came in as float32 and left as float64.*np\.sqrt\(4\)"):
        minirnn.scan(step, cell.initial_state(2), xs)
