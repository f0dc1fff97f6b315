"""Loop programs: the interpreter, which checks every index, and native code, within guards, side by side."""

import numpy as np
import pytest
from compile_cases import EVERY, cell_of
from few import few
from loop_cases import compare_all, directions

pytest.importorskip("llvmlite", reason="llvmlite is not installed: pip install 'minirnn[fast]'")

import minirnn
from minirnn.compile.llvm import moves, objects, printer, products
from minirnn.compile.llvm.target import AVX2, AVX512, NEON
from minirnn.compile.loops.direction import FLAGS
from minirnn.compile.loops.interpreter import interpret
from minirnn.compile.loops.program import For, Function, Line, Map, Number, Ref, Slot, index, statements, with_slots

every_cell = pytest.mark.parametrize("name", few(EVERY))


@every_cell
@pytest.mark.parametrize("dtype", few([np.float64, np.float32], [np.float32]))
def test_native_code_is_what_the_interpreter_computes_and_stays_within_its_memory(name, dtype):
    compare_all(cell_of(name, dtype))


# ---------------------------------------------------------------- sizes
def programs(name, inputs, hidden):
    rng = np.random.default_rng(0)
    make = getattr(minirnn.cells, name, None) or getattr(minirnn, f"{name}Cell")
    return [part.function for part in directions(make(inputs, hidden, rng=rng))]


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU", "MGU", "PeepholeLSTM", "LayerNormLSTM", "sLSTM", "LEM"])
def test_one_program_serves_all_sizes(name):
    assert programs(name, 5, 7) == programs(name, 29, 100) == programs(name, 11, 3)


def test_two_sizes_that_coincide_make_another_program_and_no_error():
    assert programs("LSTM", 6, 6) != programs("LSTM", 5, 7)


def test_an_index_beyond_its_memory_is_seen():
    one = Map(index(1), (4,), (), (Line("v", "copy", (Number(1.0),), "float32", "float32"),),
              (("v", Ref("out", "float32", (), 0, (1,))),))  # fmt: skip
    program = Function("f", "float32", ("out",), (), (For("t", index(1), (one,)),))
    interpret(program, {"out": np.zeros(4, np.float32)}, {})
    with pytest.raises(IndexError, match=r"out\[3\], of 3 numbers"):
        interpret(program, {"out": np.zeros(3, np.float32)}, {})
    assert [type(s).__name__ for s in statements(program.body)] == ["For", "Map"]


def test_sizes_and_constants_become_slots_and_plain_numbers_stay():
    work = Map(index((300, "b")), (4,), (), (Line("v", "mul", (Number(0.1), Number(0.5)), "float32", "float32"),),
               (("v", Ref("out", "float32", index(7), 4, (1,))),))  # fmt: skip
    taken, sizes = with_slots(Function("f", "float32", ("out",), ("b",), (work,)))
    assert sizes == (300, 4, 0.1, 7)
    (found,) = taken.body
    assert found.dims == (Slot(1),)
    assert found.lines[0].operands == (Number(Slot(2)), Number(0.5))
    assert found.stores[0][1].strides == (1,)


# ---------------------------------------------------------------- other machines
@pytest.mark.parametrize("target", [AVX512, AVX2, NEON], ids=lambda target: target.name)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_code_for_other_processors_can_be_made(target, dtype):
    parts = directions(cell_of("LSTM", np.dtype(dtype)))
    text = printer.module(target, [(p.function.name, p.function, len(p.sizes)) for p in parts])
    for made in (text, products.module(target, dtype), moves.module(target, dtype)):
        assert objects.emitted(made, target)[:4] == b"\x7fELF"


def test_flags_are_known_to_the_caller():
    of_both = ("ragged", "resets", "direct")
    assert {False: ("keep", *of_both), True: ("starts", "want_x", "want_p", *of_both)} == FLAGS
