"""Which statements are calls of code that all programs share; that it computes the same, test_loop_programs.py says."""

import pytest

pytest.importorskip("llvmlite", reason="llvmlite is not installed: pip install 'minirnn[fast]'")
from minirnn.compile.llvm import moves
from minirnn.compile.loops.program import ROWS, Line, Map, Number, Ref


def ref(memory, dtype="float32", strides=(1,)):
    return "v" if memory == "to" else memory, Ref(memory, dtype, (), 7, strides)


def line(op, *operands, dtype="float32"):
    return Line("v", op, operands, dtype, dtype)


A, B, TO = ref("a"), ref("b"), ref("to")
COPY = ("a", TO[1])
FLAGS = Ref("flags", "bool", (), 1, ())


@pytest.mark.parametrize(
    ("loads", "lines", "stores", "name"),
    [
        ([A], [], [COPY], "copy"),
        ([], [line("copy", Number(0.0))], [TO], "clear"),
        ([A, B], [line("add", "a", "b")], [TO], "add"),
        ([A], [], [COPY, COPY], None),
        ([A, B], [], [COPY], None),
        ([], [line("copy", Number(-0.0))], [TO], None),
        ([], [line("copy", Number(1.0))], [TO], None),
        ([A, B], [line("add", "b", "a")], [TO], None),
        ([A, B], [line("sub", "a", "b")], [TO], None),
        ([A, B], [line("add", "a", "b", dtype="float64")], [TO], None),
        ([A], [line("add", "a", Number(1.0))], [TO], None),
        ([ref("a", strides=(2,))], [], [COPY], None),
        ([ref("a", "int64")], [], [COPY], None),
        ([A], [], [("a", ref("to", "float64")[1])], None),
    ],
)
def test_rows_that_are_copied_cleared_or_added_are_a_call_and_nothing_else_is(loads, lines, stores, name):
    work = Map(ROWS, (5,), tuple(loads), tuple(lines), tuple(stores))
    assert moves.name_of(work, "float32") == name
    assert moves.name_of(work._replace(where=FLAGS), "float32") == (name and f"{name}_where")
    assert moves.name_of(work._replace(dims=(5, 2)), "float32") is None


def test_a_program_of_other_numbers_has_its_own():
    work = Map(ROWS, (5,), (ref("a", "float64"),), (), (("a", ref("to", "float64")[1]),))
    assert (moves.name_of(work, "float64"), moves.name_of(work, "float32")) == ("copy", None)
