"""The function and its backward as the checker calls them: on copies, watched, in one flat vector of outputs.

Two precisions. *Native* is the caller's own: there shapes, dtypes, mutation and repeatability are checked. *Judged* is
float64 wherever f accepts it, because single precision hides small errors; a function or a backward that insists on
float32 is judged in float32, with bounds to match.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from minirnn.gradcheck.arguments import Arguments
from minirnn.gradcheck.nesting import Misfit, Node, described, take_apart
from minirnn.gradcheck.progress import Progress

__all__ = ["Fault", "Problem", "Undefined"]

Array = NDArray[Any]
# What f may not raise at a varied point: a slip of the pen, and no word about its domain.
BUGS = (TypeError, NameError, AttributeError, ImportError, SyntaxError, MemoryError)


class Undefined(Exception):
    """f or its backward raises an error at a varied point: it is not defined there."""


class Fault(Exception):
    """What is wrong before any number is compared. kind: as `Report.kind`; argument: whose gradient, or ''."""

    def __init__(self, kind: str, argument: str, text: str, index: tuple[int, ...] | None = None):
        self.kind, self.argument, self.text, self.index = kind, argument, text, index


def _held(value: Any, name: str) -> dict[str, bytes]:
    """The bytes of every array in a value, by its name."""
    leaves = take_apart(value, name).leaves
    return {leaf.name: leaf.value.tobytes() for leaf in leaves if isinstance(leaf.value, np.ndarray)}


class Problem:
    """f, its backward and its arguments. `values` are always the varied leaves of the arguments, in their native dtypes
    unless `double`; outputs and gradients leave as float64."""

    def __init__(self, f: Callable[..., Any], arguments: Arguments, vjp: Callable[..., Any]):
        self.f, self.vjp, self.args = f, vjp, arguments
        self.names, self.values = arguments.names, arguments.values
        self.dtypes = [v.dtype for v in self.values]
        self.double = False  # f is judged in float64 though some argument is not
        self.double_vjp = False
        self.calls = 0
        self.progress = Progress()
        self.template = Node("", None, None, [], lambda parts: None)  # of f's latest output
        self.outputs: list[Array] = []  # at the given point, in judged precision; their shapes and dtypes matter
        self.native_outputs: list[Array] = []
        self.vjp_eps = float(np.finfo(np.float64).eps)  # of the latest gradient

    # ------------------------------------------------------------------ calling f
    def call(self, args: Sequence[Any]) -> list[Array]:
        """f's outputs as a list of arrays (copies). TypeError: f returns something else than float arrays."""
        self.calls += 1
        self.progress.tick(self.calls)
        out = self.f(*args)
        self.template = take_apart(out, "")
        if not self.template.leaves:
            raise TypeError("gradcheck: f returned an empty tuple; a float array, or a tuple of them, was expected")
        return [self._output(k, leaf) for k, leaf in enumerate(self.template.leaves)]

    def _output(self, k: int, leaf: Node) -> Array:
        array = np.array(leaf.value)
        if array.dtype.kind in "iu" and self.outputs:
            return array.astype(np.float64)  # a branch that returns 0; at the given point f returned floats
        if array.dtype.kind == "f":
            return array
        what = described(leaf.value) if array.dtype == object else f"{array.dtype}"
        raise TypeError(
            f"gradcheck: f returned {what} as {self.output_name(k)}; a float array, or a tuple of them, was expected"
        )

    def output_name(self, k: int) -> str:
        """`its output`, `output 1`, `output loss`."""
        name = self.template.leaves[k].name
        return (
            f"output {name[1:-1] if name.startswith('[') and name.count('[') == 1 else name}" if name else "its output"
        )

    def watched_call(self, values: Sequence[Array], double: bool = False) -> list[Array]:
        """As `call`, and a Fault if f writes into an argument."""
        args = self.args.made(values, double)
        before = self._bytes(args)
        outputs = self.call(args)
        self._unchanged("f", args, before)
        return outputs

    def _bytes(self, args: Sequence[Any]) -> dict[str, bytes]:
        return {k: v for node, a in zip(self.args.nodes, args, strict=True) for k, v in _held(a, node.name).items()}

    def _unchanged(self, who: str, args: Sequence[Any], before: dict[str, bytes]) -> None:
        now = self._bytes(args)
        for name in before | now:
            if now.get(name) != before.get(name):
                raise Fault("mutates-input", name, f"{who} writes into its argument {name}; let it work on a copy")

    def flat(self, values: Sequence[Array], fresh: Sequence[int] = ()) -> Array:
        """Every output as one float64 vector (M,), in judged precision; nan throughout where f is not defined.

        fresh: which of the values are made for this call, and in judged precision: they are not copied again.
        """
        try:
            outputs = self.call(self.args.made(values, self.double, fresh))
        except BUGS as error:
            if "returned complex" in str(error) and str(error).startswith("gradcheck"):  # a root of a negative float
                return np.full(self.size, np.nan)
            raise
        except Exception:
            return np.full(self.size, np.nan)
        if [o.shape for o in outputs] != [o.shape for o in self.outputs]:
            shapes = [[o.shape for o in found] for found in (self.outputs, outputs)]
            raise ValueError(f"gradcheck: f returned shapes {shapes[0]} at the given point and {shapes[1]} beside it")
        return np.concatenate([o.ravel() for o in outputs]).astype(np.float64)

    @property
    def size(self) -> int:
        return sum(o.size for o in self.outputs)

    @property
    def eps(self) -> float:
        """The coarsest unit roundoff among what f takes and returns, in judged precision."""
        dtypes = [o.dtype for o in self.outputs] + ([] if self.double else self.dtypes)
        return max([float(np.finfo(np.float64).eps), *(float(np.finfo(d).eps) for d in dtypes)])

    # ------------------------------------------------------------------ calling the backward
    def cotangent(self, flat: Array, outputs: Sequence[Array]) -> Any:
        """`flat` (M,) in the shape, dtype and nesting of f's output."""
        parts, start = [], 0
        for out in outputs:
            part = flat[start : start + out.size].reshape(out.shape).astype(out.dtype)
            parts.append(part[()])
            start += out.size
        return self.template.rebuilt(iter(parts))

    def gradients(self, flat: Array, values: Sequence[Array], double: bool, strict: bool = True) -> list[Array]:
        """The backward's gradients, validated. f is called first, for backwards that use what f left in a cache.

        Fault: a wrong number, shape or dtype (dtypes only if not `double`), or an argument or the cotangent was written
        into; unless not `strict`, also a value that is not finite. What f or the backward raises comes through.
        """
        outputs = self.call(self.args.made(values, double))
        args = self.args.made(values, double)
        g = self.cotangent(flat, outputs)
        before, g_before = self._bytes(args), _held(g, "")
        returned = self.vjp(g, *args)
        self._unchanged("the backward", args, before)
        if _held(g, "") != g_before:
            raise Fault("mutates-input", "", "the backward writes into its cotangent g; let it work on a copy")
        try:
            found = self.args.gradients(returned)
        except Misfit as misfit:
            raise Fault("shape", misfit.argument, misfit.text) from None
        return [self._validated(j, gradient, double, strict) for j, gradient in enumerate(found)]

    def gradients_beside(self, flat: Array, values: Sequence[Array], double: bool, strict: bool = True) -> list[Array]:
        """`gradients` at a varied point. Undefined: f or the backward raises an error there."""
        try:
            return self.gradients(flat, values, double, strict)
        except (Fault, *BUGS):
            raise
        except Exception as error:
            raise Undefined(f"{type(error).__name__}: {error}") from error

    def _validated(self, j: int, gradient: Any, double: bool, strict: bool) -> Array:
        name, expected, dtype = self.names[j], self.values[j].shape, self.dtypes[j]
        if gradient is None:
            raise Fault("shape", name, f"the gradient of {name} is None; where it is zero, return zeros")
        array = np.array(gradient)
        if array.dtype.kind != "f":
            raise Fault("dtype", name, f"the gradient of {name} has dtype {array.dtype}, {dtype} was expected")
        if array.shape != expected:
            raise Fault("shape", name, _shape_text(name, array.shape, expected))
        if not double and array.dtype != dtype and type(gradient) is not float:
            raise Fault(
                "dtype", name, f"the gradient of {name} has dtype {array.dtype}; {name} is {dtype}, and so should it be"
            )
        if strict and not np.isfinite(array).all():
            index = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise Fault("non-finite", name, f"the gradient of {name} is {array[index]} at {list(index)}", index)
        self.vjp_eps = float(np.finfo(array.dtype).eps)
        return array.astype(np.float64)


def _shape_text(name: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> str:
    text = f"the gradient of {name} has shape {shape}, {expected} was expected"
    extra = len(shape) - len(expected)
    if extra >= 0:
        padded = (1,) * extra + expected
        axes = [k for k, (a, b) in enumerate(zip(shape, padded, strict=True)) if k < extra or a != b]
        if axes and all(k < extra or padded[k] == 1 for k in axes):
            listed = f"axis {axes[0]}" if len(axes) == 1 else f"axes {tuple(axes)}"
            return f"{text}: {name} was broadcast, so sum over {listed}"
    return f"{text}: transposed?" if shape == expected[::-1] else text
