"""The innermost loop of a matrix product: a few rows times a few vectors, held in registers while k runs.

    c[i, j] (+)= sum_k a[i, k] b[k, j]      i in 0..rows, j in 0..vectors * lanes

A compiler given the plain loops spills the sums to memory; here each vector of them is a value of its own. 32 registers
hold 8 x 3 of them beside what a step needs, 16 hold 4 x 3.
"""

from typing import Any, NamedTuple

from numba import types
from numba.extending import intrinsic

from minirnn.kernels.native.jit import compiled
from minirnn.kernels.native.vectors import INTEGER, ROWS, VECTORS, Vectors

__all__ = ["run_tile"]

CONTRACT = ("contract",)  # a product and a sum become one fused instruction


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
    vectors_of = Vectors(builder, scalar, size)
    vector, zero, load, store = vectors_of.type, vectors_of.zero, vectors_of.load, vectors_of.store
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
    numbers = [vectors_of.spread(builder.load(builder.gep(a_now, [a_rows[i]]))) for i in range(rows)]
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
