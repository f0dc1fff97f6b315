"""How long calls take: taken in turn, so that a machine's drift hits all alike, and quoted as medians.

`interleaved` times calls of this process. Libraries are compared by `apart`: each contender lives in a process of its
own, and the processes take turns. In one process their thread pools (BLAS's, OpenMP's) get into each other's way:
PyTorch's LSTM took two to three times as long as alone. `within` runs a function in such a process, `afresh` in a new
one.
"""

import multiprocessing
import pickle
import time
import traceback
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any, NamedTuple

__all__ = ["THREADS", "Contender", "Timing", "afresh", "apart", "end", "interleaved", "within"]

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

    def timer(call: Callable[[], Any]) -> Callable[[int], float]:
        return lambda repeats: _timed(call, repeats)

    return _in_turn({name: timer(call) for name, call in calls.items()}, seconds, rounds)


def apart(contenders: Mapping[str, Contender], *, seconds: float = 2.0, rounds: int = 15) -> dict[str, Timing]:
    """As interleaved, each contender in its process; those that cannot be timed are left out.

    What `make` or a call raises there is raised here.
    """
    try:
        timers = {name: _server(contender.process).prepare(name, contender) for name, contender in contenders.items()}
        return _in_turn({name: timer for name, timer in timers.items() if timer is not None}, seconds, rounds)
    finally:
        for server in list(_servers.values()):
            server.forget()


def within(process: str, function: Callable[..., Any], *args: Any) -> Any:
    """function(*args), in the process of this name; its result comes back pickled, and what it raises is raised."""
    return _server(process).run(function, *args)


def end(*processes: str) -> None:
    """End the processes of these names; a later call starts them anew, with what can be imported then."""
    for process in processes:
        if process in _servers:
            _servers.pop(process).end()


def afresh(function: Callable[..., Any], *args: Any) -> Any:
    """As within, in a process that is new and ends with it."""
    server = _Server("of its own")
    try:
        return server.run(function, *args)
    finally:
        server.end()


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
    def __init__(self, process: str) -> None:
        self._process, context = process, multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._running = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._running.start()
        theirs.close()  # the other end is the process's alone: where it dies, the pipe ends

    def prepare(self, name: str, contender: Contender) -> Callable[[int], float] | None:
        return (lambda repeats: self._ask("time", name, repeats)) if self._ask("make", name, contender) else None

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        return self._ask("run", "", (function, args))

    def forget(self) -> None:
        self._ask("forget", "", None)

    def end(self) -> None:
        self._pipe.close()  # which it sees
        self._running.join()

    def _ask(self, *question: Any) -> Any:
        try:
            self._pipe.send(question)
            failed, answer = self._pipe.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            _servers.pop(self._process, None)
            raise RuntimeError(f"the process {self._process!r}, whose calls are timed, has died") from error
        if failed:
            raise answer
        return answer


_servers: dict[str, _Server] = {}


def _server(process: str) -> _Server:
    if process not in _servers:
        _servers[process] = _Server(process)
    return _servers[process]


def _serve(pipe: Any) -> None:
    """Make calls and time them for whoever is at the other end, until it is gone."""
    calls: dict[str, Callable[[], Any]] = {}
    while True:
        try:
            pipe.send((False, _answer(calls, *pipe.recv())))
        except EOFError:
            return
        except Exception as error:
            pipe.send((True, _portable(error)))


def _answer(calls: dict[str, Callable[[], Any]], what: str, name: str, given: Any) -> Any:
    if what == "make":
        made = given.make(*given.args)
        if made is not None:
            calls[name] = made
        return made is not None
    if what == "time":
        return _timed(calls[name], given)
    if what == "run":
        return given[0](*given[1])
    return calls.clear()


def _portable(error: Exception) -> Exception:
    """The error, if it can be pickled, or one that says the same; with where it was raised as a note."""
    where = traceback.format_exc()
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(f"in another process:\n{where}")
    return error
