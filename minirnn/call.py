"""One call of scan, looked at once: what came, its arrays, and how they are nested."""

from collections.abc import Callable, Sequence
from typing import Any

from minirnn import tree
from minirnn.boxes import are_alive, check_alive, shape_of
from minirnn.checks import check_lengths, check_like, check_positive, nested_as
from minirnn.module import Array, Module
from minirnn.resets import Anew, begins, check_resets

__all__ = ["Call"]


class Call:
    """Checked arguments of `scan`.

    arrays: the cell's, a shared one as often as it is held. columns, states: the leaves of xs and state; rebuild_xs,
    rebuild_state: their nestings. steps, batch: T and B.
    lengths: (B,) integers or None; every: as checkpoint_every. resets: (T, B) flags or None; anew: before which
    steps the state becomes which other one, or None; fresh: that one's leaves, or none.
    """

    __slots__ = (
        "anew", "arrays", "batch", "cell", "columns", "every", "fresh", "lengths", "rebuild_state",
        "rebuild_xs", "resets", "reverse", "state", "states", "steps", "xs",
    )  # fmt: skip
    columns: Sequence[Any]
    states: Sequence[Any]
    fresh: Sequence[Any]
    rebuild_xs: Callable[[Sequence[Any]], Any]
    rebuild_state: Callable[[Sequence[Any]], Any]

    def __init__(
        self,
        cell: Any,
        state: Any,
        xs: Any,
        lengths: Any,
        reverse: bool,
        every: int | None,
        resets: Any = None,
        reset_state: Any = None,
    ):
        """ValueError, TypeError: what `scan` says of its arguments."""
        self.arrays: list[Any] = list(cell._arrays()) if isinstance(cell, Module) else []
        if not isinstance(cell, Module) and not callable(cell):
            raise TypeError(f"scan: {type(cell).__name__} came as cell, a Cell or a step function was expected")
        if type(state) in (tuple, list) and isinstance(cell, Module) and hasattr(cell, "initial_state"):
            state = nested_as(cell.initial_state(len(state[0]) if state else 1), state)
        if every is not None:
            (every,) = check_positive("scan", checkpoint_every=every)
        self.cell, self.state, self.xs, self.reverse, self.every = cell, state, xs, reverse, every
        self.columns, self.rebuild_xs = tree.flatten(xs)
        self.states, self.rebuild_state = tree.flatten(state)
        if not are_alive([*self.columns, *self.states, *self.arrays]):
            check_alive((state, xs), "scan")
            check_alive(cell, f"scan: {type(cell).__name__}")
        self.steps, self.batch = self._steps_and_batch()
        self.lengths: Array | None = None if lengths is None else check_lengths(lengths, self.steps, self.batch)
        self.resets: Array | None = None
        self.anew: Anew | None = None
        self.fresh = ()
        if resets is not None or reset_state is not None:
            self._take_resets(resets, reset_state)

    def _take_resets(self, resets: Any, reset_state: Any) -> None:
        if resets is None:
            raise ValueError("scan: reset_state came without resets, which say where the state becomes that one")
        self.resets = check_resets("scan: resets", resets, (self.steps, self.batch))
        if reset_state is not None:
            reset_state = nested_as(self.state, reset_state)
            check_alive(reset_state, "scan")
            check_like("scan: reset_state", self.state, reset_state)
        where = begins(self.resets, self.lengths, self.reverse)
        if where is not None:
            self.anew = Anew(where, self.state if reset_state is None else reset_state)
            self.fresh = tuple(tree.leaves(self.anew.state))

    def _steps_and_batch(self) -> tuple[int, int]:
        shapes = [shape_of(column) for column in self.columns]
        if not shapes:
            raise ValueError("scan: xs holds no array")
        first = shapes[0][:2]
        if len(first) < 2 or [shape for shape in shapes if shape[:2] != first]:
            named = {path: shape_of(leaf) for path, leaf in tree.named_leaves(self.xs, "xs")}
            raise ValueError(f"scan: xs has shapes {named}; arrays (T, B, ...) with one T and one B were expected")
        steps, batch = first
        if [leaf for leaf in self.states if shape_of(leaf)[:1] != (batch,)]:
            path, shape = next(
                (p, shape_of(a)) for p, a in tree.named_leaves(self.state, "state") if shape_of(a)[:1] != (batch,)
            )
            raise ValueError(
                f"scan: {path} has shape {shape}; xs has a batch of {batch}, so (B={batch}, ...) was expected"
            )
        return steps, batch
