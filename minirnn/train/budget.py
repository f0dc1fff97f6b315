"""How long a training goes on: a number of steps, given, or found out once from the minutes."""

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from minirnn.train.checkpoint import required

__all__ = ["LOOKS", "Budget"]

WARM_UP_STEPS = 10  # not timed: caches fill, kernels are made
TIMED_STEPS, TIMED_SHARE = 20, 0.03  # at least so many, and of the time, tell how many fit into `minutes`
LOOKS = 10  # validations, spread over the steps, where there is no number of steps between them


class Budget:
    """steps: how many in all, None while it is not known. With minutes it becomes known once, after a warm-up; from
    then on the clock plays no part, so that a schedule and a resumed training depend on the step alone."""

    def __init__(self, steps: int | None, minutes: float | None):
        self.steps, self.minutes = steps, minutes
        self.before = 0.0  # seconds of the processes before this one
        self._first = 0  # steps that they made
        self._start: float | None = None  # the clock runs from the first look
        self._timed_from = 0.0

    def seconds(self) -> float:
        """Since the first step, without the time between the training's processes."""
        return self.before + (0.0 if self._start is None else time.perf_counter() - self._start)

    def look(
        self,
        done: int,
        validate: Callable[[], object] | None = None,
        val_every: int | None = None,
        agree: Callable[[Any], Any] = lambda value: value,
    ) -> int | None:
        """The number of steps, given that so many are done. validate is timed when it is worked out, since it will take
        its part of the minutes, every val_every steps or LOOKS times. agree: makes one rank's clock count for all."""
        if self._start is None:
            self._start = self._timed_from = time.perf_counter()
        if self.steps is None and self.minutes is not None:
            if done - self._first == WARM_UP_STEPS:
                self._timed_from = time.perf_counter()
            per_step = agree(self._seconds_per_step(60 * self.minutes, done))
            if per_step is not None:
                look = 0.0 if validate is None else _seconds(validate)
                left = 60 * self.minutes - self.seconds() - (0.0 if val_every else LOOKS * look)
                per_step += look / val_every if val_every else 0.0
                self.steps = agree(max(done + int(left / max(per_step, 1e-9)), done, 1))
        return self.steps

    def _seconds_per_step(self, seconds: float, done: int) -> float | None:
        """Once it can be told; None before."""
        made, spent = done - self._first, self.seconds()
        timed, now = made - WARM_UP_STEPS, time.perf_counter()
        enough = timed >= TIMED_STEPS and now - self._timed_from >= TIMED_SHARE * seconds
        if not enough and spent < 0.25 * seconds:
            return None
        return (now - self._timed_from) / timed if timed > 0 else (spent - self.before) / max(made, 1)

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "minutes": self.minutes, "seconds": self.seconds()}

    def load_state_dict(self, state: Mapping[str, Any], done: int) -> None:
        """Go on where another process ended; with the same minutes, to the number of steps that it had found out."""
        steps, minutes, seconds = required(
            state, steps=(int, type(None)), minutes=(int, float, type(None)), seconds=(int, float)
        )
        if not (math.isfinite(seconds) and seconds >= 0) or (steps is not None and steps < 1):
            raise ValueError(f"steps={steps}, seconds={seconds} came; a positive and a finite number were expected")
        if self.minutes is not None and self.minutes == minutes:
            self.steps = steps
        self.before, self._first = float(seconds), done
        self._start = None


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
