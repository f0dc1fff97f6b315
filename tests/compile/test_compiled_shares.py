"""The work of shares, each in a thread."""

import threading

import numpy as np
import pytest

from minirnn.compile.shares import each_in_a_thread, outside_in, rows_in
from minirnn.compile.workspace import Workspace


def test_a_share_begins_here_and_its_calls_run_in_its_thread_in_order():
    begun, made = [], {0: [], 1: []}

    def share(k):
        begun.append(threading.get_ident())
        for block in range(2):
            yield [lambda block=block, call=call: made[k].append((block, call, threading.get_ident())) for call in "ab"]
        return k

    assert each_in_a_thread(share, [0, 1]) == [0, 1]
    assert begun == [threading.get_ident()] * 2
    for found in made.values():
        assert [what[:2] for what in found] == [(0, "a"), (0, "b"), (1, "a"), (1, "b")]
        assert len({thread for *_, thread in found}) == 1
    assert made[0][0][2] != made[1][0][2] == threading.get_ident()


def test_an_error_of_a_share_is_the_calls():
    def share(k):
        yield [lambda: 1 // k]

    with pytest.raises(ZeroDivisionError):
        each_in_a_thread(share, [0, 1])


@pytest.mark.parametrize("tail", [(), (3,), (2, 3)])
@pytest.mark.parametrize("masked", [False, True])
def test_the_rows_of_a_block_are_zero_where_a_sequence_is_over(tail, masked):
    array = np.random.default_rng(0).standard_normal((5, 4, *tail))
    over = np.arange(5)[:, None, None] >= np.array([5, 1, 3, 5])[None, :, None]
    now, rows = slice(1, 4), (1, 3)
    outside = outside_in(over, now, rows) if masked else None
    found, calls = rows_in(array, now, rows, outside, Workspace("test"), "x")
    for call in calls:
        call()
    expected = array[now, 1:3].copy()
    if masked:
        expected[over[now, 1:3, 0]] = 0
    assert np.array_equal(found, expected.reshape(6, *tail))


def test_a_block_in_which_no_sequence_is_over_has_no_mask():
    over = np.arange(5)[:, None, None] >= np.array([5, 2])[None, :, None]
    assert outside_in(over, slice(0, 2), (0, 2)) is None
    assert outside_in(over, slice(0, 3), (0, 2)).shape == (3, 2, 1)
    assert outside_in(None, slice(0, 3), (0, 2)) is None
