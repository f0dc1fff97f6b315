"""The report: one HTML file that needs nothing but a browser, with a model's reading of a text inside it.

Charts are matplotlib's, as vectors; the text, the gates and the search are drawn by the page's own script from the
recorded values, one byte each. A content security policy in the page forbids every connection.
"""

import base64
import html
import io
import json
import os
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from minirnn import tree
from minirnn.analysis import figures
from minirnn.analysis.gates import CellGates, gate_statistics
from minirnn.analysis.gradient_flow import gradient_flow
from minirnn.analysis.probe import probe
from minirnn.analysis.properties import PROPERTIES
from minirnn.analysis.reading import Reading, read_along, shown
from minirnn.data import Tokenizer
from minirnn.layers import Cell
from minirnn.module import Array, Module
from minirnn.whole_file import write_whole

__all__ = ["report_html", "write_report"]

ROOM = 2_100_000  # bytes of recorded values, as base64; with charts and text the page stays below 3 MB
ROLES = ("keep", "write", "show", "reset")
LAGS, COPIES = 100, 1024  # of the gradient flow: steps back, and rows that are followed at once
UNITS_NAMED = 5


def write_report(path: str | os.PathLike[str], model: Module, tokenizer: Tokenizer, text: str, **options: Any) -> Path:
    """Write `report_html(model, tokenizer, text, ...)`; the file appears whole or not at all. OSError: it cannot."""
    page = report_html(model, tokenizer, text, **options)
    write_whole(Path(path), page.encode())
    return Path(path)


def report_html(
    model: Module,
    tokenizer: Tokenizer,
    text: str,
    *,
    title: str = "minirnn",
    source: str = "",
    scores: Mapping[str, float] | None = None,
    records: Sequence[Mapping[str, Any]] = (),
    tokens: int = 3000,
) -> str:
    """A page on how a language model reads a text: the text coloured by each unit's activation, gates over time, which
    unit tracks what, saturation, gradient flow, singular values, learning curves, and the expected next tokens.

    model(tokens (T, B)) -> (logits, state); text: its beginning is read, at most `tokens` of it and fewer for a large
    model, so that the page stays below 3 MB; title, source: said at the head; scores: figures by name; records: of the
    training (`minirnn.train.read_metrics`), for its curves.

    ValueError: a text of less than two tokens. ModuleNotFoundError: the extra `plot` is not installed.
    """
    figures.figure()
    reading = read_along(model, tokenizer, text, tokens=min(tokens, _room_for(model, tokenizer, text)))
    statistics = gate_statistics_of(model, reading)
    cells = dict(model.named_modules())
    layers = [
        _layer(f"{number}: {type(cells[path]).__name__}", path, of_cell, cells[path], reading, statistics.get(path))
        for number, (path, of_cell) in enumerate(reading.cells.items(), 1)
    ]
    charts = [_chart("learning", "Learning curves", figures.plot_learning(records))] if records else []
    data = {
        "spans": [[span.text, span.first, span.last] for span in reading.spans],
        "layers": [layer["data"] for layer in layers],
        "tokens": [shown(tokenizer, token) for token in range(len(tokenizer))],
        "read": reading.tokens.tolist(),
        "likeliest": reading.likeliest.ravel().tolist(),
        "probabilities": _packed(reading.probabilities, 0, 1),
        "each": reading.likeliest.shape[1],
        "actual": [None if np.isnan(p) else round(float(p), 4) for p in reading.actual],
    }
    share = f"{len(reading.tokens):,} tokens" + (f" of {source}" if source else "")
    parts = {
        "title": html.escape(title),
        "source": html.escape(share),
        "scores": "".join(_score(name, value) for name, value in (scores or {}).items()),
        "charts": "".join([*(layer["charts"] for layer in layers), *charts]),
        "data": json.dumps(data, separators=(",", ":")).replace("<", "\\u003c"),
        "style": _file("page.css"),
        "script": _file("page.js"),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _file("page.html"))


def _file(name: str) -> str:
    return (files(__name__) / name).read_text(encoding="utf-8")


def _room_for(model: Module, tokenizer: Tokenizer, text: str) -> int:
    """How many tokens' values the page has room for: a byte a number, four thirds in base64."""
    probe_of = read_along(model, tokenizer, text, tokens=8)
    width = sum(values.shape[1] for cell in probe_of.cells.values() for name, values in cell.items() if name != "x")
    return max(50, ROOM * 3 // (4 * max(width, 1)))


def gate_statistics_of(model: Module, reading: Reading) -> dict[str, CellGates]:
    """gate_statistics over the reading's tokens; none where no cell has gates that are known."""
    if not any(role in of_cell for of_cell in reading.cells.values() for role in ROLES):
        return {}
    return gate_statistics(model, reading.tokens[:, None])


# ---------------------------------------------------------------- one cell
def _layer(
    name: str, path: str, values: Mapping[str, Array], cell: Module, reading: Reading, gates: CellGates | None
) -> dict[str, Any]:
    recorded = {name: array for name, array in values.items() if name != "x"}
    scales = {name: (0.0, 1.0) if name in ROLES else _symmetric(array) for name, array in recorded.items()}
    shown_by = recorded.get("h", recorded.get("outputs", next(iter(recorded.values()))))
    data: dict[str, Any] = {
        "name": name,
        "path": path,
        "units": next(iter(recorded.values())).shape[1],
        "arrays": [
            {
                "name": key,
                "low": low,
                "high": high,
                "units": recorded[key].shape[1],
                "values": _packed(recorded[key], low, high),
            }
            for key, (low, high) in scales.items()
        ],
        "tracking": [_tracking(what, of(reading.text), shown_by, reading.ends) for what, of in PROPERTIES.items()],
    }
    data["tracking"] = [found for found in data["tracking"] if found is not None]
    charts: list[str] = []
    if gates is not None and gates.gates:
        axes = figures.plot_saturation(gates.gates)
        charts.append(_chart(path, f"Saturation of gates: {name}", axes))
        if gates.memory is not None:
            data["memory"] = [float(f"{min(steps, 1e6):.3g}") for steps in gates.memory]
    if isinstance(cell, Cell) and "x" in values:
        flow = _flow(cell, values, len(reading.tokens))
        charts.append(_chart(path, f"Gradient flow: {name}", figures.plot_flow(flow)))
        charts.append(_chart(path, f"Singular values: {name}", figures.plot_singular_values(flow.map)))
    return {"data": data, "charts": "".join(charts)}


def _symmetric(values: Array) -> tuple[float, float]:
    largest = float(np.abs(values).max()) or 1.0
    return -largest, largest


def _packed(values: Array, low: float, high: float) -> str:
    """Numbers as bytes, 0 at `low` and 255 at `high`, in base64."""
    scaled = np.rint((np.asarray(values, np.float64) - low) / (high - low) * 255)
    return base64.b64encode(np.clip(scaled, 0, 255).astype(np.uint8).tobytes()).decode()


def _tracking(what: str, values: Array, states: Array, ends: Array) -> dict[str, Any] | None:
    """The units that track a property of the text; None where the text has nothing of it."""
    of_tokens = values[np.maximum(ends, 1) - 1]
    half = len(of_tokens) // 2
    if half < 2 or of_tokens[:half].std() == 0 or of_tokens[half:].std() == 0:
        return None
    found = probe(states, of_tokens)
    best = [int(unit) for unit in found.order[:UNITS_NAMED]]
    return {
        "what": what,
        "units": best,
        "held_out": [round(float(found.held_out_correlation[unit]), 3) for unit in best],
        "bits": [round(float(found.information[unit]), 3) for unit in best],
    }


def _flow(cell: Cell, values: Mapping[str, Array], steps: int) -> Any:
    """Gradient flow over the last steps of a few pieces of the reading, each from the state that was there."""
    lags = min(LAGS, steps - 1)
    zeros = cell.initial_state(1)
    width = sum(int(np.size(leaf)) for leaf in tree.leaves(zeros))
    pieces = max(1, min(4, (steps - 1) // lags, COPIES // width))
    starts = [1 + piece * ((steps - 1) // pieces) for piece in range(pieces)]
    xs = np.stack([values["x"][start : start + lags] for start in starts], axis=1)
    names = [path or "h" for path, _ in tree.named_leaves(zeros)]
    if not all(name in values for name in names):
        return gradient_flow(cell, xs, spectral=False)
    shapes = [np.shape(leaf)[1:] for leaf in tree.leaves(zeros)]
    each = [values[name][np.array(starts) - 1] for name in names]
    before = [np.reshape(rows, (pieces, *shape)) for rows, shape in zip(each, shapes, strict=True)]
    state = tree.flatten(zeros)[1](before)
    return gradient_flow(cell, xs, state, spectral=False)


# ---------------------------------------------------------------- pieces of the page
def _chart(layer: str, title: str, axes: Any) -> str:
    """A matplotlib figure as an SVG inside the page, its ids its own."""
    from matplotlib import rc_context

    file = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": title}):
        axes.figure.savefig(file, format="svg", metadata={"Date": None})
    drawn = file.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    own = re.sub(r"\W", "-", title)
    drawn = re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{own}-", drawn)
    where = f' data-layer="{html.escape(layer)}"' if layer != "learning" else ""
    return f'<figure class="chart"{where}><figcaption>{html.escape(title)}</figcaption>{drawn}</figure>'


def _score(name: str, value: float) -> str:
    said = f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
    return f"<div><dt>{html.escape(name.replace('_', ' '))}</dt><dd>{said}</dd></div>"
