"""Zoneout: some units keep their old state at a step (Krueger et al. 2017, arXiv:1606.01305)."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from minirnn import tree
from minirnn.boxes import dtype_of, shape_of
from minirnn.checks import as_generator
from minirnn.layers.dropout import check_probability, warn_without_noise
from minirnn.layers.recurrent import Cell, State
from minirnn.module import Array

__all__ = ["Zoneout", "ZoneoutInput"]


class ZoneoutInput(NamedTuple):
    """x: what the cell within takes; masks: d, one array (B, ...) for each array of the state, None where p is 0."""

    x: Any
    masks: tuple[Any, ...]


class Zoneout(Cell):
    """Any cell, whose units each keep their old value at a step with probability p.

        s' = d * s + (1 - d) * s~        s~: what the cell within makes of the state s

    for each array s of the state: d is a fresh mask, 1 with probability p, where an rng is given, and p itself, which
    is d's expectation, where none is. All of the step within sees the old state alone: an LSTM's h~ is of c~, not of
    c', as in the paper. p: a number for all float arrays of the state, or one for each by name, {"h": 0.05, "c": 0.5},
    which is the paper's choice for an LSTM; those not named have 0. A state that is one array is called "h".

    The output follows: where the cell's output is an array of its state (an LSTM's and a GRU's h is), it is that array
    after zoneout; any other output is left as the cell made it.

        layer = Recurrent(Zoneout(LSTMCell(64, 128), {"h": 0.05, "c": 0.5}))

    TypeError: not a Cell. ValueError: p is no probability, or names an array that the state has not.
    """

    def __init__(self, cell: Cell, p: float | Mapping[str, float] = 0.1):
        if not isinstance(cell, Cell):
            raise TypeError(f"Zoneout: {type(cell).__name__} came, a Cell was expected; wrap the cell, not its layer")
        self.cell = cell
        self.input_size, self.hidden_size = cell.input_size, cell.hidden_size
        leaves = {path or "h": dtype_of(leaf).kind == "f" for path, leaf in tree.named_leaves(cell.initial_state(1))}
        given = p if isinstance(p, Mapping) else {name: p for name, is_float in leaves.items() if is_float}
        strangers = [name for name in given if not leaves.get(name, False)]
        if strangers:
            raise ValueError(
                f"Zoneout: p names {', '.join(map(str, strangers))}; the float arrays of the state are "
                f"{', '.join(name for name, is_float in leaves.items() if is_float)}"
            )
        self.p = {name: check_probability("Zoneout", given.get(name, 0.0)) for name in leaves}

    output_size = property(lambda self: self.cell.output_size)

    def initial_state(self, batch_size: int, dtype: DTypeLike | None = None) -> State:
        return self.cell.initial_state(batch_size, dtype)

    def inputs(self, xs: Array, *, rng: np.random.Generator | None = None, **more: Any) -> Any:
        """What the cell takes, with the masks (T, B, ...) beside it where an rng is given. more: the cell's own."""
        within = self.cell.inputs(xs, rng=rng, **more)
        if not any(self.p.values()):
            return within
        if rng is None:
            warn_without_noise(xs, *self._arrays())
            return within
        rng = as_generator(type(self).__name__, rng)
        steps, batch = shape_of(xs)[:2]
        leaves = tree.leaves(self.cell.initial_state(batch, dtype_of(xs)))
        return ZoneoutInput(
            within,
            tuple(
                (rng.random((steps, *leaf.shape), dtype=np.float32) < p).astype(leaf.dtype) if p else None
                for p, leaf in zip(self.p.values(), leaves, strict=True)
            ),
        )

    def counts_steps(self) -> bool:
        return self.cell.counts_steps()

    def step(self, state: State, x: Any) -> tuple[State, Any]:
        x, d = x if isinstance(x, ZoneoutInput) else (x, tuple(self.p.values()))
        new, output = self.cell.step(state, x)
        made, rebuild = tree.flatten(new)
        kept = [
            keep * old + (1 - keep) * new if p else new
            for p, keep, old, new in zip(self.p.values(), d, tree.leaves(state), made, strict=True)
        ]
        after = {id(new): zoned for new, zoned in zip(made, kept, strict=True)}
        return rebuild(kept), tree.map(lambda leaf: after.get(id(leaf), leaf), output)

    def extra_repr(self) -> str:
        return ", ".join([super().extra_repr(), *(f"{name}={p}" for name, p in self.p.items())])
