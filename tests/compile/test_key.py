"""What a key tells apart, and what it does not."""

import sys

import numpy as np
import pytest

import minirnn
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
    return call_key(cell, cell.initial_state(batch), xs)


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
    keys = [call_key(c, c.initial_state(2), np.ones((3, 2, 2), c.dtype)) for c in cells]
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


class Thing:
    value = 2.0


THING = Thing()


def test_what_cannot_be_compared_has_no_key_and_runs_on_python_with_a_warning():
    @minirnn.cell(w=("hidden", "input"))
    def uses_a_thing(p, h, x):
        h = THING.value * linear(x, p.w) + h
        return h, h

    cell = uses_a_thing(2, 3, dtype=np.float64)
    with pytest.raises(Unhashable, match="THING is a Thing"):
        key(cell)
    with pytest.warns(UserWarning, match="THING is a Thing"):
        minirnn.scan(cell, cell.initial_state(2), np.ones((4, 2, 2)))


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
