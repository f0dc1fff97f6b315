"""The work of shares, each in a thread."""

import threading

import pytest

from minirnn.compile.shares import each_in_a_thread


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
