"""Products of matrices and tensors, and what autograd's derivative rules call for them."""

import math
from typing import Any

import numpy as np

from minirnn.compile.errors import CannotCompile
from minirnn.compile.ir import make
from minirnn.compile.lowered import Lowered, as_node
from minirnn.compile.lowered.layout import reshaped, squeeze, swapaxes, transposed

__all__ = [
    "dot",
    "dot_adjoint_0",
    "dot_adjoint_1",
    "einsum",
    "linear",
    "matmul",
    "outer",
    "product",
    "tensordot",
    "tensordot_adjoint_0",
    "tensordot_adjoint_1",
]


def tensordot(a: Any, b: Any, axes: Any = 2) -> Lowered:
    """A contraction, as one product of matrices."""
    a, b = as_node(a), as_node(b)
    if isinstance(axes, (int, np.integer)):
        of_a, of_b = list(range(len(a.shape) - axes, len(a.shape))), list(range(axes))
    else:
        of_a, of_b = ([int(k) % len(n.shape) for k in np.atleast_1d(s)] for n, s in zip((a, b), axes, strict=True))
    free_a = [k for k in range(len(a.shape)) if k not in of_a]
    free_b = [k for k in range(len(b.shape)) if k not in of_b]
    size = math.prod([a.shape[k] for k in of_a])
    left, right = [a.shape[k] for k in free_a], [b.shape[k] for k in free_b]
    rows, columns = math.prod(left), math.prod(right)
    turned_a, turned_b = of_a == list(range(len(of_a))), of_b == list(range(len(free_b), len(b.shape)))
    # where what is summed over stands in front, that is a flag of the product, and nothing moves
    first = reshaped(a, (size, rows)) if turned_a else reshaped(transposed(a, free_a + of_a), (rows, size))
    if turned_b and free_b:
        second = reshaped(b, (columns, size))
    else:
        turned_b, second = False, reshaped(transposed(b, of_b + free_b), (size, columns))
    return reshaped(make("matmul", first, second, attrs=(turned_a, turned_b)), left + right)


def dot(a: Any, b: Any, **kwargs: Any) -> Lowered:
    a, b = as_node(a), as_node(b)
    if not a.shape or not b.shape:
        return make("mul", a, b)
    return tensordot(a, b, ([len(a.shape) - 1], [max(0, len(b.shape) - 2)]))


def matmul(a: Any, b: Any, **kwargs: Any) -> Lowered:
    a, b = as_node(a), as_node(b)
    if len(b.shape) <= 2:
        return dot(a, b)
    if len(a.shape) == 1:
        return squeeze(matmul(reshaped(a, (1, *a.shape)), b), -2)
    letters = "abcdefgh"[: max(len(a.shape), len(b.shape)) - 2]
    of_a, of_b = letters[len(letters) - len(a.shape) + 2 :], letters[len(letters) - len(b.shape) + 2 :]
    return einsum(f"{of_a}ij,{of_b}jk->{letters}ik", a, b)


def einsum(text: Any, *operands: Any, **kwargs: Any) -> Lowered:
    nodes = [as_node(operand) for operand in operands]
    if not isinstance(text, str) or "." in text or any(value for value in kwargs.values()):
        raise CannotCompile("einsum with anything but letters")
    text = text.replace(" ", "")
    if "->" not in text:
        raise CannotCompile("einsum without '->'")
    inputs = text.split("->")[0].split(",")
    if any(len(set(letters)) != len(letters) for letters in inputs):
        raise CannotCompile("einsum with a letter twice in an operand")
    return make("einsum", *nodes, attrs=(text,))


def linear(x: Any, weight: Any, bias: Any = None) -> Lowered:
    x, weight = as_node(x), as_node(weight)
    rows = reshaped(x, (math.prod(x.shape[:-1]), x.shape[-1]))
    y = reshaped(make("matmul", rows, weight, attrs=(False, True)), (*x.shape[:-1], weight.shape[0]))
    return y if bias is None else make("add", y, as_node(bias))


def product(a: Any, b: Any) -> Lowered:
    return make("matmul", as_node(a), as_node(b), attrs=(False, False))


def outer(a: Any, b: Any) -> Lowered:
    a, b = as_node(a), as_node(b)
    return make("mul", reshaped(a, (a.shape[0], 1)), reshaped(b, (1, b.shape[0])))


def dot_adjoint_0(b: Any, g: Any, a_meta: Any, b_meta: Any) -> Lowered:
    b, g, a_ndim, b_ndim = as_node(b), as_node(g), a_meta[1], b_meta[1]
    if b_ndim <= 1 or a_ndim == 0:
        return tensordot(g, b, max(0, b_ndim - (a_ndim != 0)))
    return tensordot(g, swapaxes(b, -1, -2), b_ndim - 1)


def dot_adjoint_1(a: Any, g: Any, a_meta: Any, b_meta: Any) -> Lowered:
    a, g, a_ndim, b_ndim = as_node(a), as_node(g), a_meta[1], b_meta[1]
    if a_ndim <= 1 or b_ndim == 0:
        out = tensordot(g, a, max(0, a_ndim - (b_ndim != 0)))
    else:
        out = tensordot(g, a, [range(-a_ndim - b_ndim + 2, -b_ndim + 1), range(a_ndim - 1)])
    return swapaxes(out, -1, -2) if b_ndim > 1 and a_ndim != 0 else out


def tensordot_adjoint_0(b: Any, g: Any, axes: Any, a_ndim: int, b_ndim: int) -> Lowered:
    b, g = as_node(b), as_node(g)
    if isinstance(axes, int):
        return tensordot(g, b, [range(a_ndim - axes, len(g.shape)), range(axes, b_ndim)])
    of_a, of_b = ([int(k) % n for k in np.atleast_1d(s)] for s, n in zip(axes, (a_ndim, b_ndim), strict=True))
    free_a, free_b = ([k for k in range(n) if k not in s] for s, n in ((of_a, a_ndim), (of_b, b_ndim)))
    out = tensordot(g, b, [range(len(free_a), len(g.shape)), free_b])
    return transposed(out, np.argsort(np.concatenate((free_a, np.array(of_a)[np.argsort(of_b)])).astype(int)))


def tensordot_adjoint_1(a: Any, g: Any, axes: Any, a_ndim: int, b_ndim: int) -> Lowered:
    a, g = as_node(a), as_node(g)
    if isinstance(axes, int):
        return tensordot(a, g, [range(a_ndim - axes), range(a_ndim - axes)])
    of_a, of_b = ([int(k) % n for k in np.atleast_1d(s)] for s, n in zip(axes, (a_ndim, b_ndim), strict=True))
    free_a, free_b = ([k for k in range(n) if k not in s] for s, n in ((of_a, a_ndim), (of_b, b_ndim)))
    out = tensordot(a, g, [free_a, range(len(free_a))])
    return transposed(out, np.argsort(np.concatenate((np.array(of_b)[np.argsort(of_a)], free_b)).astype(int)))
