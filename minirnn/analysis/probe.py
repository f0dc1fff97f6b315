"""Which unit tracks a property? Each unit's correlation and mutual information with it, on steps held out.

With many units some correlate with anything by chance. So the units are ranked by the first part of the steps, and what
is reported of them is measured on the rest.
"""

from typing import Any, NamedTuple

import numpy as np

from minirnn.module import Array

__all__ = ["Probe", "probe"]

BINS = 8


class Probe(NamedTuple):
    """order: units, the one with the largest |correlation| on the first part first, (H,).

    correlation, held_out_correlation: Pearson's, (H,) by unit, on the first part and on the rest; 0 where either side
    does not move. information: mutual information on the rest in bits, (H,), both sides in at most 8 bins of equal
    counts, less its expected value by chance (Miller 1955), at least 0.
    """

    order: Array
    correlation: Array
    held_out_correlation: Array
    information: Array

    @property
    def best(self) -> int:
        """The unit that the first part chooses."""
        return int(self.order[0])


def probe(states: Array, values: Array, *, held_out: float = 0.5) -> Probe:
    """How each unit goes with a property: states (N, H), or (N, 1, H) as `record` gives them; values (N,), numbers or
    booleans; held_out: the share of the steps, the last ones, that measures.

    ValueError: other shapes, fewer than 2 steps in either part, a property or states that are not finite.
    """
    flat: Any = np.asarray(states, np.float64)
    if flat.ndim == 3 and flat.shape[1] == 1:
        flat = flat[:, 0]
    wanted = np.asarray(values, np.float64)
    if flat.ndim != 2 or wanted.shape != flat.shape[:1]:
        raise ValueError(
            f"probe: states {np.shape(states)} and values {wanted.shape} came, shapes (N, H) and (N,) were expected"
        )
    if not np.isfinite(wanted).all():
        raise ValueError("probe: the property is not finite everywhere")
    if not np.isfinite(flat).all():
        raise ValueError(f"probe: unit {int(np.argmin(np.isfinite(flat).all(axis=0)))} is not finite everywhere")
    cut = round(len(flat) * (1 - held_out))
    if not 2 <= cut <= len(flat) - 2:
        raise ValueError(f"probe: held_out={held_out} of {len(flat)} steps leaves {cut} and {len(flat) - cut}")
    chosen_by = _correlation(flat[:cut], wanted[:cut])
    order = np.argsort(-np.abs(chosen_by), kind="stable")
    bins = _binned(wanted[cut:])
    information = np.array([_information(_binned(unit), bins) for unit in flat[cut:].T])
    return Probe(order, chosen_by, _correlation(flat[cut:], wanted[cut:]), information)


def _correlation(states: Array, values: Array) -> Array:
    """(N, H) and (N,) -> (H,)."""
    moves = (states != states[0]).any(axis=0) & (values != values[0]).any()  # what is left of a constant is rounding
    states, values = _centred(states), _centred(values)
    scale = np.sqrt((states * states).sum(axis=0) * (values @ values))
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = np.where(moves & (scale > 0), (values @ states) / scale, 0.0)
    return np.clip(found, -1, 1)


def _centred(values: Array) -> Array:
    """Less the mean, and of a size whose squares are neither infinite nor zero."""
    for _ in range(2):
        largest = np.abs(values).max(axis=0)
        values = values / np.where(largest > 0, largest, 1.0)
        values = values - values.mean(axis=0)
    return values


def _binned(values: Array) -> Array:
    """(N,) numbers as (N,) bins, of equal counts where the values allow it."""
    distinct = np.unique(values)
    if len(distinct) <= BINS:
        return np.searchsorted(distinct, values)
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    return np.searchsorted(edges, values, side="right")


def _information(a: Array, b: Array) -> float:
    """The mutual information of two series of bins, in bits, less the bias of so few samples."""
    joint = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(joint, (a, b), 1.0)
    n = joint.sum()
    rows, columns = joint.sum(axis=1, keepdims=True), joint.sum(axis=0, keepdims=True)
    there = joint > 0
    raw = float(np.sum(joint[there] / n * np.log2(joint[there] * n / (rows * columns)[there])))
    bias = (np.count_nonzero(rows) - 1) * (np.count_nonzero(columns) - 1) / (2 * n * np.log(2))
    return max(0.0, raw - bias)
