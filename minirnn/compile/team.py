"""A team: several threads that go through one call of native code together, each doing a part of every statement.

One team at a time is at work, as its threads wait for each other and those of another could hold the threads that it
needs. What another Python thread wants done by a team waits for that.

Where there are many rows, each thread does better with some of its own (see sequence.py), and meets the others once.
Rows are few where they do not fill the tiles of a product; or where a step's weights come from afar, for all of them
anew: then the threads of a team read a part each.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minirnn import threads
from minirnn.compile.address import address
from minirnn.compile.llvm import barrier
from minirnn.compile.program import Program
from minirnn.compile.workspace import ALIGNMENT, Workspace
from minirnn.locks import Lock

__all__ = ["Team", "worthwhile"]

ROWS, ROWS_OF_WIDE = 8, 16  # that are enough for a thread of its own
WIDE = 1 << 21  # bytes of weights, from which on no cache near a processor holds them
PASS = 6e6  # multiplications and additions of a pass, and of a thread at a step, that are worth a team
STEP = 5e5

_working = Lock()


def worthwhile(program: Program, steps: int, batch: int) -> bool:
    """Whether so many rows are better run by a team than shared out."""
    layout, count = program.layout, threads.get_num_threads()
    if program.team is None or count == 1 or not layout.row_wise or layout.work * steps * batch / 2 < PASS:
        return False
    if program.team.meets_each_step and layout.work * batch / count < STEP:
        return False
    weights = sum([math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in layout.parameters])
    return batch / count < ROWS if weights < WIDE else batch / count <= ROWS_OF_WIDE


class Team:
    """Stands for the native function of a team's program, where one of a single thread's is called: with the address of
    a call's integers. `run` takes these, and those of a thread."""

    def __init__(self, run: Callable[[int, int], Any], room: int):
        self._run, self._room = run, -(-room // ALIGNMENT) * ALIGNMENT  # bytes

    def __call__(self, call: int) -> None:
        count = 1 if threads.is_worker() else threads.get_num_threads()
        memory = Workspace("team")
        arrivals, rooms = memory.array("arrivals", (1,), np.int64), memory.array("rooms", (count, self._room), np.uint8)
        mine = memory.array("mine", (count, 4), np.int64)
        mine[:, 0], mine[:, 1], mine[:, 2] = range(count), count, address(arrivals)
        mine[:, 3] = address(rooms) + self._room * np.arange(count)

        def abandon() -> None:
            arrivals[0] = barrier.ABANDONED

        def thread(rank: int) -> None:
            try:
                self._run(call, address(mine[rank]))
            except BaseException:
                abandon()
                raise

        with _working:
            arrivals[0] = 0
            threads.each(thread, range(count), abandon=abandon)
