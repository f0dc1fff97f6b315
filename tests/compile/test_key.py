"""What a key tells apart, and what it does not."""

import io
import itertools
import logging
import os
import random
import sys
import threading
from contextvars import ContextVar
from functools import partial

import autograd.numpy as anp
import numpy as np
import pytest
from compile_cases import error, problem

import minirnn
from minirnn.call import Call
from minirnn.compile.key import Unhashable, call_key
from minirnn.functional import linear, tanh

SCALE = 1.0


def squash(a):
    return tanh(a)


def other(a):
    return tanh(2 * a)


def made(factor, size=3):
    """A cell by a factory: the factor is in the step's closure."""

    @minirnn.cell(w=("hidden", "input"))
    def scaled(p, h, x):
        h = squash(factor * SCALE * linear(x, p.w) + h)
        return h, h

    return scaled(2, size, dtype=np.float64)


def key(cell, steps=4, batch=2, dtype=np.float64):
    xs = np.ones((steps, batch, 2), dtype)
    return call_key(Call(cell, cell.initial_state(batch), xs, None, False, None))


def test_a_new_batch_and_length_have_the_same_key():
    cell = made(1.0)
    assert key(cell) == key(cell, 9, 5)


def test_cells_of_one_factory_with_the_same_closure_have_the_same_key():
    assert key(made(1.0)) == key(made(1.0))


@pytest.mark.parametrize("different", [made(2.0), made(1), made(1.0, size=4)])
def test_another_closure_or_size_has_another_key(different):
    assert key(made(1.0)) != key(different)


def test_a_changed_global_number_has_another_key(monkeypatch):
    cell = made(1.0)
    before = key(cell)
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 1.5)
    assert key(cell) != before


def test_a_changed_function_that_the_step_calls_has_another_key(monkeypatch):
    cell = made(1.0)
    before = key(cell)
    monkeypatch.setattr(sys.modules[__name__], "squash", other)
    assert key(cell) != before


def test_a_functions_changed_code_has_another_key(monkeypatch):
    cell = made(1.0)
    before = key(cell)
    monkeypatch.setattr(squash, "__code__", other.__code__)
    assert key(cell) != before


def test_a_changed_option_and_another_dtype_have_other_keys():
    cells = [minirnn.cells.make("cornn", 2, 3, dt=dt, dtype=dtype) for dt in (0.1, 0.2) for dtype in ("f4", "f8")]
    keys = [key(c, 3, 2, c.dtype) for c in cells]
    assert len(set(keys)) == 4


def test_a_changed_closure_is_seen():
    factor = 1.0

    @minirnn.cell(w=("hidden", "input"))
    def scaled(p, h, x):
        h = factor * linear(x, p.w) + h
        return h, h

    cell = scaled(2, 3, dtype=np.float64)
    before = key(cell)
    factor = 3.0
    assert key(cell) != before


def test_a_changed_global_changes_the_result(monkeypatch):
    cell, xs = made(1.0), np.ones((4, 2, 2))
    first = minirnn.scan(cell, cell.initial_state(2), xs)[1]
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 3.0)
    second = minirnn.scan(cell, cell.initial_state(2), xs)[1]
    assert np.allclose(second, minirnn.scan(cell, cell.initial_state(2), xs, engine="python")[1])
    assert not np.allclose(first, second)


def test_an_attribute_that_is_called_like_a_global_is_no_global(monkeypatch):
    """The step says p.w and linear(x, w) of its own; w and T here are another's."""

    @minirnn.cell(w=("hidden", "input"))
    def turned(p, h, x):
        w, lock = p.w, None
        h = x @ w.T + h
        return h, lock or h

    cell = turned(2, 3, dtype=np.float64)
    before = key(cell)
    for name, value in {"T": 100, "w": io.StringIO(), "lock": threading.Lock(), "p": 3}.items():
        monkeypatch.setitem(globals(), name, value)
    assert key(cell) == before
    monkeypatch.setitem(globals(), "T", 101)
    assert key(cell) == before


class Settings:
    """Beside what steps read, what they do not."""

    gain, calls, log = 2.0, 0, io.StringIO()


def test_what_no_code_asks_for_is_not_in_the_key(monkeypatch):
    @minirnn.cell(w=("hidden", "input"))
    def scaled(p, h, x):
        h = Settings.gain * linear(x, p.w) + h
        return h, h

    cell = scaled(2, 3, dtype=np.float64)
    before = key(cell)
    monkeypatch.setattr(Settings, "calls", 1)
    assert key(cell) == before
    monkeypatch.setattr(Settings, "gain", -0.0)
    negative = key(cell)
    monkeypatch.setattr(Settings, "gain", 0.0)
    assert len({before, negative, key(cell)}) == 3


FILE, LOCK, RANDOM, NUMBERS, COUNTER = io.StringIO(), threading.Lock(), random.Random(0), itertools.repeat(1.0), 0
LOGGER, DRAWN, VARIABLE, LAYER = (
    logging.getLogger("any"),
    np.random.default_rng(0),
    ContextVar("v"),
    minirnn.Linear(2, 2),
)


def counts():
    global COUNTER
    COUNTER += 1
    return 1.0


@pytest.mark.parametrize(
    ("gain", "says"),
    [
        (lambda: len(FILE.getvalue()), "FILE is a StringIO"),
        (lambda: LOCK.locked(), "LOCK is a lock"),
        (lambda: RANDOM.random(), "RANDOM is a Random"),
        (lambda: random.random(), r"random\.random is a Random"),
        (lambda: DRAWN.random(), "DRAWN is a Generator"),
        (lambda: next(NUMBERS), "NUMBERS is a repeat"),
        (lambda: LOGGER.info("a") or 1.0, "LOGGER is a Logger"),
        (lambda: VARIABLE.get(1.0), "VARIABLE is a ContextVar"),
        (lambda: float(LAYER.bias[0]), "LAYER is a Linear"),
        (lambda: float(os.environ.get("GAIN", 1)), "environ is a _Environ"),
        (lambda: float(os.getenv("GAIN", "1")), r"os\.getenv"),
        (lambda: eval("1.0"), "calls eval"),
        (lambda: sys.modules[__name__].SCALE, r"sys\.modules is a dict"),
        (counts, "assigns COUNTER"),
    ],
)
def test_what_cannot_be_watched_has_no_key_and_runs_on_python_with_a_warning(gain, says):
    @minirnn.cell(w=("hidden", "input"))
    def scaled(p, h, x):
        h = gain() * linear(x, p.w) + h
        return h, h

    cell = scaled(2, 3, dtype=np.float64)
    with pytest.raises(Unhashable, match=says):
        key(cell)
    with pytest.warns(UserWarning, match=says):
        minirnn.scan(cell, cell.initial_state(2), np.ones((4, 2, 2)))


@pytest.mark.parametrize(("first", "second"), [("w", "v"), ("v", "u")])
def test_which_arrays_are_tied_is_part_of_the_key(first, second):
    @minirnn.cell(u=("hidden", "hidden"), v=("hidden", "hidden"), w=("hidden", "hidden"))
    def three(p, h, x):
        h = tanh(linear(h, p.u) + 2 * linear(h, p.v) + 3 * linear(x, p.w))
        return h, h

    cells = [three(3, 3, rng=np.random.default_rng(0), dtype=np.float64) for _ in range(3)]
    minirnn.tie(cells[0], "u", "v")
    minirnn.tie(cells[1], first, second)
    keys = [key(cell) for cell in cells]
    assert len(set(keys)) == 3 if (first, second) == ("w", "v") else keys[0] != keys[2]
    for cell in cells:
        assert error(problem(cell)) < 1e-10


def test_a_module_that_stands_twice_is_one():
    class Both(minirnn.Cell):
        def __init__(self, second):
            self.input_size = self.hidden_size = 3
            self.a = minirnn.Linear(3, 3, rng=np.random.default_rng(0), dtype=np.float64)
            self.b = self.a if second is None else second

        def step(self, h, x):
            h = tanh(self.a(h) + 2 * self.b(x))
            return h, h

    for second in (None, minirnn.Linear(3, 3, rng=np.random.default_rng(1), dtype=np.float64)):
        assert error(problem(Both(second))) < 1e-10


def test_a_derivatives_rule_is_part_of_the_key():
    def cell_with(slope):
        # a primitive of minirnn's own, whose derivative is a closure
        function = minirnn.primitive.primitive(lambda a: 2 * a, [lambda g, y, a: slope * g])

        @minirnn.cell(w=("hidden", "input"))
        def odd(p, h, x):
            h = function(linear(x, p.w)) + h
            return h, h

        return odd(2, 3, dtype=np.float64)

    assert key(cell_with(2.0)) != key(cell_with(3.0))


@pytest.mark.parametrize("pair", [(0.0, -0.0), (1, 1.0), (1, True), (1.0, np.float64(1.0)), (0j, -0j), ("1", 1)])
def test_numbers_that_are_equal_and_not_the_same_have_different_keys(pair):
    assert len({key(made(value)) for value in pair}) == 2


def test_zeros_of_either_sign_are_two_constants_in_one_step():
    """0.0 and -0.0 are equal, and what is divided by them is not."""

    @minirnn.cell(w=("hidden", "input"))
    def signed(p, h, x):
        a = linear(x, p.w)
        h = 0.5 * h + anp.arctan2(0.0 * a * a + 0.0, -1.0 - a * a) + 2 * anp.arctan2(-0.0, -1.0 - a * a)
        return h, h

    given = problem(signed(2, 3, rng=np.random.default_rng(0), dtype=np.float64))
    assert error(given) < 1e-10


def of_a_default(function):
    @minirnn.cell(w=("hidden", "input"))
    def held(p, h, x, g=function):
        h = g(linear(x, p.w) + h)
        return h, h

    return held(2, 3, rng=np.random.default_rng(0), dtype=np.float64)


LIBRARY_FUNCTIONS = {
    "relu": minirnn.functional.relu,
    "softplus": minirnn.functional.softplus,
    "sigmoid": minirnn.functional.sigmoid,
    "silu": minirnn.functional.silu,
    "gelu": minirnn.functional.gelu,
    "tanh": minirnn.functional.tanh,
    "sinc": anp.sinc,
    "a factory's": minirnn.primitive.elementwise(np.sin, lambda y, x: anp.cos(x)),
    "another of it": minirnn.primitive.elementwise(np.sin, lambda y, x: anp.sin(x)),
    "grad": minirnn.grad(lambda a: anp.sum(a**3)),
    "grad of another": minirnn.grad(lambda a: anp.sum(a**2)),
    "grad by the second": partial(minirnn.grad(lambda a, b: anp.sum(a * b * b), argnums=1), 2.0),
}


def test_functions_of_a_library_that_share_a_name_have_keys_of_their_own():
    keys = [key(of_a_default(function)) for function in LIBRARY_FUNCTIONS.values()]
    assert len(set(keys)) == len(keys)
    assert keys == [key(of_a_default(function)) for function in LIBRARY_FUNCTIONS.values()]


@pytest.mark.parametrize("name", [*LIBRARY_FUNCTIONS][:6] + [*LIBRARY_FUNCTIONS][9:])
def test_a_function_of_a_library_in_a_default_is_the_one_that_runs(name):
    assert error(problem(of_a_default(LIBRARY_FUNCTIONS[name]))) < 1e-10
