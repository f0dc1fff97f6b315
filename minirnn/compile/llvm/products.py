"""Matrix products whose right side is packed once and used many times, as LLVM text: one module a dtype and target.

BLAS packs the weights again at every step of a recurrence. Here `pack` lays a matrix (k, n) out once as strips of one
vector: strip v holds columns v * lanes ... of all k rows, zeros behind the last column. A tile of some rows and vectors
keeps its sums in registers; every sum runs over k in order, whatever the number of rows, so results do not depend on
how a batch is shared out.

    pack(source, row, k, n, to)                          to: source (k, n) as strips
    pack_transposed(source, row, k, n, to)               to: source^T, where source is (n, k)
    multiply(c, c_row, a, a_row, a_k, b, m, k, n, strip, add)   c (m, n) (+)= a (m, k) b; a[i, j] at i * a_row + j * a_k
    multiply_direct(c, c_row, a, a_row, b, b_row, m, k, n)     c (m, n) = a (m, k) b, where b (k, n) is not packed
    multiply_transposed(c, a, a_row, b, m, k, n, room, add)     c (m, n) (+)= a^T b; a is (k, m), c has no gaps
    column_sum(to, a, a_row, rows, n, add)               to (n,) (+)= the sums of a's columns
"""

from minirnn.compile.llvm.target import Target
from minirnn.compile.llvm.tiles import TILE, Product, arguments, tile

__all__ = ["SIGNATURES", "module", "packed_size", "room_size"]

K_AT_ONCE = 512  # of a transposed product with many k: what keeps a strip near
K_OF_STRIPS = 1024  # of others
LEFT_AT_ONCE = 1 << 16  # numbers of the left side between two passes over the strips
TILES_AT_ONCE = 8  # tiles whose transposed left sides are copied together, so that cache lines are read whole
ROWS_AT_ONCE = 64  # of a sum over rows: partial sums lose less

SIGNATURES = {
    "pack": "ptr source, i64 row, i64 k, i64 n, ptr to",
    "pack_transposed": "ptr source, i64 row, i64 k, i64 n, ptr to",
    "multiply": "ptr c, i64 c_row, ptr a, i64 a_row, i64 a_k, ptr b, i64 m, i64 k, i64 n, i64 strip, i64 add",
    "multiply_direct": "ptr c, i64 c_row, ptr a, i64 a_row, ptr b, i64 b_row, i64 m, i64 k, i64 n",
    "multiply_transposed": "ptr c, ptr a, i64 a_row, ptr b, i64 m, i64 k, i64 n, ptr room, i64 add",
    "column_sum": "ptr to, ptr a, i64 a_row, i64 rows, i64 n, i64 add",
}


def packed_size(target: Target, dtype: str, k: int, n: int) -> int:
    """How many numbers the packed form of a (k, n) matrix takes."""
    lanes = target.lanes(dtype)
    return -(-n // lanes) * lanes * k


def room_size(target: Target) -> int:
    """How many numbers `multiply_transposed` needs for its left side."""
    return TILES_AT_ONCE * target.tiles[0][0] * K_AT_ONCE


def module(target: Target, dtype: str) -> str:
    """The functions above, each with the dtype's name behind its own."""
    intrinsics: set[str] = set()
    made = [tile(target, dtype, r, v, intrinsics) for r, most in target.tiles for v in range(1, most + 1)]
    made += [_row(target, dtype, v, intrinsics) for v in range(1, target.tiles[-1][1] + 1)]
    for name, write in (
        ("pack", _pack),
        ("pack_transposed", _pack_transposed),
        ("multiply", _multiply),
        ("multiply_direct", _multiply_direct),
        ("multiply_transposed", _multiply_transposed),
        ("column_sum", _column_sum),
    ):
        text = Product(target, dtype, name, SIGNATURES[name], intrinsics)
        write(text)
        made.append(text.text())
    return "\n".join([*sorted(intrinsics), "", *made])


# ---------------------------------------------------------------- packing
def _pack(text: Product) -> None:
    lanes, kind = str(text.lanes), text.kind
    with text.loop("j", "0", "%n", text.lanes) as j:
        left = text.minus("%n", j)
        full = text.value(f"icmp sge i64 {left}, {lanes}")
        strip, column = text.at("%to", (j, "%k")), text.at("%source", (j, "1"))
        with text.either(full) as labels:
            with text.loop("i", "0", "%k") as i:
                text.store(kind, text.load(kind, text.at(column, (i, "%row"))), text.at(strip, (i, lanes)))
            text.otherwise(labels)
            mask = text.mask(left)
            with text.loop("i", "0", "%k") as i:
                text.store(kind, text.load(kind, text.at(column, (i, "%row")), mask), text.at(strip, (i, lanes)))


def _pack_transposed(text: Product) -> None:
    """By blocks of lanes x lanes numbers, turned in registers."""
    lanes, kind = text.lanes, text.kind
    with text.loop("j", "0", "%n", lanes) as j, text.loop("i", "0", "%k", lanes) as i:
        columns, rows = text.minus("%k", i), text.minus("%n", j)
        sources = [text.at("%source", (text.plus(j, str(r)), "%row"), (i, "1")) for r in range(lanes)]
        outs = [text.at("%to", (j, "%k"), (text.plus(i, str(r)), str(lanes))) for r in range(lanes)]
        whole = [text.value(f"icmp sge i64 {left}, {lanes}") for left in (columns, rows)]
        with text.either(text.binary_flag("and", *whole)) as labels:
            for vector, out in zip(_turned(text, [text.load(kind, source) for source in sources]), outs, strict=True):
                text.store(kind, vector, out)
            text.otherwise(labels)
            mask, block = text.mask(columns), []
            for r, source in enumerate(sources):
                there = text.splat("i1", text.value(f"icmp slt i64 {r}, {rows}"))
                block.append(text.load(kind, source, text.binary("and", "i1", mask, there)))
            for r, (vector, out) in enumerate(zip(_turned(text, block), outs, strict=True)):
                with text.when(text.value(f"icmp slt i64 {r}, {columns}")):
                    text.store(kind, vector, out)


def _turned(text: Product, block: list[str]) -> list[str]:
    """The transposed block: at each stage, entries that lie `apart` rows and columns from each other change places."""
    lanes, vector = text.lanes, text.vector(text.kind)
    apart = 1
    while apart < lanes:
        first = [lane - apart + lanes if lane & apart else lane for lane in range(lanes)]
        second = [lane + lanes if lane & apart else lane + apart for lane in range(lanes)]
        for r in range(lanes):
            if not r & apart:
                a, b = block[r], block[r + apart]
                block[r], block[r + apart] = (
                    text.value(
                        f"shufflevector {vector} {a}, {vector} {b}, "
                        f"<{lanes} x i32> <{', '.join([f'i32 {lane}' for lane in order])}>"
                    )
                    for order in (first, second)
                )
        apart *= 2
    return block


# ---------------------------------------------------------------- tiles
def _call_tile(text: Product, rows: int, vectors: int, given: dict[str, str]) -> None:
    """A tile of as many vectors as are left of given["left"] columns, at most `vectors`."""
    _by_vectors(text, f"tile_{rows}x", TILE, vectors, given["left"], given)


def _by_vectors(text: Product, name: str, signature: str, most: int, left: str, given: dict[str, str]) -> None:
    """The function of this name and as many vectors as `left` columns need, at most `most`."""
    count = text.least(text.strips(left), str(most))
    last = text.minus(left, text.times(text.minus(count, "1"), str(text.lanes)))
    behind, labels = text.label("end"), [text.label("tile") for _ in range(most)]
    cases = " ".join([f"i64 {v + 1}, label %{label}" for v, label in enumerate(labels)])
    text.put(f"switch i64 {count}, label %{behind} [ {cases} ]")
    for v, label in enumerate(labels):
        text.begin(label)
        values = {**given, "last": last}
        passed = ", ".join([f"{kind} {values[argument]}" for kind, argument in arguments(signature)])
        text.put(f"call void @{name}{v + 1}_{text.dtype}({passed})")
        text.put(f"br label %{behind}")
    text.begin(behind)


def _tiled(text: Product, c: str, a: str, b: str, m: str, k: str, left: str, add: str) -> None:
    """All m rows of one group of columns, largest tiles first; `left` columns remain, from b's first strip on."""
    c_row, a_row, a_k = "%c_row", "%a_row", "%a_k"
    top = "0"
    for rows, vectors in text.target.tiles:
        stop = text.plus(top, text.times(text.value(f"sdiv i64 {text.minus(m, top)}, {rows}"), str(rows)))
        columns = vectors * text.lanes
        with text.loop("top", top, stop, rows) as now, text.loop("column", "0", left, columns) as j:
            given = {
                "c": text.at(c, (now, c_row), (j, "1")),
                "c_row": c_row,
                "a": text.at(a, (now, a_row)),
                "a_row": a_row,
                "a_k": a_k,
                "b": text.at(b, (text.value(f"sdiv i64 {j}, {text.lanes}"), "%strip")),
                "strip": "%strip",
                "k": k,
                "left": text.minus(left, j),
                "add": add,
            }
            tile = text.value(f"sdiv i64 {now}, {rows}")  # the first of these ask for what comes next
            far = text.at(given["b"], (text.plus(tile, str(vectors)), "%strip"))
            asks = text.value(f"icmp slt i64 {tile}, {vectors}")
            given["next"] = text.value(f"select i1 {asks}, ptr {far}, ptr {given['b']}")
            _call_tile(text, rows, vectors, given)
        top = stop


def _multiply(text: Product) -> None:
    """Rows in blocks, then parts of k, then columns in groups of a large tile's, then rows: a group's strips stay
    near."""
    wide, most = text.target.tiles[0][1] * text.lanes, text.target.tiles[0][0]
    group = max(wide, text.target.tiles[-1][1] * text.lanes)  # what a single row takes at once
    deep = text.call("i64", "llvm.smin.i64", ("i64", "%k"), ("i64", str(K_OF_STRIPS)))
    least = text.value(f"sdiv i64 {LEFT_AT_ONCE}, {text.call('i64', 'llvm.smax.i64', ('i64', deep), ('i64', '1'))}")
    rows = text.call("i64", "llvm.smax.i64", ("i64", least), ("i64", str(most)))
    rows = text.times(text.value(f"sdiv i64 {rows}, {most}"), str(most))
    few = text.value(f"icmp slt i64 %m, {most}")
    step = text.value(f"select i1 {few}, i64 {group}, i64 {wide}")
    count = text.value(f"sdiv i64 {text.minus(text.plus('%n', step), '1')}, {step}")
    slot = text.at_entry("alloca i64")
    text.put(f"store i64 0, ptr {slot}")
    head, body, behind = text.label("head"), text.label("body"), text.label("end")
    text.put(f"br label %{head}")
    text.begin(head)
    start = text.value(f"load i64, ptr {slot}")
    text.put(f"br i1 {text.value(f'icmp slt i64 {start}, %m')}, label %{body}, label %{behind}")
    text.begin(body)
    here = text.least(rows, text.minus("%m", start))
    end = text.call("i64", "llvm.smax.i64", ("i64", "%k"), ("i64", "1"))  # without k, zeros
    with text.loop("first", "0", end, K_OF_STRIPS) as first, text.loop("group", "0", count) as g:
        j, k = text.times(g, step), text.least(str(K_OF_STRIPS), text.minus("%k", first))
        left = text.least(step, text.minus("%n", j))
        later = text.value(f"icmp sgt i64 {first}, 0")
        add = text.value(f"select i1 {later}, i64 1, i64 %add")
        c, a = text.at("%c", (start, "%c_row"), (j, "1")), text.at("%a", (start, "%a_row"), (first, "%a_k"))
        b = text.at("%b", (text.value(f"sdiv i64 {j}, {text.lanes}"), "%strip"), (first, str(text.lanes)))
        _tiled(text, c, a, b, here, k, left, add)
    text.put(f"store i64 {text.plus(start, here)}, ptr {slot}")
    text.put(f"br label %{head}")
    text.begin(behind)


# ---------------------------------------------------------------- a few rows, and a right side that is not packed
_ROW = "ptr c, ptr a, ptr b, i64 b_row, i64 k, i64 last"


def _row(target: Target, dtype: str, vectors: int, intrinsics: set[str]) -> str:
    """c = a b for one row and `vectors` vectors of columns, the last of which has `last`."""
    text = Product(target, dtype, f"row_{vectors}", _ROW, intrinsics, "internal")
    kind, vector = text.kind, text.vector(text.kind)
    sums = [text.at_entry(f"alloca {vector}") for _ in range(vectors)]
    for slot in sums:
        text.put(f"store {vector} zeroinitializer, ptr {slot}")
    masks = [None] * (vectors - 1) + [text.mask("%last")]
    with text.loop("i", "0", "%k") as i:
        spread = text.splat(kind, text.value(f"load {kind}, ptr {text.at('%a', (i, '1'))}"))
        row = text.at("%b", (i, "%b_row"))
        for v, (slot, mask) in enumerate(zip(sums, masks, strict=True)):
            column = text.load(kind, text.address(row, str(v * text.lanes), kind), mask)
            total = text.value(f"load {vector}, ptr {slot}")
            text.put(f"store {vector} {text.fma(kind, spread, column, total)}, ptr {slot}")
    for v, (slot, mask) in enumerate(zip(sums, masks, strict=True)):
        total = text.value(f"load {vector}, ptr {slot}")
        text.store(kind, total, text.address("%c", str(v * text.lanes), kind), mask)
    return text.text()


def _multiply_direct(text: Product) -> None:
    """Every number of c sums over k in order, as in `multiply`."""
    most = text.target.tiles[-1][1]
    with text.loop("top", "0", "%m") as top, text.loop("column", "0", "%n", most * text.lanes) as j:
        given = {
            "c": text.at("%c", (top, "%c_row"), (j, "1")),
            "a": text.at("%a", (top, "%a_row")),
            "b": text.at("%b", (j, "1")),
            "b_row": "%b_row",
            "k": "%k",
        }
        _by_vectors(text, "row_", _ROW, most, text.minus("%n", j), given)


def _multiply_transposed(text: Product) -> None:
    """K_AT_ONCE rows at a time: columns of the left side copied as tiles, (tile, k, row), and multiplied there."""
    most = text.target.tiles[0][0]
    kind, lanes, height = text.kind, text.lanes, TILES_AT_ONCE * most
    with text.loop("first", "0", "%k", K_AT_ONCE) as first:
        count = text.least(str(K_AT_ONCE), text.minus("%k", first))
        later = text.value(f"icmp sgt i64 {first}, 0")
        onto = text.value(f"select i1 {later}, i64 1, i64 %add")
        with text.loop("left", "0", "%m", height) as left:
            rows = text.least(str(height), text.minus("%m", left))
            whole = text.value(f"sdiv i64 {rows}, {most}")
            rest = text.minus(rows, text.times(whole, str(most)))
            few = f"<{most} x {kind}>"
            with text.loop("i", "0", count) as i:
                source = text.at("%a", (text.plus(first, i), "%a_row"), (left, "1"))
                with text.loop("tile", "0", whole) as t:
                    to = text.at("%room", (text.plus(text.times(t, count), i), str(most)))
                    of = text.at(source, (t, str(most)))
                    align = {"float": 4, "double": 8}[kind]
                    part = text.value(f"load {few}, ptr {of}, align {align}")
                    text.put(f"store {few} {part}, ptr {to}, align {align}")
                with text.loop("row", "0", rest) as r:
                    place = text.plus(text.times(whole, str(most)), r)
                    one = text.value(f"load {kind}, ptr {text.at(source, (place, '1'))}")
                    to = text.at("%room", (text.plus(text.times(whole, count), i), str(most)), (r, "1"))
                    text.put(f"store {kind} {one}, ptr {to}")
            tiles = text.plus(whole, text.value(f"zext i1 {text.value(f'icmp sgt i64 {rest}, 0')} to i64"))
            wide = text.target.tiles[0][1] * lanes
            with text.loop("group", "0", "%n", wide) as j, text.loop("tile", "0", tiles) as t:
                here = text.least(str(most), text.minus(rows, text.times(t, str(most))))
                c = text.at("%c", (text.plus(left, text.times(t, str(most))), "%n"), (j, "1"))
                a = text.at("%room", (text.times(t, count), str(most)))
                b = text.at("%b", (j, "%k"), (first, str(lanes)))
                width = text.least(str(wide), text.minus("%n", j))
                strip = text.times("%k", str(lanes))
                values = {
                    "c": c, "c_row": "%n", "a": a, "a_row": "1", "a_k": str(most), "b": b, "m": here, "k": count,
                    "n": width, "strip": strip, "add": onto,
                }  # fmt: skip
                given = ", ".join([f"{kind} {values[name]}" for kind, name in arguments(SIGNATURES["multiply"])])
                text.put(f"call void @multiply_{text.dtype}({given})")


def _column_sum(text: Product) -> None:
    kind, vector = text.kind, text.vector(text.kind)
    total, part = text.at_entry(f"alloca {vector}"), text.at_entry(f"alloca {vector}")
    with text.loop("j", "0", "%n", text.lanes) as j:
        mask, to = text.mask(text.minus("%n", j)), text.at("%to", (j, "1"))
        text.put(f"store {vector} zeroinitializer, ptr {total}")
        with text.when(text.value("icmp ne i64 %add, 0")):
            text.put(f"store {vector} {text.load(kind, to, mask)}, ptr {total}")
        with text.loop("top", "0", "%rows", ROWS_AT_ONCE) as top:
            text.put(f"store {vector} zeroinitializer, ptr {part}")
            stop = text.least("%rows", text.plus(top, str(ROWS_AT_ONCE)))
            with text.loop("i", top, stop) as i:
                row = text.load(kind, text.at("%a", (i, "%a_row"), (j, "1")), mask)
                both = text.binary("fadd", kind, text.value(f"load {vector}, ptr {part}"), row)
                text.put(f"store {vector} {both}, ptr {part}")
            sums = [text.value(f"load {vector}, ptr {slot}") for slot in (total, part)]
            text.put(f"store {vector} {text.binary('fadd', kind, *sums)}, ptr {total}")
        text.store(kind, text.value(f"load {vector}, ptr {total}"), to, mask)
