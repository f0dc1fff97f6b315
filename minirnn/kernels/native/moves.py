"""Copies between matrices and their packed forms, a vector at a time, at the edges too."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from minirnn.kernels.native.vectors import INTEGER, ROWS, VECTORS, Vectors

__all__ = ["add_edge_row", "move_panel_row", "move_tile_rows", "transpose_block"]


def _vectors_and_pointers(context: Any, builder: Any, like: Any, addresses: Any) -> tuple[Vectors, list[Any]]:
    scalar = context.get_value_type(like)
    pointers = [builder.inttoptr(address, scalar.as_pointer()) for address in addresses]
    return Vectors(builder, scalar, like.bitwidth // 8), pointers


@intrinsic  # type: ignore[untyped-decorator]
def move_tile_rows(typing_context: Any, like: Any, to: Any, source: Any) -> Any:
    """Copy ROWS numbers of the dtype of `like` from one address to another."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        few = ir.VectorType(context.get_value_type(like), ROWS).as_pointer()
        value = builder.load(builder.inttoptr(args[2], few))
        value.align = like.bitwidth // 8
        builder.store(value, builder.inttoptr(args[1], few)).align = like.bitwidth // 8
        return context.get_dummy_value()

    return types.void(like, types.intp, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def move_panel_row(typing_context: Any, like: Any, to: Any, source: Any, count: Any) -> Any:
    """Copy `count` numbers to the row of a panel at the address `to`, and zeros behind them."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vectors, (to, source) = _vectors_and_pointers(context, builder, like, args[1:3])
        for v in range(VECTORS):
            vectors.store(vectors.load_some(source, args[3], v), to, v)
        return context.get_dummy_value()

    return types.void(like, types.intp, types.intp, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def add_edge_row(typing_context: Any, like: Any, to: Any, source: Any, count: Any, add: Any) -> Any:
    """Write `count` numbers, up to a panel's width, to the address `to`, or with `add` onto what is there."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vectors, (to, source) = _vectors_and_pointers(context, builder, like, args[1:3])
        taking_part = builder.select(args[4], args[3], INTEGER(0))
        for v in range(VECTORS):
            held = vectors.load_some(to, taking_part, v)
            vectors.store_some(builder.fadd(held, vectors.load(source, v)), to, args[3], v)
        return context.get_dummy_value()

    return types.void(like, types.intp, types.intp, types.intp, types.boolean), generate


@intrinsic  # type: ignore[untyped-decorator]
def transpose_block(
    typing_context: Any, like: Any, to: Any, source: Any, row: Any, rows: Any, columns: Any, by: Any
) -> Any:
    """Transpose a block of as many rows as a vector has lanes, each multiplied by its number of `by`.

    source: the address of the block, with rows `row` numbers apart, of which `rows` by `columns` exist; to: the address
    in a panel; by: the address of the rows' factors. What does not exist counts as 0, and is written.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vectors, (to, source, by) = _vectors_and_pointers(context, builder, like, [args[1], args[2], args[6]])
        width, (row, rows, columns) = vectors.width, args[3:6]
        block = []
        for i in range(width):
            count = builder.select(builder.icmp_signed("<", INTEGER(i), rows), columns, INTEGER(0))
            block.append(vectors.load_some(builder.gep(source, [builder.mul(row, INTEGER(i))]), count))
        apart = 1
        while apart < width:  # swap the corners of every 2 x 2, then of those of every 4 x 4, and so on
            upper = [lane + width - apart if lane & apart else lane for lane in range(width)]
            lower = [lane + width if lane & apart else lane + apart for lane in range(width)]
            for i in range(width):
                if not i & apart:
                    a, b = block[i], block[i + apart]
                    block[i], block[i + apart] = vectors.shuffle(a, b, upper), vectors.shuffle(a, b, lower)
            apart *= 2
        factors = vectors.load_some(by, rows)
        for i in range(width):
            vectors.store(builder.fmul(block[i], factors), builder.gep(to, [INTEGER(i * VECTORS * width)]))
        return context.get_dummy_value()

    n = types.intp
    return types.void(like, n, n, n, n, n, n), generate
