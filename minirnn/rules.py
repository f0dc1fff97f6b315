"""Derivatives of NumPy functions where autograd's rule divides by its own result or input, and so gives nan at a zero.

prod, cumprod: the products of the others. det: cofactors. norm, std: at 0 there is a kink, whose derivative is taken as
0, as PyTorch does. sinc: its series near 0. logaddexp: an argument at -inf adds nothing, and gets nothing.

autograd's own tables stay as they are: these hold in minirnn's traces.
"""

import math
from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import autograd.numpy as np
import numpy as onp

from minirnn.boxes import dtype_of, shape_of
from minirnn.primitive import is_traced, override, primitive

Function = Callable[..., Any]


# ---------------------------------------------------------------- reductions
def _reduction(function: Function, names: str, derivative: Function) -> None:
    """derivative(y, x, axes, **options) is dy/dx, shaped as x, for y with its axes kept.

    names: what may come by position; with another option, or an array that is not real, autograd's rule remains.
    """
    known = names.split()

    def options(args: Any, kwargs: Any) -> Any:
        given = dict(zip(known, args, strict=False)) | kwargs
        given.pop(known[0])
        return given

    def applies(args: Any, kwargs: Any) -> bool:
        few = len(args) <= len(known) and kwargs.keys() <= {"axis", "keepdims", *known[1:]}
        return few and dtype_of(args[0]).kind == "f" and derivative(None, args[0], None, **options(args, kwargs))

    def parts(y: Any, args: Any, kwargs: Any) -> tuple[Any, ...]:
        x, given = args[0], options(args, kwargs)
        count, axis, keepdims = len(shape_of(x)), given.pop("axis", None), given.pop("keepdims", False)
        axes = tuple(range(count)) if axis is None else tuple(int(a) % count for a in onp.atleast_1d(axis))
        kept = tuple(1 if i in axes else n for i, n in enumerate(shape_of(x)))
        return kept, axes, keepdims, derivative(np.reshape(y, kept), x, axes, **given)

    def vjps(argnums: Any, y: Any, args: Any, kwargs: Any) -> Function:
        kept, _, _, slope = parts(y, args, kwargs)
        return lambda g: (np.reshape(g, kept) * slope,)

    def jvps(argnums: Any, ts: Any, y: Any, args: Any, kwargs: Any) -> Any:
        _, axes, keepdims, slope = parts(y, args, kwargs)
        return np.sum(ts[0] * slope, axis=axes, keepdims=keepdims)

    override(function, applies, vjps, jvps)


def _prod(y: Any, x: Any, axes: Any, **options: Any) -> Any:
    if axes is None:
        return True
    shape = shape_of(x)
    order = [i for i in range(len(shape)) if i not in axes] + list(axes)
    flat = np.reshape(
        np.transpose(x, order), (*[shape[i] for i in order[: len(order) - len(axes)]], -1 if x.size else 0)
    )
    others = _before(flat) * _before(flat[..., ::-1])[..., ::-1] if 0 not in shape else flat
    return np.transpose(np.reshape(others, [shape[i] for i in order]), onp.argsort(order))


def _before(x: Any) -> Any:
    """The products of what stands before each entry of the last axis."""
    return np.concatenate([onp.ones((*shape_of(x)[:-1], 1), dtype_of(x)), _running(x[..., :-1])], axis=-1)


def _running_pull(g: Any, y: Any, x: Any) -> Any:
    sums = [g[..., -1]]
    for j in range(shape_of(x)[-1] - 1, 0, -1):  # the sum over i >= j of g[i] x[j + 1] ... x[i]
        sums.append(g[..., j - 1] + x[..., j] * sums[-1])
    return _before(x) * np.stack(sums[::-1], axis=-1)


def _running_push(t: Any, y: Any, x: Any) -> Any:
    moved = _before(x) * t
    sums = [moved[..., 0]]
    for j in range(1, shape_of(x)[-1]):
        sums.append(x[..., j] * sums[-1] + moved[..., j])
    return np.stack(sums, axis=-1)


# cumprod along the last axis, of one entry at least: autograd has no rule for it, and may trace these ones
_running: Function = primitive(lambda x: onp.cumprod(x, axis=-1), [_running_pull], [_running_push])


def _std(y: Any, x: Any, axes: Any, ddof: float = 0, **options: Any) -> Any:
    if axes is None:
        return True
    count = math.prod(shape_of(x)[axis] for axis in axes)
    return _or_zero(x - np.mean(x, axis=axes, keepdims=True), y) * (1.0 / (count - ddof) if count != ddof else math.nan)


def _or_zero(a: Any, b: Any) -> Any:
    """a / b, and 0 where b is."""
    return np.where(b == 0, onp.zeros((), dtype_of(a)), a / np.where(b == 0, onp.ones((), dtype_of(b)), b))


def _norm(y: Any, x: Any, axes: Any, ord: Any = None, axis: Any = None, **options: Any) -> Any:
    if axes is None:
        of_vectors = len(shape_of(x)) == 1 if axis is None else not isinstance(axis, tuple)
        return ord in (None, "fro") or (of_vectors and not isinstance(ord, str))
    if ord in (None, "fro", 2):
        return _or_zero(x, y)
    size = np.abs(x)
    if ord == 0:
        return onp.zeros(shape_of(x), dtype_of(x))
    if math.isinf(ord):  # ties share, as those of max do
        largest = size == y
        return np.sign(x) * largest / np.sum(largest, axis=axes, keepdims=True)
    return np.sign(x) * _or_zero(size, y) ** (ord - 1)


_reduction(onp.prod, "a axis", _prod)
_reduction(onp.std, "a axis ddof", lambda y, x, axes, **options: _std(y, x, axes, **options))
_reduction(onp.linalg.norm, "x ord axis keepdims", _norm)


# ---------------------------------------------------------------- cumprod, det
def _along_last(x: Any, axis: int | None) -> Any:
    return np.reshape(x, -1) if axis is None else np.swapaxes(x, axis, -1)


def _cumprod_axis(args: Any, kwargs: Any) -> Any:
    return args[1] if len(args) > 1 else kwargs.get("axis")


def _cumprod_vjps(argnums: Any, y: Any, args: Any, kwargs: Any) -> Function:
    axis, x = _cumprod_axis(args, kwargs), args[0]

    def pull(g: Any) -> tuple[Any]:
        if 0 in shape_of(x):
            return (x,)
        found = _running_pull(_along_last(g, axis), None, _along_last(x, axis))
        return (np.reshape(found, shape_of(x)) if axis is None else np.swapaxes(found, axis, -1),)

    return pull


def _cumprod_jvps(argnums: Any, ts: Any, y: Any, args: Any, kwargs: Any) -> Any:
    if 0 in shape_of(args[0]):
        return y
    axis = _cumprod_axis(args, kwargs)
    found = _running_push(_along_last(ts[0], axis), None, _along_last(args[0], axis))
    return found if axis is None else np.swapaxes(found, axis, -1)


def _is_plain(args: Any, kwargs: Any) -> bool:
    return len(args) <= 2 and kwargs.keys() <= {"axis"} and dtype_of(args[0]).kind == "f" and bool(shape_of(args[0]))


override(onp.cumprod, _is_plain, _cumprod_vjps, _cumprod_jvps)


def _cofactors(y: Any, x: Any) -> Any:
    """d det(x) / dx. Of a matrix that is itself differentiated, by its inverse."""
    if is_traced(x) or dtype_of(x).kind != "f":
        return np.reshape(y, (*shape_of(y), 1, 1)) * np.swapaxes(np.linalg.inv(x), -1, -2)
    u, s, vt = onp.linalg.svd(x)
    others = onp.stack([onp.prod(onp.delete(s, i, -1), -1) for i in range(s.shape[-1])], -1) if s.size else s
    sign = onp.linalg.det(u) * onp.linalg.det(vt)
    return sign[..., None, None] * ((u * others[..., None, :]) @ vt)


override(
    onp.linalg.det,
    lambda args, kwargs: True,
    lambda argnums, y, args, kwargs: lambda g: (np.reshape(g, (*shape_of(g), 1, 1)) * _cofactors(y, *args),),
    lambda argnums, ts, y, args, kwargs: np.sum(ts[0] * _cofactors(y, *args), axis=(-2, -1)),
)


# ---------------------------------------------------------------- elementwise
_TERMS = [(-1) ** k * 2 * k * math.pi ** (2 * k) / math.factorial(2 * k + 1) for k in range(1, 9)]


def _sinc_slope(x: Any) -> Any:
    """d sinc(x) / dx = (cos(pi x) - sinc(x)) / x, which loses its digits near 0: there by its series."""
    near = np.abs(x) < 0.1
    small, large = np.where(near, x, onp.zeros((), dtype_of(x))), np.where(near, onp.ones((), dtype_of(x)), x)
    series = reduce(lambda total, term: total * small * small + term, reversed(_TERMS)) * small
    return np.where(near, series, (np.cos(math.pi * large) - np.sinc(large)) / large)


override(
    onp.sinc,
    lambda args, kwargs: dtype_of(args[0]).kind == "f",
    lambda argnums, y, args, kwargs: lambda g: (g * _sinc_slope(*args),),
    lambda argnums, ts, y, args, kwargs: ts[0] * _sinc_slope(*args),
)


def _share(log_base: float, x: Any, other: Any) -> Any:
    """d log(e^x + e^other) / dx = 1 / (1 + e^(other - x)), all digits of it where it is nearly 0.

    Of two equal infinities: half of inf each, none of -inf.
    """
    same = np.logical_and(x == other, np.isinf(x))
    zero = onp.zeros((), onp.result_type(dtype_of(x), dtype_of(other)))
    apart = np.where(same, zero, x) - np.where(same, zero, other)
    return np.where(np.logical_and(same, x < 0), zero, np.exp(-np.logaddexp(zero, -log_base * apart)))


def _summed_to(g: Any, like: Any) -> Any:
    """What broadcasting spread, summed again."""
    shape = shape_of(like)
    g = np.sum(g, axis=tuple(range(len(shape_of(g)) - len(shape))))
    return np.sum(g, axis=tuple(i for i, n in enumerate(shape) if n == 1 != shape_of(g)[i]), keepdims=True)


for _function, _log_base in ((onp.logaddexp, 1.0), (onp.logaddexp2, math.log(2.0))):
    _part = partial(_share, _log_base)
    override(
        _function,
        lambda args, kwargs: not kwargs,
        lambda argnums, y, args, kwargs, part=_part: (
            lambda g: [_summed_to(g * part(args[i], args[1 - i]), args[i]) for i in argnums]
        ),
        lambda argnums, ts, y, args, kwargs, part=_part: reduce(
            np.add, [t * part(args[i], args[1 - i]) for i, t in zip(argnums, ts, strict=True)]
        ),
    )
