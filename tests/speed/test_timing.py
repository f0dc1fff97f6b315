"""Calls in processes of their own: what comes back, and what goes wrong there."""

import math
import os
import types

import pytest

from minirnn.speed import timing
from minirnn.speed.timing import Contender, Timing, afresh, apart, end, interleaved, within


def fails(message):
    raise KeyError(message)


def clocked(seconds):
    """A call that takes so long on a clock that nothing else moves; of a process of its own."""
    now = getattr(timing.time, "now", None) or [0.0]
    timing.time = types.SimpleNamespace(perf_counter=lambda: now[0], now=now)
    return None if seconds is None else lambda: now.__setitem__(0, now[0] + seconds)


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
    seconds = {"long": 0.5, "short": 0.25, "no": None}
    contenders = {name: Contender("clocked", clocked, (takes,)) for name, takes in seconds.items()}
    try:
        found = apart(contenders, seconds=12.0, rounds=3)
    finally:
        end("clocked")
    assert found == {"long": Timing(0.5, 0.5, 0.5), "short": Timing(0.25, 0.25, 0.25)}


def test_calls_of_this_process_take_turns(monkeypatch):
    monkeypatch.setattr(timing, "SETTLE", 0.0)
    said = []
    interleaved({name: lambda name=name: said.append(name) for name in "ab"}, seconds=0.0, rounds=2)
    assert "".join(said) == "aabb" + 2 * "aabb"  # one call that is not timed goes before each that is
