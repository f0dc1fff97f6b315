"""The reference engine: a cell through the reference loop, kept whole or recomputed piece by piece.

With `checkpoint_every=k` only every k-th state is kept: back-propagation runs the k steps behind each of them again.
k near sqrt(T) keeps memory at O(sqrt T) for one more forward pass (Chen et al. 2016, arXiv:1604.06174; Gruslys et al.
2016, arXiv:1606.03401).
"""

from collections.abc import Iterator
from typing import Any

import autograd.numpy as np
import numpy as onp

from minirnn import bundle, loop, padding, tree
from minirnn.module import Array, Module
from minirnn.resets import Anew

__all__ = ["pieces", "run"]


def run(
    cell: Any,
    state: Any,
    xs: Any,
    lengths: Array | None,
    reverse: bool,
    checkpoint_every: int | None,
    anew: Anew | None = None,
) -> tuple[Any, Any]:
    """(final state, outputs) of a Cell, or of a bare step function, over time; see loop.run.

    ValueError: checkpoint_every for a bare step, whose closure's arrays recomputation could not see.
    """
    if not isinstance(cell, Module):
        if checkpoint_every is not None:
            raise ValueError(
                "checkpoint_every came with a bare step function; recomputation cannot see the arrays in its closure. "
                "Make it a Cell, whose arrays are known"
            )
        return loop.run(cell, state, xs, lengths, reverse, anew=anew)
    steps = np.shape(tree.leaves(xs)[0])[0]
    if checkpoint_every is None or steps <= checkpoint_every:
        step = tree.map(loop.read_only, cell).step
        return loop.run(step, state, xs, lengths, reverse, anew=anew)
    outputs: list[Any] = []
    safe = None
    if lengths is not None and lengths.any():
        first = state if anew is None else anew.first(state, reverse)
        safe = padding.begin(first, tree.leaves(xs), lengths, reverse)
    for start, stop in pieces(steps, checkpoint_every, reverse):
        piece = tree.map(lambda column, a=start, b=stop: column[a:b], xs)
        inside = None if lengths is None else onp.clip(lengths - start, 0, stop - start)
        part = None if anew is None else anew.part(start, stop)
        state, output = _recomputed(cell, state, piece, inside, reverse, safe, part)
        outputs.append(output)
    in_order = outputs[::-1] if reverse else outputs
    return state, tree.map(lambda *parts: np.concatenate(parts), in_order[0], *in_order[1:])


def pieces(steps: int, every: int, reverse: bool = False) -> Iterator[tuple[int, int]]:
    """(start, stop) of runs of `every` steps in the order in which they are computed; the last may be shorter."""
    for start in range(0, steps, every):
        stop = min(start + every, steps)
        yield (steps - stop, steps - start) if reverse else (start, stop)


def _recomputed(
    cell: Any,
    state: Any,
    xs: Any,
    lengths: Array | None,
    reverse: bool,
    safe: Any,
    anew: Anew | None,
) -> tuple[Any, Any]:
    """A piece that keeps its inputs alone; whoever differentiates it runs it again."""
    arrays, rebuild = tree.flatten((cell, state, xs, safe, anew))
    nesting: list[Any] = []

    def twin(*leaves: Any) -> tuple[Any, ...]:
        cell, state, xs, safe, anew = rebuild(leaves)
        step = tree.map(loop.read_only, cell).step
        found, put_together = tree.flatten(loop.run(step, state, xs, lengths, reverse, safe, anew))
        nesting[:] = [put_together]
        return tuple(found)

    results = bundle.call(bundle.Rule(twin), arrays)
    result: tuple[Any, Any] = nesting[0](results)
    return result
