"""The innermost loop of a matrix product: a few rows times a few vectors, held in registers while k runs.

    c[i, j] (+)= sum_k a[i, k] b[k, j]      i in 0..rows, j in 0..vectors * lanes

A compiler given the plain loops spills the sums to memory; here each vector of them is a value of its own. The vectors'
width and the number of rows are this machine's: 32 registers of 512 bits hold 8 x 3 sums, 16 of 256 bits hold 4 x 3.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from minirnn.kernels.native.jit import compiled

__all__ = [
    "ROWS",
    "VECTORS",
    "VECTOR_BYTES",
    "address",
    "lanes",
    "move_panel_row",
    "move_tile_rows",
    "run_tile",
]


def _vector_bytes_and_rows() -> tuple[int, int]:
    features = llvmlite.binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 64, 8
    if features.get("avx2") and features.get("fma"):
        return 32, 4
    return 16, 8 if features.get("neon") else 4


VECTORS = 3
VECTOR_BYTES, ROWS = _vector_bytes_and_rows()
CONTRACT = ("contract",)  # a product and a sum become one fused instruction
INTEGER = ir.IntType(64)


@intrinsic  # type: ignore[untyped-decorator]
def lanes(typing_context: Any, array: Any) -> Any:
    """How many numbers of the array's dtype a vector holds."""
    count = 8 * VECTOR_BYTES // array.dtype.bitwidth

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.get_constant(types.intp, count)

    return types.intp(array), generate


@intrinsic  # type: ignore[untyped-decorator]
def address(typing_context: Any, array: Any, offset: Any) -> Any:
    """Where the number `offset` of a contiguous array lies."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(array)(context, builder, args[0]).data
        return builder.ptrtoint(builder.gep(data, [args[1]]), INTEGER)

    return types.intp(array, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def move_tile_rows(typing_context: Any, like: Any, to: Any, source: Any) -> Any:
    """Copy ROWS numbers of the dtype of `like` from one address to another."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = ir.VectorType(context.get_value_type(like), ROWS)
        value = builder.load(builder.inttoptr(args[2], vector.as_pointer()))
        value.align = like.bitwidth // 8
        builder.store(value, builder.inttoptr(args[1], vector.as_pointer())).align = like.bitwidth // 8
        return context.get_dummy_value()

    return types.void(like, types.intp, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def move_panel_row(typing_context: Any, like: Any, to: Any, source: Any, count: Any) -> Any:
    """Copy `count` numbers to the row of a panel at the address `to`, and zeros behind them."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        scalar, size, integer = context.get_value_type(like), like.bitwidth // 8, ir.IntType(32)
        vector, _, store, _ = _vector_instructions(builder, scalar, size)
        width = vector.count
        mask, zero = ir.VectorType(ir.IntType(1), width), ir.Constant(vector, [0.0] * width)
        to, source = (builder.inttoptr(args[i], scalar.as_pointer()) for i in (1, 2))
        signature = ir.FunctionType(vector, [vector.as_pointer(), integer, mask, vector])
        name = f"llvm.masked.load.v{width}f{like.bitwidth}.p0"
        load_some = cgutils.get_or_insert_function(builder.module, signature, name)
        many = ir.VectorType(INTEGER, width)
        first = builder.insert_element(ir.Constant(many, ir.Undefined), args[3], integer(0))
        counts = builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(integer, width), [0] * width))
        for v in range(VECTORS):
            places = ir.Constant(many, [v * width + lane for lane in range(width)])
            at = builder.bitcast(builder.gep(source, [INTEGER(v * width)]), vector.as_pointer())
            here = builder.icmp_signed("<", places, counts)
            store(builder.call(load_some, [at, integer(size), here, zero]), to, v)
        return context.get_dummy_value()

    return types.void(like, types.intp, types.intp, types.intp), generate


class _Operands(NamedTuple):
    """Addresses of c, a and b; the distances between their rows and k in numbers; how many k; whether to add to c."""

    c: Any
    c_row: Any
    a: Any
    a_row: Any
    a_k: Any
    b: Any
    b_k: Any
    count: Any
    add: Any


@intrinsic  # type: ignore[untyped-decorator]
def _tile(
    typing_context: Any,
    like: Any,
    rows: Any,
    vectors: Any,
    c: Any,
    c_row: Any,
    a: Any,
    a_row: Any,
    a_k: Any,
    b: Any,
    b_k: Any,
    count: Any,
    add: Any,
) -> Any:
    """One tile of `rows` (a power of two, to ROWS) by `vectors` (1 to VECTORS), of the dtype of the number `like`."""
    n = types.intp

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.function.attributes.add("noinline")  # one copy, or compilation takes seconds
        scalar, operands = context.get_value_type(like), _Operands(*args[3:])
        end = builder.append_basic_block("tile.end")
        case = builder.add(builder.mul(args[1], INTEGER(VECTORS + 1)), args[2])
        switch = builder.switch(case, end)
        for r in (1, 2, 4, 8)[: ROWS.bit_length()]:
            for v in range(1, VECTORS + 1):
                block = builder.append_basic_block(f"tile.{r}.{v}")
                switch.add_case(INTEGER(r * (VECTORS + 1) + v), block)
                builder.position_at_end(block)
                _emit_tile(builder, scalar, like.bitwidth // 8, operands, r, v)
                builder.branch(end)
        builder.position_at_end(end)
        return context.get_dummy_value()

    return types.void(like, n, n, n, n, n, n, n, n, n, n, types.boolean), generate


def _emit_tile(builder: Any, scalar: Any, size: int, operands: _Operands, rows: int, vectors: int) -> None:
    vector, load, store, spread = _vector_instructions(builder, scalar, size)
    zero = ir.Constant(vector, [0.0] * vector.count)
    each = [(i, v) for i in range(rows) for v in range(vectors)]
    c, a, b = (builder.inttoptr(p, scalar.as_pointer()) for p in (operands.c, operands.a, operands.b))
    a_rows = [builder.mul(operands.a_row, INTEGER(i)) for i in range(rows)]
    c_rows = [builder.gep(c, [builder.mul(operands.c_row, INTEGER(i))]) for i in range(rows)]
    begin, new, totals = {}, {}, {}
    clear, onto = builder.block, builder.append_basic_block("c")
    start, loop, done = (builder.append_basic_block(name) for name in ("k.start", "k", "k.done"))
    builder.cbranch(operands.add, onto, start)
    builder.position_at_end(onto)
    held = {(i, v): load(c_rows[i], v) for i, v in each}
    builder.branch(start)
    builder.position_at_end(start)
    for where in each:
        begin[where] = builder.phi(vector)
        begin[where].add_incoming(zero, clear)
        begin[where].add_incoming(held[where], onto)
    before = start
    builder.cbranch(builder.icmp_signed(">", operands.count, INTEGER(0)), loop, done)

    builder.position_at_end(loop)
    k, a_now, b_now = builder.phi(INTEGER), builder.phi(a.type), builder.phi(b.type)
    sums = {where: builder.phi(vector) for where in each}
    b_vectors = [load(b_now, v) for v in range(vectors)]
    numbers = [spread(builder.load(builder.gep(a_now, [a_rows[i]]))) for i in range(rows)]
    for i, v in each:
        product = builder.fmul(numbers[i], b_vectors[v], flags=CONTRACT)
        new[i, v] = builder.fadd(sums[i, v], product, flags=CONTRACT)
    following = builder.add(k, INTEGER(1))
    steps = [(k, INTEGER(0), following), (a_now, a, builder.gep(a_now, [operands.a_k]))]
    steps += [
        (b_now, b, builder.gep(b_now, [operands.b_k])),
        *((sums[where], begin[where], new[where]) for where in each),
    ]
    for phi, first, then in steps:
        phi.add_incoming(first, before)
        phi.add_incoming(then, loop)
    builder.cbranch(builder.icmp_signed("<", following, operands.count), loop, done)

    builder.position_at_end(done)
    for i, v in each:
        total = builder.phi(vector)
        total.add_incoming(begin[i, v], before)
        total.add_incoming(new[i, v], loop)
        totals[i, v] = total
    for i, v in each:
        store(totals[i, v], c_rows[i], v)


def _vector_instructions(builder: Any, scalar: Any, size: int) -> tuple[Any, Callable[..., Any], Any, Any]:
    """The vector type; load(pointer, v) and store(value, pointer, v) of the v-th vector; spread(number) over one."""
    vector = ir.VectorType(scalar, VECTOR_BYTES // size)
    nothing = ir.Constant(vector, ir.Undefined)
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), vector.count), [0] * vector.count)

    def at(pointer: Any, v: int) -> Any:
        return builder.bitcast(builder.gep(pointer, [INTEGER(v * vector.count)]), vector.as_pointer())

    def load(pointer: Any, v: int) -> Any:
        value = builder.load(at(pointer, v))
        value.align = size
        return value

    def store(value: Any, pointer: Any, v: int) -> None:
        builder.store(value, at(pointer, v)).align = size

    def spread(number: Any) -> Any:
        first = builder.insert_element(nothing, number, ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(first, nothing, everywhere)

    return vector, load, store, spread


@compiled
def run_tile(
    like: Any,
    rows: int,
    vectors: int,
    c: int,
    c_row: int,
    a: int,
    a_row: int,
    a_k: int,
    b: int,
    b_k: int,
    count: int,
    add: bool,
) -> None:
    """One tile, as a function of its own: what it needs travels in registers."""
    _tile(like, rows, vectors, c, c_row, a, a_row, a_k, b, b_k, count, add)
