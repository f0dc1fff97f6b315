"""The loop program: what native code does over a block of steps, as plain data.

    For t in 0..n                             a loop
      Map rows=b: v = tanh(a + c) -> out      elementwise operations over rows and their numbers, in one loop
      Multiply out = left @ packed            a product whose right side is packed once a sequence

A printer (minirnn/compile/llvm) turns it into machine code; `interpreter.py` runs it in Python, and checks every index.
Neither knows cells or gradients. Every size in it is taken out by `with_slots` before it is printed, and comes back as
an argument of the call: so one piece of code serves all sizes for which the program is the same but for its numbers.

A size is a whole number, or an Index in which b stands for the batch, where rows of the batch meet.

What threads do together (see team.py) has two statements more:

    Part first, end of many                     the share of this thread
    Barrier                                     where each waits for the others

An Index is a sum of products, ((coefficient, (variable, ...)), ...): t * b * 300 + 7 is ((300, ("t", "b")), (7, ())).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

__all__ = [
    "BLOCK_STEPS",
    "ROWS",
    "Barrier",
    "ColumnSum",
    "For",
    "Function",
    "Gather",
    "Index",
    "Let",
    "Line",
    "Map",
    "Multiply",
    "MultiplyDirect",
    "MultiplyTransposed",
    "Number",
    "Pack",
    "Part",
    "Reduce",
    "Ref",
    "Slot",
    "Statement",
    "When",
    "index",
    "memory_of",
    "renamed",
    "statements",
    "with_slots",
]


class Slot(NamedTuple):
    """A number that the call brings: the k-th of the program's sizes."""

    k: int


Term: TypeAlias = "tuple[int | Slot, tuple[str, ...]]"
Index: TypeAlias = "tuple[Term, ...]"


@lru_cache(1 << 14)
def index(*terms: "int | tuple[int, str] | tuple[int, str, str] | Index") -> Index:
    """The sum of terms: numbers, (coefficient, variable, ...) and other indices; those of the same variables join."""
    found: dict[tuple[str, ...], int] = {}
    for term in terms:
        for coefficient, names in _terms(term):
            found[names] = found.get(names, 0) + coefficient
    return tuple([(value, names) for names, value in sorted(found.items()) if value])


def _terms(term: Any) -> Iterator[tuple[int, tuple[str, ...]]]:
    if isinstance(term, int):
        yield term, ()
    elif term and isinstance(term[0], int):
        yield term[0], tuple(sorted(term[1:]))
    else:
        yield from term


ROWS = index((1, "b"))  # of one step
BLOCK_STEPS = index((1, "n", "b"))  # rows of all steps of a block


class Ref(NamedTuple):
    """Numbers in flat memory: row r, entry (j, k, ...) lies at at + r * row + j * strides[0] + k * strides[1] + ..."""

    memory: str
    dtype: str
    at: Index
    row: Any
    strides: tuple[Any, ...]


class Number(NamedTuple):
    """A constant among a line's operands; the slot of one, which may follow from a size (1 / H in a norm); or an Index,
    whose value is then the number."""

    value: Any


class Line(NamedTuple):
    """name = op(operands): names of earlier lines and loads, or Numbers. `of`: the dtype in which numbers are taken."""

    name: str
    op: str
    operands: tuple[Any, ...]
    of: str
    dtype: str


class Map(NamedTuple):
    """For every row (where the byte at `where` is set, if there is one) and every entry: loads, lines, stores."""

    rows: Index
    dims: tuple[Any, ...]
    loads: tuple[tuple[str, Ref], ...]
    lines: tuple[Line, ...]
    stores: tuple[tuple[str, Ref], ...]
    where: Ref | None = None


class Reduce(NamedTuple):
    """out[r, free] = op over `axes` of the product of the sources[r, free, axes], in the dtype of `out`; op is sum,
    amax, amin or prod.

    Strides of the sources: those of `free`, then those of `axes`; an axis that a source does not have has stride 0.
    """

    op: str
    rows: Index
    free: tuple[Any, ...]
    axes: tuple[Any, ...]
    sources: tuple[Ref, ...]
    out: Ref


class Gather(NamedTuple):
    """For every row and every entry of `dims`, of which j is the one along `axis`: out[r, ..j..] = source[r, ..k..],
    where k is the j-th number at `numbers`; with `add`, out[r, ..k..] += source[r, ..j..], j after j."""

    rows: Index
    dims: tuple[Any, ...]
    axis: int
    numbers: str  # memory of int64
    source: Ref
    out: Ref
    add: bool


class Pack(NamedTuple):
    """`rows` rows of `width` numbers as the right side of products, in `memory`. Either the numbers of a row, or those
    of a column, lie side by side (source.strides is (1,), or source.row is 1). part: names of the first column that is
    packed and of the end, where not all are."""

    source: Ref
    rows: Index
    width: Any
    memory: str
    part: tuple[str, str] | None = None


class Multiply(NamedTuple):
    """out (rows, n) = left (rows, k) @ packed (k, n); part: as Pack's, of the columns of out that are made."""

    out: Ref
    left: Ref
    packed: str
    rows: Index
    k: Any
    n: Any
    part: tuple[str, str] | None = None


class MultiplyDirect(NamedTuple):
    """out (rows, n) = left (rows, k) @ right (k, n), of a right side as it lies, for rows too few to pack it for.

    The numbers of a row lie side by side in each of the three.
    """

    out: Ref
    left: Ref
    right: Ref
    rows: Index
    k: Any
    n: Any


class MultiplyTransposed(NamedTuple):
    """out (m, n) = left^T (m, rows) @ packed (rows, n), added to what `out` holds unless the flag `starts` is set; room
    is scratch; part: as Pack's, of the rows of out that are made."""

    out: str
    left: Ref
    packed: str
    m: Any
    rows: Index
    n: Any
    room: str
    part: tuple[str, str] | None = None


class ColumnSum(NamedTuple):
    """out (width,) = the sum of the rows, added to what `out` holds unless the flag `starts` is set; part: as
    Pack's, of the columns that are summed."""

    out: str
    source: Ref
    rows: Index
    width: Any
    part: tuple[str, str] | None = None


class Let(NamedTuple):
    """name = value modulo 2."""

    name: str
    value: Index


class For(NamedTuple):
    """body for var = 0 .. times - 1, from the last on if reverse."""

    var: str
    times: Index
    body: "tuple[Statement, ...]"
    reverse: bool = False


class When(NamedTuple):
    """body where one of the flags is set."""

    flags: tuple[str, ...]
    body: "tuple[Statement, ...]"


class Part(NamedTuple):
    """first and end: between which of `many` things this thread's lie, in whole units: "one", a "vector" of the
    program's numbers, or the "rows" of a tile of a product."""

    first: str
    end: str
    many: Index
    unit: str


class Barrier(NamedTuple):
    """Every thread waits here until all have come."""


Statement: TypeAlias = (
    "For | When | Let | Map | Reduce | Gather | Pack | Multiply | MultiplyDirect | MultiplyTransposed | ColumnSum"
    " | Part | Barrier"
)


class Function(NamedTuple):
    """A loop program. Its call brings memory (addresses), flags and integers by name, and the sizes of its slots."""

    name: str
    dtype: str  # of its products
    memory: tuple[str, ...]
    integers: tuple[str, ...]  # n, b, and flags
    body: tuple[Statement, ...]


# ---------------------------------------------------------------- sizes as arguments
_PRODUCTS = (Pack, Multiply, MultiplyDirect, MultiplyTransposed, ColumnSum)
_RECORDS = frozenset((Ref, Map, Reduce, Gather, *_PRODUCTS, Let, For, When, Line, Function, Part, Barrier))


def _walk(part: Any, size: Callable[[Any], Any]) -> Any:
    """The program with size(k) in place of every number that stands for a size, a stride, an offset or a constant."""
    if isinstance(part, Number):
        return Number(size(part.value)) if isinstance(part.value, float) else part
    if isinstance(part, (str, bool, Slot)) or part is None:
        return part
    if isinstance(part, (int, float)):
        return size(part)
    if type(part) in _RECORDS:
        return type(part)(*[_walk(field, size) for field in part])
    return tuple([_walk(field, size) for field in part])


def with_slots(function: Function) -> tuple[Function, tuple[int | float, ...]]:
    """The program with slots for its sizes and constants, and these. Whether a stride is 0 or 1 is the program's, and
    so are numbers that a person would write for no size."""
    slots: dict[Any, Slot] = {}

    def taken(size: Any) -> Any:
        plain = _PLAIN if isinstance(size, float) else (-1, 0, 1)
        if size in plain or size != size:
            return size
        return slots.setdefault((type(size), size), Slot(len(slots)))

    return _walk(function, taken), tuple([size for _, size in slots])


def memory_of(part: Any) -> Iterator[str]:
    """The names of memory that a statement uses."""
    names = {"memory", "packed", "out", "room", "numbers"}
    if type(part) in _RECORDS:
        for field, value in zip(part._fields, part, strict=True):
            if field in names and isinstance(value, str):
                yield value
            else:
                yield from memory_of(value)
    elif isinstance(part, tuple):
        for value in part:
            yield from memory_of(value)


def renamed(function: Function, names: Mapping[str, str]) -> Function:
    """The program whose Refs have other memory: names[that which they had]."""

    def changed(part: Any) -> Any:
        if isinstance(part, Ref):
            return part._replace(memory=names.get(part.memory, part.memory))
        if type(part) in _RECORDS:
            return type(part)(*[changed(field) for field in part])
        return tuple([changed(value) for value in part]) if type(part) is tuple else part

    memory = tuple(dict.fromkeys([names.get(name, name) for name in function.memory]))
    return function._replace(memory=memory, body=changed(function.body))


_PLAIN = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, float("inf"), -float("inf"))


def statements(body: Sequence[Statement]) -> Iterator[Statement]:
    """Every statement, those within loops too."""
    for statement in body:
        yield statement
        if isinstance(statement, (For, When)):
            yield from statements(statement.body)
