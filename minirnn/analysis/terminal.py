"""Curves on a logarithmic axis, drawn with characters."""

import math
import string
from collections.abc import Sequence

import numpy as np

from minirnn.analysis.vanishing import Curve, Panel

__all__ = ["terminal_panel", "terminal_panels"]

DECADES = 12  # below so many powers of ten under the highest curve nothing is drawn
PREDICTED = "\N{MIDDLE DOT}"


def terminal_panel(panel: Panel, *, width: int = 78, height: int = 14) -> list[str]:
    """The panel's curves over the lag as lines of `width` characters: measured ones as letters, predicted ones as dots.

    ValueError: too narrow; no curve with a positive value.
    """
    if width < 30 or height < 4:
        raise ValueError(f"terminal_panel: width={width} and height={height} came, at least 30 and 4 were expected")
    values = np.concatenate([curve.values for curve in panel.curves]) if panel.curves else np.zeros(0)
    positive = values[np.isfinite(values) & (values > 0)]
    if not positive.size:
        raise ValueError(f"terminal_panel: {panel.title}: there is nothing above 0 to draw")
    high = math.ceil(math.log10(positive.max()))
    low = min(high - 1, max(math.floor(math.log10(positive.min())), high - DECADES))
    lags = max(len(curve.values) for curve in panel.curves)
    margin = max(len(f"1e{high:+d}"), len(f"1e{low:+d}"))
    wide = width - margin - 2
    canvas = [[" "] * wide for _ in range(height)]
    letters = iter(string.ascii_uppercase + string.ascii_lowercase)
    marks = [PREDICTED if curve.predicted else next(letters, "*") for curve in panel.curves]
    drawn = sorted(zip(panel.curves, marks, strict=True), key=lambda pair: not pair[0].predicted)
    for curve, mark in drawn:
        for column in range(wide):
            lag = column * (lags - 1) / max(wide - 1, 1)
            value = _at(curve, lag)
            if value is not None and value >= 10.0**low:
                row = round((high - math.log10(value)) / (high - low) * (height - 1))
                canvas[min(height - 1, max(0, row))][column] = mark
    labels = {
        round((high - power) / (high - low) * (height - 1)): f"1e{power:+d}" for power in _ticks(low, high, height)
    }
    lines = [panel.title[:width]]
    lines += [f"{labels.get(row, ''):>{margin}} |{''.join(canvas[row])}" for row in range(height)]
    lines.append(f"{'':{margin}} +{'-' * wide}")
    lines.append(f"{'':{margin}}  {'lag 0':<{wide - 6}}{lags - 1:>6}")
    legend = [f"{mark} {curve.label}" for curve, mark in zip(panel.curves, marks, strict=True) if not curve.predicted]
    legend += [f"{PREDICTED} {_predicted(panel.curves)}"] if PREDICTED in marks else []
    lines += _wrapped(legend, width)
    return [line.ljust(width) for line in lines]


def terminal_panels(panels: Sequence[Panel], *, width: int = 80, height: int = 12) -> str:
    """Panels side by side, as many as the width holds at 38 characters each, and the others below them."""
    abreast = max(1, min(len(panels), (width + 2) // 40))
    each = (width - 2 * (abreast - 1)) // abreast
    rows = []
    for start in range(0, len(panels), abreast):
        blocks = [terminal_panel(panel, width=each, height=height) for panel in panels[start : start + abreast]]
        tall = max(map(len, blocks))
        padded = [block + [" " * each] * (tall - len(block)) for block in blocks]
        rows.append("\n".join("  ".join(lines).rstrip() for lines in zip(*padded, strict=True)))
    return "\n\n".join(rows)


def _at(curve: Curve, lag: float) -> float | None:
    """The value at a lag, between two measured ones interpolated on the logarithmic axis."""
    below = int(lag)
    pair = curve.values[below : below + 2]
    if not len(pair) or not np.all(np.isfinite(pair)) or not np.all(pair > 0):
        return None
    if len(pair) == 1:
        return float(pair[0])
    return float(np.exp(np.interp(lag - below, [0, 1], np.log(pair))))


def _ticks(low: int, high: int, height: int) -> range:
    """Powers of ten, at most one for every third line."""
    return range(high, low - 1, -max(1, -(-(high - low) * 3 // (height - 1))))


def _predicted(curves: Sequence[Curve]) -> str:
    """What the dotted curves are: what their labels have behind what they have in common with the measured ones."""
    labels = [curve.label for curve in curves if curve.predicted]
    endings = {label.rpartition(": ")[2] if ": " in label else label.rpartition(", ")[2] for label in labels}
    return endings.pop() if len(endings) == 1 else "predicted"


def _wrapped(words: Sequence[str], width: int) -> list[str]:
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + 3 + len(word) > width:
            lines.append("")
        lines[-1] += ("   " if lines[-1] else "") + word[:width]
    return lines
