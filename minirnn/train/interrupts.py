"""Ctrl-C during a training: the first lets the step end and everything be saved, the second stops at once."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Self

__all__ = ["InterruptWatch", "TrainingInterrupted"]


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C came, the step was ended, and what was to be saved is saved."""


class InterruptWatch:
    """A context manager; within it `came` becomes True at the first Ctrl-C, and the second raises KeyboardInterrupt.

    Only in the main thread, and only where Ctrl-C does what Python lets it do; else it stays as it is.
    """

    def __init__(self) -> None:
        self.came = False
        self._ours = False

    def __enter__(self) -> Self:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._heard)
            self._ours = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._ours = False

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self.came:
            raise KeyboardInterrupt
        self.came = True
