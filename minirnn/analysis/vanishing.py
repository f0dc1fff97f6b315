"""Why gradients vanish, measured: simple RNN, GRU and LSTM side by side, before and after they learn to remember.

Each curve is |d h_T / d x_{T-k}| over the lag k, the median over a batch, of networks of one size on the same input:

    tanh RNN   at several spectral radii of W_rec, with the notes' |W_rec^k W_in| beside it
    GRU, LSTM  at several biases of the keep gate: a bias b starts it at sigmoid(b)
    trained    on copy memory, one symbol to be said again after 20 steps, before and after
"""

import math
from typing import Any, NamedTuple

import numpy as np

from minirnn.analysis.gradient_flow import gradient_flow
from minirnn.analysis.recurrent_map import recurrent_map
from minirnn.data.tasks import CopyMemory
from minirnn.layers import GRU, LSTM, RNN, Linear, Sequential
from minirnn.losses import cross_entropy
from minirnn.module import Array
from minirnn.optim import Adam
from minirnn.optim.clip import clip_by_global_norm
from minirnn.transform import value_and_grad

__all__ = ["Curve", "Panel", "lag_curves", "trained_curves", "vanishing"]

RADII = (0.5, 0.9, 1.0, 1.2)
BIASES = (0.0, 2.0, 4.0)
INPUTS, HIDDEN, BATCH, LAGS = 8, 32, 8, 60
LAYERS: dict[str, Any] = {"tanh RNN": RNN, "GRU": GRU, "LSTM": LSTM}


class Curve(NamedTuple):
    """values: (lags,), the gradient's size at lag 0, 1, ...; predicted: the formula's and not measured; group: curves
    that belong together have one."""

    label: str
    values: Array
    predicted: bool = False
    group: str = ""


class Panel(NamedTuple):
    """Curves of one picture."""

    title: str
    curves: list[Curve]


def vanishing(seed: int = 0, lags: int = LAGS, steps: int = 800) -> list[Panel]:
    """All four panels: the three networks as they start, and before and after `steps` updates on copy memory."""
    return [*lag_curves(seed, lags), trained_curves(seed, lags, steps)]


def lag_curves(seed: int = 0, lags: int = LAGS) -> list[Panel]:
    """Three panels: tanh RNN at several spectral radii, GRU and LSTM at several biases of the keep gate."""
    xs = 0.3 * np.random.default_rng(seed).standard_normal((lags, BATCH, INPUTS))
    simple = Panel("tanh RNN, by spectral radius", [])
    for radius in RADII:
        layer = LAYERS["tanh RNN"](INPUTS, HIDDEN, bias=False, rng=np.random.default_rng(seed), dtype=np.float64)
        layer.cells()[0].weight_hh[...] *= radius / recurrent_map(layer).spectral_radius
        flow = gradient_flow(layer, xs, spectral=False)
        simple.curves.append(Curve(f"{radius:g}", _median(flow.input["h"].frobenius), group=f"{radius:g}"))
        formula = flow.predicted["h"].frobenius
        simple.curves.append(Curve(f"{radius:g}: |W_rec^k W_in|", formula, predicted=True, group=f"{radius:g}"))
    panels = [simple]
    for kind, rows in (("GRU", slice(HIDDEN, 2 * HIDDEN)), ("LSTM", slice(HIDDEN, 2 * HIDDEN))):
        panel = Panel(f"{kind}, by bias of the keep gate", [])
        for bias in BIASES:
            layer = LAYERS[kind](INPUTS, HIDDEN, rng=np.random.default_rng(seed), dtype=np.float64)
            layer.cells()[0].bias_ih[rows] = bias
            layer.cells()[0].bias_hh[rows] = 0
            flow = gradient_flow(layer, xs, spectral=False)
            panel.curves.append(Curve(f"{bias:g}", _median(flow.input["h"].frobenius), group=f"{bias:g}"))
        panels.append(panel)
    return panels


def trained_curves(seed: int = 0, lags: int = LAGS, steps: int = 800) -> Panel:
    """One panel: the three networks before and after training on copy memory, as they read a longer such task."""
    task = CopyMemory(delay=20, symbols=4, length=1)
    longer = CopyMemory(delay=lags - 2, symbols=4, length=1).batch(np.random.default_rng(seed), BATCH).inputs
    panel = Panel("before and after copy memory", [])
    for name, kind in LAYERS.items():
        rng = np.random.default_rng(seed)
        layer = kind(task.input_size, HIDDEN, rng=rng)
        if kind is LSTM:
            # so that it keeps for the time that the task asks for (Tallec & Ollivier 2018, arXiv:1804.11188)
            layer.cells()[0].bias_ih[HIDDEN : 2 * HIDDEN] = math.log(task.delay)
        model = Sequential(layer, Linear(HIDDEN, task.output_size, rng=rng))
        before = _median(gradient_flow(layer, longer, spectral=False).input["h"].frobenius)
        recalled = _learn(model, task, rng, steps)
        after = _median(gradient_flow(layer, longer, spectral=False).input["h"].frobenius)
        panel.curves.append(Curve(f"{name}, before", before, predicted=True, group=name))
        panel.curves.append(Curve(f"{name}, after: {recalled:.0%} recalled", after, group=name))
    return panel


def _learn(model: Sequential, task: CopyMemory, rng: np.random.Generator, steps: int) -> float:
    """Train in place; the share of symbols that are recalled in the end."""

    def loss(model: Any, batch: Any) -> Any:
        return cross_entropy(model(batch.inputs)[0], batch.targets)

    optimizer = Adam(model, lr=1e-2)
    for _ in range(steps):
        gradients = value_and_grad(loss)(model, task.batch(rng, 32))[1]
        optimizer.step(clip_by_global_norm(gradients, 1.0)[0])
    batch = task.batch(rng, 256)
    return task.metric(model(batch.inputs)[0], batch)


def _median(values: Array) -> Array:
    """(lags, B) -> (lags,)."""
    found: Array = np.median(values, axis=1)
    return found
