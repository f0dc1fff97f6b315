"""Rows that are copied, cleared or added, as LLVM text: one module a dtype and target.

Programs of all cells do this where a sequence ends or a state begins anew, and nothing in it is a cell's own. So the
code is made once, and a program calls it.

    copy(a, a_row, to, to_row, rows, width)             to (rows, width) = a
    clear(to, to_row, rows, width)                      to = 0
    add(a, a_row, b, b_row, to, to_row, rows, width)    to = a + b

Each also as `copy_where(..., where, where_row)`: of the rows at which the byte is set.
"""

from minirnn.compile.llvm.rows import Rows
from minirnn.compile.llvm.target import Target
from minirnn.compile.loops.program import Line, Map, Number, Ref, index

__all__ = ["arguments", "module", "name_of"]

_LOADS = {"copy": ("a",), "clear": (), "add": ("a", "b")}


def module(target: Target, dtype: str) -> str:
    """The functions above, each with the dtype's name behind its own."""
    intrinsics: set[str] = set()
    made = [_text(target, dtype, name, where, intrinsics) for name in _LOADS for where in (False, True)]
    return "\n".join([*sorted(intrinsics), "", *made])


def name_of(work: Map, dtype: str) -> str | None:
    """The function that does the same, without the dtype's name; None where there is none."""
    refs = [ref for _, ref in (*work.loads, *work.stores)]
    if len(work.dims) != 1 or len(work.stores) != 1 or any((ref.dtype, ref.strides) != (dtype, (1,)) for ref in refs):
        return None
    loads, made, name = tuple([name for name, _ in work.loads]), work.stores[0][0], None
    match work.lines:
        case () if loads == (made,):
            name = "copy"
        case (Line(one, "copy", (Number(float() as value),)),) if (one, loads, str(value)) == (made, (), "0.0"):
            name = "clear"
        case (Line(one, "add", operands, of, to),) if (one, operands, of, to) == (made, loads, dtype, dtype):
            name = "add"
    return name and (name if work.where is None else f"{name}_where")


def arguments(name: str) -> list[tuple[str, str]]:
    """(type, name) of each of a function's."""
    parts = [*_LOADS[name.removesuffix("_where")], "to"]
    given = [pair for part in parts for pair in (("ptr", part), ("i64", f"{part}_row"))]
    flags = [("ptr", "where"), ("i64", "where_row")] if name.endswith("_where") else []
    return [*given, ("i64", "rows"), ("i64", "width"), *flags]


def _text(target: Target, dtype: str, name: str, where: bool, intrinsics: set[str]) -> str:
    loads = _LOADS[name]
    lines = {
        "copy": (),
        "clear": (Line("made", "copy", (Number(0.0),), dtype, dtype),),
        "add": (Line("made", "add", loads, dtype, dtype),),
    }[name]

    def rows_of(memory: str, kind: str) -> Ref:
        return Ref(memory, kind, (), index((1, f"{memory}_row")), (1,))

    work = Map(
        index((1, "rows")),
        (index((1, "width")),),
        tuple([(load, rows_of(load, dtype)) for load in loads]),
        lines,
        (("made" if lines else "a", rows_of("to", dtype)),),
        rows_of("where", "bool") if where else None,
    )
    name = f"{name}_where" if where else name
    text = Rows(f"{name}_{dtype}", arguments(name), intrinsics)
    text.target, text.dtype = target, dtype
    text.map(work)
    return text.text()
