import types

import pytest

from minirnn.train import budget


class Clock:
    """A clock that only the test moves."""

    def __init__(self):
        self.now = 1000.0

    def perf_counter(self):
        return self.now

    def ticking(self, loss, seconds):
        """The loss, which takes so long."""

        def call(*args):
            self.now += seconds
            return loss(*args)

        return call


@pytest.fixture
def clock(monkeypatch):
    """The clock by which minutes are counted."""
    clock = Clock()
    monkeypatch.setattr(budget, "time", types.SimpleNamespace(perf_counter=clock.perf_counter))
    return clock
