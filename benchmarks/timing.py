"""How long calls take: taken in turn, so that a machine's drift hits all alike, and quoted as medians.

Thread pools (BLAS's, OpenMP's) spin for a while after their last work, and take the processors from whoever comes next:
beside others, PyTorch's LSTM took three times as long as alone. So each turn begins with a pause and an untimed call.
"""

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, NamedTuple

__all__ = ["Timing", "interleaved"]

SETTLE = 0.25  # seconds until a pool has gone to sleep


class Timing(NamedTuple):
    """Seconds a call: the median over the rounds, and the quartiles around it."""

    median: float
    low: float
    high: float


def interleaved(calls: Mapping[str, Callable[[], Any]], *, seconds: float = 2.0, rounds: int = 15) -> dict[str, Timing]:
    """Time each call in turn, `rounds` times; a round lasts about seconds / rounds / len(calls) for each."""
    repeats = {}
    for name, call in calls.items():
        call()
        start = time.perf_counter()
        call()
        once = time.perf_counter() - start
        repeats[name] = max(1, int(seconds / rounds / len(calls) / max(once, 1e-7)))
    found: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            if len(calls) > 1:
                time.sleep(SETTLE)
            call()
            start = time.perf_counter()
            for _ in range(repeats[name]):
                call()
            found[name].append((time.perf_counter() - start) / repeats[name])
    return {name: _timing(sorted(times)) for name, times in found.items()}


def _timing(times: list[float]) -> Timing:
    quarter = len(times) // 4
    return Timing(median(times), times[quarter], times[-1 - quarter])
