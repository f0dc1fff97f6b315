"""What calls check of their arguments; each says what came and what was expected, and hands back the normal form."""

import math
from typing import Any

import numpy as onp

from minirnn import tree, untraced
from minirnn.boxes import dtype_of, shape_of, unboxed
from minirnn.module import Array

__all__ = [
    "as_array",
    "as_generator",
    "as_integers",
    "as_state",
    "nested_as",
    "check_finite",
    "check_float",
    "check_lengths",
    "check_like",
    "check_positive",
    "check_step",
    "is_integer",
]


def is_integer(value: Any) -> bool:
    """Whether it is one integer, of Python's or NumPy's; a boolean is none."""
    return isinstance(value, (int, onp.integer)) and not isinstance(value, bool)


def check_positive(name: str, **sizes: Any) -> tuple[int, ...]:
    """The sizes as Python integers, which do not wrap in products. ValueError unless each is a positive integer."""
    for what, size in sizes.items():
        if not is_integer(size) or size < 1:
            raise ValueError(f"{name}: {what}={size!r} came, a positive integer was expected")
    return tuple(map(int, sizes.values()))


def as_generator(name: str, rng: Any) -> onp.random.Generator:
    """rng, or a fresh unseeded Generator for None. TypeError: anything else."""
    if rng is None:
        return onp.random.default_rng()
    if not isinstance(rng, onp.random.Generator):
        seed = rng if is_integer(rng) else "seed"
        raise TypeError(
            f"{name}: rng={rng!r} came, a numpy.random.Generator was expected: rng=np.random.default_rng({seed})"
        )
    return rng


# ---------------------------------------------------------------- arrays
def as_array(name: str, value: Any) -> Any:
    """An array, a box of autograd's, or what stands for an array in NumPy's functions (__array_function__) as it is;
    another library's by __array__ or DLPack, without a copy where it lies in this memory. TypeError: no array, a masked
    one, or one that does not come over by itself."""
    if type(value) is onp.ndarray or unboxed(value) is not value:
        return value
    if isinstance(value, onp.ma.MaskedArray):
        raise TypeError(f"{name}: a masked array came, whose mask would be lost; fill it, and say where sequences end")
    if not isinstance(value, onp.ndarray) and hasattr(type(value), "__array_function__"):
        return value
    kind = f"{type(value).__module__.partition('.')[0]}.{type(value).__name__}"
    if not (hasattr(value, "__array__") or hasattr(value, "__dlpack__")):
        raise TypeError(f"{name}: {type(value).__name__} came, an array was expected (np.asarray makes one of numbers)")
    try:
        found = onp.asarray(value) if hasattr(value, "__array__") else onp.from_dlpack(value)
    except Exception as error:
        raise TypeError(
            f"{name}: a {kind} came, which NumPy cannot read ({str(error).splitlines()[0]}); make a float array of it "
            "in main memory: x.detach().cpu().float().numpy() of a torch tensor, np.asarray(x) outside jax.jit"
        ) from error
    if found.dtype.kind == "O":
        raise TypeError(f"{name}: a {kind} of objects came, an array of numbers of one dtype was expected")
    return found


def check_float(name: str, xs: Any, dtype: Any) -> Any:
    """xs as an array. TypeError unless it has this float dtype."""
    xs = as_array(name, xs)
    came = dtype_of(xs)
    if dtype is not None and came != dtype:
        what = name if ": " in name else f"{name}: xs"
        if came.kind == "f":
            advice = f"use np.asarray(xs, np.{dtype}), or model.astype(np.{came})"
        else:
            advice = f"use np.asarray(xs, np.{dtype}); tokens go through an Embedding first" * (came.kind in "iub")
        raise TypeError(f"{what} is {came}, the parameters are {dtype}; {advice}".removesuffix("; "))
    return xs


def check_finite(name: str, xs: Any, lengths: Array | None, parameters: Any) -> None:
    """ValueError: data that came as a plain array (T, B, ...) is not finite within its sequences, and it is no diverged
    model that speaks: the parameters are finite."""
    if type(xs) is not onp.ndarray or math.isfinite(onp.vdot(xs, xs).real):  # one product: cheaper than a look at each
        return
    bad = ~onp.isfinite(xs)
    if lengths is not None:
        bad[onp.arange(len(xs))[:, None] >= lengths] = False
    if bad.any() and all(onp.isfinite(unboxed(array)).all() for array in parameters):
        first = tuple(onp.argwhere(bad)[0].tolist())
        raise ValueError(
            f"{name}: xs holds {xs[first]} at {list(first)} ({int(bad.sum())} of {xs.size} entries are not finite)"
        )


def as_integers(name: str, values: Any) -> Array:
    """Integers of any width, signed or not, also as nested lists, as int64: narrow and unsigned ones wrap in sums.

    TypeError: booleans, floats and all else. ValueError: lists that are ragged, or a number beyond int64.
    """
    if isinstance(values, onp.ma.MaskedArray):
        raise TypeError(f"{name}: a masked array came, whose mask would be lost; fill it first")
    try:
        found = onp.asarray(values)
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"{name}: no array can be made of what came: {str(error).splitlines()[0]}") from error
    if found.dtype.kind not in "iu":
        if found.size or type(values) is onp.ndarray:
            advice = "; use astype(np.int64)" * (found.dtype.kind == "f")
            raise TypeError(f"{name} are {found.dtype}, integers were expected{advice}")
        found = found.astype(onp.int64)  # an empty list
    if found.dtype == onp.uint64 and found.size and found.max() > onp.iinfo(onp.int64).max:
        raise ValueError(f"{name}: {found.max()} came, which is beyond int64")
    return found.astype(onp.int64, copy=False)


def check_lengths(lengths: Any, steps: int, batch: int) -> Array:
    """Lengths within 0..T as a new (B,) int64 array: narrow and unsigned ones wrap in sums, and what came may be filled
    again before a gradient reads it. ValueError otherwise."""
    try:
        checked = as_integers("lengths", lengths)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{error}; integers of shape ({batch},) were expected") from error
    if checked.shape != (batch,):
        raise ValueError(
            f"lengths: {checked.dtype} of shape {checked.shape} came, integers of shape ({batch},) were expected"
        )
    if batch and not (checked.min() >= 0 and checked.max() <= steps):
        raise ValueError(f"lengths: between {checked.min()} and {checked.max()}, xs has {steps} steps")
    return checked.copy()


# ---------------------------------------------------------------- states
def as_state(name: str, expected: Any, came: Any) -> Any:
    """`came` nested as `expected`, whose named states may come as plain tuples and lists, and arrays as another
    library's. ValueError: another nesting, shape or dtype; TypeError: something else than arrays."""
    if _stands_as(expected, came):
        return came
    state = nested_as(expected, came)
    for path, leaf in tree.named_leaves(state):
        if not (hasattr(leaf, "shape") or hasattr(leaf, "__array__")):
            wanted = ", ".join(f"{where or 'array'} {shape_of(one)}" for where, one in tree.named_leaves(expected))
            raise TypeError(f"{name}{path and '.' + path} is a {type(leaf).__name__}; arrays were expected: {wanted}")
    state = tree.map(lambda leaf: as_array(name, leaf), state)
    check_like(name, expected, state)
    return state


def _stands_as(expected: Any, came: Any) -> bool:
    """Whether plain arrays stand in tuples just as expected: what comes nearly always, cheaply told."""
    if type(came) is not type(expected):
        return False
    if type(came) is onp.ndarray:
        return bool(came.shape == expected.shape and came.dtype == expected.dtype)
    return isinstance(came, tuple) and len(came) == len(expected) and all(map(_stands_as, expected, came))


def nested_as(expected: Any, came: Any) -> Any:
    """Plain tuples and lists as the tuples and NamedTuples that stand in their places."""
    if not (isinstance(expected, tuple) and isinstance(came, (tuple, list)) and len(came) == len(expected)):
        return came
    if tree.is_namedtuple(came) and type(came) is not type(expected):
        return came
    parts = [nested_as(one, other) for one, other in zip(expected, came, strict=True)]
    return type(expected)(*parts) if tree.is_namedtuple(expected) else tuple(parts)


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
