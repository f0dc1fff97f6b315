"""The engine: which calls of `scan` a kernel can run, and how such a call stands among differentiable functions."""

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import numpy as np

from minirnn import bundle, reference, tree
from minirnn.boxes import shape_of, unboxed
from minirnn.kernels import gru, lstm, rnn, sequence, tier  # noqa: F401  (the first three register their kernels)
from minirnn.kernels.kernel import Kernel, find
from minirnn.module import Array, Module

__all__ = ["Fused", "refusal", "run"]

DTYPES = (np.dtype(np.float32), np.dtype(np.float64))


# ---------------------------------------------------------------- what can be run
def refusal(cell: Any, state: Any, xs: Any) -> str | None:
    """Why no kernel can run this call, or None."""
    if not isinstance(cell, Module):
        return "a bare step came, whose closure's arrays a kernel cannot see; make it a Cell that names a kernel"
    name = getattr(cell, "fused", None)
    kernel = find(name) if isinstance(name, str) else None
    if kernel is None:
        return f"it names no kernel (fused={name!r}); RNN, LSTM and GRU cells do"
    cell_type: Any = type(cell)
    if "step" in cell.__dict__ or getattr(cell_type, "step", None) is not _kernels_step(cell_type):
        return "it overrides `step`, and the kernel computes the original"
    xs, held = unboxed(xs), cell.__dict__
    if not isinstance(xs, np.ndarray):
        return "xs is not one (T, B, I) array"
    named = list(tree.named_leaves(state))
    if tuple([path for path, _ in named]) != kernel.state_paths:
        return f"the state has leaves {[path for path, _ in named]}, {list(kernel.state_paths)} were expected"
    computed = [name for name in kernel.parameters if name not in held and hasattr(cell, name)]
    if computed:
        return f"its {computed[0]} is computed, not an array of its own"
    arrays = {"xs": xs} | {f"state {name}": unboxed(leaf) for name, (_, leaf) in zip(kernel.states, named, strict=True)}
    arrays |= {name: unboxed(held[name]) for name in kernel.parameters if held.get(name) is not None}
    return _misfit(kernel, tuple([(name, np.shape(a), getattr(a, "dtype", None)) for name, a in arrays.items()]))


@cache
def _kernels_step(cell_type: Any) -> Any:
    """The `step` of the class that named the kernel, as it was when it was first asked for."""
    owner = next(cls for cls in cell_type.__mro__ if "fused" in cls.__dict__)
    return getattr(owner, "step", None)


@lru_cache(maxsize=256)
def _misfit(kernel: Kernel, arrays: tuple[tuple[str, tuple[int, ...], Any], ...]) -> str | None:
    """What about these arrays (name, shape, dtype) the kernel does not take, or None."""
    shapes = {name: shape for name, shape, _ in arrays}
    missing = [name for name in ("weight_ih", "weight_hh") if name not in shapes]
    if missing or ("bias_ih" in shapes) != ("bias_hh" in shapes):
        return f"it has {', '.join(shapes)}; weight_ih, weight_hh, and both biases or none were expected"
    dtypes = {dtype for _, _, dtype in arrays}
    if dtypes not in ({DTYPES[0]}, {DTYPES[1]}):
        return f"its arrays are {', '.join(sorted(map(str, dtypes)))}; float32 or float64, one for all, was expected"
    if len(shapes["xs"]) != 3 or len(shapes["weight_ih"]) != 2 or len(shapes["weight_hh"]) != 2:
        return f"xs, weight_ih and weight_hh have shapes {[shapes[n] for n in ('xs', 'weight_ih', 'weight_hh')]}"
    sizes = kernel.sizes(shapes["weight_ih"], shapes["weight_hh"])
    batch, widths = shapes["xs"][1], kernel.state_widths(sizes)
    expected = {**kernel.shapes(sizes), "xs": (*shapes["xs"][:2], sizes.input)}
    expected |= {f"state {name}": (batch, widths[name]) for name in kernel.states}
    wrong = [name for name, shape in shapes.items() if shape != expected[name]]
    if wrong:
        return f"{wrong[0]} has shape {shapes[wrong[0]]}, {expected[wrong[0]]} was expected"
    return None


# ---------------------------------------------------------------- running it
def run(
    cell: Any, state: Any, xs: Any, lengths: Array | None, reverse: bool, checkpoint_every: int | None
) -> tuple[Any, Any]:
    """(final state, outputs), as reference.run; a sequence without steps or rows is the reference's."""
    if 0 in shape_of(xs)[:2]:
        return reference.run(cell, state, xs, lengths, reverse, checkpoint_every)
    states, rebuild = tree.flatten(state)
    kernel: Any = find(cell.fused)
    names = [name for name in kernel.parameters if getattr(cell, name) is not None]

    def twin(xs: Any, *others: Any) -> tuple[Any, ...]:
        arrays = dict(zip(names, others[len(states) :], strict=True))
        bound = cell._with(cell._plan(), {})
        bound.__dict__.update(arrays)
        begin = rebuild(others[: len(states)])
        final, outputs = reference.run(bound, begin, xs, lengths, reverse, checkpoint_every)
        return outputs, *tree.leaves(final)

    rule = Fused(twin, kernel, names, lengths, reverse, checkpoint_every)
    outputs, *final = bundle.call(rule, [xs, *states, *[getattr(cell, name) for name in names]])
    return rebuild(final), outputs


class Fused(bundle.Rule):
    """arrays: xs, the states, the parameters. Results: the outputs, the final states."""

    def __init__(
        self,
        twin: Any,
        kernel: Kernel,
        parameters: Sequence[str],
        lengths: Array | None,
        reverse: bool,
        every: int | None,
    ):
        super().__init__(twin)
        self.kernel, self.lengths, self.reverse, self.every = kernel, lengths, reverse, every
        self.parameters, self.names = parameters, ["xs", *kernel.states, *parameters]

    def _in_order(self, array: Array) -> Array:
        return array[::-1] if self.reverse else array

    def _problem(self, kernel: Kernel, arrays: Sequence[Array]) -> sequence.Problem:
        named = dict(zip(self.names, arrays, strict=True))
        parameters = {name: named[name] for name in self.parameters}
        xs, outside = self._in_order(named["xs"]), None
        if self.lengths is not None and self.lengths.min() < len(xs):
            outside = self._in_order((np.arange(len(xs))[:, None] >= self.lengths)[:, :, None])
        every = self.every if self.every is not None and self.every < len(xs) else None
        return sequence.Problem(
            kernel,
            kernel.sizes(parameters["weight_ih"].shape, parameters["weight_hh"].shape),
            parameters,
            xs,
            outside,
            every,
        )

    def _states(self, arrays: Sequence[Array]) -> dict[str, Array]:
        return dict(zip(self.kernel.states, arrays[1:], strict=False))

    def forward(self, arrays: Sequence[Array], keep: bool) -> tuple[tuple[Array, ...], Any]:
        kernel = tier.fastest(self.kernel)
        problem, states = self._problem(kernel, arrays), self._states(arrays)
        outputs = np.empty((*arrays[0].shape[:2], problem.sizes.shown), arrays[0].dtype)
        final = {name: np.empty(array.shape, array.dtype) for name, array in states.items()}
        cache = sequence.forward(problem, states, self._in_order(outputs), final, keep)
        return (outputs, *final.values()), (problem, cache) if keep else None

    def backward(
        self, arrays: Sequence[Array], cache: Any, cotangents: Sequence[Any], wanted: Sequence[int]
    ) -> list[Array]:
        problem, kept = cache
        d_outputs, *d_final = cotangents
        if d_outputs is not None:
            d_outputs = self._in_order(d_outputs)
        names = [self.names[i] for i in wanted]
        found = sequence.backward(
            problem, kept, d_outputs, dict(zip(self.kernel.states, d_final, strict=True)), set(names)
        )
        if "xs" in found:
            found["xs"] = self._in_order(found["xs"])
        return [found[name] for name in names]

    def tangent(self, arrays: Sequence[Array], results: Sequence[Array], tangents: dict[int, Any]) -> list[Array]:
        moved = {self.names[i]: np.asarray(t) for i, t in tangents.items()}
        t_xs, t_state = moved.pop("xs", None), {name: moved.pop(name, None) for name in self.kernel.states}
        t_xs = None if t_xs is None else self._in_order(t_xs)
        problem = self._problem(self.kernel, arrays)
        t_outputs, t_final = sequence.tangent(problem, self._states(arrays), t_xs, t_state, moved)
        return [self._in_order(t_outputs), *t_final.values()]
