"""The pictures as functions that draw on matplotlib axes and return them, for papers and for the report.

    axes = analysis.figures.plot_flow(flow)
    axes.figure.savefig("flow.pdf")                 # vectors; .svg and .png as well

Each takes `axes=` to draw on, and makes a figure of one column's width where there is none. Colours are those of Okabe
& Ito (2008), which colour-blind readers tell apart; no two curves differ by colour alone. Needs the extra `plot`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minirnn.analysis.gates import GateStatistics
from minirnn.analysis.gradient_flow import GradientFlow
from minirnn.analysis.memory_capacity import MemoryCapacity
from minirnn.analysis.recurrent_map import RecurrentMap
from minirnn.analysis.truncation import TruncationBias
from minirnn.analysis.vanishing import Curve, Panel
from minirnn.module import Array

__all__ = [
    "figure",
    "plot_eigenvalues",
    "plot_flow",
    "plot_gates",
    "plot_learning",
    "plot_memory_capacity",
    "plot_panel",
    "plot_panels",
    "plot_saturation",
    "plot_singular_values",
    "plot_truncation",
]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
STYLES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
WIDTH, HEIGHT, FONT = 4.6, 3.2, 9.5  # inches: a column of a paper, and a telephone's width on a screen; points
ROUNDING = 1e-6
FLOOR = 1e-12  # of the highest curve: what is below is not drawn, or one curve would hide all others


def figure(rows: int = 1, columns: int = 1) -> tuple[Any, Any]:
    """(figure, axes): a column's width each, with fonts that can be read at it, and no global state of matplotlib.

    ModuleNotFoundError: the extra `plot` is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ModuleNotFoundError("pictures need matplotlib: pip install 'minirnn[plot]'") from error
    made = Figure(figsize=(WIDTH * columns, HEIGHT * rows), layout="constrained")
    return made, made.subplots(rows, columns)


def _axes(axes: Any, title: str, x: str, y: str) -> Any:
    axes = figure()[1] if axes is None else axes
    axes.set_title(title, fontsize=FONT + 1)
    axes.set_xlabel(x, fontsize=FONT)
    axes.set_ylabel(y, fontsize=FONT)
    axes.tick_params(labelsize=FONT - 1)
    axes.grid(alpha=0.3)
    return axes


def _legend(axes: Any) -> Any:
    axes.legend(fontsize=FONT - 1.5, framealpha=0.8)
    return axes


def _down_to_floor(axes: Any, values: Sequence[Array]) -> None:
    """A logarithmic axis that ends FLOOR below its highest value."""
    axes.set_yscale("log")
    every = np.concatenate([np.ravel(each) for each in values])
    every = every[np.isfinite(every) & (every > 0)]
    if every.size:
        axes.set_ylim(bottom=max(every.min() / 2, every.max() * FLOOR), top=every.max() * 2)


# ---------------------------------------------------------------- gradients
def plot_flow(flow: GradientFlow, axes: Any = None, *, array: str | None = None) -> Any:
    """|d a_t / d x_{t-k}| over the lag k, the median and the range of the batch; the linear prediction; and for a cell
    with a known keep gate the path along its memory and that through its gates. array: a, "h" where there is one."""
    name = array or ("h" if "h" in flow.input else next(iter(flow.input)))
    axes = _axes(axes, f"gradient of {name} at step {flow.at}", "lag k (steps back)", "Frobenius norm")
    values = flow.input[name].frobenius
    lags = np.arange(len(values))
    axes.fill_between(lags, values.min(axis=1), values.max(axis=1), color=COLOURS[0], alpha=0.2, linewidth=0)
    axes.plot(lags, np.median(values, axis=1), color=COLOURS[0], label=f"input: |d{name}_t / dx_(t-k)|")
    predicted = flow.predicted[name].frobenius
    formula = "predicted, linear at rest" if flow.map.at_rest else "predicted: |W_rec^k W_in|"
    axes.plot(lags, predicted, color=COLOURS[6], linestyle=":", label=formula)
    drawn = [values]
    if flow.memory is not None:
        c, gate = flow.memory.array, flow.memory.gate
        parts = {
            f"along {c}: product of keep gates ({gate})": flow.memory.along,
            "through the gates": flow.memory.through_gates,
        }
        for k, (label, norms) in enumerate(parts.items(), 1):
            middle = np.median(norms.frobenius, axis=1)[1:]
            middle = np.where(
                middle > ROUNDING * middle.max(), middle, np.nan
            )  # at k = 1 there is no gate to go through
            axes.plot(np.arange(1, len(middle) + 1), middle, color=COLOURS[k], linestyle=STYLES[k], label=label)
            drawn.append(middle)
    _down_to_floor(axes, drawn)
    return _legend(axes)


def plot_panel(panel: Panel, axes: Any = None) -> Any:
    """A panel of `vanishing`: its curves on a logarithmic axis, predicted ones dotted."""
    axes = _axes(axes, panel.title, "lag k (steps back)", "|dh_T / dx_(T-k)|")
    groups = list(dict.fromkeys(curve.group for curve in panel.curves))
    for curve in panel.curves:
        k = groups.index(curve.group)
        style: dict[str, Any] = {"linestyle": ":"} if curve.predicted else {"marker": MARKERS[k % len(MARKERS)]}
        axes.plot(
            np.where(curve.values > 0, curve.values, np.nan),
            color=COLOURS[k % len(COLOURS)],
            label=_said_once(curve, panel),
            markevery=max(1, len(curve.values) // 8),
            markersize=4,
            **style,
        )
    _down_to_floor(axes, [curve.values for curve in panel.curves])
    return _legend(axes)


def _said_once(curve: Curve, panel: Panel) -> str:
    """The label of a curve; predicted ones, which all look alike, have theirs once where it ends alike."""
    endings = [other.label.partition(": ")[2] for other in panel.curves if other.predicted]
    if not curve.predicted or len(set(endings)) != 1 or not endings[0]:
        return curve.label
    first = next(other for other in panel.curves if other.predicted)
    return f"dotted: {endings[0]}" if curve is first else "_"


def plot_panels(panels: Sequence[Panel]) -> Any:
    """All panels in one figure, two abreast; the figure."""
    columns = min(2, len(panels))
    made, axes = figure(-(-len(panels) // columns), columns)
    for k, each in enumerate(np.ravel(axes)):
        if k < len(panels):
            plot_panel(panels[k], each)
        else:
            each.set_axis_off()
    return made


def plot_singular_values(linear: RecurrentMap, axes: Any = None) -> Any:
    """The singular values of the recurrent map, the largest first, and its spectral radius as a line."""
    axes = _axes(axes, "recurrent map", "rank", "singular value")
    values = linear.singular_values
    axes.plot(
        np.arange(1, len(values) + 1), values, color=COLOURS[0], marker="o", markersize=3, label="singular values"
    )
    radius = linear.spectral_radius
    axes.axhline(radius, color=COLOURS[1], linestyle="--", label=f"spectral radius {radius:.2f}")
    axes.axhline(1, color=COLOURS[6], linestyle=":", linewidth=1)
    return _legend(axes)


def plot_eigenvalues(linear: RecurrentMap, axes: Any = None) -> Any:
    """The eigenvalues of the recurrent map in the complex plane, and the unit circle: inside it, a step forgets."""
    axes = _axes(axes, "recurrent map", "real part", "imaginary part")
    values, turn = np.linalg.eigvals(linear.recurrent), np.linspace(0, 2 * np.pi, 200)
    axes.plot(np.cos(turn), np.sin(turn), color=COLOURS[6], linestyle=":", linewidth=1, label="unit circle")
    axes.plot(values.real, values.imag, color=COLOURS[0], marker="o", markersize=3, linestyle="", label="eigenvalues")
    axes.set_aspect("equal", adjustable="datalim")
    return _legend(axes)


def plot_truncation(bias: TruncationBias, axes: Any = None) -> Any:
    """The truncated gradient beside the whole one, over the number of steps behind which it is cut."""
    axes = _axes(axes, "truncated back-propagation", "cut every k steps", "of the whole gradient")
    axes.plot(bias.ks, bias.cosine, color=COLOURS[0], marker="o", label="cosine")
    axes.plot(bias.ks, bias.norm, color=COLOURS[1], marker="s", linestyle="--", label="norm")
    axes.set_xscale("log")
    axes.set_xticks(bias.ks, [str(k) for k in bias.ks])
    axes.minorticks_off()
    return _legend(axes)


def plot_memory_capacity(capacity: MemoryCapacity, axes: Any = None) -> Any:
    """MC_k over the lag k; the area is the capacity."""
    axes = _axes(axes, f"memory capacity {capacity.total:.1f}", "lag k (steps back)", "squared correlation")
    lags = np.arange(1, len(capacity.by_lag) + 1)
    axes.fill_between(lags, capacity.by_lag, color=COLOURS[0], alpha=0.2, linewidth=0)
    axes.plot(lags, capacity.by_lag, color=COLOURS[0])
    axes.set_ylim(0, 1.05)
    return axes


def plot_learning(records: Sequence[Mapping[str, Any]], axes: Any = None) -> Any:
    """Loss and validation over the steps of a training: records as `minirnn.train.read_metrics` gives them."""
    axes = _axes(axes, "training", "step", "nats")
    names = [name for record in records for name in record if name.startswith("val_loss")]
    for k, name in enumerate(dict.fromkeys(["loss", *names])):
        pairs = [(record["step"], record[name]) for record in records if record.get(name) is not None]
        if not pairs:
            continue
        steps, values = np.array(pairs, np.float64).T
        several = max(1, len(steps) // 200)  # each point the mean of so many, so that its course can be seen
        whole = len(steps) // several * several
        steps, values = (column[:whole].reshape(-1, several).mean(axis=1) for column in (steps, values))
        axes.plot(steps, values, color=COLOURS[k], linestyle=STYLES[k], label=name.replace("_", " "))
    return _legend(axes)


# ---------------------------------------------------------------- gates
def plot_gates(values: Array, axes: Any = None, *, title: str = "", ticks: Sequence[str] | None = None) -> Any:
    """One gate as a heat map: values (T, H), time to the right, units below each other, 0 to 1. ticks: a word for every
    step, such as the characters that were read."""
    axes = _axes(axes, title, "step", "unit")
    axes.grid(False)
    drawn = axes.imshow(
        values.T, aspect="auto", cmap="cividis", vmin=0, vmax=1, origin="lower", interpolation="nearest"
    )
    colours = axes.figure.colorbar(drawn, ax=axes)
    colours.ax.tick_params(labelsize=FONT - 1)
    if ticks is not None:
        axes.set_xticks(np.arange(len(ticks)), [tick if tick.strip() else "␣" for tick in ticks])
    return axes


def plot_saturation(gates: dict[str, GateStatistics], axes: Any = None) -> Any:
    """One mark a unit and gate: how often it is shut (below 0.1) and open (above 0.9), as Karpathy et al. 2015 draw it.
    A unit at the right is always open, at the top always shut, at the origin always between."""
    axes = _axes(axes, "saturation", "share of time above 0.9", "share of time below 0.1")
    for k, (name, gate) in enumerate(gates.items()):
        axes.plot(
            gate.right,
            gate.left,
            color=COLOURS[k % len(COLOURS)],
            marker=MARKERS[k % len(MARKERS)],
            linestyle="",
            markersize=4,
            alpha=0.7,
            label=name,
            gid=f"saturation-{name}",
        )
    axes.plot([0, 1], [1, 0], color="0.6", linewidth=1)
    axes.set_xlim(-0.03, 1.03)
    axes.set_ylim(-0.03, 1.03)
    return _legend(axes)
