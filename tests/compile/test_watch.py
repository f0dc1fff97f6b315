"""What was read is watched in the way that it was read: each kind alone."""

import types

import numpy as np
import pytest

from minirnn.compile.watch import MISSING, Watch, bytes_of, contents


class Thing:
    """A class with an attribute, and objects with one of their own."""

    size = 1

    def __init__(self):
        self.own = 1.0


def function_of(number, default=None, *, keyword=None):
    return lambda x, a=default, *, b=keyword: number * x


def put(target, name, value):
    if isinstance(target, dict):
        target[name] = value
    else:
        setattr(target, name, value)


def of_names():
    space = {"a": 1.0, "b": 2.0}
    return (
        lambda watch: (watch.name(space, "a"), watch.name(space, "none")),
        (1.0, MISSING),
        {
            "another": lambda: put(space, "a", 3.0),
            "equal, and another": lambda: put(space, "a", float("1")),
            "gone": lambda: space.pop("a"),
            "there": lambda: put(space, "none", 1.0),
        },
        {"not read": lambda: put(space, "b", 5.0)},
    )


def of_sizes():
    space = {"a": 1.0}
    return (
        lambda watch: watch.size(space),
        None,
        {"more": lambda: put(space, "b", 1.0), "less": space.clear},
        {"others of them": lambda: put(space, "a", 2.0)},
    )


def of_functions():
    one, other = function_of(1.0, (1,), keyword=2), lambda x: x
    return (
        lambda watch: watch.function(one),
        (one.__code__, ((1,),), {"b": 2}),
        {
            "code": lambda: put(one, "__code__", function_of(2.0).__code__.replace(co_name="other")),
            "defaults": lambda: put(one, "__defaults__", (2,)),
            "keyword defaults": lambda: put(one, "__kwdefaults__", {"b": 3}),
        },
        {"its name": lambda: put(one, "__name__", other.__name__)},
    )


def of_attributes():
    thing = Thing()
    return (
        lambda watch: (watch.attribute(thing, "own"), watch.attribute(thing, "size"), watch.attribute(thing, "none")),
        (1.0, 1, MISSING),
        {
            "its own": lambda: put(thing, "own", 2.0),
            "gone": lambda: delattr(thing, "own"),
            "hidden": lambda: put(thing, "size", 2),
            "there": lambda: put(thing, "none", None),
        },
        {"another": lambda: put(thing, "other", 2)},
    )


def of_cells():
    cell, empty = types.CellType(1.0), types.CellType()
    return (
        lambda watch: (watch.cell(cell), watch.cell(empty)),
        (1.0, MISSING),
        {
            "another": lambda: put(cell, "cell_contents", 2.0),
            "empty": lambda: delattr(cell, "cell_contents"),
            "filled": lambda: put(empty, "cell_contents", 1.0),
        },
        {"the same again": lambda: put(cell, "cell_contents", cell.cell_contents)},
    )


def of_items():
    held = [1.0, "a"]
    return (
        lambda watch: watch.items(lambda: held),
        (1.0, "a"),
        {
            "more": lambda: held.append(2.0),
            "less": held.pop,
            "another": lambda: held.__setitem__(1, "b"),
            "in another order": held.reverse,
        },
        {"the same again": lambda: held.__setitem__(1, held[1])},
    )


def of_arrays():
    array = np.zeros(3)
    return (
        lambda watch: watch.again(lambda: bytes_of(array)),
        bytes_of(np.zeros(3)),
        {"a number": lambda: array.__setitem__(2, 1.0), "a sign": lambda: array.__setitem__(0, -0.0)},
        {"the same again": lambda: array.__setitem__(0, 0.0)},
    )


KINDS = [of_names, of_sizes, of_functions, of_attributes, of_cells, of_items, of_arrays]
CHANGES = [(kind, name, True) for kind in KINDS for name in kind()[2]]
CHANGES += [(kind, name, False) for kind in KINDS for name in kind()[3]]


@pytest.mark.parametrize(("kind", "name", "seen"), CHANGES)
def test_a_change_of_what_was_read_is_seen_and_no_other(kind, name, seen):
    watched, found, changes, others = kind()
    watch = Watch()
    assert watched(watch) == found
    assert watch.unchanged()
    {**changes, **others}[name]()
    assert watch.unchanged() != seen


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_is_watched_beside_all_others(kind):
    every, watch = [one() for one in KINDS], Watch()
    for watched, *_ in every:
        watched(watch)
    assert watch.unchanged()
    changes = every[KINDS.index(kind)][2]
    next(iter(changes.values()))()
    assert not watch.unchanged()


def test_a_name_is_held_against_what_stood_there_at_first():
    space, watch = {"a": 1.0}, Watch()
    watch.name(space, "a")
    space["a"] = 2.0
    assert watch.name(space, "a") == 2.0
    assert not watch.unchanged()


def test_bytes_tell_dtypes_shapes_and_signs_apart():
    arrays = [np.zeros(2), np.zeros(2, "f4"), np.zeros((2, 1)), np.zeros((1, 2)), -np.zeros(2), np.zeros(2, int), 0.0]
    assert len({bytes_of(array) for array in arrays}) == len(arrays)
    assert bytes_of(np.arange(6.0).reshape(2, 3).T) == bytes_of(np.arange(6.0).reshape(2, 3).T.copy())
    assert contents(types.CellType(None)) is None
