"""What generated Numba code is made of: how it is compiled, access to memory without checks, and exp.

A loop over rows gets every array that it reads or writes as an argument of its own, declared to overlap with none
(`noalias`); so LLVM may use vectors without asking at run time whether two arrays are one.
"""

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
from numba import njit, types
from numba.core.compiler import Compiler
from numba.extending import intrinsic, overload

from minirnn.kernels.native.curves import LN2, power_of_two, tanh
from minirnn.kernels.native.gemm import multiply, multiply_transposed, pack, packed_size
from minirnn.kernels.native.jit import OPTIONS, cached, compiled
from minirnn.kernels.native.products import add_sums, flags_of, packed, packed_transposed

__all__ = [
    "add_sums",
    "compiled",
    "exp",
    "flags_of",
    "flat",
    "loop",
    "multiply",
    "multiply_transposed",
    "pack",
    "packed",
    "packed_size",
    "packed_transposed",
    "peek",
    "poke",
    "tanh",
]


class _Apart(Compiler):  # type: ignore[misc]
    """Numba's compiler, told that a function's arrays do not overlap; njit has no option for it."""

    def __init__(
        self, typingctx: Any, targetctx: Any, library: Any, args: Any, return_type: Any, flags: Any, locals: Any
    ):
        flags = flags.copy()
        flags.noalias = True
        super().__init__(typingctx, targetctx, library, args, return_type, flags, locals)


def loop(function: Callable[..., Any]) -> Any:
    """As `compiled`, for a function whose arrays do not overlap where one of them is written."""
    return cached(function, pipeline_class=_Apart, **OPTIONS)


def flat(array: Any) -> Any:
    """The numbers of an array as one axis, contiguous; a copy where they may not be written, as Numba would compile
    another version for those."""
    one = np.ascontiguousarray(array).reshape(-1)
    return one if one.flags.writeable else one.copy()


@intrinsic  # type: ignore[untyped-decorator]
def peek(typing_context: Any, array: Any, i: Any) -> Any:
    """array[i] of a contiguous array, unchecked; a flag as a flag."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(array)(context, builder, args[0]).data
        value = builder.load(builder.gep(data, [args[1]]))
        return _loaded(context, builder, array, value)

    return array.dtype(array, types.intp), generate


def _loaded(context: Any, builder: Any, array: Any, value: Any) -> Any:
    model = context.data_model_manager[array.dtype]
    return model.from_data(builder, value)


@intrinsic  # type: ignore[untyped-decorator]
def poke(typing_context: Any, array: Any, i: Any, value: Any) -> Any:
    """array[i] = value, of the array's own dtype, unchecked."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(array)(context, builder, args[0]).data
        given = context.cast(builder, args[2], value, array.dtype)
        model = context.data_model_manager[array.dtype]
        builder.store(model.as_data(builder, given), builder.gep(data, [args[1]]))
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate


# ---------------------------------------------------------------- exp, by the formula of kernels/native/curves.py
def _formula(number: Any, mantissa: int, high_bits: int, degree: int, lowest: float, highest: float) -> Any:
    coefficients = [number(1 / math.factorial(k)) for k in range(2, degree + 1)]
    one, two, zero, infinite = number(1), number(2), number(0), number(np.inf)
    low_x, high_x = number(lowest), number(highest)
    per_ln2, shift = number(1 / math.log(2)), number(1.5 * 2**mantissa)
    exact = math.floor(math.log(2) * 2**high_bits) / 2**high_bits
    high, low = number(exact), number(float(LN2 - Decimal(exact)))
    series = _horner(coefficients)

    def formula(x: Any) -> Any:
        y = high_x if x > high_x else x
        y = low_x if y < low_x else y
        shifted = y * per_ln2 + shift  # rounds to an integer k
        k = shifted - shift
        r = (y - k * high) - k * low
        p = r + r * r * series(r)
        value = power_of_two(shifted - one) * (two + two * p)  # 2^(k-1), as 2^k may be beyond the largest number
        value = infinite if x > high_x else value
        return zero if x < low_x else value

    return formula


def _horner(c: list[Any]) -> Any:
    if len(c) == 6:
        a0, a1, a2, a3, a4, a5 = c
        return njit(lambda r: a0 + r * (a1 + r * (a2 + r * (a3 + r * (a4 + r * a5)))), **OPTIONS)
    a0, a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11 = c

    def series(r: Any) -> Any:
        tail = a6 + r * (a7 + r * (a8 + r * (a9 + r * (a10 + r * a11))))
        return a0 + r * (a1 + r * (a2 + r * (a3 + r * (a4 + r * (a5 + r * tail)))))

    return njit(series, **OPTIONS)


_FORMULAS = {
    types.float32: _formula(np.float32, 23, 15, 7, -86.6, 88.72283),
    types.float64: _formula(np.float64, 52, 40, 13, -707.7, 709.782712),
}


def exp(x: Any) -> Any:
    """exp(x). Called from Python, NumPy's: the slow twin of the compiled one."""
    return np.exp(x)


@overload(exp, jit_options=OPTIONS)  # type: ignore[untyped-decorator]
def _compiled_exp(x: Any) -> Any:
    return _FORMULAS[x]
