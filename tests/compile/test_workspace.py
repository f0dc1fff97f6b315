"""Memory that is lent again."""

import numpy as np

from minirnn.compile.workspace import Workspace


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
