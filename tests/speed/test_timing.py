"""Calls in processes of their own: what comes back, and what goes wrong there."""

import math
import os
import time

import pytest

from minirnn.speed import timing
from minirnn.speed.timing import Contender, afresh, apart, interleaved, within


def fails(message):
    raise KeyError(message)


def napping(seconds):
    return None if seconds is None else lambda: time.sleep(seconds)


def test_a_function_runs_in_the_process_of_its_name():
    first, again, other = within("a", os.getpid), within("a", os.getpid), afresh(os.getpid)
    assert first == again
    assert len({first, other, os.getpid()}) == 3


def test_what_is_raised_there_is_raised_here_with_its_place():
    with pytest.raises(KeyError, match="of no use") as raised:
        within("a", fails, "of no use")
    assert "in fails" in raised.value.__notes__[0]


def test_a_process_that_dies_is_told_and_replaced():
    with pytest.raises(RuntimeError, match="'a', whose calls are timed, has died"):
        within("a", os._exit, 1)
    assert within("a", math.sqrt, 4.0) == 2.0


def test_contenders_are_timed_and_those_that_cannot_be_are_left_out(monkeypatch):
    monkeypatch.setattr(timing, "SETTLE", 0.0)
    contenders = {name: Contender("a", napping, (nap,)) for name, nap in [("long", 0.02), ("short", 0.0), ("no", None)]}
    found = apart(contenders, seconds=0.0, rounds=3)
    assert list(found) == ["long", "short"]
    assert found["long"].low <= found["long"].median <= found["long"].high
    assert found["long"].median > found["short"].median


def test_calls_of_this_process_take_turns(monkeypatch):
    monkeypatch.setattr(timing, "SETTLE", 0.0)
    said = []
    interleaved({name: lambda name=name: said.append(name) for name in "ab"}, seconds=0.0, rounds=2)
    assert "".join(said) == "aabb" + 2 * "aabb"  # one call that is not timed goes before each that is
