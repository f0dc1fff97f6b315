"""A line on standard error now and then, where a check takes long."""

import sys
from time import monotonic

__all__ = ["Progress"]

EVERY = 4.0  # seconds before the first line, and between two


class Progress:
    """What is being done, told every few seconds. `doing` is set by whoever does it; quiet: nothing is told."""

    def __init__(self, quiet: bool = True):
        self.quiet, self.doing = quiet, ""
        self.start = self.last = monotonic()

    def tick(self, calls: int) -> None:
        now = monotonic()
        if self.quiet or now - self.last < EVERY:
            return
        self.last = now
        print(
            f"gradcheck: {now - self.start:.0f} s, {calls} evaluations of f, {self.doing}", file=sys.stderr, flush=True
        )
