"""A team: several threads that go through one call of native code together, each doing a part of every statement.

One team at a time is at work, as its threads wait for each other and those of another could hold the threads that it
needs. What another Python thread wants done by a team waits for that.

Where there are many rows, each thread does better with some of its own (see sequence.py), and meets the others once.
Rows are few where they do not fill the tiles of a product; or where a step's weights come from afar, for all of them
anew: then the threads of a team read a part each.
"""

import math
from collections.abc import Sequence
from functools import cache
from itertools import groupby
from typing import Any

import numpy as np

from minirnn import threads
from minirnn.compile.address import address
from minirnn.compile.llvm import barrier, objects, printer
from minirnn.compile.llvm.target import host
from minirnn.compile.program import Program
from minirnn.compile.shares import Task, Work
from minirnn.compile.workspace import ALIGNMENT, Workspace
from minirnn.locks import Lock
from minirnn.module import Array

__all__ = ["Block", "Team", "in_one_go", "through_calls", "worthwhile"]

ROWS, ROWS_OF_WIDE = 8, 16  # that are enough for a thread of its own
WIDE = 1 << 21  # bytes of weights, from which on no cache near a processor holds them
PASS = 2.5e7  # multiplications and additions of a pass, and of a thread at a step, that are worth a team
STEP = 5e5
CALLS_AT_ONCE = 64  # between which nothing can interrupt
OWN = 8  # integers of a thread: no two threads write to one line of a cache

_working = Lock()


def worthwhile(program: Program, steps: int, batch: int) -> bool:
    """Whether so many rows are better run by a team than shared out."""
    layout, count = program.layout, threads.get_num_threads()
    if program.team is None or count == 1 or not layout.row_wise or layout.work * steps * batch / 2 < PASS:
        return False
    if layout.work * batch / count < STEP and program.team.meets_each_step():
        return False
    weights = sum([math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in layout.parameters])
    return batch / count < ROWS if weights < WIDE else batch / count <= ROWS_OF_WIDE


class Team:
    """Threads that run a team's program. function: its address; room: bytes that each thread is given for itself."""

    def __init__(self, function: int, room: int):
        self._function, self._room = function, -(-room // ALIGNMENT) * ALIGNMENT

    def run(self, calls: Array) -> None:
        """One call for each row of integers, one after the other."""
        count = 1 if threads.is_worker() else threads.get_num_threads()
        memory = Workspace("team")
        arrivals, rooms = memory.array("arrivals", (1,), np.int64), memory.array("rooms", (count, self._room), np.uint8)
        mine = memory.array("mine", (count, OWN), np.int64)
        mine[:, 0], mine[:, 1], mine[:, 2], mine[:, 4] = range(count), count, address(arrivals), 0
        mine[:, 3] = address(rooms) + self._room * np.arange(count)

        def abandon() -> None:
            arrivals[0] = barrier.ABANDONED

        def thread(rank: int) -> None:
            try:
                self._go(calls, address(mine[rank]))
            except BaseException:
                abandon()
                raise

        with _working:
            arrivals[0] = 0
            threads.each(thread, range(count), abandon=abandon)

    def _go(self, calls: Array, me: int) -> None:
        through_calls()(self._function, address(calls), *calls.shape, me)


@cache
def through_calls() -> Any:
    """The function with which a thread goes through calls; it is loaded before what calls it and its barrier."""
    objects.load(f"{printer.sources()} barrier", lambda: barrier.module(host()))
    return objects.function(barrier.CALLS, 5)


class Block:
    """A block of steps that a team is to run: the integers of its call, and what must live until it is made."""

    def __init__(self, team: Team, integers: Array, alive: Any):
        self.team, self.integers, self.alive = team, integers, alive

    def __call__(self) -> None:
        self.team.run(self.integers[None])


def in_one_go(work: Work) -> Any:
    """Make the work's calls, and give its result: a team's blocks that follow each other are one call of the team, so
    that its threads are woken once. The calls so far are made where the work says, by none, that it needs that."""
    waiting: list[Task] = []
    while True:
        try:
            found = next(work)
        except StopIteration as stop:
            _make(waiting)
            return stop.value
        waiting += found
        if not found or len(waiting) >= CALLS_AT_ONCE:
            _make(waiting)
            waiting = []


def _make(tasks: Sequence[Task]) -> None:
    for team, group in groupby(tasks, lambda call: call.team if isinstance(call, Block) else None):
        if team is None:
            for call in group:
                call()
        else:
            blocks = list(group)
            team.run(np.stack([block.integers for block in blocks if isinstance(block, Block)]))
