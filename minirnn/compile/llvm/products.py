"""Matrix products whose right side is packed once and used many times, as LLVM text: one module a dtype and target.

BLAS packs the weights again at every step of a recurrence. Here `pack` lays a matrix (k, n) out once as strips of one
vector: strip v holds columns v * lanes ... of all k rows, zeros behind the last column. A tile of some rows and vectors
keeps its sums in registers; every sum runs over k in order, whatever the number of rows, so results do not depend on
how a batch is shared out.

    pack(source, row, k, n, to)                          to: source (k, n) as strips
    pack_transposed(source, row, k, n, to)               to: source^T, where source is (n, k)
    multiply(c, c_row, a, a_row, a_k, b, m, k, n, strip, add)   c (m, n) (+)= a (m, k) b; a[i, j] at i * a_row + j * a_k
    multiply_transposed(c, a, a_row, b, m, k, n, room, add)     c (m, n) (+)= a^T b; a is (k, m), c has no gaps
    column_sum(to, a, a_row, rows, n, add)               to (n,) (+)= the sums of a's columns
"""

from collections.abc import Iterator
from contextlib import contextmanager

from minirnn.compile.llvm.target import Target
from minirnn.compile.llvm.text import Text, element

__all__ = ["SIGNATURES", "module", "packed_size", "room_size"]

K_AT_ONCE = 512  # of a product with many k: what keeps a strip near
LEFT_AT_ONCE = 1 << 16  # numbers of the left side between two passes over the strips
TILES_AT_ONCE = 8  # tiles whose transposed left sides are copied together, so that cache lines are read whole
ROWS_AT_ONCE = 64  # of a sum over rows: partial sums lose less

SIGNATURES = {
    "pack": "ptr source, i64 row, i64 k, i64 n, ptr to",
    "pack_transposed": "ptr source, i64 row, i64 k, i64 n, ptr to",
    "multiply": "ptr c, i64 c_row, ptr a, i64 a_row, i64 a_k, ptr b, i64 m, i64 k, i64 n, i64 strip, i64 add",
    "multiply_transposed": "ptr c, ptr a, i64 a_row, ptr b, i64 m, i64 k, i64 n, ptr room, i64 add",
    "column_sum": "ptr to, ptr a, i64 a_row, i64 rows, i64 n, i64 add",
}
_TILE = "ptr c, i64 c_row, ptr a, i64 a_row, i64 a_k, ptr b, i64 strip, i64 k, i64 last, i64 add"


def packed_size(target: Target, dtype: str, k: int, n: int) -> int:
    """How many numbers the packed form of a (k, n) matrix takes."""
    lanes = target.lanes(dtype)
    return -(-n // lanes) * lanes * k


def room_size(target: Target) -> int:
    """How many numbers `multiply_transposed` needs for its left side."""
    return TILES_AT_ONCE * target.tiles[0][0] * K_AT_ONCE


def _arguments(signature: str) -> list[tuple[str, str]]:
    return [(kind, name) for kind, name in (part.split() for part in signature.split(", "))]


class _Product(Text):
    """A function of this module."""

    def __init__(self, target: Target, dtype: str, name: str, signature: str, needed: set[str], attributes: str = ""):
        super().__init__(f"{name}_{dtype}", _arguments(signature), needed, attributes)
        self.target, self.dtype, self.kind = target, dtype, element(dtype)
        self.lanes = target.lanes(dtype)

    def at(self, base: str, *parts: tuple[str, str]) -> str:
        """base + the sum of products, in numbers of the dtype."""
        offset = "0"
        for a, b in parts:
            offset = self.plus(offset, self.times(a, b))
        return self.address(base, offset, self.kind)

    def binary_flag(self, op: str, a: str, b: str) -> str:
        return self.value(f"{op} i1 {a}, {b}")

    def strips(self, n: str) -> str:
        return self.value(f"sdiv i64 {self.plus(n, str(self.lanes - 1))}, {self.lanes}")

    @contextmanager
    def either(self, condition: str) -> Iterator[list[str]]:
        """Collects two texts: what is written before the list's first entry is set runs where the condition holds."""
        yes, no, behind = self.label("yes"), self.label("no"), self.label("end")
        self.put(f"br i1 {condition}, label %{yes}, label %{no}")
        self.begin(yes)
        labels = [no, behind]
        yield labels
        self.put(f"br label %{behind}")
        self.begin(behind)

    def otherwise(self, labels: list[str]) -> None:
        self.put(f"br label %{labels[1]}")
        self.begin(labels[0])


def module(target: Target, dtype: str) -> str:
    """The functions above, each with the dtype's name behind its own."""
    intrinsics: set[str] = set()
    made = [_tile(target, dtype, r, v, intrinsics) for r, most in target.tiles for v in range(1, most + 1)]
    for name, write in (
        ("pack", _pack),
        ("pack_transposed", _pack_transposed),
        ("multiply", _multiply),
        ("multiply_transposed", _multiply_transposed),
        ("column_sum", _column_sum),
    ):
        text = _Product(target, dtype, name, SIGNATURES[name], intrinsics)
        write(text)
        made.append(text.text())
    return "\n".join([*sorted(intrinsics), "", *made])


# ---------------------------------------------------------------- packing
def _pack(text: _Product) -> None:
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


def _pack_transposed(text: _Product) -> None:
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


def _turned(text: _Product, block: list[str]) -> list[str]:
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
def _tile(target: Target, dtype: str, rows: int, vectors: int, intrinsics: set[str]) -> str:
    """c (+)= a b for `rows` rows and `vectors` vectors, the last of which has `last` columns."""
    text = _Product(target, dtype, f"tile_{rows}x{vectors}", _TILE, intrinsics, "internal")
    kind, vector, lanes = text.kind, text.vector(text.kind), text.lanes
    places = [(r, v) for r in range(rows) for v in range(vectors)]
    sums = {place: text.at_entry(f"alloca {vector}") for place in places}
    for slot in sums.values():
        text.put(f"store {vector} zeroinitializer, ptr {slot}")
    left, right = text.at_entry("alloca ptr"), text.at_entry("alloca ptr")
    text.put(f"store ptr %a, ptr {left}")
    text.put(f"store ptr %b, ptr {right}")
    left_rows = [text.times(str(r), "%a_row") for r in range(rows)]
    strips = [text.times(str(v), "%strip") for v in range(vectors)]
    with text.loop("i", "0", "%k"):
        a, b = (text.value(f"load ptr, ptr {slot}") for slot in (left, right))
        columns = [text.load(kind, text.address(b, strip, kind)) for strip in strips]
        for r in range(rows):
            one = text.value(f"load {kind}, ptr {text.address(a, left_rows[r], kind)}")
            spread = text.splat(kind, one)
            for v in range(vectors):
                total = text.value(f"load {vector}, ptr {sums[r, v]}")
                text.put(f"store {vector} {text.fma(kind, spread, columns[v], total)}, ptr {sums[r, v]}")
        text.put(f"store ptr {text.address(a, '%a_k', kind)}, ptr {left}")
        text.put(f"store ptr {text.address(b, str(lanes), kind)}, ptr {right}")
    outs = {(r, v): text.at("%c", (str(r), "%c_row"), (str(v), str(lanes))) for r, v in places}
    with text.either(text.value(f"icmp sge i64 %last, {lanes}")) as labels:
        _deliver(text, sums, outs, None, vectors)
        text.otherwise(labels)
        _deliver(text, sums, outs, text.mask("%last"), vectors)
    return text.text()


def _deliver(
    text: _Product,
    sums: dict[tuple[int, int], str],
    outs: dict[tuple[int, int], str],
    mask: str | None,
    vectors: int,
) -> None:
    kind, vector = text.kind, text.vector(text.kind)
    with text.when(text.value("icmp ne i64 %add, 0")):
        for (r, v), slot in sums.items():
            before = text.load(kind, outs[r, v], mask if v == vectors - 1 else None)
            total = text.value(f"load {vector}, ptr {slot}")
            text.put(f"store {vector} {text.binary('fadd', kind, before, total)}, ptr {slot}")
    for (r, v), slot in sums.items():
        total = text.value(f"load {vector}, ptr {slot}")
        text.store(kind, total, outs[r, v], mask if v == vectors - 1 else None)


def _call_tile(text: _Product, rows: int, vectors: int, given: dict[str, str]) -> None:
    """A tile of as many vectors as are left of given["left"] columns, at most `vectors`."""
    lanes = text.lanes
    count = text.least(text.strips(given["left"]), str(vectors))
    last = text.minus(given["left"], text.times(text.minus(count, "1"), str(lanes)))
    behind, labels = text.label("end"), [text.label("tile") for _ in range(vectors)]
    cases = " ".join([f"i64 {v + 1}, label %{label}" for v, label in enumerate(labels)])
    text.put(f"switch i64 {count}, label %{behind} [ {cases} ]")
    for v, label in enumerate(labels):
        text.begin(label)
        values = {**given, "last": last}
        arguments = ", ".join([f"{kind} {values[name]}" for kind, name in _arguments(_TILE)])
        text.put(f"call void @tile_{rows}x{v + 1}_{text.dtype}({arguments})")
        text.put(f"br label %{behind}")
    text.begin(behind)


def _tiled(text: _Product, c: str, c_row: str, a: str, a_row: str, a_k: str, b: str, m: str, k: str, left: str) -> None:
    """All m rows of one group of columns, largest tiles first; `left` columns remain, from b's first strip on."""
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
                "add": "%add",
            }
            _call_tile(text, rows, vectors, given)
        top = stop


def _multiply(text: _Product) -> None:
    """Rows in blocks, then columns in groups of a large tile's, then rows: a group's strips stay near."""
    wide, most = text.target.tiles[0][1] * text.lanes, text.target.tiles[0][0]
    group = max(wide, text.target.tiles[-1][1] * text.lanes)  # what a single row takes at once
    least = text.value(f"sdiv i64 {LEFT_AT_ONCE}, {text.call('i64', 'llvm.smax.i64', ('i64', '%k'), ('i64', '1'))}")
    rows = text.call("i64", "llvm.smax.i64", ("i64", least), ("i64", str(most)))
    rows = text.times(text.value(f"sdiv i64 {rows}, {most}"), str(most))
    few = text.value(f"icmp slt i64 %m, {most}")
    step = text.value(f"select i1 {few}, i64 {group}, i64 {wide}")
    slot = text.at_entry("alloca i64")
    text.put(f"store i64 0, ptr {slot}")
    head, body, behind = text.label("head"), text.label("body"), text.label("end")
    text.put(f"br label %{head}")
    text.begin(head)
    start = text.value(f"load i64, ptr {slot}")
    text.put(f"br i1 {text.value(f'icmp slt i64 {start}, %m')}, label %{body}, label %{behind}")
    text.begin(body)
    here = text.least(rows, text.minus("%m", start))
    count = text.value(f"sdiv i64 {text.minus(text.plus('%n', step), '1')}, {step}")
    with text.loop("group", "0", count) as g:
        j = text.times(g, step)
        left = text.least(step, text.minus("%n", j))
        c, a = text.at("%c", (start, "%c_row"), (j, "1")), text.at("%a", (start, "%a_row"))
        b = text.at("%b", (text.value(f"sdiv i64 {j}, {text.lanes}"), "%strip"))
        _tiled(text, c, "%c_row", a, "%a_row", "%a_k", b, here, "%k", left)
    text.put(f"store i64 {text.plus(start, here)}, ptr {slot}")
    text.put(f"br label %{head}")
    text.begin(behind)


def _multiply_transposed(text: _Product) -> None:
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
                arguments = {
                    "c": c, "c_row": "%n", "a": a, "a_row": "1", "a_k": str(most), "b": b, "m": here, "k": count,
                    "n": width, "strip": strip, "add": onto,
                }  # fmt: skip
                given = ", ".join([f"{kind} {arguments[name]}" for kind, name in _arguments(SIGNATURES["multiply"])])
                text.put(f"call void @multiply_{text.dtype}({given})")


def _column_sum(text: _Product) -> None:
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
