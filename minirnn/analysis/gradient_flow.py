"""How much of a gradient arrives k steps earlier: the exact Jacobians of a state, followed back through time.

    d h_t / d x_{t-k}  =  (d h_t / d s_{t-1}) (d s_{t-1} / d s_{t-2}) ... (d s_{t-k} / d x_{t-k})

The product is taken from the left, one step of time after the other: the rows of d s_t / d s_{t-k} are the cotangents
of step t - k, and one backward pass of that step gives those of the step before it and of its input. All lags come from
one walk back, in T backward passes and the memory of one; T^2 passes would be needed one by one.

For gated cells the path along the memory is told apart from the path through the gates. Were the gates constant, c'
would depend on c by the keep gate alone: d c_t / d c_{t-k} would be the product of k keep gates, the constant error
carousel (Hochreiter & Schmidhuber 1997, doi:10.1162/neco.1997.9.8.1735). The rest goes through gates and candidates.
"""

from typing import Any, NamedTuple

import numpy as np

from minirnn.analysis.recording import record
from minirnn.analysis.recurrent_map import Norms, RecurrentMap, identity_rows, norms, recurrent_map
from minirnn.analysis.unrolled import leaf_names, pulled_back, unroll
from minirnn.analysis.vocabulary import memory_of
from minirnn.module import Array, Module

__all__ = ["GradientFlow", "MemoryPath", "gradient_flow"]

SMALL, LARGE = 1e-8, 1e8  # rows outside are scaled by a power of two, so that float32 shows gradients of 1e-100


class MemoryPath(NamedTuple):
    """d c_t / d c_{t-k} apart: along, the product of the keep gates; through_gates, all the rest. (t + 2, B) each.

    array: the name of c in the state; gate: the name of the keep gate, as `record` takes it.
    """

    array: str
    gate: str
    along: Norms
    through_gates: Norms


class GradientFlow(NamedTuple):
    """The norms of Jacobians of the state after step `at`, by lag k, one column a sequence.

    input: array a of the state -> of d a_t / d x_{t-k}, (t + 1, B), k = 0 .. t.
    state: (a, b) -> of d a_t / d b_{t-k}, (t + 2, B), k = 0 .. t + 1; k = 0 is the identity, or 0 for two arrays, and
    k = t + 1 the initial state.
    memory: the path along the memory apart from that through the gates; None for a cell with no known keep gate.
    map: W_rec and W_in, or their like at rest. predicted: a -> norms of W_rec^k W_in, (t + 1,), the linear prediction.
    """

    at: int
    input: dict[str, Norms]
    state: dict[tuple[str, str], Norms]
    memory: MemoryPath | None
    map: RecurrentMap
    predicted: dict[str, Norms]


def gradient_flow(
    layer: Module, xs: Array, state: Any = None, *, at: int = -1, keep: str | None = None, spectral: bool = True
) -> GradientFlow:
    """Exact Jacobian norms of the state after step `at` with respect to inputs and states k steps earlier, for all k.

    layer: a Cell or a layer of one cell; xs: (T, B, I); state: the initial one, zeros by default; at: the step whose
    state is differentiated, the last by default; keep: the name of the keep gate (see `record`) of a cell whose own is
    not known, "f" or "1 - z"; spectral: the largest singular values too, which take longer than all the rest.

    Input is what is called x where a step takes more beside it (a time, a mask). ValueError, TypeError: a layer of
    several cells, xs of another shape, a step that is not there, a name that the step does not have.
    """
    walked = unroll("gradient_flow", layer, xs, state)
    steps = len(walked.xs)
    if not -steps <= at < steps:
        raise ValueError(f"gradient_flow: at={at} came, a step of the {steps} was expected")
    last = at % steps
    names = leaf_names(walked.states[0])
    memory = memory_of(walked.cell, keep, names)
    gates = None
    if memory is not None:
        gates = record(walked.cell, xs[: last + 1], memory.gate, state=walked.states[0])[memory.gate]
    rows, places = identity_rows(walked.states[last + 1])
    batch = rows[0].shape[1]
    exponents = np.zeros(batch, np.int64)
    of_input: dict[str, list[Norms]] = {name: [] for name in names}
    of_state: dict[tuple[str, str], list[Norms]] = {(a, b): [] for a in names for b in names}
    along, through = [], []
    product = np.ones((batch, 1)) if gates is None else np.ones((batch, gates[0][0].size))
    for t in range(last, -2, -1):
        for (a, b), found in of_state.items():
            found.append(_sizes(rows[names.index(b)][places[a]], exponents, spectral))
        if memory is not None:
            c = memory.array
            total = _as_matrices(rows[names.index(c)][places[c]])
            along.append(_of_diagonal(product, spectral))
            scaled = np.ldexp(product, -exponents[:, None])
            through.append(_scaled(norms(_minus_diagonal(total, scaled), spectral), exponents))
        if t < 0:
            break
        rows, inward = pulled_back(walked.cell, walked.states[t], walked.xs[t], rows)
        for a, found_in in of_input.items():
            found_in.append(_sizes_together([block[places[a]] for block in inward], exponents, spectral))
        if gates is not None:
            product = product * gates[t].reshape(batch, -1)
        exponents = exponents + _rescale(rows)
    linear = recurrent_map(walked.cell)
    return GradientFlow(
        last,
        {name: _stacked(found) for name, found in of_input.items()},
        {pair: _stacked(found) for pair, found in of_state.items()},
        None if memory is None else MemoryPath(memory.array, memory.gate, _stacked(along), _stacked(through)),
        linear,
        linear.predicted(last + 1, spectral),
    )


def _rescale(rows: list[Array]) -> Array:
    """Scale each sequence's rows in place by a power of two, which is exact; by which, (B,)."""
    largest = np.max([np.abs(block).max(axis=tuple(i for i in range(block.ndim) if i != 1)) for block in rows], axis=0)
    with np.errstate(divide="ignore"):
        exponents = np.where((largest > 0) & ((largest < SMALL) | (largest > LARGE)), np.log2(largest), 0)
    whole: Array = np.where(np.isfinite(exponents), exponents, 0).astype(np.int64)
    if whole.any():
        for block in rows:
            block[...] = np.ldexp(block, -whole.reshape(1, -1, *[1] * (block.ndim - 2)))
    return whole


def _as_matrices(block: Array) -> Array:
    """(R, B, ...) -> (B, R, n)."""
    return np.swapaxes(block.reshape(*block.shape[:2], -1), 0, 1)


def _minus_diagonal(matrices: Array, diagonal: Array) -> Array:
    rest = np.array(matrices, np.float64)
    places = np.arange(diagonal.shape[1])
    rest[:, places, places] -= diagonal
    return rest


def _sizes(block: Array, exponents: Array, spectral: bool) -> Norms:
    return _scaled(norms(_as_matrices(block), spectral), exponents)


def _sizes_together(blocks: list[Array], exponents: Array, spectral: bool) -> Norms:
    matrices = np.concatenate([_as_matrices(block) for block in blocks], axis=-1)
    return _scaled(norms(matrices, spectral), exponents)


def _scaled(found: Norms, exponents: Array) -> Norms:
    frobenius, spectral = found
    again = np.ldexp(np.asarray(frobenius, np.float64), exponents)
    return Norms(again, None if spectral is None else np.ldexp(np.asarray(spectral, np.float64), exponents))


def _of_diagonal(diagonal: Array, spectral: bool) -> Norms:
    """(B, H) diagonals of matrices that are 0 elsewhere."""
    frobenius = np.sqrt(np.sum(np.square(diagonal), axis=1))
    return Norms(frobenius, np.abs(diagonal).max(axis=1) if spectral else None)


def _stacked(found: list[Norms]) -> Norms:
    spectral = [one.spectral for one in found if one.spectral is not None]
    return Norms(np.stack([one.frobenius for one in found]), np.stack(spectral) if spectral else None)
