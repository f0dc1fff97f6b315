"""A primitive with several results: one call, one backward sweep, and a cache that belongs to that call.

    outputs, final = bundle.call(rule, (xs, state, weight))

autograd's primitives return one array, and its tuples cost a hundred microseconds a call. Here the results travel as
one `Bundle`, which carries the call's cache too, and `take` picks them out. A Rule says how the results are computed
and differentiated, and it names a slow twin: an ordinary differentiable function of the same arrays. Where an argument,
a cotangent or a tangent is itself being differentiated, the twin's derivative runs instead, so that every order is
right.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import autograd.extend as extend
import autograd.numpy as np
import numpy as onp
from autograd.core import JVPNode
from autograd.tracer import Box, isbox, new_box

from minirnn.boxes import dtype_of, shape_of, unboxed
from minirnn.transform import jvp, silent_vjp

__all__ = ["Rule", "call", "of_one", "twin_backward"]

Arrays = Sequence[Any]


class Rule:
    """What a call computes and how it is differentiated; by itself, everything through the twin, which is recomputed.

    twin(*arrays) -> results: a tuple of arrays, by differentiable functions.
    """

    def __init__(self, twin: Callable[..., tuple[Any, ...]]):
        self._twin = twin

    def twin(self, *arrays: Any) -> tuple[Any, ...]:
        """The results; a rule may say here, too, what its twin is."""
        return self._twin(*arrays)

    def forward(self, arrays: Arrays, keep: bool) -> tuple[tuple[Any, ...], Any]:
        """(results, cache); the cache is None unless `keep`. Arrays are plain here and in the next two."""
        return self.twin(*arrays), None

    def backward(self, arrays: Arrays, cache: Any, cotangents: Arrays, wanted: Sequence[int]) -> Arrays:
        """New arrays, the cotangents of arrays[i] for i in wanted; a result's cotangent None stands for zeros."""
        return twin_backward(self, arrays, cotangents, wanted)

    def backward_again(self, arrays: Arrays, cotangents: Arrays, wanted: Sequence[int]) -> Arrays:
        """As backward, where arrays or cotangents are being differentiated themselves: by differentiable functions."""
        return twin_backward(self, arrays, cotangents, wanted)

    def tangent(self, arrays: Arrays, results: Arrays, tangents: dict[int, Any]) -> Arrays:
        """The results' tangents when arrays[i] moves by tangents[i]."""
        return _twin_tangent(self, arrays, tangents)

    def tangent_again(self, arrays: Arrays, tangents: dict[int, Any]) -> Arrays:
        """As tangent, where arrays or tangents are being differentiated themselves."""
        return _twin_tangent(self, arrays, tangents)


class Bundle:
    """Several arrays as one value; among cotangents and tangents, None stands for zeros."""

    __slots__ = ("cache", "parts")

    def __init__(self, parts: Arrays, cache: Any = None):
        self.parts, self.cache = parts, cache


class _BundleBox(Box):  # type: ignore[misc]
    __slots__ = ()


class _BundleSpace(extend.VSpace):  # type: ignore[misc]
    def _add(self, x: Bundle, y: Bundle) -> Bundle:
        pairs = zip(x.parts, y.parts, strict=True)
        return Bundle([b if a is None else a if b is None else a + b for a, b in pairs])

    _mut_add = _add


_BundleBox.register(Bundle)
_BundleSpace.register(Bundle)


def call(rule: Rule, arrays: Arrays) -> tuple[Any, ...]:
    """The rule's results for these arrays, differentiable where one of them is."""
    boxed = [i for i, array in enumerate(arrays) if isbox(array)]
    if not boxed:
        return rule.forward(arrays, keep=False)[0]
    keep = any(_needs_backward(arrays[i]) for i in boxed)
    trace = arrays[boxed[0]]._trace
    if all(arrays[i]._trace == trace and not isbox(arrays[i]._value) for i in boxed):
        return _call_in_one_trace(rule, keep, arrays, boxed)
    bundle = _run(rule, keep, *arrays)
    parts = unboxed(bundle).parts
    return tuple([_take(bundle, i, None) if _is_float(part) else part for i, part in enumerate(parts)])


def _call_in_one_trace(rule: Rule, keep: bool, arrays: Arrays, boxed: Sequence[int]) -> tuple[Any, ...]:
    """What _run and _take do where every box belongs to one trace, without autograd's search for the innermost one."""
    nodes, plain = [arrays[i]._node for i in boxed], list(arrays)
    for i in boxed:
        plain[i] = plain[i]._value
    trace, make_node = arrays[boxed[0]]._trace, type(nodes[0])
    bundle = Bundle(*rule.forward(plain, keep))
    node = make_node(bundle, _run, (rule, keep, *plain), {}, [i + _FIRST for i in boxed], nodes)
    return tuple(
        [
            new_box(part, trace, make_node(part, _take, (bundle, i, None), {}, (0,), (node,)))
            if _is_float(part)
            else part
            for i, part in enumerate(bundle.parts)
        ]
    )


def of_one(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A primitive of one array, called without autograd's search for the innermost trace where there is but one."""

    def call(x: Any) -> Any:
        if not isbox(x) or isbox(x._value):
            return function(x)
        value = x._value
        y = function(value)
        return new_box(y, x._trace, type(x._node)(y, function, (value,), {}, (0,), (x._node,)))

    return call


def _is_float(part: Any) -> bool:
    """Whether a result has a derivative: flags and counters of a state leave a call as plain arrays."""
    return bool(dtype_of(part).kind == "f")


def _needs_backward(array: Any) -> bool:
    while isbox(array):
        if not isinstance(array._node, JVPNode):
            return True
        array = array._value
    return False


# ---------------------------------------------------------------- in and out of a bundle
def _taken(bundle: Bundle, i: int, like: Any) -> Any:
    part = bundle.parts[i]
    return onp.zeros(*like) if part is None else part


def _shape_and_dtype(array: Any) -> tuple[Any, Any]:
    return shape_of(array), dtype_of(array)


def _put_alone(g: Any, i: int, count: int) -> Bundle:
    parts = [None] * count
    parts[i] = g
    return Bundle(parts)


_take = extend.primitive(_taken)
_put = extend.primitive(_put_alone)


def _take_vjp(argnums: Any, y: Any, args: Any, kwargs: Any) -> Callable[[Any], Any]:
    bundle, i, _ = args
    count = len(unboxed(bundle).parts)
    return lambda g: ((_put if isbox(g) else _put_alone)(g, i, count),)


extend.defvjp_argnums(_take, _take_vjp)
extend.defjvp_argnums(_take, lambda argnums, ts, y, args, kw: _take(ts[0], args[1], _shape_and_dtype(y)))
extend.defvjp(_put, lambda y, g, i, count: lambda gg: _take(gg, i, _shape_and_dtype(g)))
extend.defjvp(_put, lambda t, y, g, i, count: _put(t, i, count))


# ---------------------------------------------------------------- the call
_FIRST = 2  # arrays stand behind the rule and `keep`


@extend.primitive  # type: ignore[untyped-decorator]
def _run(rule: Rule, keep: bool, *arrays: Any) -> Bundle:
    return Bundle(*rule.forward(arrays, keep))


def _run_vjp(argnums: Any, bundle: Any, args: Any, kwargs: Any) -> Callable[[Any], Arrays]:
    rule, arrays = args[0], args[_FIRST:]
    wanted = [i - _FIRST for i in argnums]
    likes = [_shape_and_dtype(part) for part in unboxed(bundle).parts]  # the results themselves shall be free to go
    nested, cache = isbox(bundle), unboxed(bundle).cache

    def pullback(cotangent: Any) -> Arrays:
        if nested or isbox(cotangent):
            parts = [_take(cotangent, i, like) for i, like in enumerate(likes)]
            return rule.backward_again(arrays, parts, wanted)
        cotangents = [
            None if g is None else onp.asarray(g, dtype) for g, (_, dtype) in zip(cotangent.parts, likes, strict=True)
        ]
        return rule.backward(arrays, cache, cotangents, wanted)

    pullback.makes_new_arrays = True  # type: ignore[attr-defined]
    return pullback


def _run_jvp(argnums: Any, tangents: Any, bundle: Any, args: Any, kwargs: Any) -> Any:
    rule, arrays = args[0], args[_FIRST:]
    moved = {i - _FIRST: np.astype(t, dtype_of(args[i])) for i, t in zip(argnums, tangents, strict=True)}
    if isbox(bundle) or any(isbox(t) for t in tangents):
        parts = rule.tangent_again(arrays, moved)
        puts = [_put(part, i, len(parts)) for i, part in enumerate(parts)]
        return reduce(extend.vspace(puts[0]).add, puts)
    return Bundle(rule.tangent(arrays, bundle.parts, moved))


extend.defvjp_argnums(_run, _run_vjp)
extend.defjvp_argnums(_run, _run_jvp)


# ---------------------------------------------------------------- the twin's derivatives
def _twin_of(rule: Rule, arrays: Arrays, moving: Sequence[int]) -> Callable[..., tuple[Any, ...]]:
    """The twin as a function of arrays[i] for i in moving."""

    def twin(*moved: Any) -> tuple[Any, ...]:
        given = list(arrays)
        for i, array in zip(moving, moved, strict=True):
            given[i] = array
        return tuple(rule.twin(*given))

    return twin


def twin_backward(rule: Rule, arrays: Arrays, cotangents: Arrays, wanted: Sequence[int]) -> Arrays:
    twin, floats = _twin_of(rule, arrays, wanted), list[int]()

    def of_floats(*moved: Any) -> tuple[Any, ...]:
        results = twin(*moved)
        floats[:] = [i for i, y in enumerate(results) if _is_float(y)]
        return tuple([results[i] for i in floats])

    results, pullback = silent_vjp(of_floats, *[arrays[i] for i in wanted])
    given = zip([cotangents[i] for i in floats], results, strict=True)
    gradients: Arrays = pullback(tuple([onp.zeros(*_shape_and_dtype(y)) if g is None else g for g, y in given]))
    return gradients


def _twin_tangent(rule: Rule, arrays: Arrays, tangents: dict[int, Any]) -> Arrays:
    moving = list(tangents)
    moved: Arrays = jvp(_twin_of(rule, arrays, moving), [arrays[i] for i in moving], list(tangents.values()))[1]
    return moved
