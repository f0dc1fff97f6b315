"""What minirnn.bptt imports, and the errors it gives."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest
from bptt_cases import make

from minirnn import bptt
from minirnn.bptt import gru, lstm, lstm_per_gate, rnn, rtrl

FILES = sorted(Path(bptt.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_numpy_alone_is_imported(path):
    allowed = re.compile(r"(numpy|typing|collections|minirnn\.bptt)(\..*)?")
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [f"{'.' * node.level}{node.module or ''}"] if isinstance(node, ast.ImportFrom) else []
        assert all(allowed.fullmatch(name) for name in names), names


RNN, LSTM, GRU = (make(kind) for kind in ("RNN tanh", "LSTM", "GRU reset after"))
PER_GATE = lstm_per_gate.to_per_gate(LSTM.params)


def forward(problem, **changed):
    return lambda: problem.forward(**changed)


def params(problem, **changed):
    return {**problem.params, **changed}


def backward(problem, module, d_outputs=None, truncate=None):
    d_outputs = problem.d_outputs if d_outputs is None else d_outputs
    return lambda: module.backward(problem.forward()[2], d_outputs, problem.d_state, truncate)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (forward(LSTM, params={}), ValueError, "lstm.forward: params lacks weight_ih, weight_hh"),
        (forward(LSTM, params=params(LSTM, w=LSTM.xs)), ValueError, "w of it are unknown; the names are weight_ih"),
        (forward(GRU, params=params(GRU, weight_hr=GRU.xs)), ValueError, "weight_hr of it are unknown"),
        (
            forward(LSTM, params=params(LSTM, weight_ih=np.ones((6, 2)))),
            ValueError,
            "6 rows, a multiple of its 4 gates",
        ),
        (
            forward(GRU, params=params(GRU, weight_hh=np.ones((9, 2)))),
            ValueError,
            r"weight_hh has shape \(9, 2\), \(9, 3\)",
        ),
        (forward(GRU, params=params(GRU, bias_ih=np.ones(3))), ValueError, r"bias_ih has shape \(3,\), \(9,\) was"),
        (forward(RNN, xs=np.ones((4, 3, 5))), ValueError, r"xs has shape \(4, 3, 5\), \(4, 3, 2\) was expected"),
        (forward(RNN, xs=np.ones((4, 3))), ValueError, r"xs has shape \(4, 3\), 3 axes were expected"),
        (forward(RNN, xs=[[[1.0]]]), TypeError, "xs is list, a float array was expected"),
        (forward(RNN, xs=np.ones((4, 3, 2), int)), TypeError, "xs is int64, a float array"),
        (forward(RNN, xs=RNN.xs.astype("f4")), TypeError, "one dtype was expected.*xs float32.*astype"),
        (forward(RNN, state=np.ones((2, 3))), ValueError, r"h has shape \(2, 3\), \(3, 3\) was expected"),
        (forward(LSTM, state=(LSTM.state[0], np.ones((3, 4)))), ValueError, r"c has shape \(3, 4\)"),
        (forward(LSTM, state=np.ones((2, 3))), TypeError, r"state is ndarray, the pair \(h, c\) was expected"),
        (lambda: lstm.backward(LSTM.forward()[2], LSTM.d_outputs, None), TypeError, "d_state is NoneType, the pair"),
        (forward(RNN, lengths=[1, 2]), ValueError, r"lengths is int64 \(2,\), integers of shape \(3,\)"),
        (forward(RNN, lengths=np.ones(3)), ValueError, "lengths is float64"),
        (forward(RNN, lengths=[1, 2, 5]), ValueError, "lengths are 1 to 5, xs has 4 steps"),
        (
            lambda: rnn.forward(RNN.params, RNN.xs, RNN.state, nonlinearity="cube"),
            ValueError,
            "'cube' came, tanh or relu",
        ),
        (
            lambda: gru.forward(GRU.params, GRU.xs, GRU.state, reset="late"),
            ValueError,
            "'late' came, 'after' or 'before'",
        ),
        (
            backward(RNN, rnn, d_outputs=np.ones((4, 3, 2))),
            ValueError,
            r"d_outputs is float64 \(4, 3, 2\), float64 \(4, 3, 3\)",
        ),
        (backward(LSTM, lstm, d_outputs=LSTM.xs.astype("f4")), ValueError, "lstm.backward: d_outputs is float32"),
        (backward(GRU, gru, truncate=0), ValueError, "truncate=0 came, a positive number of steps"),
        (backward(GRU, gru, truncate=2.0), ValueError, "truncate=2.0 came"),
        (lambda: rtrl.rnn(*RNN[1:4], RNN.xs, RNN.d_state), ValueError, r"rtrl.rnn: d_outputs is float64 \(4, 3, 2\)"),
        (lambda: rtrl.rnn(*RNN[1:4], RNN.d_outputs, None, nonlinearity="x"), ValueError, "rtrl.rnn: nonlinearity='x'"),
        (lambda: rtrl.gru(*GRU[1:4], GRU.d_outputs, None, reset="x"), ValueError, "rtrl.gru: reset='x'"),
        (lambda: lstm_per_gate.to_per_gate(PER_GATE), ValueError, "to_per_gate: params lacks weight_ih"),
        (lambda: lstm_per_gate.from_per_gate({**PER_GATE, "b_f": None}), ValueError, "params lacks b_f"),
        (
            lambda: lstm_per_gate.from_per_gate({**PER_GATE, "W_o": np.ones((3, 4))}),
            ValueError,
            r"W_o has shape \(3, 4\)",
        ),
        (
            lambda: lstm_per_gate.from_per_gate({f"W_{k}": np.ones((3, 3)) for k in "ifgo"}),
            ValueError,
            "more than the 3",
        ),
        (
            lambda: lstm_per_gate.forward(PER_GATE, LSTM.xs[..., :1], LSTM.state),
            ValueError,
            r"\(4, 3, 2\) was expected",
        ),
    ],
)
def test_bad_input_is_an_error_that_says_what_was_expected(call, error, says):
    with pytest.raises(error, match=says):
        call()


@pytest.mark.parametrize("name", ["state", "d_state"])
@pytest.mark.parametrize(
    ("where", "call"),
    [
        ("lstm", lambda a: lstm.backward(lstm.forward(*LSTM[1:3], a["state"])[2], LSTM.d_outputs, a["d_state"])),
        ("lstm_per_gate", lambda a: lstm_per_gate.backward(
            lstm_per_gate.forward(PER_GATE, LSTM.xs, a["state"])[2], LSTM.d_outputs, a["d_state"])),
        ("rtrl.lstm", lambda a: rtrl.lstm(*LSTM[1:3], a["state"], LSTM.d_outputs, a["d_state"])),
    ],
)  # fmt: skip
def test_a_pair_that_is_none_is_named_with_the_function_that_it_was_given_to(where, call, name):
    given = {"state": LSTM.state, "d_state": LSTM.d_state}
    call(given)
    with pytest.raises(TypeError, match=rf"^{where}(\.forward|\.backward)?: {name} is ndarray, the pair"):
        call({**given, name: np.ones((3, 3))})


def test_stacked_parameters_own_their_memory():
    stacked = lstm_per_gate.from_per_gate(PER_GATE)
    assert all(array.flags.c_contiguous and array.flags.owndata for array in stacked.values())
    assert not any(np.shares_memory(a, b) for a in stacked.values() for b in PER_GATE.values())
