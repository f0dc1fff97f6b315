"""Of what a key is made: classes, walked over once, modules within, attributes, and how arrays are nested."""

import sys
from functools import partial
from typing import NamedTuple

import autograd.numpy as anp
import numpy as np
import pytest

import minirnn
from minirnn.call import Call
from minirnn.compile.key import _arrays_key, call_key
from minirnn.functional import tanh

SCALE = 1.0


def key(cell):
    return call_key(Call(cell, np.ones((2, 3)), np.ones((4, 2, 2)), None, False, None))


class Nested(minirnn.Cell):
    """A cell with modules of its own, nested as they come."""

    def __init__(self, parts, **options):
        self.input_size, self.hidden_size = 2, 3
        self.parts = parts
        for name, value in options.items():
            setattr(self, name, value)

    def step(self, h, x):
        h = tanh(h + SCALE * anp.sum(x))
        return h, h


def part(gain=1.0):
    return minirnn.cells.make("cornn", 2, 3, dt=gain, rng=np.random.default_rng(0), dtype=np.float64)


@pytest.fixture
def walks(monkeypatch):
    """The classes that are walked over."""
    module, seen = sys.modules["minirnn.compile.key"], []
    original = module._Source
    monkeypatch.setattr(module, "_Source", lambda cls, *rest: seen.append(cls) or original(cls, *rest))
    module._sources.clear()
    return seen


def test_a_class_is_walked_once_until_something_that_it_reads_has_changed(walks, monkeypatch):
    cell = Nested([part()])
    before = key(cell)
    first = len(walks)
    assert first == len(set(walks))
    assert key(cell) == key(Nested([part()])) == before
    assert len(walks) == first
    monkeypatch.setattr(sys.modules[__name__], "SCALE", 1.5)
    changed = key(cell)
    assert changed != before
    assert walks[first:].count(Nested) == 1
    assert key(cell) == changed
    assert walks[first:].count(Nested) == 1


def test_walks_that_differ_by_what_cells_hold_are_kept_until_there_are_64(walks):
    cells = [Nested([], gain=partial(tanh, k)) for k in range(64)]
    for _ in range(2):
        for cell in cells:
            key(cell)
    assert walks.count(Nested) == 64
    key(Nested([], gain=partial(tanh, -1)))
    key(cells[0])
    assert walks.count(Nested) == 66


NESTINGS = [
    None, part(), [part()], [part(0.5)], [part(), part()], [part(), part(0.5)], [part(0.5), part()], {"a": part()},
    {"b": part()}, {"a": part(0.5)}, {"a": part(), "b": part(0.5)}, {"a": [part()]}, [[part()]], [[part()], part()],
]  # fmt: skip


def test_modules_within_count_by_their_place_and_their_options():
    keys = [key(Nested(parts)) for parts in NESTINGS]
    assert len(set(keys)) == len(keys)
    assert key(Nested([part(), part(0.5)])) == keys[5]


OPTIONS = [{}, {"a": 1}, {"a": 1.0}, {"a": True}, {"a": "1"}, {"a": None}, {"a": (1,)}, {"b": 1}, {"a": 1, "b": 1},
           {"a": 2}, {"a": tanh}, {"a": partial(tanh, 2)}]  # fmt: skip


def test_attributes_count_by_name_type_and_value():
    keys = [key(Nested([], **options)) for options in OPTIONS]
    assert len(set(keys)) == len(keys)
    assert keys == [key(Nested([], **options)) for options in OPTIONS]


class Pair(NamedTuple):
    h: np.ndarray
    c: np.ndarray


class Other(NamedTuple):
    h: np.ndarray
    d: np.ndarray


A = np.ones((2, 3))
STATES = [A, (A,), [A], (A, A), Pair(A, A), Other(A, A), {"h": A}, {"c": A}, {"h": A, "c": A}, (A, None), A[:, :2],
          A.astype("f4"), np.ones((2, 3, 1)), (A, np.ones(2)), (A, np.ones(2, bool))]  # fmt: skip


def test_arrays_count_by_nesting_names_dtype_and_the_axes_behind_time_and_batch():
    keys = [_arrays_key(state, 0) for state in STATES]
    assert len(set(keys)) == len(keys)
    twice = lambda a: None if a is None else np.concatenate([a, a])
    assert keys == [_arrays_key(minirnn.tree.map(twice, state), 0) for state in STATES]
    keys = [_arrays_key(np.ones(shape), 1) for shape in ((5, 2, 3), (4, 7, 3), (5, 2, 4))]
    assert keys[0] == keys[1] != keys[2]
    assert _arrays_key(np.ones((2, 3)), -1) != _arrays_key(np.ones((4, 3)), -1)
    assert _arrays_key(2.0, -1) == _arrays_key(np.array(2.0), -1) != _arrays_key(2, -1)


class Settings:
    """What a step may ask for by a name that it computes."""

    gain, held = 1.0, None


@pytest.mark.parametrize(("name", "value"), [("gain", 2.0), ("held", 1.0), ("held", (1.0, "a"))])
def test_what_a_computed_name_may_mean_counts_by_its_value(name, value, monkeypatch):
    @minirnn.cell(w=("hidden", "input"))
    def asking(p, h, x):
        h = tanh(h + getattr(Settings, "ga" + "in".lower()) * anp.sum(x))
        return h, h

    cell = asking(2, 3, dtype=np.float64)
    before = key(cell)
    monkeypatch.setattr(Settings, name, value)
    assert key(cell) != before
    monkeypatch.undo()
    assert key(cell) == before
