"""Functions with their own backward and tangent, and the derivative rules that minirnn sets in place of autograd's.

    square = primitive(lambda x: x * x, derivatives=[lambda g, y, x: 2 * x * g], tangents=[lambda t, y, x: 2 * x * t])

Such a function is known to autograd, so that `autograd.grad` around it works too. The rules in `vjp_rules` and
`jvp_rules` are asked first in minirnn's own traces and leave autograd's tables alone.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import autograd.extend as extend
import autograd.numpy as np
import numpy as onp
from autograd.core import primitive_jvps, primitive_vjps
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.tracer import isbox, trace_primitives_map

__all__ = ["elementwise", "is_traced", "joint", "override", "primitive", "jvp_rule", "variadic", "vjp_rule"]

Function = Callable[..., Any]


def is_traced(value: object) -> bool:
    """Whether the value is an autograd box: an array inside a differentiated call."""
    return bool(isbox(value))


def _traceable(function: Function) -> Function:
    """A primitive without rules. autograd finds a NumPy function's primitive by that function, and a second one of the
    same would take the first one's place everywhere: it is wrapped, to be another."""
    if function in trace_primitives_map:
        known = function
        function = lambda *args, **kwargs: known(*args, **kwargs)
    return cast(Function, extend.primitive(function))


def primitive(
    function: Function, derivatives: Sequence[Function] | Function, tangents: Sequence[Function] | None = None
) -> Function:
    """A differentiable function from a plain one, with one rule for each of its first arguments.

    derivatives[i](g, y, *args, **kwargs) is the cotangent of argument i, where y = function(*args, **kwargs) and g is
    y's cotangent; tangents[i](t, y, *args, **kwargs) is y's tangent when argument i moves by t (left out: the same
    formulas, as for any elementwise function). Written with autograd.numpy, the rules can be differentiated again.

    In place of a list of derivatives, derivatives(wanted, g, y, *args, **kwargs) may give the cotangents of arguments
    `wanted` at one go, in arrays that nobody else holds; tangents are a list then.
    """
    wrapped = _traceable(function)
    if callable(derivatives):
        extend.defvjp_argnums(wrapped, _at_one_go(derivatives))
        extend.defjvp(wrapped, *(tangents or ()))
        return wrapped
    reverse = [lambda y, *args, _rule=rule, **kw: lambda g: _rule(g, y, *args, **kw) for rule in derivatives]
    extend.defvjp(wrapped, *reverse)
    extend.defjvp(wrapped, *(derivatives if tangents is None else tangents))
    return wrapped


def _at_one_go(derivatives: Function) -> Function:
    def reverse(argnums: Any, y: Any, args: Any, kw: Any) -> Function:
        pull = lambda g: derivatives(argnums, g, y, *args, **kw)
        pull.makes_new_arrays = True  # type: ignore[attr-defined]
        return pull

    return reverse


def elementwise(function: Function, derivative: Function) -> Function:
    """A differentiable function of one array, elementwise, with derivative(y, x) = dy/dx."""
    return primitive(function, [lambda g, y, x: g * derivative(y, x)])


def joint(function: Function, backward: Function, tangent: Function) -> Function:
    """A differentiable function whose cotangents are computed together, because they share most of their work.

    backward(g, y, *args, **kwargs) returns one cotangent for each argument; tangent(ts, y, *args, **kwargs) is y's
    tangent when the arguments move by ts (zeros where an argument stands still).
    """
    wrapped = _traceable(function)

    def reverse(argnums: Any, y: Any, args: Any, kw: Any) -> Function:
        def pull(g: Any) -> list[Any]:
            cotangents = backward(g, y, *args, **kw)
            return [cotangents[i] for i in argnums]

        return pull

    extend.defvjp_argnums(wrapped, reverse)
    extend.defjvp_argnums(wrapped, lambda argnums, ts, y, args, kw: tangent(_all(argnums, ts, args), y, *args, **kw))
    return wrapped


def variadic(function: Function, derivative: Function, tangent: Function) -> Function:
    """A differentiable, linear function of any number of arrays of one shape.

    derivative(i, g) is the cotangent of argument i; tangent(*ts) the result's tangent when the arguments move by ts.
    """
    wrapped = _traceable(function)
    extend.defvjp_argnums(wrapped, lambda argnums, y, args, kw: lambda g: [derivative(i, g) for i in argnums])

    def move(argnums: Any, moved: Any, y: Any, args: Any, kw: Any) -> Any:
        return tangent(*_all(argnums, moved, args))

    extend.defjvp_argnums(wrapped, move)
    return wrapped


def _all(argnums: Any, moved: Any, args: Any) -> list[Any]:
    """The tangents of all arguments: zeros for those that stand still."""
    by = dict(zip(argnums, moved, strict=True))
    return [by[i] if i in by else np.zeros_like(arg) for i, arg in enumerate(args)]


# ---------------------------------------------------------------- rules of our own for autograd's primitives
# tanh: autograd's g / cosh(x)^2 overflows from |x| = 45 on in float32, and its own derivative there is inf / inf.
def _tanh_rule(g: Any, y: Any, x: Any) -> Any:
    return g * (1.0 - y * y)


# x[idx]: autograd's backward is np.add.at, ten times slower than += where no element can be hit twice.
def _is_basic(idx: Any) -> bool:
    parts = idx if isinstance(idx, tuple) else (idx,)
    return all(
        part is None or part is Ellipsis or isinstance(part, (slice, onp.integer)) or type(part) is int
        for part in parts
    )


def _put_dense(g: Any, idx: Any, space: Any) -> Any:
    def add(total: Any) -> Any:
        total[idx] += g
        return total

    return extend.SparseObject(space, add)


_put = extend.primitive(_put_dense)
extend.defvjp(_put, lambda ans, g, idx, space: lambda gg: gg[idx])
extend.defjvp(_put, "same")

_getitem = ArrayBox.__getitem__


def _getitem_vjps(argnums: Any, y: Any, args: Any, kwargs: Any) -> Any:
    x, idx = args
    if not _is_basic(idx):
        return primitive_vjps[_getitem](argnums, y, args, kwargs)
    space = extend.vspace(x)
    return lambda g: (_put(g, idx, space),)


# sum: autograd's backward writes an array of the argument's size, where a view of one number will do.
def _sum_vjps(argnums: Any, y: Any, args: Any, kwargs: Any) -> Any:
    if len(args) > 1 or kwargs.keys() - {"axis", "keepdims"} or isbox(args[0]):
        return primitive_vjps[np.sum](argnums, y, args, kwargs)
    shape, axis = onp.shape(args[0]), kwargs.get("axis")
    apart = axis is not None and not kwargs.get("keepdims", False)
    return lambda g: (np.broadcast_to(np.expand_dims(g, axis) if apart else g, shape),)


vjp_rules: dict[Any, Function] = {
    np.sum: _sum_vjps,
    np.tanh: lambda argnums, y, args, kwargs: lambda g: (_tanh_rule(g, y, *args),),
    _getitem: _getitem_vjps,
}
jvp_rules: dict[Any, Function] = {
    np.tanh: lambda argnums, ts, y, args, kwargs: _tanh_rule(ts[0], y, *args),
    np.astype: lambda argnums, ts, y, args, kwargs: np.astype(ts[0], onp.result_type(y)),
}


def override(function: Function, applies: Function, vjps: Function, jvps: Function) -> None:
    """Rules in minirnn's traces for those calls of a NumPy function where applies(args, kwargs)."""
    known = trace_primitives_map[function]

    def either(rule: Function, autograds: Function | None) -> Function:
        if autograds is None:
            return rule
        return lambda *call: (rule if applies(*call[-2:]) else autograds)(*call)

    vjp_rules[known] = either(vjps, primitive_vjps.get(known))
    jvp_rules[known] = either(jvps, primitive_jvps.get(known))


def _rule(ours: dict[Any, Function], autograds: dict[Any, Function], function: Any, kind: str) -> Function:
    rule = ours.get(function) or autograds.get(function)
    if rule is None:
        name = getattr(function, "__name__", str(function))
        raise NotImplementedError(f"autograd has no {kind} rule for {name}; write it with functions that have one")
    return rule


def vjp_rule(function: Any) -> Function:
    """The reverse rule of an autograd primitive: (argnums, y, args, kwargs) -> (g -> cotangents)."""
    return _rule(vjp_rules, primitive_vjps, function, "reverse-mode")


def jvp_rule(function: Any) -> Function:
    """The forward rule of an autograd primitive: (argnums, tangents, y, args, kwargs) -> tangent."""
    return _rule(jvp_rules, primitive_jvps, function, "forward-mode")
