"""The recurrent map: what one step does to a small change of the state, with everything else at rest.

For a simple RNN this is the notes' W_rec, and beside it stands W_in:

    h_t = W_rec h_{t-1} + W_in x_t     =>     dh_t / dx_{t-k} = W_rec^k W_in

Its size goes like the k-th power of the spectral radius of W_rec, the largest |eigenvalue|: it vanishes where that is
below 1 and may explode where it is above (Bengio, Simard & Frasconi 1994, doi:10.1109/72.279181; Pascanu, Mikolov &
Bengio 2013, arXiv:1211.5063).
"""

from typing import Any, NamedTuple

import numpy as np

from minirnn import threads, tree
from minirnn.analysis.unrolled import cell_of, leaf_names, pulled_back
from minirnn.layers import RNNCell
from minirnn.module import Array, Module

__all__ = ["Norms", "RecurrentMap", "norms", "recurrent_map"]


SEVERAL = 10_000  # numbers, from which on a second thread is worth starting


class Norms(NamedTuple):
    """The size of Jacobians: frobenius, the root of the sum of squares, and spectral, the largest singular value,
    which is None where it was not asked for."""

    frobenius: Array
    spectral: Array | None


def norms(matrices: Array, spectral: bool = True) -> Norms:
    """Both norms of (..., m, n) matrices, each (...)."""
    frobenius = np.sqrt(np.sum(np.square(matrices), axis=(-2, -1)))
    return Norms(frobenius, _largest_singular_values(matrices) if spectral else None)


def _largest_singular_values(matrices: Array) -> Array:
    """(..., m, n) -> (...). The matrices are small: BLAS's own threads would take thirty times as long."""
    flat = matrices.reshape(-1, *matrices.shape[-2:])
    count = min(threads.get_num_threads(), len(flat)) if flat.size > SEVERAL else 1
    with threads.single_threaded_blas:
        found = threads.each(lambda part: np.linalg.svd(part, compute_uv=False)[:, 0], np.array_split(flat, count))
    return np.concatenate(found).reshape(matrices.shape[:-2])


class RecurrentMap(NamedTuple):
    """recurrent: (S, S), of S numbers of state; inward: (S, I); rows: the state's arrays -> their rows of both.

    at_rest: whether they are the Jacobian at rest, and not the weights of a simple RNN."""

    recurrent: Array
    inward: Array
    rows: dict[str, slice]
    at_rest: bool = True

    @property
    def spectral_radius(self) -> float:
        """The largest |eigenvalue|: by what a small change of the state is multiplied, step for step, in the end."""
        return float(np.max(np.abs(np.linalg.eigvals(self.recurrent))))

    @property
    def singular_values(self) -> Array:
        """(S,), the largest first: by how much one step stretches, at most and at least."""
        return np.linalg.svd(self.recurrent, compute_uv=False)

    def predicted(self, lags: int, spectral: bool = True) -> dict[str, Norms]:
        """The norms of recurrent^k inward for k = 0 .. lags - 1, (lags,) each, for each array of the state."""
        found: dict[str, list[Norms]] = {name: [] for name in self.rows}
        power = self.inward
        for _ in range(lags):
            for name, rows in self.rows.items():
                found[name].append(norms(power[rows], spectral))
            power = self.recurrent @ power
        return {name: _column(each) for name, each in found.items()}


def _column(each: list[Norms]) -> Norms:
    spectral = [one.spectral for one in each]
    known = None if not each or spectral[0] is None else np.array(spectral)
    return Norms(np.array([one.frobenius for one in each]), known)


def recurrent_map(layer: Module) -> RecurrentMap:
    """W_rec and W_in of a simple RNN; of any other cell, the Jacobian of its step at rest (state 0, input 0), float64.

    A tanh RNN without biases is both: tanh'(0) = 1. ValueError, TypeError: a layer of several cells, or none.
    """
    cell = cell_of("recurrent_map", layer)
    if isinstance(cell, RNNCell):
        recurrent = np.asarray(cell.weight_hh, np.float64)
        inward = np.asarray(cell.weight_ih, np.float64)
        return RecurrentMap(recurrent, inward, {"h": slice(0, len(recurrent))}, at_rest=False)
    cell = cell.astype(np.float64)
    size: Any = cell.input_size
    state = cell.initial_state(1)
    columns = cell.inputs(np.zeros((1, 1, *(size if isinstance(size, tuple) else (size,)))))
    x = tree.map(lambda column: column[0], columns)
    rows, places = identity_rows(state)
    of_state, of_input = pulled_back(cell, state, x, rows)
    return RecurrentMap(_side_by_side(of_state)[:, 0], _side_by_side(of_input)[:, 0], places)


def identity_rows(state: Any) -> tuple[list[Array], dict[str, slice]]:
    """The identity as cotangents of the state's float leaves: (R, B, ...) each, and which rows belong to which."""
    leaves = [leaf for leaf in tree.leaves(state) if np.asarray(leaf).dtype.kind == "f"]
    sizes = [int(np.prod(np.shape(leaf)[1:])) for leaf in leaves]
    total, rows, places, start = sum(sizes), [], {}, 0
    for name, leaf, size in zip(leaf_names(state), leaves, sizes, strict=True):
        block = np.zeros((total, np.shape(leaf)[0], size), leaf.dtype)
        block[np.arange(start, start + size), :, np.arange(size)] = 1
        rows.append(block.reshape(total, *np.shape(leaf)))
        places[name] = slice(start, start + size)
        start += size
    return rows, places


def _side_by_side(blocks: list[Array]) -> Array:
    """(R, B, ...) each -> (R, B, all of their numbers)."""
    return np.concatenate([block.reshape(*block.shape[:2], -1) for block in blocks], axis=-1)
