"""Kernel: one cell's maths over a block of steps. What the three cells share: the products around their time loops.

A pre-activation is z[t] = W_ih x[t] + b + W_hh h[t]. Its first part, for all steps of a block, is one large product
before the loop over time (`project`); `recur`, the loop, is each cell's own. Backward, `unwind` is each cell's own and
leaves dz, the cotangent of the pre-activations; then, again for all steps at once,

    dx = dz W_ih,   dW_ih = dz^T x,   dW_hh = dz^T h,   db = sum dz

Shapes: x (n*b, I), z and dz (n, b, width), h (n + 1, b, P): h[t] enters step t and h[t + 1] leaves it.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np

from minirnn.kernels.workspace import Workspace
from minirnn.module import Array

__all__ = ["Gradients", "Kernel", "Sizes", "Tape", "find", "register", "rows_of"]

FORWARD_NUMBERS, BACKWARD_NUMBERS = 1 << 20, 1 << 25  # pre-activations in a block

Tape = dict[str, Array]  # what a block keeps for its backward pass: name -> (n, b, width), states (n + 1, b, width)
Parameters = Mapping[str, Array]


class Sizes(NamedTuple):
    """input: I; hidden: H; shown: the width of h, H or P."""

    input: int
    hidden: int
    shown: int


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

    def sizes(self, parameters: Parameters) -> Sizes:
        rows, inputs = parameters["weight_ih"].shape
        return Sizes(inputs, rows // self.gates, parameters["weight_hh"].shape[1])

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

    # ------------------------------------------------------------------ forward
    def forward_weights(self, parameters: Parameters) -> Any:
        """What `forward` takes, made once a sequence."""
        raise NotImplementedError

    def forward(self, weights: Any, x: Array, tape: Tape, outside: Array | None, work: Workspace) -> None:
        """Fill a tape whose states hold their first step. outside: (n, b, 1), True where a sequence is over."""
        n, b = tape["h"].shape[0] - 1, tape["h"].shape[1]
        z = tape.get("z")
        if z is None:
            z = work.array("z", (n, b, weights.ih.shape[0]), x.dtype)
        self.project(weights, x, rows_of(z))
        self.recur(weights, z, tape, outside, work)

    def project(self, weights: Any, x: Array, z: Array) -> None:
        np.matmul(x, weights.ih.T, out=z)
        if weights.bias is not None:
            z += weights.bias

    def recur(self, weights: Any, z: Array, tape: Tape, outside: Array | None, work: Workspace) -> None:
        """Run the steps: fill the states and the rest of the tape from the projections z."""
        raise NotImplementedError

    # ------------------------------------------------------------------ backward
    def backward_weights(self, parameters: Parameters) -> Any:
        """What `backward` takes, made once a sequence."""
        return parameters

    def dz_width(self, tape: Tape) -> int:
        return self.gates * tape[self.states[-1]].shape[2]

    def dz_from_input(self, dz: Array) -> Array:
        """The columns of dz (n*b, width) that belong to W_ih x + b_ih, in the order of `input_order`."""
        return dz

    def dz_from_state(self, dz: Array) -> Array:
        """The columns of dz that belong to W_hh h + b_hh."""
        return dz

    def input_order(self, rows: Array, back: bool = False) -> Array:
        """The rows of weight_ih or bias_ih in the order of dz_from_input; `back`: from there to their own order."""
        return rows

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
    ) -> None:
        """One block backward: d_outputs (n, b, P) is zero where a sequence is over; d_state comes in as the cotangents
        of the block's last state and leaves as those of its first; d_x is written, gradients are added to."""
        n, b = d_outputs.shape[:2]
        dz = work.array("dz", (n, b, self.dz_width(tape)), x.dtype)
        self.unwind(weights, tape, d_outputs, d_state, dz, gradients, outside, work)
        rows = rows_of(dz)
        from_input, from_state = self.dz_from_input(rows), self.dz_from_state(rows)
        if d_x is not None:
            self.multiply(from_input, self.input_weight(weights), d_x)
        if "weight_ih" in gradients:
            self.add_product(gradients, "weight_ih", from_input, x, work, ordered=True)
        if "weight_hh" in gradients:
            self.add_product(gradients, "weight_hh", from_state, rows_of(tape["h"][:-1]), work)
        if "bias_ih" in gradients:
            self.add_sum(gradients, "bias_ih", from_input, work, ordered=True)
        if "bias_hh" in gradients:
            self.add_sum(gradients, "bias_hh", from_state, work)

    def unwind(
        self,
        weights: Any,
        tape: Tape,
        d_outputs: Array,
        d_state: dict[str, Array],
        dz: Array,
        gradients: Gradients,
        outside: Array | None,
        work: Workspace,
    ) -> None:
        """Run the steps backward: fill dz, and take d_state from the block's end to its start."""
        raise NotImplementedError

    def input_weight(self, weights: Any) -> Any:
        return self.input_order(weights["weight_ih"])

    def multiply(self, left: Array, right: Any, out: Array) -> None:
        np.matmul(left, right, out=out)

    def add_product(
        self, gradients: Gradients, name: str, left: Array, right: Array, work: Workspace, ordered: bool = False
    ) -> None:
        """gradients[name] += left^T right; `ordered`: its rows come in the order of dz_from_input."""
        total = gradients.arrays[name]
        if gradients.starts(name):
            np.matmul(left.T, right, out=total)
            if ordered:
                total[...] = self.input_order(total, back=True)
            return
        product = work.array("product", total.shape, total.dtype)
        np.matmul(left.T, right, out=product)
        total += self.input_order(product, back=True) if ordered else product

    def add_sum(self, gradients: Gradients, name: str, rows: Array, work: Workspace, ordered: bool = False) -> None:
        """gradients[name] += the sum of the rows, as a product with ones, which BLAS does best."""
        ones = work.array("ones", (1, rows.shape[0]), rows.dtype)
        ones.fill(1.0)
        total = np.matmul(ones, rows)[0]
        total = self.input_order(total, back=True) if ordered else total
        if gradients.starts(name):
            gradients.arrays[name][...] = total
        else:
            gradients.arrays[name] += total

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
