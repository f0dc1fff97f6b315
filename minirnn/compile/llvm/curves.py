"""Elementwise operations on vectors, by name: `emit(text, line, operands)` writes one and gives its value's name.

exp and tanh are ours, since LLVM would call the C library for every number:

    x = k ln 2 + r, |r| <= ln(2) / 2;   exp(x) - 1 = 2^k (exp(r) - 1) + (2^k - 1);   exp(r) - 1 by its series
    tanh(x) = e / (e + 2) with e = exp(2 |x|) - 1, and x's sign

ln 2 is taken off in two parts, of which the first has so few bits that its product with k is exact. What is not here
goes to the C library, number by number. Infinities, nan, and signed zeros come out as NumPy's.
"""

import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import NamedTuple

import numpy as np

from minirnn.compile.errors import CannotCompile
from minirnn.compile.llvm.text import Text, element
from minirnn.compile.loops.program import Line

__all__ = ["emit"]

LN2 = Decimal("0.693147180559945309417232121458176568")


class _Format(NamedTuple):
    """mantissa and bias of a float; high_bits of ln 2 in its first part; terms of the series; where exp ends."""

    bits: int
    mantissa: int
    bias: int
    high_bits: int
    degree: int
    lowest: float
    highest: float


_FORMATS = {"float": _Format(32, 23, 127, 15, 7, -104.0, 89.0), "double": _Format(64, 52, 1023, 40, 13, -746.0, 710.0)}


def emit(text: Text, line: Line, operands: Sequence[str], kinds: Sequence[str]) -> str:
    """Write the operation; kinds are the operands' LLVM types. CannotCompile: there is none of these types."""
    number = kinds[-1]
    if number in _FORMATS and line.op in _FLOATS:
        return _FLOATS[line.op](text, number, *operands)
    if line.op == "cast":
        return _cast(text, operands[0], kinds[0], element(line.dtype))
    if line.op == "where":
        return text.select(kinds[1], operands[0], operands[1], operands[2])
    if number == "i1" and line.op in _FLAGS:
        return _FLAGS[line.op](text, *operands)
    if number[0] == "i" and number != "i1" and line.op in _INTEGERS:
        return _INTEGERS[line.op](text, number, *operands)
    raise CannotCompile(f"it has {line.op} of {number}, which native code has not")


# ---------------------------------------------------------------- exp and tanh
def _reduced(text: Text, kind: str, x: str) -> tuple[str, str]:
    """(exp(r) - 1, k as an integer) of x = k ln 2 + r."""
    form = _FORMATS[kind]

    def number(value: float) -> str:
        return text.constant(kind, value)

    exact = math.floor(math.log(2) * 2**form.high_bits) / 2**form.high_bits
    shift = number(1.5 * 2**form.mantissa)
    shifted = text.fma(kind, x, number(1 / math.log(2)), shift)
    k = text.binary("fsub", kind, shifted, shift)
    r = text.fma(kind, k, number(-exact), x)
    r = text.fma(kind, k, number(-float(LN2 - Decimal(exact))), r)
    p = number(1 / math.factorial(form.degree))
    for d in range(form.degree - 1, 1, -1):
        p = text.fma(kind, p, r, number(1 / math.factorial(d)))
    p = text.fma(kind, text.binary("fmul", kind, r, r), p, r)
    whole = f"i{form.bits}"
    low_bits = text.value(f"bitcast {text.vector(kind)} {shifted} to {text.vector(whole)}")
    left = text.constant(whole, form.bits - form.mantissa + 1)
    moved = text.binary("shl", whole, low_bits, left)
    return p, text.binary("ashr", whole, moved, left)


def _power(text: Text, kind: str, k: str) -> str:
    """2^k, for an integer k whose power is a normal number."""
    form = _FORMATS[kind]
    whole = f"i{form.bits}"
    biased = text.binary("add", whole, k, text.constant(whole, form.bias))
    bits = text.binary("shl", whole, biased, text.constant(whole, form.mantissa))
    return text.value(f"bitcast {text.vector(whole)} {bits} to {text.vector(kind)}")


def _within(text: Text, kind: str, x: str, lowest: float, highest: float) -> str:
    """x held between two numbers; nan stays."""
    low, high = text.constant(kind, lowest), text.constant(kind, highest)
    x = text.select(kind, text.compare("ogt", kind, x, high), high, x)
    return text.select(kind, text.compare("olt", kind, x, low), low, x)


def _exp(text: Text, kind: str, x: str) -> str:
    form, whole = _FORMATS[kind], f"i{_FORMATS[kind].bits}"
    p, k = _reduced(text, kind, _within(text, kind, x, form.lowest, form.highest))
    half = text.binary("ashr", whole, k, text.constant(whole, 1))  # 2^k may be no normal number: in two steps
    e = text.binary("fadd", kind, p, text.constant(kind, 1.0))
    e = text.binary("fmul", kind, e, _power(text, kind, half))
    return text.binary("fmul", kind, e, _power(text, kind, text.binary("sub", whole, k, half)))


def _tanh(text: Text, kind: str, x: str) -> str:
    limit = text.constant(kind, 2.5 * _FORMATS[kind].mantissa)
    one, two = text.constant(kind, 1.0), text.constant(kind, 2.0)
    y = text.intrinsic("fabs", kind, x)
    y = text.binary("fadd", kind, y, y)
    y = text.select(kind, text.compare("ogt", kind, y, limit), limit, y)
    p, k = _reduced(text, kind, y)
    power = _power(text, kind, k)
    e = text.fma(kind, power, p, text.binary("fsub", kind, power, one))
    quotient = text.binary("fdiv", kind, e, text.binary("fadd", kind, e, two))
    return text.intrinsic("copysign", kind, quotient, x)


def _sigmoid(text: Text, kind: str, x: str) -> str:
    half = text.constant(kind, 0.5)
    return text.fma(kind, _tanh(text, kind, text.binary("fmul", kind, x, half)), half, half)


# ---------------------------------------------------------------- the C library
def _each(name: str) -> Callable[..., str]:
    """The C function, called for every lane."""

    def emit(text: Text, kind: str, *operands: str) -> str:
        total, suffix = "poison", "f" if kind == "float" else ""
        for lane in range(text.lanes):
            given = [
                (kind, text.value(f"extractelement {text.vector(kind)} {operand}, i32 {lane}")) for operand in operands
            ]
            one = text.call(kind, name + suffix, *given)
            total = text.value(f"insertelement {text.vector(kind)} {total}, {kind} {one}, i32 {lane}")
        return total

    return emit


def _log1p_of_exp(text: Text, kind: str, x: str) -> str:
    """log(1 + exp(-|x|))."""
    negative = text.value(f"fneg {text.vector(kind)} {text.intrinsic('fabs', kind, x)}")
    return _each("log1p")(text, kind, _exp(text, kind, negative))


def _softplus(text: Text, kind: str, x: str) -> str:
    zero = text.constant(kind, 0.0)
    return text.binary("fadd", kind, _larger(text, kind, x, zero, "oge"), _log1p_of_exp(text, kind, x))


def _logaddexp(text: Text, kind: str, a: str, b: str) -> str:
    same = text.compare("oeq", kind, a, b)  # two infinities have no difference
    apart = text.select(kind, same, text.constant(kind, 0.0), text.binary("fsub", kind, a, b))
    return text.binary("fadd", kind, _larger(text, kind, a, b, "oge"), _log1p_of_exp(text, kind, apart))


def _mod(text: Text, kind: str, a: str, b: str) -> str:
    """As Python: the sign of b."""
    zero = text.constant(kind, 0.0)
    rest = _each("fmod")(text, kind, a, b)
    negative = [text.compare("olt", kind, x, zero) for x in (rest, b)]
    differ = text.binary("xor", "i1", *negative)
    beyond = text.binary("and", "i1", differ, text.compare("one", kind, rest, zero))
    found = text.select(kind, beyond, text.binary("fadd", kind, rest, b), rest)
    signed_zero = text.intrinsic("copysign", kind, zero, b)
    return text.select(kind, text.compare("oeq", kind, found, zero), signed_zero, found)


# ---------------------------------------------------------------- the rest
def _larger(text: Text, kind: str, a: str, b: str, predicate: str) -> str:
    """a where a >= b, or <= b, or a is nan; else b."""
    keeps = text.compare(predicate, kind, a, b)
    nan = text.compare("uno", kind, a, a)
    return text.select(kind, text.binary("or", "i1", keeps, nan), a, b)


def _whole_mod(text: Text, kind: str, a: str, b: str) -> str:
    """Of integers, as Python: the sign of b; 0 for b = 0, as NumPy. Processors trap there, and at the lowest % -1."""
    zero, one = text.constant(kind, 0), text.constant(kind, 1)
    traps = text.compare("ult", kind, text.binary("add", kind, b, one), text.constant(kind, 2))
    b = text.select(kind, traps, one, b)
    rest = text.binary("srem", kind, a, b)
    negative = [text.compare("slt", kind, x, zero) for x in (rest, b)]
    beyond = text.binary("and", "i1", text.binary("xor", "i1", *negative), text.compare("ne", kind, rest, zero))
    return text.select(kind, beyond, text.binary("add", kind, rest, b), rest)


def _sign(text: Text, kind: str, x: str) -> str:
    zero, one = text.constant(kind, 0.0), text.constant(kind, 1.0)
    signed = text.intrinsic("copysign", kind, one, x)
    other = text.compare("one", kind, x, zero)
    still = text.select(kind, text.compare("uno", kind, x, x), x, zero)
    return text.select(kind, other, signed, still)


def _cast(text: Text, x: str, old: str, new: str) -> str:
    if old == new:
        return x
    if new == "i1":
        zero = text.constant(old, 0)
        return text.compare("une" if old in _FORMATS else "ne", old, x, zero)
    if old in _FORMATS and new in _FORMATS:
        how = "fpext" if new == "double" else "fptrunc"
    elif new in _FORMATS:
        how = "uitofp" if old == "i1" else "sitofp"
    elif old in _FORMATS:
        how = "fptosi"
    else:
        how = "zext" if old == "i1" else "sext" if int(new[1:]) > int(old[1:]) else "trunc"
    return text.value(f"{how} {text.vector(old)} {x} to {text.vector(new)}")


def _arithmetic(op: str) -> Callable[..., str]:
    return lambda text, kind, a, b: text.binary(op, kind, a, b)


def _contracted(op: str) -> Callable[..., str]:
    """May become part of a fused multiplication and addition."""
    return lambda text, kind, a, b: text.binary(f"{op} contract", kind, a, b)


def _comparison(predicate: str) -> Callable[..., str]:
    return lambda text, kind, a, b: text.compare(predicate, kind, a, b)


def _intrinsic(name: str) -> Callable[..., str]:
    return lambda text, kind, x: text.intrinsic(name, kind, x)


def _finite(text: Text, kind: str, x: str) -> str:
    return text.compare("olt", kind, text.intrinsic("fabs", kind, x), text.constant(kind, np.inf))


_FLOATS: dict[str, Callable[..., str]] = {
    **{op: _contracted(f"f{op}") for op in ("add", "sub", "mul")},
    "div": _arithmetic("fdiv"),
    "neg": lambda text, kind, x: text.value(f"fneg {text.vector(kind)} {x}"),
    "maximum": lambda text, kind, a, b: _larger(text, kind, a, b, "oge"),
    "minimum": lambda text, kind, a, b: _larger(text, kind, a, b, "ole"),
    "abs": _intrinsic("fabs"),
    **{op: _intrinsic(op) for op in ("sqrt", "floor", "ceil")},
    "copy": lambda text, kind, x: x,
    "exp": _exp,
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "logaddexp": _logaddexp,
    "mod": _mod,
    "sign": _sign,
    **{op: _each(op) for op in ("pow", "log", "log1p", "expm1", "sin", "cos", "tan", "sinh", "cosh")},
    **{f"arc{op}": _each(f"a{op}") for op in ("sin", "cos", "tan", "tan2")},
    **{op: _comparison(p) for op, p in (("less", "olt"), ("less_equal", "ole"), ("greater", "ogt"))},
    **{op: _comparison(p) for op, p in (("greater_equal", "oge"), ("equal", "oeq"), ("not_equal", "une"))},
    "isfinite": _finite,
    "isnan": lambda text, kind, x: text.compare("uno", kind, x, x),
}
_FLAGS: dict[str, Callable[..., str]] = {
    "logical_and": lambda text, a, b: text.binary("and", "i1", a, b),
    "logical_or": lambda text, a, b: text.binary("or", "i1", a, b),
    "logical_not": lambda text, a: text.binary("xor", "i1", a, text.constant("i1", True)),
    "equal": lambda text, a, b: text.compare("eq", "i1", a, b),
    "not_equal": lambda text, a, b: text.compare("ne", "i1", a, b),
    "copy": lambda text, a: a,
}
_INTEGERS: dict[str, Callable[..., str]] = {
    **{op: _arithmetic(op) for op in ("add", "sub", "mul")},
    "copy": lambda text, kind, x: x,
    "mod": _whole_mod,
    **{op: _comparison(p) for op, p in (("less", "slt"), ("less_equal", "sle"), ("greater", "sgt"))},
    **{op: _comparison(p) for op, p in (("greater_equal", "sge"), ("equal", "eq"), ("not_equal", "ne"))},
    "neg": lambda text, kind, x: text.binary("sub", kind, text.constant(kind, 0), x),
    "maximum": lambda text, kind, a, b: text.select(kind, text.compare("sge", kind, a, b), a, b),
    "minimum": lambda text, kind, a, b: text.select(kind, text.compare("sle", kind, a, b), a, b),
}
