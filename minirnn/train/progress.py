"""ProgressBar: loss, metric, speed and time left while a training goes on."""

import math
import time
from typing import Any

from minirnn.train.callbacks import Callback, Progress
from minirnn.train.training import Training

__all__ = ["ProgressBar"]

PLAIN_SECONDS = 30.0  # between two lines where there is no terminal and no validation


class ProgressBar(Callback):
    """A live line on a terminal; elsewhere a plain line after each validation, and now and then between them.

    tokens_per_step, where given, makes the speed tokens/s. console: a rich Console, by default on standard output.
    """

    def __init__(self, tokens_per_step: int | None = None, console: Any = None):
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self.console = console or Console(highlight=False)
        self.tokens_per_step = tokens_per_step
        self.bar = Bar(
            TextColumn("step {task.completed}/{task.fields[of]}"),
            BarColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task("training", total=None, of="?", figures="")
        self.loss = math.nan
        self._first: tuple[int, float] = (0, 0.0)
        self._said = 0.0

    def on_start(self, training: Training) -> None:
        last = training.progress
        self._first = (0, 0.0) if last is None else (last.step, last.seconds)
        self._said = time.monotonic()
        self.bar.start()

    def on_step(self, training: Training, progress: Progress) -> None:
        if math.isfinite(progress.loss):
            self.loss = progress.loss if math.isnan(self.loss) else 0.95 * self.loss + 0.05 * progress.loss
        of = "?" if progress.steps is None else progress.steps
        figures = f"loss {self.loss:.3f}  {self._speed(progress)}"
        self.bar.update(self.task, completed=progress.step, total=progress.steps, of=of, figures=figures)
        now = time.monotonic()
        plain = not self.console.is_terminal and (progress.step == 1 or now - self._said > PLAIN_SECONDS)
        if progress.validation or plain:
            self._said = now
            self.console.print(self._line(progress), soft_wrap=True, markup=False)

    def on_end(self, training: Training, error: BaseException | None) -> None:
        self.bar.stop()
        if training.stopped and error is None:
            self.console.print(f"stopped at step {training.step_number}: {training.stopped}", soft_wrap=True)
        if training.skipped:
            self.console.print(f"{training.skipped} steps were skipped: their loss or gradient was not finite")

    def _line(self, progress: Progress) -> str:
        of = "?" if progress.steps is None else f"{progress.steps:,}"
        metrics = "".join(f"  {name} {value:.3f}" for name, value in progress.validation.items())
        return (
            f"step {progress.step:6,}/{of}  {progress.seconds:4.0f} s  loss {self.loss:.3f}{metrics}  "
            f"norm {progress.grad_norm:.2g}  lr {progress.lr:.2g}  {self._speed(progress)}"
        )

    def _speed(self, progress: Progress) -> str:
        steps, seconds = progress.step - self._first[0], max(progress.seconds - self._first[1], 1e-9)
        if self.tokens_per_step is None:
            return f"{steps / seconds:,.1f} steps/s"
        return f"{steps * self.tokens_per_step / seconds:,.0f} tokens/s"
