"""tanh in a form that LLVM vectorises, in float32 and float64, by one formula:

    tanh|x| = e / (e + 2),   e = exp(2|x|) - 1 = 2^k p + (2^k - 1),   p = exp(r) - 1,   2|x| = k ln 2 + r

with p from the Taylor series of exp on |r| <= ln(2) / 2. Worst error over the whole range, against the exact value:
2.42 ulp in float32 (np.tanh: 1.37) and 2.5 ulp in float64 (np.tanh: 1.2). 0, -0, denormal numbers, inf and nan come out
right. sigmoid(x) = (1 + tanh(x / 2)) / 2 needs nothing else.
"""

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

from minirnn.kernels.native.jit import OPTIONS

__all__ = ["tanh"]

LN2 = Decimal("0.693147180559945309417232121458176568")


@intrinsic  # type: ignore[untyped-decorator]
def power_of_two(typing_context: Any, shifted: Any) -> Any:
    """2^k for shifted = k + 1.5 * 2^mantissa: k then stands in the lowest bits, and moves to the exponent."""
    bits, mantissa, bias = (32, 23, 127) if shifted == types.float32 else (64, 52, 1023)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        integer = ir.IntType(bits)
        k = builder.shl(builder.bitcast(args[0], integer), ir.Constant(integer, mantissa))
        power = builder.add(k, ir.Constant(integer, bias << mantissa))
        return builder.bitcast(power, context.get_value_type(shifted))

    return shifted(shifted), generate


def _taylor(number: Any, degree: int) -> list[Any]:
    """The coefficients of (exp(r) - 1 - r) / r^2 to the given degree of r in exp."""
    return [number(1 / math.factorial(n)) for n in range(2, degree + 1)]


def _series32() -> Any:
    a, b, c, d, e, f = _taylor(np.float32, 7)
    return njit(lambda r: a + r * (b + r * (c + r * (d + r * (e + r * f)))), **OPTIONS)


def _series64() -> Any:
    a, b, c, d, e, f, g, h, i, j, k, l = _taylor(np.float64, 13)

    def series(r: Any) -> Any:
        tail = g + r * (h + r * (i + r * (j + r * (k + r * l))))
        return a + r * (b + r * (c + r * (d + r * (e + r * (f + r * tail)))))

    return njit(series, **OPTIONS)


def _formula(number: Any, mantissa: int, high_bits: int, series: Any) -> Callable[[Any], Any]:
    one, two, limit = number(1), number(2), number(2.5 * mantissa)  # tanh is 1 from 2|x| = limit on
    per_ln2, shift = number(1 / math.log(2)), number(1.5 * 2**mantissa)
    exact = math.floor(math.log(2) * 2**high_bits) / 2**high_bits  # short enough that k times it is exact
    high, low = number(exact), number(float(LN2 - Decimal(exact)))

    def formula(x: Any) -> Any:
        y = abs(x) * two
        y = limit if y > limit else y  # nan stays
        shifted = y * per_ln2 + shift  # which rounds to an integer
        k = shifted - shift
        r = (y - k * high) - k * low
        p = r + r * r * series(r)
        power = power_of_two(shifted)
        e = power * p + (power - one)
        return math.copysign(e / (e + two), x)

    return formula


_FORMULAS = {
    types.float32: _formula(np.float32, 23, 15, _series32()),
    types.float64: _formula(np.float64, 52, 40, _series64()),
}


def tanh(x: Any) -> Any:
    """tanh(x). Called from Python, NumPy's: the slow twin of the compiled one."""
    return np.tanh(x)


@overload(tanh, jit_options=OPTIONS)  # type: ignore[untyped-decorator]
def _compiled_tanh(x: Any) -> Any:
    return _FORMULAS[x]
