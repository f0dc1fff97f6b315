"""Kernel: one cell's maths over a block of steps. What the three cells share: the products around their time loops.

A pre-activation is z[t] = W_ih x[t] + b + W_hh h[t]. Its first part, for all steps of a block, is one large product
before the loop over time (`project`); `recur`, the loop, is each cell's own. Backward, `unwind` is each cell's own and
leaves dz, the cotangent of the pre-activations; then, again for all steps at once,

    dx = dz W_ih,   dW_ih = dz^T x,   dW_hh = dz^T h,   db = sum dz

Shapes: x (n*b, I), z and dz (n, b, width), h (n + 1, b, P): h[t] enters step t and h[t + 1] leaves it.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np

from minirnn import threads
from minirnn.kernels.workspace import Workspace
from minirnn.module import Array

__all__ = ["Call", "Cotangents", "Gradients", "Kernel", "Sizes", "Tape", "find", "register", "rows_of"]

FORWARD_NUMBERS, BACKWARD_NUMBERS = 1 << 20, 1 << 25  # pre-activations in a block

Tape = dict[str, Array]  # what a block keeps for its backward pass: name -> (n, b, width), states (n + 1, b, width)
Parameters = Mapping[str, Array]
Call = Callable[[], object]


class Sizes(NamedTuple):
    """input: I; hidden: H; shown: the width of h, H or P."""

    input: int
    hidden: int
    shown: int


class BackwardWeights(NamedTuple):
    ih: Array
    hh: Array
    hr: Array | None


class Gradients:
    """The gradients asked for, as running sums; a name's first summand is written and not added."""

    def __init__(self, wanted: set[str], parameters: Parameters):
        self.arrays = {name: np.empty(p.shape, p.dtype) for name, p in parameters.items() if name in wanted}
        self._started: set[str] = set()

    def __contains__(self, name: object) -> bool:
        return name in self.arrays

    def starts(self, name: str) -> bool:
        """Whether nothing has been written under the name yet; from now on something has."""
        first = name not in self._started
        self._started.add(name)
        return first

    def add(self, other: "Gradients") -> None:
        for name, total in self.arrays.items():
            total += other.arrays[name]


class Cotangents(NamedTuple):
    """What the steps of a block are run backward with: d_outputs (n, b, P); d_state, changed in place; dz, to be
    filled, (n, b, width); and the gradients, for a weight that is used within the loop."""

    outputs: Array
    state: dict[str, Array]
    dz: Array
    gradients: Gradients


def rows_of(array: Array) -> Array:
    """(n, b, width) as (n*b, width)."""
    return array.reshape(array.shape[0] * array.shape[1], array.shape[2])


class Kernel:
    """Base class. The cells' files say what `recur`, `unwind` and `move` compute; all of it in place."""

    name: ClassVar[str]
    gates: ClassVar[int]
    parameters: ClassVar[tuple[str, ...]] = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    states: ClassVar[tuple[str, ...]] = ("h",)
    state_paths: ClassVar[tuple[str, ...]] = ("",)  # of the leaves of the cell's state

    def sizes(self, weight_ih: tuple[int, ...], weight_hh: tuple[int, ...]) -> Sizes:
        """From the shapes of the two weights."""
        return Sizes(weight_ih[1], weight_ih[0] // self.gates, weight_hh[1])

    def shapes(self, sizes: Sizes) -> dict[str, tuple[int, ...]]:
        """The shape that each parameter must have."""
        rows = self.gates * sizes.hidden
        return {
            "weight_ih": (rows, sizes.input),
            "weight_hh": (rows, sizes.shown),
            "bias_ih": (rows,),
            "bias_hh": (rows,),
        }

    def tape_widths(self, sizes: Sizes) -> dict[str, int]:
        """What a block keeps: name -> width. A state's array holds one step more than the others."""
        return {"h": sizes.hidden}

    def state_widths(self, sizes: Sizes) -> dict[str, int]:
        return {"h": sizes.shown}

    # ------------------------------------------------------------------ blocks and shares
    def block_steps(self, batch: int, sizes: Sizes, backward: bool) -> int:
        """How many steps make a block. Forward, what fits into the cache; backward, what one large product likes."""
        at_once = BACKWARD_NUMBERS if backward else FORWARD_NUMBERS
        return max(1, at_once // (batch * self.gates * sizes.hidden))

    def shares(self, steps: int, batch: int, sizes: Sizes) -> list[tuple[int, int]]:
        """The rows of the batch that are run by one thread each; here all, as BLAS has threads of its own."""
        return [(0, batch)]

    def blas_in_the_loop(self, batch: int, width: int, shown: int) -> AbstractContextManager[None]:
        """BLAS keeps to one thread where a step's product is small: its threads would meet at every step."""
        return threads.single_threaded_blas if 2.0 * batch * width * shown < threads.SHARE else nullcontext()

    # ------------------------------------------------------------------ forward
    def forward_weights(self, parameters: Parameters) -> Any:
        """What `forward` takes, made once a sequence."""
        raise NotImplementedError

    def forward(self, weights: Any, x: Array, tape: Tape, outside: Array | None, work: Workspace) -> list[Call]:
        """The calls that fill a tape whose states hold their first step, one after the other and in any thread.

        outside: (n, b, 1), True where a sequence is over.
        """
        return [partial(self._forward, weights, x, tape, outside, work)]

    def _forward(self, weights: Any, x: Array, tape: Tape, outside: Array | None, work: Workspace) -> None:
        n, b = tape["h"].shape[0] - 1, tape["h"].shape[1]
        z = tape.get("z")
        if z is None:
            z = work.array("z", (n, b, weights.ih.shape[0]), x.dtype)
        self.project(weights, x, rows_of(z))
        with self.blas_in_the_loop(b, z.shape[2], tape["h"].shape[2]):
            self.recur(weights, z, tape, outside, work)

    def project(self, weights: Any, x: Array, z: Array) -> None:
        np.matmul(x, weights.ih.T, out=z)
        if weights.bias is not None:
            z += weights.bias

    def recur(self, weights: Any, z: Array, tape: Tape, outside: Array | None, work: Workspace) -> None:
        """Run the steps: fill the states and the rest of the tape from the projections z."""
        raise NotImplementedError

    # ------------------------------------------------------------------ backward
    def backward_weights(self, parameters: Parameters, wanted: set[str]) -> Any:
        """What `backward` takes, made once a sequence."""
        return BackwardWeights(
            self.in_dz_order(parameters["weight_ih"]), parameters["weight_hh"], parameters.get("weight_hr")
        )

    def dz_width(self, tape: Tape) -> int:
        return self.gates * tape[self.states[-1]].shape[2]

    def input_columns(self, width: int) -> list[tuple[int, int, int]]:
        """(start, stop, row): columns of dz that belong to W_ih x + b_ih, side by side, and the rows of W_ih that they
        are the cotangents of, from `row` on."""
        return [(0, width, 0)]

    def state_columns(self, width: int) -> tuple[int, int]:
        """The columns of dz that belong to W_hh h + b_hh."""
        return 0, width

    def in_dz_order(self, weight_ih: Array) -> Array:
        """The rows of weight_ih in the order of their columns in dz."""
        return weight_ih

    def backward(
        self,
        weights: Any,
        x: Array,
        tape: Tape,
        d_outputs: Array,
        d_state: dict[str, Array],
        d_x: Array | None,
        gradients: Gradients,
        outside: Array | None,
        work: Workspace,
    ) -> list[Call]:
        """The calls of one block backward, likewise.

        d_outputs: (n, b, P), zero where a sequence is over; d_state comes in as the cotangents of the block's last
        state and leaves as those of its first; d_x is written, gradients are added to.
        """
        n, b = d_outputs.shape[:2]
        dz = work.array("dz", (n, b, self.dz_width(tape)), x.dtype)
        calls = self.unwinding(weights, tape, Cotangents(d_outputs, d_state, dz, gradients), outside, work)
        if d_x is not None:
            calls.append(self.input_gradient(weights, rows_of(dz), d_x))
        calls.append(self.weight_gradients(rows_of(dz), x, rows_of(tape["h"][:-1]), gradients, work))
        return calls

    def unwinding(
        self, weights: Any, tape: Tape, moving: Cotangents, outside: Array | None, work: Workspace
    ) -> list[Call]:
        """The calls that run the steps backward: fill dz, and take the state's cotangents from the block's end to its
        start."""

        def unwind() -> None:
            with self.blas_in_the_loop(len(moving.dz[0]), moving.dz.shape[2], moving.outputs.shape[2]):
                self.unwind(weights, tape, moving, outside, work)

        return [unwind]

    def input_gradient(self, weights: Any, dz: Array, d_x: Array) -> Call:
        """The call that writes d_x."""
        columns = self.input_columns(dz.shape[1])
        return partial(np.matmul, dz[:, columns[0][0] : columns[-1][1]], weights.ih, out=d_x)

    def weight_gradients(self, dz: Array, x: Array, h: Array, gradients: Gradients, work: Workspace) -> Call:
        """The call that adds dz^T x, dz^T h and the sums of dz to the gradients that are asked for."""
        return partial(self._add_weight_gradients, dz, x, h, gradients, work)

    def _add_weight_gradients(self, dz: Array, x: Array, h: Array, gradients: Gradients, work: Workspace) -> None:
        ones = work.array("ones", (len(x), 1), x.dtype)
        ones.fill(1.0)
        first, last = self.state_columns(dz.shape[1])
        for name, right in (("weight_ih", x), ("bias_ih", ones)):
            if name in gradients:
                starts = gradients.starts(name)
                for start, stop, row in self.input_columns(dz.shape[1]):
                    part = gradients.arrays[name][row : row + stop - start]
                    self.add_product(part, starts, dz[:, start:stop], right, work)
        for name, right in (("weight_hh", h), ("bias_hh", ones)):
            if name in gradients:
                self.add_product(gradients.arrays[name], gradients.starts(name), dz[:, first:last], right, work)

    def add_product(self, total: Array, starts: bool, left: Array, right: Array, work: Workspace) -> None:
        """total += left^T right, or without what it held where it `starts`."""
        total = total if total.ndim == 2 else total[:, None]
        if starts:
            np.matmul(left.T, right, out=total)
        else:
            product = work.array("product", total.shape, total.dtype)
            np.matmul(left.T, right, out=product)
            total += product

    def unwind(self, weights: Any, tape: Tape, moving: Cotangents, outside: Array | None, work: Workspace) -> None:
        """What `unwinding` calls, in NumPy."""
        raise NotImplementedError

    # ------------------------------------------------------------------ tangent
    def tangent(
        self,
        parameters: Parameters,
        x: Array,
        tape: Tape,
        moved: Mapping[str, Array],
        t_x: Array | None,
        t_state: dict[str, Array],
        outside: Array | None,
    ) -> Array:
        """The outputs' tangents (n, b, P) of a block whose tape is full. moved: tangents of some parameters; t_state
        comes in as the tangents of the first state and leaves as those of the last."""
        n, b = tape["h"].shape[0] - 1, tape["h"].shape[1]
        from_x = _moved_product(x, t_x, parameters, moved, "weight_ih", "bias_ih").reshape(n, b, -1)
        from_h = _moved_product(rows_of(tape["h"][:-1]), None, parameters, moved, "weight_hh", "bias_hh")
        return self.move(parameters, tape, moved, from_x, from_h.reshape(n, b, -1), t_state, outside)

    def move(
        self,
        parameters: Parameters,
        tape: Tape,
        moved: Mapping[str, Array],
        from_x: Array,
        from_h: Array,
        t_state: dict[str, Array],
        outside: Array | None,
    ) -> Array:
        """The loop of `tangent`; from_x and from_h sum to the pre-activations' tangents less W_hh times h's tangent."""
        raise NotImplementedError


def _moved_product(
    left: Array, t_left: Array | None, parameters: Parameters, moved: Mapping[str, Array], weight: str, bias: str
) -> Array:
    """The tangent of left W^T + b."""
    total = np.zeros((left.shape[0], parameters[weight].shape[0]), left.dtype)
    if t_left is not None:
        total += t_left @ parameters[weight].T
    if weight in moved:
        total += left @ moved[weight].T
    if bias in moved:
        total += moved[bias]
    return total


_kernels: dict[str, Kernel] = {}


def register(kernel: Kernel) -> None:
    """Make a kernel known under its name, which is what a cell's `fused` says."""
    _kernels[kernel.name] = kernel


def find(name: str) -> Kernel | None:
    """The NumPy kernel of this name."""
    return _kernels.get(name)
