"""Communicator: the five things that ranks say to each other, and the process that has nobody to say them to."""

import sys
from typing import NoReturn, Protocol, TypeVar

from minirnn.module import Array

__all__ = ["SINGLE", "Communicator", "RankFailedError", "Single"]

T = TypeVar("T")


class RankFailedError(RuntimeError):
    """Another rank cannot go on; the message is that rank's."""


class Communicator(Protocol):
    """Ranks 0 .. size - 1. Every method but `abort` is collective: all ranks call it, in the same order."""

    @property
    def rank(self) -> int:
        """This process's number."""

    @property
    def size(self) -> int:
        """How many processes there are."""

    def sum(self, buffer: Array) -> None:
        """Add up a contiguous array over the ranks, in place: afterwards it holds the same on each."""

    def bcast(self, value: T) -> T:
        """Rank 0's value."""

    def gather(self, value: T) -> list[T]:
        """Every rank's value, in the order of the ranks, on each of them."""

    def any(self, flag: bool) -> bool:
        """Whether it is true on any rank."""

    def abort(self, message: str) -> NoReturn:
        """End all ranks, now; the message goes to standard error."""


class Single:
    """One process."""

    rank, size = 0, 1

    def sum(self, buffer: Array) -> None:
        pass

    def bcast(self, value: T) -> T:
        return value

    def gather(self, value: T) -> list[T]:
        return [value]

    def any(self, flag: bool) -> bool:
        return flag

    def abort(self, message: str) -> NoReturn:
        sys.exit(message)

    def __repr__(self) -> str:
        return "Single()"


SINGLE = Single()
