"""What calls check of their arguments; each says what came and what was expected."""

from typing import Any

import numpy as onp

from minirnn import tree, untraced
from minirnn.boxes import dtype_of, shape_of
from minirnn.module import Array

__all__ = ["check_float", "check_lengths", "check_like", "check_positive", "check_step"]


def check_positive(name: str, **sizes: Any) -> None:
    """ValueError unless every size is a positive integer."""
    for what, size in sizes.items():
        if not isinstance(size, (int, onp.integer)) or isinstance(size, bool) or size < 1:
            raise ValueError(f"{name}: {what}={size!r} came, a positive integer was expected")


def check_float(name: str, xs: Any, dtype: Any) -> None:
    """TypeError unless xs is an array of this float dtype."""
    if not hasattr(xs, "shape"):
        raise TypeError(f"{name}: {type(xs).__name__} came, an array was expected")
    if dtype is not None and dtype_of(xs) != dtype:
        raise TypeError(
            f"{name}: xs is {dtype_of(xs)}, the parameters are {dtype}; use xs.astype(np.{dtype}), "
            f"or model.astype(np.{dtype_of(xs)})"
        )


def check_like(name: str, expected: Any, came: Any) -> None:
    """ValueError unless `came` is nested, shaped and typed as `expected`."""
    want, have = dict(tree.named_leaves(expected)), dict(tree.named_leaves(came))
    if list(want) != list(have):
        raise ValueError(f"{name} has leaves {list(have)}, {list(want)} were expected")
    for path, leaf in want.items():
        shape, dtype = shape_of(have[path]), dtype_of(have[path])
        if shape != shape_of(leaf) or dtype != dtype_of(leaf):
            where = f"{name}.{path}".rstrip(".")
            raise ValueError(f"{where} is {dtype} {shape}, {dtype_of(leaf)} {shape_of(leaf)} was expected")


def check_lengths(lengths: Any, steps: int, batch: int) -> Array:
    """Lengths within 0..T as a new (B,) int64 array: narrow and unsigned ones wrap in sums, and what came may be filled
    again before a gradient reads it. ValueError otherwise."""
    checked = onp.asarray(lengths)
    if checked.dtype.kind not in "iu" or checked.shape != (batch,):
        raise ValueError(
            f"lengths: {checked.dtype} of shape {checked.shape} came, integers of shape ({batch},) were expected"
        )
    if batch and not (checked.min() >= 0 and checked.max() <= steps):
        raise ValueError(f"lengths: between {checked.min()} and {checked.max()}, xs has {steps} steps")
    return checked.astype(onp.int64)


def check_step(state: Any, result: Any) -> None:
    """The first step's result, held to the contract: a pair, the state keeping its nesting, shapes and dtypes."""
    if not isinstance(result, tuple) or len(result) != 2:
        raise TypeError(f"the step returned {type(result).__name__}, the pair (state, output) was expected")
    before, after = list(tree.named_leaves(state)), list(tree.named_leaves(result[0]))
    if any(dtype_of(leaf).kind == "O" for leaf in tree.leaves(result)):
        raise TypeError(f"the step returned an array of Python objects: {untraced.PLAIN_NUMPY}")
    if [path for path, _ in before] != [path for path, _ in after]:
        names = [path for path, _ in after], [path for path, _ in before]
        raise TypeError(f"the step returned a state with leaves {names[0]}, {names[1]} came in")
    for (path, old), (_, new) in zip(before, after, strict=True):
        what = f"the step's state{' ' + path if path else ''}"
        if shape_of(new) != shape_of(old):
            raise ValueError(f"{what} came in with shape {shape_of(old)} and left with {shape_of(new)}")
        if dtype_of(new) != dtype_of(old):
            raise TypeError(
                f"{what} came in as {dtype_of(old)} and left as {dtype_of(new)}: an input, a parameter or "
                "a NumPy scalar in the step has another dtype (np.sqrt(4) is a float64; use Python numbers, 4**0.5)"
            )
