"""A training's curves: as a picture (matplotlib, the extra `plot`), or drawn with characters."""

import importlib.util
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minirnn.train.metrics import COLUMNS

__all__ = ["has_plot", "plot_curves", "terminal_curves"]

Records = Sequence[Mapping[str, Any]]
POINTS = 200  # of the training loss, each the mean of its neighbours, so that its course can be seen
MARKS = "\N{BULLET}x"


def has_plot() -> bool:
    """Whether the extra is installed."""
    try:
        return importlib.util.find_spec("matplotlib") is not None
    except ValueError:  # imports of it are blocked
        return False


def plot_curves(records: Records, path: str | os.PathLike[str], title: str = "") -> None:
    """Draw loss and validation, and below them learning rate and gradient norm, over the steps, as a PNG (or PDF, SVG).

    ModuleNotFoundError: the extra `plot` is not installed. ValueError: no records.
    """
    if not has_plot():
        raise ModuleNotFoundError("a picture of the curves needs matplotlib: pip install 'minirnn[plot]'")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    for name, (steps, values) in _curves(records).items():
        above.plot(steps, values, label=name, **({} if name == "loss" else {"marker": "o", "markersize": 3}))
    above.set(ylabel="loss", title=title)
    above.legend()
    above.grid(alpha=0.3)
    below.plot(*_smooth(records, "lr"), color="tab:green")
    below.set(xlabel="step", ylabel="learning rate")
    norms = below.twinx()
    norms.plot(*_smooth(records, "grad_norm"), color="tab:gray", alpha=0.6)
    norms.set_ylabel("gradient norm")
    figure.savefig(path, dpi=120)


def terminal_curves(records: Records, *, width: int = 80, height: int = 16) -> str:
    """Loss (dots) and validation (x) over the steps, drawn with characters. ValueError: no records."""
    curves = _curves(records)
    low = min(float(values.min()) for _, values in curves.values() if values.size)
    high = max(float(values.max()) for _, values in curves.values() if values.size)
    last = max(int(steps[-1]) for steps, _ in curves.values() if steps.size)
    margin = max(len(f"{value:.3g}") for value in (low, high))
    wide = width - margin - 2
    canvas = [[" "] * wide for _ in range(height)]
    for (steps, values), mark in zip(curves.values(), MARKS, strict=False):
        for step, value in zip(steps, values, strict=True):
            row = round((high - value) / ((high - low) or 1.0) * (height - 1))
            canvas[row][min(wide - 1, int(step / last * wide))] = mark
    labels = {0: f"{high:.3g}", height - 1: f"{low:.3g}"}
    lines = [f"{labels.get(i, ''):>{margin}} |{''.join(row)}".rstrip() for i, row in enumerate(canvas)]
    legend = "   ".join(f"{mark} {name}" for name, mark in zip(curves, MARKS, strict=False))
    step = f"step {last:,}"
    return "\n".join([*lines, f"{'':{margin}} +{'-' * wide}", f"{'':{margin}}  {legend}{step:>{wide - len(legend)}}"])


def _curves(records: Records) -> dict[str, tuple[Any, Any]]:
    """The loss, and what a validation measured that is of its kind: the metric that decides."""
    if not any(record.get("loss") is not None for record in records):
        raise ValueError("there are no steps to draw yet")
    names = [name for record in records for name in record if name not in COLUMNS]
    curves = {"loss": _smooth(records, "loss")}
    if names:
        curves[names[0]] = _points(records, names[0])
    return curves


def _points(records: Records, name: str) -> tuple[Any, Any]:
    pairs = [(record["step"], record[name]) for record in records if record.get(name) is not None]
    return np.array([step for step, _ in pairs]), np.array([value for _, value in pairs], np.float64)


def _smooth(records: Records, name: str, points: int = POINTS) -> tuple[Any, Any]:
    """At most so many points, each the mean of its neighbours."""
    steps, values = _points(records, name)
    if len(steps) <= points:
        return steps, values
    edges = np.linspace(0, len(steps), points + 1).astype(int)
    middle = (edges[:-1] + edges[1:]) // 2
    return steps[middle], np.add.reduceat(values, edges[:-1]) / np.diff(edges)
