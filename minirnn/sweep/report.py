"""What a sweep found, as a table, a CSV file and a picture."""

import csv
import io
import math
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from minirnn.sweep.driver import Result, Standing, Tried
from minirnn.whole_file import write_whole

__all__ = ["best_table", "plot_sweep", "standing_table", "write_csv"]


def write_csv(result: Result, path: str | Path) -> None:
    """One row for each trial: its number, state, score, when it was begun and ended (seconds since the sweep's start),
    attempts, reason, folder, and its options."""
    names = list(dict.fromkeys(name for one in result.trials for name in one.options))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", "score", "begun", "ended", "attempts", "reason", "folder", *names])
    for one in result.trials:
        ended = "" if one.ended is None else round(one.ended, 3)
        row = [one.number, one.state, one.score, round(one.begun, 3), ended, one.attempts, one.reason, one.folder]
        writer.writerow([*row, *(one.options.get(name) for name in names)])
    write_whole(Path(path), text.getvalue().encode())


def standing_table(standing: Standing) -> Any:
    """A rich table: how many trials are in which state, the best so far, and what runs."""
    from rich.table import Table

    of = "" if standing.wanted is None else f" of {standing.wanted}"
    best = "" if standing.best is None else f"; best so far {standing.best.score:.4f}, trial {standing.best.number}"
    counts = ", ".join(f"{standing.count(state)} {state}" for state in ("finished", "running", "pruned", "failed"))
    title = f"{len(standing.trials)}{of} trials in {standing.seconds:.0f} s: {counts}{best}"
    table = Table("trial", "state", "score", "tries", "options", title=title, title_justify="left", box=None)
    running = [one for one in standing.trials if one.state == "running"]
    done = sorted((one for one in standing.trials if one.ended is not None), key=lambda one: one.ended or 0.0)
    for one in [*running, *reversed(done[-5:])]:
        table.add_row(*_row(one))
    return table


def best_table(trials: Sequence[Tried], *, maximize: bool = False, most: int | None = None) -> Any:
    """A rich table of the trials, the best first, then the pruned and the failed ones."""
    from rich.table import Table

    table = Table("trial", "state", "score", "tries", "options", box=None, pad_edge=False)
    order = {"finished": 0, "running": 1, "pruned": 2, "failed": 3}
    key = lambda one: (order[one.state], _rank(one.score, -1 if maximize else 1))
    for one in sorted(trials, key=key)[:most]:
        table.add_row(*_row(one))
    return table


def _rank(score: float | None, sign: int) -> float:
    return math.inf if score is None or math.isnan(score) else sign * score


def _row(one: Tried) -> list[str]:
    options = ", ".join(f"{name}={_short(value)}" for name, value in one.options.items())
    score = "" if one.score is None else f"{one.score:.4f}"
    why = f": {one.reason}" * (one.state == "failed")
    return [str(one.number), one.state, score, str(one.attempts), options + why]


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def plot_sweep(result: Result, path: str | Path, *, goal: str = "score", maximize: bool = False) -> None:
    """Score against time, with the best so far as a line and the best one's repeats from the lowest to the highest at
    the right; beside it each option's importance. PNG, PDF or SVG.

    ModuleNotFoundError: Matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ModuleNotFoundError("a picture needs matplotlib: pip install 'minirnn[plot]'") from None
    figure = Figure(figsize=(10, 4), layout="constrained")
    scores, shares = figure.subplots(1, 2, width_ratios=[3, 2])
    _draw_scores(scores, result, maximize)
    scores.set_ylabel(goal.replace("_", " "))
    names = sorted(result.importance, key=lambda name: result.importance[name])
    shares.barh(names, [result.importance[name] for name in names])
    shares.set_xlabel("importance (PED-ANOVA)")
    if not names:
        shares.text(0.5, 0.5, "too few trials, options or\ndifferent scores to tell", ha="center", va="center")
        shares.set_axis_off()
    figure.savefig(path, dpi=110)


def _draw_scores(axes: Any, result: Result, maximize: bool) -> None:
    ended = sorted((one for one in result.trials if one.ended is not None), key=lambda one: one.ended or 0.0)
    finished = [one for one in ended if one.state == "finished"]
    pruned = [one for one in ended if one.state == "pruned" and one.score is not None]
    failed = [one for one in ended if one.state == "failed"]
    if finished:
        best = list(accumulate((one.score or 0.0 for one in finished), max if maximize else min))
        axes.plot(_minutes(finished), [one.score for one in finished], "o", label="finished")
        axes.step(_minutes(finished), best, where="post", color="C1", label="best so far")
    if pruned:
        axes.plot(_minutes(pruned), [one.score for one in pruned], "x", color="gray", label="pruned, its last score")
    for k, minute in enumerate(_minutes(failed)):
        axes.axvline(minute, color="C3", linewidth=0.8, linestyle=":", label="failed" if k == 0 else None)
    again = [one.score for one in result.repeats if one.score is not None]
    if again:
        place = 1.03 * max(_minutes(ended), default=0.0)
        spread = f", {max(again) - min(again):.2g} from lowest to highest" * (len(again) > 1)
        axes.vlines(place, min(again), max(again), color="C2")
        axes.plot([place] * len(again), again, "_", color="C2", markersize=10, label=f"the best again{spread}")
    axes.set_xlabel("minutes")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8)


def _minutes(trials: Sequence[Tried]) -> list[float]:
    return [(one.ended or 0.0) / 60 for one in trials]
