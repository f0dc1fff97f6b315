"""What all ranks have to agree on: that none has failed, and that all were given the same."""

import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np

from minirnn import tree
from minirnn.parallel.communicator import Communicator, RankFailedError

__all__ = ["DifferentRanksError", "compare", "first", "guard", "on_every_rank", "together"]

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)

_SHOWN = 3  # differences in one message


class DifferentRanksError(ValueError):
    """The ranks were given different things to do, or have become different."""


def together(comm: Communicator, work: Callable[[], T]) -> T:
    """work() on every rank, none of which goes on before all have done it. It must not talk to other ranks.

    Where it raises on some rank, that rank raises it, and the others RankFailedError with that rank's message.
    """
    if comm.size == 1:
        return work()
    result, error = None, None
    try:
        result = work()
    except Exception as failed:
        error = failed
    said = comm.gather(None if error is None else _words(error))
    if error is not None:
        raise on_every_rank(error)
    for rank, message in enumerate(said):
        if message is not None:
            raise on_every_rank(RankFailedError(f"rank {rank} of {comm.size}: {message}"))
    return result  # type: ignore[return-value]


def first(comm: Communicator, work: Callable[[], T]) -> T:
    """work() on rank 0; its result on every rank. Raises as `together` does."""
    result = together(comm, lambda: work() if comm.rank == 0 else None)
    return comm.bcast(result)  # type: ignore[return-value]


def compare(comm: Communicator, what: Mapping[str, Any], advice: str) -> None:
    """DifferentRanksError, on every rank, where a nesting of numbers, strings and arrays is not the same on all of
    them."""
    if comm.size == 1:
        return
    every = comm.gather({name: _told(value) for name, value in tree.named_leaves(dict(what))})
    for rank, mine in enumerate(every):
        names = [name for name in every[0] | mine if every[0].get(name) != mine.get(name)]
        if names:
            shown = "; ".join(
                f"{name} is {mine.get(name, 'not there')} on rank {rank}, {every[0].get(name, 'not there')} on rank 0"
                for name in names[:_SHOWN]
            )
            more = f" (and {len(names) - _SHOWN} more)" if len(names) > _SHOWN else ""
            raise on_every_rank(DifferentRanksError(f"the ranks differ: {shown}{more}; {advice}"))


def _told(value: Any) -> str:
    """What tells a value from another one; an array's repr leaves out its middle."""
    if not isinstance(value, np.ndarray):
        return repr(value)
    return f"{value.dtype} {value.shape} with checksum {zlib.crc32(np.ascontiguousarray(value).tobytes()):08x}"


@contextmanager
def guard(comm: Communicator) -> Iterator[None]:
    """Within the block, an error that this rank alone knows of ends all ranks, with its message: they would wait for
    this one for ever. What every rank raises together passes through."""
    try:
        yield
    except BaseException as error:
        why = _why(error)
        if comm.size == 1 or getattr(why, "_on_every_rank", False):
            raise
        comm.abort(f"rank {comm.rank} of {comm.size}: {_words(why)}")


def _why(error: BaseException) -> BaseException:
    """What is behind the exit of a command."""
    return error.__context__ if hasattr(error, "exit_code") and error.__context__ is not None else error


def on_every_rank(error: E) -> E:
    """The error, marked as one that all ranks raise at the same place."""
    error._on_every_rank = True  # type: ignore[attr-defined]
    return error


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
