"""The function and its backward as the checker calls them: on copies, watched, in one flat vector of outputs.

Two precisions. *Native* is the caller's own: there shapes, dtypes, mutation and repeatability are checked. *Judged* is
float64 wherever f accepts it, because single precision hides small errors; a function or a backward that insists on
float32 is judged in float32, with bounds to match.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Fault", "Problem", "argument_names", "differentiable"]

Array = NDArray[Any]
UNDEFINED = (ArithmeticError, ValueError)  # what f may raise at a varied point that lies outside its domain


class Fault(Exception):
    """What is wrong before any number is compared. kind: as `Report.kind`; argument: whose gradient, or ''."""

    def __init__(self, kind: str, argument: str, text: str, index: tuple[int, ...] | None = None):
        super().__init__(text)
        self.kind, self.argument, self.text, self.index = kind, argument, text, index


def argument_names(f: Callable[..., Any], count: int) -> list[str]:
    """The names of f's first `count` positional parameters; `args[0]` under *args, `argument 0` without a signature."""
    try:
        parameters = list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        return [f"argument {i}" for i in range(count)]
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)][:count]
    rest = next((p.name for p in parameters if p.kind == p.VAR_POSITIONAL), "argument")
    return names + [f"{rest}[{i}]" for i in range(count - len(names))]


def _is_float_array(value: object) -> bool:
    return isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind == "f"


def differentiable(args: Sequence[Any], argnums: int | Sequence[int] | None, names: Sequence[str]) -> list[int]:
    """The positions to differentiate by: `argnums`, or all float arrays, or, where there are none, Python floats."""
    if argnums is None:
        arrays = [i for i, a in enumerate(args) if _is_float_array(a)]
        found = arrays or [i for i, a in enumerate(args) if isinstance(a, float)]
        if not found:
            kinds = ", ".join(f"{n}: {getattr(a, 'dtype', type(a).__name__)}" for n, a in zip(names, args, strict=True))
            raise ValueError(f"gradcheck: no argument is a float array ({kinds or 'none came'})")
        return found
    if isinstance(argnums, (int, np.integer)):
        argnums = (int(argnums),)
    if len(argnums) == 0:
        raise ValueError("gradcheck: argnums is empty; leave it out to check every float array")
    for i in argnums:
        if not isinstance(i, (int, np.integer)) or not 0 <= i < len(args):
            raise ValueError(f"gradcheck: argnums holds {i!r}, f got {len(args)} arguments")
        if not (_is_float_array(args[i]) or isinstance(args[i], float)):
            kind = getattr(args[i], "dtype", type(args[i]).__name__)
            raise TypeError(f"gradcheck: argument {names[i]} is {kind}, a float array was expected")
    if len(set(argnums)) < len(argnums):
        raise ValueError(f"gradcheck: argnums {tuple(argnums)} names an argument twice")
    return [int(i) for i in argnums]


def _copy(value: Any, double: bool) -> Any:
    """A copy of an array, and of every array in a nesting of tuples, lists and dicts; float arrays in float64 if
    `double`. Anything else passes through as it is."""
    if isinstance(value, np.ndarray):
        return value.astype(np.float64, copy=True) if double and value.dtype.kind == "f" else value.copy(order="K")
    if isinstance(value, np.floating):
        return np.float64(value) if double else value
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*[_copy(v, double) for v in value])
    if isinstance(value, (tuple, list)):
        return type(value)([_copy(v, double) for v in value])
    return {k: _copy(v, double) for k, v in value.items()} if isinstance(value, dict) else value


def _arrays(value: Any) -> list[Array]:
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    return [a for v in value for a in _arrays(v)] if isinstance(value, (tuple, list)) else []


def _bytes(value: Any) -> list[bytes]:
    return [a.tobytes() for a in _arrays(value)]


class Problem:
    """f, its backward and its arguments. `values` are always the differentiated arguments, in their native dtypes
    unless `double`; outputs and gradients leave as float64."""

    def __init__(
        self, f: Callable[..., Any], args: Sequence[Any], argnums: list[int], vjp: Callable[..., Any], names: list[str]
    ):
        self.f, self.vjp, self.args, self.argnums = f, vjp, list(args), argnums
        self.names = names
        self.values = [np.array(args[i]) for i in argnums]
        self.dtypes = [v.dtype for v in self.values]
        self.double = False  # f is judged in float64 though some argument is not
        self.double_vjp = False
        self.calls = 0
        self.template: Any = None
        self.outputs: list[Array] = []  # at the given point, in judged precision; their shapes and dtypes matter
        self.native_outputs: list[Array] = []
        self.vjp_eps = float(np.finfo(np.float64).eps)  # of the latest gradient

    # ------------------------------------------------------------------ calling f
    def arguments(self, values: Sequence[Array], double: bool) -> list[Any]:
        args = list(self.args)
        for i, value in zip(self.argnums, values, strict=True):
            args[i] = float(value) if isinstance(args[i], float) and not isinstance(args[i], np.floating) else value
        return [a if type(a) is float else _copy(a, double) for a in args]

    def call(self, args: Sequence[Any]) -> list[Array]:
        """f's outputs as a list of arrays (copies). TypeError: f returns something else than float arrays."""
        self.calls += 1
        out = self.f(*args)
        self.template = out
        items = out if isinstance(out, (tuple, list)) else [out]
        outputs = []
        for k, item in enumerate(items):
            array = np.array(item) if not isinstance(item, dict) and item is not None else None
            if array is None or array.dtype.kind != "f":
                which = f"output {k}" if isinstance(out, (tuple, list)) else "its output"
                what = type(item).__name__ if array is None or array.dtype == object else f"{array.dtype}"
                raise TypeError(
                    f"gradcheck: f returned {what} as {which}; a float array, or a tuple of them, was expected"
                )
            outputs.append(array)
        if not outputs:
            raise TypeError("gradcheck: f returned an empty tuple; a float array, or a tuple of them, was expected")
        return outputs

    def watched_call(self, values: Sequence[Array], double: bool = False) -> list[Array]:
        """As `call`, and a Fault if f writes into an argument."""
        args = self.arguments(values, double)
        before = [_bytes(a) for a in args]
        outputs = self.call(args)
        self._unchanged("f", args, before)
        return outputs

    def _unchanged(self, who: str, args: Sequence[Any], before: Sequence[list[bytes]]) -> None:
        names = argument_names(self.f, len(args))
        for j, i in enumerate(self.argnums):
            names[i] = self.names[j]
        for name, value, bytes_before in zip(names, args, before, strict=True):
            if _bytes(value) != bytes_before:
                raise Fault("mutates-input", name, f"{who} writes into its argument {name}; let it work on a copy")

    def flat(self, values: Sequence[Array]) -> Array:
        """Every output as one float64 vector (M,), in judged precision; nan throughout where f is not defined."""
        try:
            outputs = self.call(self.arguments(values, self.double))
        except UNDEFINED:
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
        if not isinstance(self.template, (tuple, list)):
            return parts[0]
        return type(self.template)(*parts) if hasattr(self.template, "_fields") else tuple(parts)

    def gradients(self, flat: Array, values: Sequence[Array], double: bool, strict: bool = True) -> list[Array]:
        """The backward's gradients, validated. f is called first, for backwards that use what f left in a cache.

        Fault: a wrong number, shape or dtype (dtypes only if not `double`), or an argument or the cotangent was written
        into; unless not `strict`, also a value that is not finite.
        """
        outputs = self.call(self.arguments(values, double))
        args = self.arguments(values, double)
        g = self.cotangent(flat, outputs)
        before, g_before = [_bytes(a) for a in args], _bytes(g)
        returned = self.vjp(g, *args)
        self._unchanged("the backward", args, before)
        if _bytes(g) != g_before:
            raise Fault("mutates-input", "", "the backward writes into its cotangent g; let it work on a copy")
        found = list(returned) if isinstance(returned, (tuple, list)) else [returned]
        if len(found) != len(self.names):
            raise Fault(
                "shape",
                "",
                f"the backward returned {len(found)} gradients, {len(self.names)} were expected: one for each of "
                f"{', '.join(self.names)}",
            )
        return [self._validated(j, gradient, double, strict) for j, gradient in enumerate(found)]

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
