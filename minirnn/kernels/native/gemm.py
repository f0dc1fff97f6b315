"""Matrix products whose right side is packed once and used many times.

BLAS packs the weights again at every step of a recurrence. Here `pack` lays a matrix (k, n) out once as panels of as
many columns as a tile has, each panel (k, width) without a gap, and `multiply` and `multiply_transposed` run tiles over
it. `multiply_slowly` is their slow twin, and the tests hold them equal.

Constants reach the compiled functions as np.intp(1) and the like: a bare 1 would make a version of its own.

Every sum runs over k in order, whatever the number of rows and of threads, so results depend on neither.
"""

from typing import Any

import numpy as np

from minirnn.kernels.native.jit import compiled
from minirnn.kernels.native.moves import add_edge_row, move_panel_row, move_tile_rows, transpose_block
from minirnn.kernels.native.tile import run_tile
from minirnn.kernels.native.vectors import ROWS, VECTOR_BYTES, VECTORS, address, lanes
from minirnn.module import Array

__all__ = ["multiply", "multiply_slowly", "multiply_transposed", "pack", "pack_transposed", "packed_size"]

K_AT_ONCE = 512  # of a product with many k: what keeps a panel near
LEFT_AT_ONCE = 1 << 17  # numbers of the left side between two passes over the panels
STRIP = 8  # tiles whose transposed left sides are copied together, so that cache lines are read whole


def packed_size(k: int, n: int, dtype: Any) -> int:
    """How many numbers the packed form of a (k, n) matrix takes."""
    lane = VECTOR_BYTES // np.dtype(dtype).itemsize
    width = VECTORS * lane
    return -(-n // width) * width * k + width * lane  # the last for the end of a transposed block


@compiled
def pack(b: Array, b_at: int, b_row: int, k: int, n: int, out: Array) -> None:
    """out: the panels of a matrix (k, n) that begins at b[b_at] with rows b_row numbers apart; b and out are flat."""
    width = VECTORS * lanes(b)
    for j in range(0, n, width):
        m = min(width, n - j)
        for i in range(k):
            move_panel_row(b[0], address(out, j * k + i * width), address(b, b_at + i * b_row + j), m)


@compiled
def pack_transposed(w: Array, by: Array, out: Array) -> None:
    """out: the panels of (by[:, None] * w)^T, where w is (n, k)."""
    n, k = w.shape
    flat, lane, width = w.ravel(), lanes(w), VECTORS * lanes(w)
    for row in range(0, n + width - 1 - (n - 1) % width, lane):
        panel, within = row // width * width * k, row % width
        for i in range(0, k, lane):  # in order: a block that ends behind its panel is followed by what belongs there
            to, source = address(out, panel + i * width + within), address(flat, row * k + i)
            transpose_block(w[0, 0], to, source, k, n - row, min(lane, k - i), address(by, row))


def multiply_slowly(c: Array, a: Array, b: Array, add: bool) -> None:
    """c (+)= a b, by NumPy, with b as it is."""
    c[...] = (c if add else 0) + a @ b


@compiled
def _rows_of_a_tile(left: int) -> int:
    """The largest power of two that is no more than `left` and than ROWS."""
    rows = ROWS
    while rows > left:
        rows //= 2
    return rows


@compiled
def multiply(
    c: Array, c_at: int, c_row: int, a: Array, a_at: int, a_row: int, m: int, b: Array, k: int, n: int, add: bool
) -> None:
    """c (m, n) (+)= a (m, k) b, with b packed. c and a are flat; the matrices begin at the numbers c_at and a_at, with
    rows c_row and a_row numbers apart."""
    width, one = VECTORS * lanes(c), np.intp(1)
    edge = np.empty(ROWS * width, b.dtype)
    rows_at_once = max(ROWS, LEFT_AT_ONCE // k)
    for start in range(0, m, rows_at_once):
        stop = min(start + rows_at_once, m)
        for j in range(0, n, width):
            columns, panel, top = min(width, n - j), address(b, j * k), start
            while top < stop:
                rows, left = _rows_of_a_tile(stop - top), address(a, a_at + top * a_row)
                _tile_or_edge(c, c_at + top * c_row + j, c_row, rows, columns, edge, left, a_row, one, panel, k, add)
                top += rows


@compiled
def multiply_transposed(
    a: Array,
    a_at: int,
    a_row: int,
    m: int,
    k: int,
    c: Array,
    c_at: int,
    b: Array,
    n: int,
    other_c: Array,
    other_b: Array,
    other_n: int,
    add: bool,
) -> None:
    """c (m, n) (+)= a^T b and other_c (m, other_n) (+)= a^T other_b, where a is (k, m) and both right sides are packed.

    c and other_c are contiguous; c begins at the number c_at. other_n = 0 leaves the second product out.
    """
    edge = np.empty(ROWS * VECTORS * lanes(c), b.dtype)
    strip = np.empty(STRIP * ROWS * min(k, K_AT_ONCE), b.dtype)
    parts = (k + K_AT_ONCE - 1) // K_AT_ONCE
    for part in range(parts):
        first = k * part // parts
        count = k * (part + 1) // parts - first
        onto = add or part > 0
        for left in range(0, m, STRIP * ROWS):
            rows = min(STRIP * ROWS, m - left)
            _copy_strip(a, a_at + first * a_row + left, a_row, rows, count, strip)
            _strip_product(c, c_at + left * n, n, strip, rows, count, b, first, k, edge, onto)
            if other_n:
                _strip_product(other_c, left * other_n, other_n, strip, rows, count, other_b, first, k, edge, onto)


@compiled
def _copy_strip(a: Array, a_at: int, a_row: int, rows: int, count: int, strip: Array) -> None:
    """Columns of a as tiles of a transposed left side: strip[tile, k, row]."""
    tiles = (rows + ROWS - 1) // ROWS
    for i in range(count):
        for t in range(tiles):
            to, of = (t * count + i) * ROWS, a_at + i * a_row + t * ROWS
            if (t + 1) * ROWS <= rows:
                move_tile_rows(a[0], address(strip, to), address(a, of))
            else:
                for r in range(rows - t * ROWS):
                    strip[to + r] = a[of + r]


@compiled
def _strip_product(
    c: Array,
    c_at: int,
    n: int,
    strip: Array,
    rows: int,
    count: int,
    b: Array,
    first: int,
    k: int,
    edge: Array,
    add: bool,
) -> None:
    width, one, tile_row = VECTORS * lanes(c), np.intp(1), np.intp(ROWS)
    for j in range(0, n, width):
        panel = address(b, j * k + first * width)
        t = 0
        while t < rows:
            height, side = _rows_of_a_tile(rows - t), address(strip, t // ROWS * ROWS * count + t % ROWS)
            at = c_at + t * n + j
            _tile_or_edge(c, at, n, height, min(width, n - j), edge, side, one, tile_row, panel, count, add)
            t += height


@compiled
def _tile_or_edge(
    c: Array,
    c_at: int,
    c_row: int,
    rows: int,
    columns: int,
    edge: Array,
    left: int,
    a_row: int,
    a_k: int,
    panel: int,
    count: int,
    add: bool,
) -> None:
    """A tile of whole vectors straight into c; one that is cut by c's edge by way of `edge`."""
    width, lane = VECTORS * lanes(c), lanes(c)
    vectors = (columns + lane - 1) // lane
    if columns == vectors * lane:
        run_tile(edge[0], rows, vectors, address(c, c_at), c_row, left, a_row, a_k, panel, width, count, add)
        return
    run_tile(edge[0], rows, vectors, address(edge, 0), width, left, a_row, a_k, panel, width, count, np.bool_(False))
    for r in range(rows):
        add_edge_row(edge[0], address(c, c_at + r * c_row), address(edge, r * width), columns, add)
