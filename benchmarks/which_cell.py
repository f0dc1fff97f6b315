"""Which cell? Every cell on the adding problem, copy memory and a text, at equal parameter count and equal time.

python -m benchmarks.which_cell --text FILE --seconds 20 --page docs/which_cell.md --plot docs/which_cell.png
"""

import math
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import minirnn
from benchmarks.__main__ import machine
from minirnn import cells
from minirnn.data import Corpus, read_text, standard_library
from minirnn.layers.cells.registry import card
from minirnn.optim import Adam
from minirnn.train import Callback, TrainConfig, fit
from minirnn.train.experiment import Experiment
from minirnn.train.language_model import text_experiment
from minirnn.train.recurrent_layers import CELLS, recurrent_layer
from minirnn.train.sequence_task import task_experiment

LR = 3e-3
PARAMETERS = {"adding": 10_000, "copy": 20_000, "text": 100_000}  # of the recurrent layer
TASKS = {"adding": "length=100", "copy": "delay=30"}
FEATURES = {"adding": 2, "copy": 10, "text": 64}
GROUP, LARGEST = 4, 2048  # units: some cells divide theirs into groups
COLUMNS = {
    "adding": ("adding, T = 100: mean squared error", "held_out_loss"),
    "copy": ("copy, delay 30: symbols recalled", "held_out_metric"),
    "text": ("text: bits a character", "held_out_bits_per_char"),
}


def names() -> list[str]:
    """lstm, gru, rnn, and every cell of the zoo that takes vectors."""
    return [*CELLS, *(name for name in cells.names() if not isinstance(card(cells.get(name)).small[0], tuple))]


def hidden_for(cell: str, inputs: int, parameters: int) -> int:
    """The number of units, in groups of GROUP, at which a layer comes nearest to so many parameters."""
    count = lambda groups: recurrent_layer(cell, inputs, GROUP * groups).num_parameters()
    low, high = 1, LARGEST // GROUP
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) <= parameters else (low, middle)
    return GROUP * min((low, high), key=lambda groups: abs(count(groups) - parameters))


class Clock(Callback):
    """Stops a training after so many seconds, from the end of its first step on: what compiles does so once."""

    def __init__(self, seconds: float):
        self.seconds, self.start, self.steps = seconds, None, 0

    def on_step(self, training: Any, progress: Any) -> None:
        now, self.steps = time.perf_counter(), progress.step
        if self.start is None:
            self.start: float | None = now
        elif now - self.start >= self.seconds:
            training.stop("the time is over")


def experiment(task: str, cell: str, corpus: Corpus) -> Experiment:
    """A cell at the task's number of parameters. ValueError: the cell does not take the task's sizes."""
    options: dict[str, Any] = {"cell": cell, "steps": 1, "lr": LR}
    options["hidden"] = hidden_for(cell, FEATURES[task], PARAMETERS[task])
    if task == "text":
        return text_experiment(corpus, TrainConfig(text=corpus.source, batch=32, seq_length=64, **options))
    return task_experiment(TrainConfig(task=task, task_options=TASKS[task], batch=32, **options))


def score(task: str, cell: str, corpus: Corpus, seconds: float) -> dict[str, Any]:
    """What a cell reaches in so many seconds, how wide it is, and how many steps it made; or why it made none."""
    try:
        made = experiment(task, cell, corpus)
    except ValueError as error:
        return {"failed": str(error)}
    clock = Clock(seconds)
    try:
        fit(made.model, made.loss, made.batches, Adam(made.model, lr=LR), steps=10**9, clip_norm=1.0, callbacks=[clock])
    except minirnn.train.DivergedError:
        return {"failed": "diverged"}
    figure = float(made.figures(made.model)[COLUMNS[task][1]])
    return {"figure": figure, "hidden": made.config.hidden, "steps": clock.steps}


def measure(
    which: list[str], corpus: Corpus, seconds: float, told: Callable[[str, dict[str, Any]], None]
) -> Iterator[dict[str, Any]]:
    """A row a cell."""
    for cell in which:
        row = {"cell": cell, **{task: score(task, cell, corpus, seconds) for task in COLUMNS}}
        told(cell, row)
        yield row


def _cell_of(found: dict[str, Any]) -> str:
    return f"{found['figure']:.3g}" if "figure" in found else "–"


def page(rows: list[dict[str, Any]], seconds: float, corpus: Corpus, plot_file: Path | None) -> str:
    """docs/which_cell.md: the table, in the order of the text's column."""
    text_score = lambda row: row["text"].get("figure", math.inf)
    sizes = ", ".join(f"{count:,} ({task})" for task, count in PARAMETERS.items())
    lines = [
        "# Which cell?",
        "",
        f"Every cell that takes vectors, at equal parameter count (of the recurrent layer: {sizes}) and equal time:",
        f"{seconds:g} seconds of training each, Adam at {LR}, batches of 32, one seed. Written by",
        f"`python -m benchmarks.which_cell`; the text: {Path(corpus.source).name}, {len(corpus.text):,} characters.",
        "A cell whose step costs more makes fewer steps here. One seed and one learning rate do not rank cells that",
        "are close: what the table tells is what to try first. mLSTM's state is a matrix, hence its few steps. The",
        "held-out text is read in one piece, its state carried from end to end: a cell that never forgets can do worse",
        f"there than guessing ({math.log2(len(set(corpus.text))):.1f} bits).",
        "",
        *[f"- {name}: {value}" for name, value in machine().items()],
        "",
        *([f"![every cell's three figures]({plot_file.name})", ""] if plot_file else []),
        "| cell | " + " | ".join(title for title, _ in COLUMNS.values()) + " | units and steps (adding, copy, text) |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in sorted(rows, key=text_score):
        made = ", ".join(f"{row[t]['hidden']} x {row[t]['steps']:,}" if "figure" in row[t] else "–" for t in COLUMNS)
        lines.append(f"| {row['cell']} | " + " | ".join(_cell_of(row[task]) for task in COLUMNS) + f" | {made} |")
    failed = [(row["cell"], task, row[task]["failed"]) for row in rows for task in COLUMNS if "failed" in row[task]]
    if failed:
        lines += ["", *[f"- {cell}, {task}: {why}" for cell, task, why in failed]]
    return "\n".join(lines) + "\n"


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Three panels of horizontal bars."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(13, 0.19 * len(rows) + 1.2), layout="constrained")
    for axes, (task, (title, _)) in zip(panels, COLUMNS.items(), strict=True):
        there = [row for row in rows if "figure" in row[task]]
        there.sort(key=lambda row: row[task]["figure"], reverse=task != "copy")
        axes.barh([row["cell"] for row in there], [row[task]["figure"] for row in there], color="#4477aa", height=0.7)
        axes.tick_params(axis="y", labelsize=7)
        axes.set_ylim(-0.7, len(there) - 0.3)
        if task == "adding":
            axes.set_xscale("log")
        axes.set_title(f"{title} (best on top)", fontsize=9)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        if task == "text" and there:
            axes.set_xlim(left=0.9 * min(row[task]["figure"] for row in there))
    figure.savefig(path, dpi=110)


def main(
    text: Annotated[Path | None, typer.Option(help="A text file; Python's standard library without one.")] = None,
    seconds: Annotated[float, typer.Option(help="Of training, for each cell and task.")] = 20.0,
    only: Annotated[list[str] | None, typer.Option(help="A cell; may be given again. (default: all)")] = None,
    page_file: Annotated[Path | None, typer.Option("--page", help="Write the table there, as Markdown.")] = None,
    plot_file: Annotated[Path | None, typer.Option("--plot", help="Draw it there, as PNG.")] = None,
) -> None:
    """Train every cell for the same time at the same size, and print what each reaches."""
    corpus, console = read_text(text) if text else standard_library(), Console(highlight=False)
    warnings.simplefilter("ignore")
    told = lambda cell, row: console.print(f"{cell:24}", *[f"{_cell_of(row[task]):>9}" for task in COLUMNS])
    rows = list(measure(only or names(), corpus, seconds, told))
    made = Table("cell", *(title for title, _ in COLUMNS.values()))
    for row in sorted(rows, key=lambda row: row["text"].get("figure", math.inf)):
        made.add_row(row["cell"], *[_cell_of(row[task]) for task in COLUMNS])
    console.print(made)
    if plot_file is not None:
        draw(rows, plot_file)
    if page_file is not None:
        page_file.write_text(page(rows, seconds, corpus, plot_file))


if __name__ == "__main__":
    typer.run(main)
