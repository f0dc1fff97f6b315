"""Memory that is lent again."""

import numpy as np
import pytest

from minirnn.compile import workspace
from minirnn.compile.workspace import Workspace, free_bytes, release_all


def test_a_name_gets_the_same_memory_in_any_shape_and_dtype():
    work = Workspace("test of names")
    first = work.array("a", (4, 3), np.float32)
    assert work.array("a", (4, 3), np.float32) is first
    for shape, dtype in [((3, 4), np.float32), ((12,), np.float32), ((6,), np.float64), ((2,), np.int64)]:
        found = work.array("a", shape, dtype)
        assert (found.shape, found.dtype) == (shape, dtype)
        assert np.shares_memory(found, first)
    assert work.array("a", (4, 4), np.float32).shape == (4, 4)


def test_what_lives_at_the_same_time_shares_no_memory():
    one, other = Workspace("test of lives"), Workspace("test of lives")
    given = [work.array(name, (8,), np.float64) for work in (one, other) for name in "ab"]
    assert not any(np.shares_memory(a, b) for k, a in enumerate(given) for b in given[:k])
    kept = given[0]
    del one
    assert Workspace("test of lives").array("a", (8,), np.float64) is kept


@pytest.fixture
def pool(monkeypatch):
    """An empty pool, alone."""
    monkeypatch.setattr(workspace, "_free", {})
    monkeypatch.setattr(workspace, "_pools", set())
    return workspace._free


@pytest.mark.parametrize("size", [1, 63, 64, 1000])
def test_memory_begins_at_a_multiple_of_64_bytes(size, pool):
    for name in "abc":
        assert Workspace("a").array(name, (size,), np.uint8).ctypes.data % 64 == 0


def test_memory_that_is_too_small_is_made_anew_and_large_enough_is_kept(pool):
    work = Workspace("a")
    small = work.array("a", (8,), np.float32)
    large = work.array("a", (9,), np.float32)
    assert not np.shares_memory(small, large)
    assert np.shares_memory(work.array("a", (4,), np.float64), large)
    assert work.array("a", (9,), "f4").shape == (9,)
    assert free_bytes() == 0
    del work
    assert free_bytes() == 36
    release_all()
    assert free_bytes() == 0


def test_roles_lend_each_other_nothing(pool):
    kept = Workspace("a").array("x", (8,), np.float64)
    assert not np.shares_memory(Workspace("b").array("x", (8,), np.float64), kept)
    assert np.shares_memory(Workspace("a").array("x", (8,), np.float64), kept)


@pytest.mark.parametrize(
    ("sizes", "kept"),
    [
        ([100, 100], 200),  # small ones are kept without a look at the limit
        ([2000, 2000], 2000),  # of large ones the last that fits begins below it
        ([800, 800, 2000, 2000], 3600),
    ],
)
def test_large_memory_is_kept_up_to_a_limit(sizes, kept, pool, monkeypatch):
    monkeypatch.setattr(workspace, "LARGE", 1000)
    monkeypatch.setattr(workspace, "LIMIT", 1900)
    alive = [Workspace("a") for _ in sizes]
    for work, size in zip(alive, sizes, strict=True):
        work.array("x", (size,), np.uint8)
    while alive:
        alive.pop(0)
        work = None
    assert free_bytes() == kept


def test_memory_that_is_large_since_it_was_lent_before_counts_as_large(pool, monkeypatch):
    monkeypatch.setattr(workspace, "LARGE", 1000)
    Workspace("a").array("x", (2000,), np.uint8)
    monkeypatch.setattr(workspace, "LIMIT", 0)
    again = Workspace("a")
    again.array("x", (2000,), np.uint8)
    del again
    assert free_bytes() == 0


def test_of_a_role_64_are_kept(pool):
    alive = [Workspace("a") for _ in range(70)]
    for work in alive:
        work.array("x", (1,), np.uint8)
    del work, alive
    assert free_bytes() == 64


def test_a_pool_lends_what_came_back_and_keeps_no_more_than_it_may(pool):
    things = workspace.Pool(2, 100)
    assert things.take() is None
    for thing in "abc":
        things.give_back(thing)
    assert free_bytes() == 200
    assert [things.take(), things.take(), things.take()] == ["b", "a", None]
    things.give_back("d")
    release_all()
    assert free_bytes() == 0
    assert things.take() is None


def test_a_pool_of_what_is_large_keeps_to_the_limit(pool, monkeypatch):
    monkeypatch.setattr(workspace, "LIMIT", 3 * workspace.LARGE)
    things = workspace.Pool(8, 2 * workspace.LARGE)
    for thing in "abc":
        things.give_back(thing)
    assert free_bytes() == 4 * workspace.LARGE
