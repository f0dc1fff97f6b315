"""Loop programs printed for NumPy: what the interpreter computes, one text for all sizes, and calls of whole arrays.

A view of NumPy's is refused where it reaches beyond its memory, so that these run within it.
"""

import numpy as np
import pytest
from compile_cases import EVERY, cell_of, error, problem
from few import CELLS, few
from loop_cases import BATCH, STEPS, values_for
from meeting_cells import MEETING, SEVERAL, OneLine

import minirnn
from minirnn.call import Call
from minirnn.compile.arrays import printer
from minirnn.compile.arrays.program import _Arrays, _functions
from minirnn.compile.engine import program_for
from minirnn.compile.loops.direction import Direction, parts_of
from minirnn.compile.loops.interpreter import interpret
from minirnn.compile.loops.program import Function, Line, Map, Number, Ref, index
from minirnn.compile.passes import optimised
from minirnn.compile.place import place
from minirnn.compile.trace import trace
from minirnn.tier import tier

LINES = MEETING | SEVERAL
every = pytest.mark.parametrize("name", few([n for n in (*EVERY, *LINES) if n != "ConvLSTM"], (*CELLS, *LINES)))


def made(name, dtype=np.float64):
    return OneLine(LINES[name], dtype) if name in LINES else cell_of(name, dtype)


@every
@pytest.mark.parametrize("dtype", few([np.float64, np.float32], [np.float32]))
def test_numpy_computes_what_the_interpreter_does(name, dtype):
    placed = place(optimised(trace(*problem(made(name, dtype))).graph))
    parts = [_Arrays(Direction(placed, *part), placed) for part in parts_of(placed)]
    text = printer.source([(part.function, len(part.sizes), part.memory) for part in parts])
    for part, run in zip(parts, _functions(text), strict=True):
        for flags in ([1] * len(part.flags), [0] * len(part.flags)):
            compare(part, run, flags)


def compare(part, run, flags):
    expected = values_for(part, np.random.default_rng(0))
    found, given, scratch = [values.copy() for values in expected], {}, {}
    for argument, values in zip(part.arguments, found, strict=True):
        if argument.kind == "work":
            scratch[argument.name] = values
            continue
        if argument.kind == "packed":
            node, turned = part.packs[argument.number]
            values = values.reshape(node.shape[::-1] if turned else node.shape)
        given.setdefault(argument.kind, {})[argument.number] = values
    work = lambda name, shape, dtype: scratch[name] if name in scratch else np.full(shape, 7, dtype)
    with np.errstate(all="ignore"):
        run(STEPS, BATCH, *flags, part.sizes, work, given)
    integers = {"n": STEPS, "b": BATCH, **dict(zip(part.flags, flags, strict=True))}
    interpret(part.function, dict(zip(part.function.memory, expected, strict=True)), integers, part.sizes)
    bound = 3e-4 if part.dtype == np.float32 else 1e-11
    for argument, a, b in zip(part.arguments, found, expected, strict=True):
        if argument.kind not in ("right", "room"):
            assert np.allclose(a, b, rtol=bound, atol=bound, equal_nan=True), argument


@pytest.mark.parametrize("name", LINES)
def test_rows_that_meet_are_those_of_the_step_by_step_loop(name):
    with tier("numpy"):
        for batch in (1, 3):
            assert error(problem(made(name), 5, batch), checkpoint_every=2, reverse=True) < 1e-10


# ---------------------------------------------------------------- the text
def text_of(name, inputs, hidden):
    make = getattr(minirnn.cells, name, None) or getattr(minirnn, f"{name}Cell")
    cell = make(inputs, hidden, rng=np.random.default_rng(0))
    with tier("numpy"):
        xs = np.zeros((2, 2, inputs), np.float32)
        return program_for(Call(cell, cell.initial_state(2), xs, None, False, None)).listing()


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU", "MGU", "LayerNormLSTM", "sLSTM"])
def test_one_text_serves_all_sizes(name):
    assert text_of(name, 5, 7) == text_of(name, 29, 100) == text_of(name, 11, 3)


# ---------------------------------------------------------------- stores over what is read later
A = Ref("s0", "float64", (), 1, (1,))
B = Ref("s1", "float64", (), 1, (1,))
HALF = Line("half", "mul", ("x", Number(0.5)), "float64", "float64")
CASES = {
    "read behind the store": ((HALF, Line("v", "sub", ("x", "half"), "float64", "float64")), (("half", A), ("v", B))),
    "where reads what it writes over": (
        (
            Line("low", "less", ("x", Number(0.0)), "float64", "bool"),
            Line("v", "where", ("low", "x", "y"), "float64", "float64"),
        ),
        (("v", A),),
    ),
    "what was loaded is stored, and overwritten": ((HALF,), (("half", A), ("x", B))),
    "two change places": ((), (("x", B), ("y", A))),
}


@pytest.mark.parametrize("case", CASES)
def test_a_store_waits_for_what_is_read_later(case):
    lines, stores = CASES[case]
    work = Map(index((1, "b")), (1,), (("x", A), ("y", B)), lines, stores)
    function = Function("f", "float64", ("s0", "s1"), ("n", "b"), (work,))
    space, given = {}, {"x": (np.array([1.0, -2.0, 3.0]), np.array([5.0, 6.0, -7.0]))}
    expected = {"s0": given["x"][0].copy(), "s1": given["x"][1].copy()}
    exec(printer.source([(function, 0, [("x", 0), ("x", 1)])]), space)
    space["f"](1, 3, (), lambda name, shape, dtype: np.empty(shape, dtype), given)
    interpret(function, expected, {"n": 1, "b": 3})
    assert np.array_equal(given["x"][0], expected["s0"])
    assert np.array_equal(given["x"][1], expected["s1"])
