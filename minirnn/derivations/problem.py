"""A cell with a random objective: its reference gradient, and how another derivation's result is judged by it."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from minirnn import tree
from minirnn.engines import scan
from minirnn.layers import Cell
from minirnn.module import Array
from minirnn.transform import UnreachedWarning, vjp

__all__ = ["Finding", "NotApplicable", "Problem"]

Arrays = dict[str, Array]
BOUND = 1e-10  # for derivations that are exact up to rounding
DIRECTIONS = 3  # random directions in each array, where not every coordinate is taken


class NotApplicable(Exception):
    """This derivation has nothing to say about this cell; the message says why."""


class Finding(NamedTuple):
    """One derivation against the reference. error: the worst relative error, in the array `worst`; verdict: PASS where
    it is within bound, FAIL where not, and n/a, with a reason and no numbers, where the derivation does not apply."""

    verdict: str
    error: float | None = None
    bound: float | None = None
    worst: str | None = None
    reason: str = ""


class Problem:
    """A cell, and a random objective of it. arrays: what is differentiated, by name: the parameters, "input" (T, B, I)
    and "initial state", or "initial state h" where the state has several. cotangents: of (outputs, final state)."""

    def __init__(self, cell: Cell, seed: int, steps: int, batch: int):
        rng = np.random.default_rng(seed)
        features = cell.input_size if isinstance(cell.input_size, tuple) else (cell.input_size,)
        self.cell, self.seed = cell, seed
        self.lengths = rng.integers(1, steps + 1, batch)
        self.lengths[:2] = [steps, steps // 2][:batch]
        state = dict(tree.named_leaves(cell.initial_state(batch)))
        self.rebuild_state = tree.flatten(cell.initial_state(batch))[1]
        for path, leaf in state.items():
            if np.result_type(leaf).kind != "f":
                raise TypeError(
                    f"{type(cell).__name__}: the state {path} is {np.result_type(leaf)}, a float array was expected; "
                    "counters and masks belong into what `inputs` makes"
                )
        self.parameter_names = list(cell.parameters())
        self.state_names = [f"initial state {path}".rstrip() for path in state]
        moved = [leaf + 0.5 * rng.standard_normal(leaf.shape) for leaf in state.values()]
        self.arrays: Arrays = {
            **cell.parameters(),
            "input": rng.standard_normal((steps, batch, *features)),
            **dict(zip(self.state_names, moved, strict=True)),
        }
        uneven = lambda leaf: rng.standard_normal(leaf.shape) * np.exp(rng.standard_normal(leaf.shape))
        self.cotangents = tree.map(uneven, self.run(self.arrays))

    def take_apart(self, arrays: Mapping[str, Any]) -> tuple[Cell, Any, Any]:
        """(cell, initial state, what its steps take) of such arrays. Noise is the same every time."""
        cell = self.cell.bind({name: arrays[name] for name in self.parameter_names})
        state = self.rebuild_state([arrays[name] for name in self.state_names])
        return cell, state, cell.inputs(arrays["input"], rng=np.random.default_rng(self.seed))

    def run(self, arrays: Mapping[str, Any], engine: str = "python") -> tuple[Any, Any]:
        """(outputs, final state)."""
        cell, state, xs = self.take_apart(arrays)
        final, outputs = scan(cell, state, xs, lengths=self.lengths, engine=engine)
        return outputs, final

    def value(self, arrays: Arrays) -> Any:
        """The objective, a scalar."""
        pairs = zip(tree.leaves(self.run(arrays)), tree.leaves(self.cotangents), strict=True)
        return sum(np.sum(value * cotangent) for value, cotangent in pairs)

    def gradient(self, arrays: Arrays, engine: str = "python") -> Arrays:
        """Its gradient by reverse mode."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnreachedWarning)  # Comparison.zero names such arrays
            found: Arrays = vjp(lambda arrays: self.run(arrays, engine), arrays)[1](self.cotangents)[0]
        return found

    @cached_property
    def reference(self) -> Arrays:
        """The gradient that every derivation is held against."""
        return self.gradient(self.arrays)

    @cached_property
    def scales(self) -> dict[str, float]:
        """What an error in each array is relative to: its largest gradient entry, and no less than a thousandth of the
        largest of all, below which a difference may be the rounding of others."""
        sizes = {name: float(np.max(np.abs(g), initial=0.0)) for name, g in self.reference.items()}
        largest = max(sizes.values(), default=0.0)
        return {name: max(size, 1e-3 * largest) or 1.0 for name, size in sizes.items()}

    def judge(self, found: Mapping[str, Array]) -> Finding:
        """Whether these gradients are the reference's. Names that the reference lacks (frozen ones) are passed over."""
        return _judge(
            (name, float(np.max(np.abs(g - self.reference[name]), initial=0.0)) / self.scales[name])
            for name, g in found.items()
            if name in self.reference
        )

    def judge_along_directions(self, derivative: Callable[[Arrays], float]) -> Finding:
        """Whether derivative(v), the objective's along v, is <gradient, v>, for random v in one array at a time.

        A wrong coordinate is missed with probability zero, as long as its error is above the bound.
        """
        rng = np.random.default_rng(self.seed + 1)
        zeros = {name: np.zeros_like(array) for name, array in self.arrays.items()}

        def errors() -> Iterator[tuple[str, float]]:
            for name, g in self.reference.items():
                for _ in range(DIRECTIONS):
                    v = rng.standard_normal(g.shape)
                    off = abs(derivative({**zeros, name: v}) - float(np.sum(g * v)))
                    yield name, off / max(float(np.sum(np.abs(g * v))), self.scales[name])

        return _judge(errors())


def _judge(errors: Iterable[tuple[str, float]]) -> Finding:
    worst, error = max(errors, key=lambda pair: np.nan_to_num(pair[1], nan=np.inf))
    return Finding("PASS" if error <= BOUND else "FAIL", error, BOUND, worst)
