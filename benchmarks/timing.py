"""How long calls take: taken in turn, so that a machine's drift hits all alike, and quoted as medians.

`interleaved` times calls of this process. Libraries are compared by `apart`: each contender lives in a process of its
own, and the processes take turns. In one process their thread pools (BLAS's, OpenMP's) get into each other's way:
PyTorch's LSTM took two to three times as long as alone.
"""

import multiprocessing
import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, NamedTuple

__all__ = ["THREADS", "Contender", "Timing", "apart", "interleaved"]

THREADS = 2  # that every contender may use
SETTLE = 0.1  # seconds until the pool of whoever was before has gone to sleep


class Timing(NamedTuple):
    """Seconds a call: the median over the rounds, and the quartiles around it."""

    median: float
    low: float
    high: float


class Contender(NamedTuple):
    """make(*args) gives the call to be timed, or None where it cannot be; it is made in the process of this name."""

    process: str
    make: Callable[..., Callable[[], Any] | None]
    args: tuple[Any, ...]


def interleaved(calls: Mapping[str, Callable[[], Any]], *, seconds: float = 2.0, rounds: int = 15) -> dict[str, Timing]:
    """Time each call in turn, `rounds` times; a round lasts about seconds / rounds / len(calls) for each."""
    return _in_turn({name: lambda n, call=call: _timed(call, n) for name, call in calls.items()}, seconds, rounds)


def apart(contenders: Mapping[str, Contender], *, seconds: float = 2.0, rounds: int = 15) -> dict[str, Timing]:
    """As interleaved, each contender in its process; those that cannot be timed are left out."""
    timers = {name: _server(contender.process).prepare(name, contender) for name, contender in contenders.items()}
    try:
        return _in_turn({name: timer for name, timer in timers.items() if timer is not None}, seconds, rounds)
    finally:
        for server in _servers.values():
            server.forget()


def _timed(call: Callable[[], Any], repeats: int) -> float:
    call()
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def _in_turn(timers: Mapping[str, Callable[[int], float]], seconds: float, rounds: int) -> dict[str, Timing]:
    """timers: number of calls -> seconds a call, after one that is not timed."""
    share = seconds / rounds / max(1, len(timers))
    repeats = {name: max(1, int(share / max(timer(1), 1e-7))) for name, timer in timers.items()}
    found: dict[str, list[float]] = {name: [] for name in timers}
    for _ in range(rounds):
        for name, timer in timers.items():
            if len(timers) > 1:
                time.sleep(SETTLE)
            found[name].append(timer(repeats[name]))
    return {name: _timing(sorted(times)) for name, times in found.items()}


def _timing(times: list[float]) -> Timing:
    quarter = len(times) // 4
    return Timing(median(times), times[quarter], times[-1 - quarter])


# ---------------------------------------------------------------- a process for each library
class _Server:
    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        context.Process(target=_serve, args=(theirs,), daemon=True).start()

    def prepare(self, name: str, contender: Contender) -> Callable[[int], float] | None:
        return (lambda repeats: self._ask("time", name, repeats)) if self._ask("make", name, contender) else None

    def forget(self) -> None:
        self._ask("forget", "", None)

    def _ask(self, *question: Any) -> Any:
        self._pipe.send(question)
        answer = self._pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer


_servers: dict[str, _Server] = {}


def _server(process: str) -> _Server:
    if process not in _servers:
        _servers[process] = _Server()
    return _servers[process]


def _serve(pipe: Any) -> None:
    """Make calls and time them for whoever is at the other end, until it is gone."""
    calls: dict[str, Callable[[], Any]] = {}
    while True:
        try:
            what, name, given = pipe.recv()
        except EOFError:
            return
        try:
            answer: Any = None
            if what == "make":
                made = given.make(*given.args)
                answer = made is not None
                if made is not None:
                    calls[name] = made
            elif what == "time":
                answer = _timed(calls[name], given)
            else:
                calls.clear()
        except Exception as error:
            answer = error
        pipe.send(answer)
