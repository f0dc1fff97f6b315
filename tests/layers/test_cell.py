import pickle
from copy import deepcopy

import autograd.numpy as np
import numpy as onp
import pytest

import minirnn
from minirnn import Recurrent, init


@minirnn.cell(w=("hidden", "input"), u=("hidden", "hidden"), b=("hidden",))
def tanh_cell(p, h, x):
    """The simplest cell."""
    h = np.tanh(x @ p.w.T + h @ p.u.T + p.b)
    return h, h


@minirnn.cell(w=("4*hidden", "input"), u=("4*hidden", "hidden"), b=("4 * hidden",), state_=("h", "c"))
def lstm_cell(p, s, x):
    i, f, g, o = minirnn.functional.split(x @ p.w.T + s.h @ p.u.T + p.b, 4)
    c = minirnn.functional.sigmoid(f) * s.c + minirnn.functional.sigmoid(i) * np.tanh(g)
    h = minirnn.functional.sigmoid(o) * np.tanh(c)
    return (h, c), h


@minirnn.cell(
    w=("memory", "input"),
    v=("hidden", "memory"),
    options_={"rate": 0.5, "memory": "2*hidden", "steps": 1, "linear": False, "kind": ("tanh", "relu")},
)
def optional_cell(p, h, x):
    h = (1 - p.rate) * h + p.rate * (x @ p.w.T) @ p.v.T
    return h, h


@minirnn.cell(
    w=("memory", "input"),
    v=("hidden", "memory"),
    state_={"m": ("memory",), "a": ("hidden", 2)},
    init_={"w": init.ones, "v": init.orthogonal},
)
def memory_cell(p, s, x):
    m = 0.5 * s.m + x @ p.w.T
    return (m, s.a + 1), m @ p.v.T


def test_a_decorated_cell_has_its_parameters_name_and_documentation(rng):
    cell = tanh_cell(29, 10, rng=rng)
    assert {name: p.shape for name, p in cell.parameters().items()} == {"w": (10, 29), "u": (10, 10), "b": (10,)}
    assert all(p.dtype == onp.float32 and abs(p).max() <= 10**-0.5 for p in cell.parameters().values())
    assert type(cell).__name__ == "tanh_cell"
    assert tanh_cell.__doc__ == "The simplest cell."
    assert repr(cell).startswith("tanh_cell(29, 10): 400 parameters")


def test_a_decorated_lstm_is_the_lstm(rng):
    ours, theirs = lstm_cell(2, 3, rng=rng, dtype=onp.float64), minirnn.LSTMCell(2, 3, dtype=onp.float64)
    theirs.load_state_dict({"weight_ih": ours.w, "weight_hh": ours.u, "bias_ih": ours.b, "bias_hh": 0 * ours.b})
    xs = rng.standard_normal((4, 5, 2))
    outputs, final = Recurrent(ours)(xs)
    expected, expected_final = Recurrent(theirs)(xs)
    assert np.allclose(outputs, expected, rtol=0, atol=1e-15)
    assert np.allclose(final.c, expected_final.c, rtol=0, atol=1e-15)
    assert type(final) is lstm_cell.State


def test_state_shapes_further_sizes_and_initialisers(rng):
    cell = memory_cell(3, 4, memory=5, rng=rng, dtype=onp.float64)
    state = cell.initial_state(2)
    assert (state.m.shape, state.a.shape, state.a.dtype) == ((2, 5), (2, 4, 2), onp.float64)
    assert (cell.w == 1).all()
    assert np.allclose(cell.v @ cell.v.T, np.eye(4))
    assert "memory=5" in repr(cell)
    outputs, final = Recurrent(cell)(onp.ones((6, 2, 3)))
    assert outputs.shape == (6, 2, 4)
    assert (final.a == 6).all()


def test_options_have_defaults_and_are_attributes(rng):
    cell = optional_cell(3, 4, rng=rng)
    assert (cell.rate, cell.memory, cell.steps, cell.linear, cell.kind) == (0.5, 8, 1, False, "tanh")
    cell = optional_cell(3, 4, rng=rng, rate=onp.float64(0.25), memory=5, kind="relu", linear=True)
    assert repr(cell).startswith("optional_cell(3, 4, memory=5, rate=0.25, steps=1, linear=True, kind=relu)")
    assert cell.w.shape == (5, 3)
    outputs, _ = Recurrent(cell)(onp.ones((2, 1, 3), onp.float32))
    assert outputs.dtype == onp.float32
    assert repr(pickle.loads(pickle.dumps(cell))) == repr(cell)


def test_the_same_rng_gives_the_same_cell():
    first, second = (tanh_cell(2, 3, rng=onp.random.default_rng(7)) for _ in range(2))
    assert all(np.array_equal(first.parameters()[name], p) for name, p in second.parameters().items())


@pytest.mark.parametrize("make", [tanh_cell, lstm_cell])
def test_cells_and_their_states_copy_and_pickle(make):
    layer = Recurrent(make(2, 3))
    xs = onp.ones((4, 1, 2), onp.float32)
    _, state = layer(xs)
    for copy in (deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(copy) == repr(layer)
        again, _ = copy(xs, pickle.loads(pickle.dumps(state)))
        assert np.array_equal(again, layer(xs, state)[0])


@pytest.mark.parametrize(
    ("declare", "error", "says"),
    [
        (lambda: minirnn.cell(step=("hidden",)), ValueError, "the name step is taken; choose others than .*bind"),
        (lambda: minirnn.cell(w=("input_size",)), ValueError, "input_size is taken"),
        (lambda: minirnn.cell(w=("n",), n=("hidden",)), ValueError, "n is taken"),
        (lambda: minirnn.cell(_w=("hidden",)), ValueError, "leading underscore"),
        (lambda: minirnn.cell(w=("hidden",), init_={"v": init.zeros}), ValueError, "init_ names v"),
        (lambda: minirnn.cell(w=("hidden",), stat_=("h",)), TypeError, "no option is called stat_"),
        (lambda: minirnn.cell(w="hidden"), TypeError, "a tuple of sizes"),
        (lambda: minirnn.cell(state_="h"), TypeError, r"state_=\('h',\)"),
        (lambda: minirnn.cell(w=("hidden+1",)), ValueError, r"the size 'hidden\+1'"),
        (lambda: minirnn.cell(w=("0*hidden",)), ValueError, "the size '0"),
        (lambda: minirnn.cell(w=(-1,)), ValueError, "the size -1"),
        (lambda: tanh_cell(2, 3, memory=4), TypeError, "further sizes memory came, none expected"),
        (lambda: memory_cell(2, 3), TypeError, "none came, memory expected"),
        (lambda: memory_cell(2, 3, memory=0), ValueError, "memory=0"),
        (lambda: minirnn.cell(options_={"step": 1}), ValueError, "the name step is taken"),
        (lambda: minirnn.cell(w=("hidden",), options_={"w": 1}), ValueError, "the name w is taken"),
        (lambda: minirnn.cell(options_={"w": [1]}), TypeError, "a number, a flag or a tuple of strings"),
        (lambda: minirnn.cell(options_={"w": (1, 2)}), TypeError, "a tuple of strings"),
        (lambda: minirnn.cell(w=("n",), options_={"n": "m"}), ValueError, "in terms of input or hidden"),
        (lambda: optional_cell(2, 3, rat=1), TypeError, "rat came, memory expected .*; its options are rate, memory"),
        (lambda: optional_cell(2, 3, rate="1"), TypeError, "rate='1' came, float"),
        (lambda: optional_cell(2, 3, rate=True), TypeError, "rate=True came, float"),
        (lambda: optional_cell(2, 3, rate=float("inf")), ValueError, "rate=inf came, a finite number"),
        (lambda: optional_cell(2, 3, steps=1.0), TypeError, "steps=1.0 came, int"),
        (lambda: optional_cell(2, 3, linear=1), TypeError, "linear=1 came, bool"),
        (lambda: optional_cell(2, 3, kind="selu"), ValueError, "kind='selu' came, one of tanh, relu"),
        (lambda: optional_cell(2, 3, memory="3*hidden"), ValueError, "memory='3[*]hidden' came, a positive integer"),
    ],
)
def test_a_wrong_declaration_says_what_was_expected(declare, error, says):
    with pytest.raises(error, match=says):
        declare()


def test_a_state_of_another_number_of_arrays_is_refused():
    @minirnn.cell(state_=("h", "c"))
    def broken(p, s, x):
        return (s.h,), s.h

    with pytest.raises(TypeError, match=r"a state of 1 arrays came back, \(h, c\)"):
        Recurrent(broken(2, 3))(onp.ones((4, 1, 2), onp.float32))
