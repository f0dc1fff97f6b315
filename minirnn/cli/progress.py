"""What `minirnn train` shows while it works: the corpus, the model, a live line, and the held-out figures."""

import math
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from minirnn.train.fit import Progress as Step
from minirnn.train.language_model import Watcher

__all__ = ["TrainingDisplay"]


class TrainingDisplay(Watcher):
    """A Watcher that prints: a progress bar on a terminal, plain lines elsewhere. A context manager."""

    def __init__(self, console: Console | None = None):
        self.console = console or Console(highlight=False)
        self.bar = Progress(
            TextColumn("step {task.completed}/{task.fields[of]}"),
            BarColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task("training", total=None, of="?", figures="")
        self.loss = math.nan

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.stop()

    def corpus(self, corpus: Any, vocabulary: Any, training: int, held_out: int, unknown: int) -> None:
        passed = f", {corpus.skipped} passed over as no UTF-8 text" * bool(corpus.skipped)
        files = f"{corpus.files} file{'s' * (corpus.files != 1)}{passed}"
        self.console.print(
            f"text: {corpus.source}: {len(corpus.text):,} characters, {files}", markup=False, soft_wrap=True
        )
        strangers = f", {unknown} of them unknown" * bool(unknown)
        self.console.print(
            f"      {training:,} for training, {len(vocabulary) - 1:,} distinct; "
            f"the last {held_out:,} held out{strangers}",
            soft_wrap=True,
        )

    def yardsticks(self, bits: dict[str, float]) -> None:
        table = Table("held-out bits/char of", *bits, box=None, pad_edge=False)
        table.add_row("n-gram models", *[f"{value:.3f}" for value in bits.values()])
        self.console.print(table)

    def model(self, model: Any) -> None:
        self.console.print(f"\n{model}\n", markup=False, soft_wrap=True)
        self.bar.start()

    def step(self, progress: Step, characters: int) -> None:
        self.loss = progress.loss if math.isnan(self.loss) else 0.95 * self.loss + 0.05 * progress.loss
        figures = (
            f"loss {self.loss:.3f}  {self.loss / math.log(2):.3f} bits/char  "
            f"{progress.step * characters / progress.seconds:,.0f} characters/s"
        )
        of = "?" if progress.steps is None else progress.steps
        self.bar.update(self.task, completed=progress.step, total=progress.steps, of=of, figures=figures)
        if not self.console.is_terminal and progress.step == 1:
            self.console.print("training ...")

    def held_out(self, progress: Step, bits: float) -> None:
        self.console.print(
            f"step {progress.step:6,}/{progress.steps:,}  {progress.seconds:4.0f} s  loss {self.loss:.3f}  "
            f"training {self.loss / math.log(2):.3f}  held-out {bits:.3f} bits/char",
            soft_wrap=True,
        )
