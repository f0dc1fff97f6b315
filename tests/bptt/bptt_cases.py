"""One random problem for each hand-written network, and its gradient by each of four derivations.

A gradient is a dict: the parameters' names, "d_xs", "d_h" and, for an LSTM, "d_c". The loss is
sum(outputs * d_outputs) + sum(final state * d_state).
"""

from typing import Any, NamedTuple

import autograd.numpy as anp
import numpy as np
from hypothesis import strategies as st

import minirnn
from minirnn.bptt import gru, lstm, rnn, rtrl
from minirnn.functional import linear, sigmoid, split, tanh


def rnn_cell(nonlinearity):
    def step(p, h, x):
        h = minirnn.rnn_step(h, x, **p, nonlinearity=nonlinearity)
        return h, h

    return step


def lstm_cell(p, state, x):
    h, c = minirnn.lstm_step(*state, x, **p)
    return (h, c), h


def gru_cell(p, h, x):
    h = minirnn.gru_step(h, x, **p)
    return h, h


def cho_step(p, h, x):
    """The GRU as Cho et al. 2014 wrote it: the reset gate before the product."""
    w_r, w_z, w_n = anp.split(p["weight_hh"], 3)
    b_r, b_z, b_n = anp.split(p["bias_hh"], 3) if "bias_hh" in p else (None, None, None)
    x_r, x_z, x_n = split(linear(x, p["weight_ih"], p.get("bias_ih")), 3)
    r = sigmoid(x_r + linear(h, w_r, b_r))
    z = sigmoid(x_z + linear(h, w_z, b_z))
    n = tanh(x_n + linear(r * h, w_n, b_n))
    h = (1 - z) * n + z * h
    return h, h


class Network(NamedTuple):
    """One network: its gates, its step for autograd, its hand-written module, RTRL function and their option."""

    gates: int
    step: Any
    by_hand: Any
    by_rtrl: Any
    option: dict
    projected: bool = False


NETWORKS = {
    "RNN tanh": Network(1, rnn_cell("tanh"), rnn, rtrl.rnn, {"nonlinearity": "tanh"}),
    "RNN relu": Network(1, rnn_cell("relu"), rnn, rtrl.rnn, {"nonlinearity": "relu"}),
    "LSTM": Network(4, lstm_cell, lstm, rtrl.lstm, {}),
    "LSTM projected": Network(4, lstm_cell, lstm, rtrl.lstm, {}, projected=True),
    "GRU reset after": Network(3, gru_cell, gru, rtrl.gru, {"reset": "after"}),
    "GRU reset before": Network(3, cho_step, gru, rtrl.gru, {"reset": "before"}),
}


class Problem(NamedTuple):
    network: Network
    params: dict
    xs: Any
    state: Any
    lengths: Any
    d_outputs: Any
    d_state: Any

    def forward(self, **changed):
        of = self._replace(**changed)
        return self.network.by_hand.forward(of.params, of.xs, of.state, of.lengths, **self.network.option)

    def loss(self, **changed):
        outputs, state, _ = self.forward(**changed)
        pairs = [(outputs, self.d_outputs), *zip(leaves(state), leaves(self.d_state), strict=True)]
        return sum(np.sum(value * cotangent) for value, cotangent in pairs)


def leaves(state):
    return list(state) if isinstance(state, tuple) else [state]


def make(kind, steps=4, batch=3, inputs=2, hidden=3, bias=True, ragged=True, seed=0, dtype=np.float64):
    network, rng = NETWORKS[kind], np.random.default_rng(seed)
    fed_back = max(1, hidden - 1) if network.projected else hidden
    rows = network.gates * hidden
    shapes = {"weight_ih": (rows, inputs), "weight_hh": (rows, fed_back)}
    shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)} if bias else {}
    shapes |= {"weight_hr": (fed_back, hidden)} if network.projected else {}
    normal = lambda *shape: rng.standard_normal(shape).astype(dtype)
    h, c = (lambda: normal(batch, fed_back)), (lambda: normal(batch, hidden))
    state = (lambda: (h(), c())) if network.gates == 4 else h
    return Problem(
        network,
        {name: normal(*shape) for name, shape in shapes.items()},
        normal(steps, batch, inputs),
        state(),
        rng.integers(0, steps + 1, batch) if ragged else None,
        normal(steps, batch, fed_back),
        state(),
    )


@st.composite
def problems(draw, kind):
    size = lambda low, high: draw(st.integers(low, high))
    return make(
        kind, size(0, 5), size(1, 3), size(1, 3), size(1, 4), *(draw(st.booleans()) for _ in "br"), size(0, 999)
    )


# ---------------------------------------------------------------- the derivations
def named(grads, d_xs, d_state):
    found = {**grads, **dict(zip(["d_h", "d_c"], leaves(d_state), strict=False))}
    return found if d_xs is None else found | {"d_xs": d_xs}


def by_hand(problem, truncate=None):
    cache = problem.forward()[2]
    return named(*problem.network.by_hand.backward(cache, problem.d_outputs, problem.d_state, truncate))


def by_rtrl(problem):
    network, params, *given = problem
    xs, state, lengths, d_outputs, d_state = given
    result = network.by_rtrl(params, xs, state, d_outputs, d_state, lengths, **network.option)
    return named(result.grads, None, result.d_state0)


def by_autograd(problem, chunk=None):
    """Reverse mode through the time loop; the state is stopped between chunks of `chunk` steps."""

    def run(params, xs, state):
        step, parts = (lambda state, x: problem.network.step(params, state, x)), []
        steps = len(problem.xs)
        for start in range(0, steps, chunk or steps) if steps else [0]:
            end = min(start + (chunk or steps), steps)
            inside = None if problem.lengths is None else np.clip(problem.lengths - start, 0, end - start)
            state = minirnn.stop_gradient(state) if start else state
            state, outputs = minirnn.scan(step, state, xs[start:end], lengths=inside, engine="python")
            parts.append(outputs)
        return anp.concatenate(parts), state

    pull = minirnn.vjp(run, problem.params, problem.xs, problem.state)[1]
    return named(*pull((problem.d_outputs, problem.d_state)))


def along(problem, gradient, seed=0):
    """A random direction for each array: (name, what changes under a complex step along it, its derivative, scale)."""
    rng = np.random.default_rng(seed)
    as_complex = {
        "params": {name: value.astype(complex) for name, value in problem.params.items()},
        "xs": problem.xs.astype(complex),
        "state": complex_state(problem.state, {}),
    }
    for name, g in gradient.items():
        v = rng.standard_normal(g.shape)
        move = {name: 1e-30j * v}
        if name in problem.params:
            changed = {"params": {**as_complex["params"], name: problem.params[name] + move[name]}}
        elif name == "d_xs":
            changed = {"xs": problem.xs + move[name]}
        else:
            changed = {"state": complex_state(problem.state, move)}
        yield name, {**as_complex, **changed}, np.sum(g * v), np.sum(np.abs(g * v))


def complex_state(state, move):
    moved = [leaf + move.get(name, 0j) for name, leaf in zip(["d_h", "d_c"], leaves(state), strict=False)]
    return tuple(moved) if isinstance(state, tuple) else moved[0]


def complex_step_error(problem, gradient):
    """The worst disagreement of directional derivatives, relative to the sum of what they add up."""
    floor = 1e-3 * max(np.max(np.abs(g), initial=0.0) for g in gradient.values())
    return max(
        abs(problem.loss(**changed).imag * 1e30 - expected) / (max(scale, floor) or 1.0)
        for _, changed, expected, scale in along(problem, gradient)
    )


def relative_error(found, reference):
    """The worst difference of any array, relative to its largest entry (not below 1/1000 of the whole gradient's)."""
    largest = {name: np.max(np.abs(g), initial=0.0) for name, g in reference.items()}
    floor = 1e-3 * max(largest.values())
    assert {name: g.shape for name, g in found.items()} == {name: reference[name].shape for name in found}
    return max(
        np.max(np.abs(g - reference[name]), initial=0.0) / (max(largest[name], floor) or 1.0)
        for name, g in found.items()
    )
