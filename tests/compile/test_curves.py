"""Elementwise operations of native code against NumPy's, special numbers and the ends of their ranges among them."""

import ctypes

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="llvmlite is not installed: pip install 'minirnn[fast]'")

from minirnn.compile.errors import CannotCompile
from minirnn.compile.llvm import objects, printer
from minirnn.compile.llvm.curves import _FLOATS, _INTEGERS, emit
from minirnn.compile.llvm.target import host
from minirnn.compile.loops.program import Function, Line, Map, Number, Ref, index, with_slots
from minirnn.compile.operations import COMPARISONS, ELEMENTWISE

FLOATS = ["float32", "float64"]
SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, 2.0, -3.0, 7.25, 1e30, -50.0]


def native(op, of, dtype, *operands):
    """The operation on arrays, a Number among them as it is."""
    count = max(np.size(x) for x in operands if not isinstance(x, Number))
    names = [f"a{k}" for k in range(len(operands))]
    arrays = {n: np.ascontiguousarray(x) for n, x in zip(names, operands, strict=True) if not isinstance(x, Number)}
    loads = [(n, Ref(n, x.dtype.name, (), 0, (1,))) for n, x in arrays.items()]
    line = Line(
        "y", op, tuple([x if isinstance(x, Number) else n for n, x in zip(names, operands, strict=True)]), of, dtype
    )
    out = np.empty(count, dtype)
    work = Map(index(1), (count,), tuple(loads), (line,), (("y", Ref("out", dtype, (), 0, (1,))),))
    program = Function("f", of if of in FLOATS else "float32", (*arrays, "out"), (), (work,))
    taken, sizes = with_slots(program)
    name = f"test_{op}_{of}_{dtype}_{'_'.join(str(isinstance(x, Number)) for x in operands)}_{len(sizes)}"
    objects.load(f"{taken!r}{name}", lambda: printer.module(host(), [(name, taken, len(sizes))]))
    bits = [int(np.float64(s).view(np.int64)) if isinstance(s, float) else s for s in sizes]
    call = np.array([*[a.ctypes.data for a in (*arrays.values(), out)], *bits], np.int64)
    objects.function(name)(ctypes.c_void_p(call.ctypes.data))
    return out


def ulps(found, exact, dtype):
    with np.errstate(all="ignore"):
        return np.abs(found - exact) / np.spacing(np.abs(exact).astype(dtype))


def wider(dtype):
    return np.float64 if dtype == "float32" else np.longdouble


# ---------------------------------------------------------------- exp and tanh, which are ours
@pytest.mark.parametrize(("dtype", "ends"), [("float32", (-87, 88.7)), ("float64", (-708, 709.7))])
def test_exp_is_exact_to_two_ulp(dtype, ends):
    x = np.linspace(*ends, 200_001).astype(dtype)
    assert ulps(native("exp", dtype, dtype, x), np.exp(x.astype(wider(dtype))), dtype).max() < 2


@pytest.mark.parametrize(("dtype", "ends"), [("float32", (-104, -87)), ("float64", (-746, -708))])
def test_exp_goes_through_denormal_numbers_to_zero(dtype, ends):
    x = np.linspace(*ends, 20_001).astype(dtype)
    assert ulps(native("exp", dtype, dtype, x), np.exp(x.astype(wider(dtype))), dtype).max() < 2


@pytest.mark.parametrize("dtype", FLOATS)
def test_exp_at_its_ends(dtype):
    x = np.array([-np.inf, -1e4, 0.0, -0.0, 1e4, np.inf, np.nan], dtype)
    assert np.array_equal(
        native("exp", dtype, dtype, x), np.array([0, 0, 1, 1, np.inf, np.inf, np.nan]), equal_nan=True
    )


def test_tanh_in_float32_is_within_two_and_a_half_ulp_over_the_whole_range():
    every_seventeenth = np.arange(0, 0x7F800000, 17 * 256, dtype=np.uint32).view(np.float32)
    dense = np.linspace(1e-3, 10, 1_000_003, dtype=np.float32)
    for x in (every_seventeenth, dense, -dense):
        assert ulps(native("tanh", "float32", "float32", x), np.tanh(x.astype(np.float64)), "float32").max() < 2.5


def test_tanh_in_float64_is_full_precision():
    x = np.concatenate([np.exp(np.linspace(-40, 5, 400_001)), np.linspace(0, 25, 400_001)])
    assert ulps(native("tanh", "float64", "float64", x), np.tanh(x.astype(np.longdouble)), "float64").max() < 2.6


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_sigmoid_reaches_zero_and_one(dtype):
    x = np.array([-np.inf, -200, 0, 200, np.inf, np.nan], dtype)
    assert np.array_equal(native("sigmoid", dtype, dtype, x), [0, 0, 0.5, 1, 1, np.nan], equal_nan=True)


# ---------------------------------------------------------------- all of them
ONE = "abs arccos arcsin arctan ceil cos cosh exp expm1 floor isfinite isnan log log1p neg sigmoid sign sin sinh"
ONE = [*ONE.split(), "softplus", "sqrt", "tan", "tanh"]
TWO = "add arctan2 div equal greater greater_equal less less_equal logaddexp maximum minimum mod mul not_equal pow sub"
SIGN_UNKNOWN = {"sigmoid", "softplus", "logaddexp", "maximum", "minimum"}  # of the last two zeros NumPy takes either


def test_every_operation_is_tried():
    assert {*ONE, *TWO.split(), "copy"} == set(_FLOATS)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("op", ONE)
def test_an_operation_of_one_number(op, dtype):
    x = np.concatenate([SPECIAL, np.linspace(-4, 4, 41)]).astype(dtype)
    check(op, dtype, x)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("op", TWO.split())
def test_an_operation_of_two_numbers(op, dtype):
    a, b = (grid.reshape(-1).astype(dtype) for grid in np.meshgrid(SPECIAL, SPECIAL))
    check(op, dtype, a, b)


def check(op, dtype, *operands):
    with np.errstate(all="ignore"):
        expected = ELEMENTWISE[op](*operands)
    found = native(op, dtype, "bool" if op in COMPARISONS else dtype, *operands)
    assert found.dtype == expected.dtype
    if expected.dtype == bool:
        assert np.array_equal(found, expected)
        return
    assert np.array_equal(np.isnan(found), np.isnan(expected))
    tolerance = 8 * np.finfo(dtype).eps
    assert np.allclose(found, expected, rtol=tolerance, atol=tolerance, equal_nan=True)
    exact = expected == 0
    if op not in SIGN_UNKNOWN:
        assert np.array_equal(np.signbit(found[exact]), np.signbit(expected[exact]))


@pytest.mark.parametrize("op", sorted(_INTEGERS))
def test_an_operation_of_integers(op):
    a, b = (grid.reshape(-1) for grid in np.meshgrid([-7, -3, -1, 0, 1, 2, 5, 9], [-4, -1, 0, 1, 3, 7]))
    operands = (a,) if op in ("neg", "copy") else (a, b)
    with np.errstate(all="ignore"):
        expected = operands[0] if op == "copy" else ELEMENTWISE[op](*operands)
    assert np.array_equal(native(op, "int64", expected.dtype.name, *operands), expected)


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_choice_and_casts(dtype):
    x, flags = np.linspace(-2, 2, 37).astype(dtype), np.arange(37) % 3 == 0
    assert np.array_equal(native("where", dtype, dtype, flags, x, Number(0.0)), np.where(flags, x, 0))
    assert np.array_equal(native("cast", "bool", dtype, flags), flags.astype(dtype))
    assert np.array_equal(native("cast", dtype, "bool", x), x != 0)
    assert np.array_equal(native("cast", dtype, "int64", x), x.astype(np.int64))
    assert np.array_equal(native("cast", "int64", dtype, np.arange(-5, 5)), np.arange(-5, 5).astype(dtype))
    assert np.array_equal(native("logical_not", "bool", "bool", flags), ~flags)


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_constant_that_the_call_brings_is_rounded_once(dtype):
    x = np.linspace(1, 2, 19).astype(dtype)
    assert np.array_equal(native("mul", dtype, dtype, x, Number(1 / 3)), x * np.dtype(dtype).type(1 / 3))


@pytest.mark.parametrize(
    ("op", "kind"), [("sort", "float"), ("tanh", "i64"), ("add", "i1"), ("tanh", "half"), ("logical_and", "i32")]
)
def test_an_operation_that_native_code_has_not_is_named_with_its_type(op, kind):
    line = Line("made", op, ("x", "y"), "float32", "float32")
    with pytest.raises(CannotCompile, match=f"it has {op} of {kind}, which native code has not"):
        emit(None, line, ["%x", "%y"], [kind, kind])
