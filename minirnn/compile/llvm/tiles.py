"""A tile of a product, as LLVM text: some rows by some vectors of columns, whose sums stay in registers.

Strips that no cache near the processor holds come slowly, and a processor that waits for numbers when it needs them
multiplies none meanwhile. So a tile asks for what it needs soon, and for a strip of the columns that come next.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from minirnn.compile.llvm.target import Target
from minirnn.compile.llvm.text import Text, element

__all__ = ["TILE", "Product", "arguments", "tile"]

LINE = 64  # bytes that come together
LINES_AHEAD = 16  # of each strip of a tile
ROWS_THAT_ASK = 4  # from which on a tile lasts as long as asking does
ROWS_A_POINTER = 3  # of a tile's left side: addresses then need no arithmetic

TILE = "ptr c, i64 c_row, ptr a, i64 a_row, i64 a_k, ptr b, i64 strip, i64 k, i64 last, i64 add, ptr next"


def arguments(signature: str) -> list[tuple[str, str]]:
    """(type, name) of each."""
    return [(kind, name) for kind, name in (part.split() for part in signature.split(", "))]


class Product(Text):
    """A function on matrices of a dtype."""

    def __init__(self, target: Target, dtype: str, name: str, signature: str, needed: set[str], attributes: str = ""):
        super().__init__(f"{name}_{dtype}", arguments(signature), needed, attributes)
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


def tile(target: Target, dtype: str, rows: int, vectors: int, intrinsics: set[str]) -> str:
    """c (+)= a b for `rows` rows and `vectors` vectors, the last of which has `last` columns; next: a strip that is
    read after b."""
    text = Product(target, dtype, f"tile_{rows}x{vectors}", TILE, intrinsics, "internal")
    kind, vector, lanes = text.kind, text.vector(text.kind), text.lanes
    places = [(r, v) for r in range(rows) for v in range(vectors)]
    sums = {place: text.at_entry(f"alloca {vector}") for place in places}
    for slot in sums.values():
        text.put(f"store {vector} zeroinitializer, ptr {slot}")
    lefts = [text.at_entry("alloca ptr") for _ in range(0, rows, ROWS_A_POINTER)]
    right, ahead = text.at_entry("alloca ptr"), text.at_entry("alloca ptr")
    for k, slot in enumerate(lefts):
        text.put(f"store ptr {text.at('%a', (str(k * ROWS_A_POINTER), '%a_row'))}, ptr {slot}")
    text.put(f"store ptr %b, ptr {right}")
    text.put(f"store ptr %next, ptr {ahead}")
    strips = [text.times(str(v), "%strip") for v in range(vectors)]
    at_once = LINE // target.vector_bytes  # a line of each strip

    def multiply_one() -> None:
        b, *heads = (text.value(f"load ptr, ptr {slot}") for slot in (right, *lefts))
        columns = [text.load(kind, text.address(b, strip, kind)) for strip in strips]
        for r in range(rows):
            place = text.at(heads[r // ROWS_A_POINTER], (str(r % ROWS_A_POINTER), "%a_row"))
            spread = text.splat(kind, text.value(f"load {kind}, ptr {place}"))
            for v in range(vectors):
                total = text.value(f"load {vector}, ptr {sums[r, v]}")
                text.put(f"store {vector} {text.fma(kind, spread, columns[v], total)}, ptr {sums[r, v]}")
        for slot, head in zip(lefts, heads, strict=True):
            text.put(f"store ptr {text.address(head, '%a_k', kind)}, ptr {slot}")
        text.put(f"store ptr {text.address(b, str(lanes), kind)}, ptr {right}")

    whole = text.value(f"and i64 %k, -{at_once}") if at_once > 1 else "%k"
    with text.loop("i", "0", whole, at_once):
        near, far = (text.value(f"load ptr, ptr {slot}") for slot in (right, ahead))
        if rows >= ROWS_THAT_ASK:
            for strip in strips:
                text.prefetch(text.address(text.address(near, strip, kind), str(LINES_AHEAD * LINE), "i8"), 3)
            text.prefetch(far, 2)
            text.put(f"store ptr {text.address(far, str(at_once * lanes), kind)}, ptr {ahead}")
        for _ in range(at_once):
            multiply_one()
    if at_once > 1:
        with text.loop("i", whole, "%k"):
            multiply_one()
    outs = {(r, v): text.at("%c", (str(r), "%c_row"), (str(v), str(lanes))) for r, v in places}
    with text.either(text.value(f"icmp sge i64 %last, {lanes}")) as labels:
        _deliver(text, sums, outs, None, vectors)
        text.otherwise(labels)
        _deliver(text, sums, outs, text.mask("%last"), vectors)
    return text.text()


def _deliver(
    text: Product,
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
