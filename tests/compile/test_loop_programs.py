"""Loop programs: the interpreter, which checks every index, and native code, within guards, side by side."""

import numpy as np
import pytest
from compile_cases import EVERY, cell_of, problem

pytest.importorskip("llvmlite", reason="llvmlite is not installed: pip install 'minirnn[fast]'")

import minirnn
from minirnn.compile import native
from minirnn.compile.errors import CannotCompile
from minirnn.compile.llvm import objects, printer, products
from minirnn.compile.llvm.target import AVX2, AVX512, NEON, host
from minirnn.compile.loops.direction import FLAGS, Direction
from minirnn.compile.loops.interpreter import interpret
from minirnn.compile.loops.program import For, Function, Line, Map, Number, Ref, Slot, index, statements, with_slots
from minirnn.compile.passes import FUSING, optimised
from minirnn.compile.place import place
from minirnn.compile.trace import trace

GUARD, STEPS, BATCH = 64, 3, 3
FEW = ["RNN", "LSTM", "GRU", "MGU", "LayerNormGRU", "mLSTM", "SRU", "LMU", "PhasedLSTM"]
every_cell = pytest.mark.parametrize(
    "name", [n if n in FEW else pytest.param(n, marks=pytest.mark.slow) for n in EVERY]
)


def directions(cell):
    given = problem(cell)
    traced = trace(*given)
    placed = place(optimised(traced.graph, FUSING), sink=True)
    return [native._Native(Direction(placed, part, back), placed) for part, back in
            ((placed.forward, False), (placed.backward, True))]  # fmt: skip


def values_for(part, rng):
    """Numbers for every argument, as the interpreter takes them: packed matrices in the order of their rows."""
    placed, rows = part.placed, STEPS * BATCH
    parameters = {node: rng.uniform(0.2, 0.8, node.shape).astype(node.dtype) if node.dtype.kind == "f" else
                  np.ones(node.shape, node.dtype) for node in placed.of_kind("parameter")}  # fmt: skip
    known = dict(parameters)
    native._evaluate(part.part.once, known)
    kinds = {"x": "input", "y": "d_output", "s": "state", "d": "d_state", "p": "parameter"}

    def width(node):
        return int(np.prod(node.shape[1:]))

    def random(count, dtype):
        return rng.uniform(0.2, 0.8, count).astype(dtype) if np.dtype(dtype).kind == "f" else np.ones(count, dtype)

    made = []
    for argument in part.arguments:
        kind, k = argument.kind, argument.number
        if kind == "p":
            made.append(parameters[placed.of_kind("parameter")[k]].reshape(-1))
        elif kind in ("x", "s", "d", "y"):
            nodes = placed.results("output") if kind == "y" and "keep" in part.flags else placed.of_kind(kinds[kind])
            count = {"s": rows + BATCH, "d": 2 * BATCH}.get(kind, rows)
            made.append(random(count * width(nodes[k]), nodes[k].dtype))
        elif kind == "k":
            made.append(random(rows * width(placed.stored[k]), placed.stored[k].dtype))
        elif kind == "dx":
            made.append(random(rows * width(placed.of_kind("input")[k]), placed.of_kind("input")[k].dtype))
        elif kind == "sums":
            made.append(random(int(np.prod(part.part.sums[k].shape)), part.part.sums[k].dtype))
        elif kind == "c":
            node = native.once_nodes(part.part)[k]
            made.append(np.array(known[node], node.dtype).reshape(-1))
        elif kind == "packed":
            node, turned = part.packs[k]
            matrix = np.asarray(known[node], part.dtype)
            made.append(np.ascontiguousarray(matrix.T if turned else matrix).reshape(-1))
        elif kind == "constant":
            made.append(part.constants[k].copy())
        elif kind == "outside":
            made.append((np.arange(rows) % 4 == 1).astype(bool))
        elif kind == "room":
            made.append(np.zeros(products.room_size(host()), part.dtype))
        else:
            made.append(np.zeros(native._rows(argument.rows, STEPS, BATCH) * argument.width, argument.dtype))
    return made


def strips(matrix, argument, part):
    """A matrix in the order of its rows, packed for native code."""
    dtype = part.dtype.name
    if argument.kind == "packed":
        node, turned = part.packs[argument.number]
        k, n = node.shape[::-1] if turned else node.shape
        out = np.zeros(products.packed_size(host(), dtype, k, n), dtype)
        native._products(dtype, "pack")(native._address(matrix), n, k, n, native._address(out))
        return out
    rows = native._rows(argument.rows, STEPS, BATCH)
    return np.zeros(products.packed_size(host(), dtype, rows, argument.width), dtype)


@every_cell
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_native_code_is_what_the_interpreter_computes_and_stays_within_its_memory(name, dtype):
    try:
        parts = directions(cell_of(name, dtype))
    except CannotCompile as reason:
        pytest.skip(f"no native code: {reason}")
    native._load_all(parts, parts[0].dtype.name)
    for part in parts:
        for flags in ([1] * len(part.flags), [0] * len(part.flags)):
            compare(part, flags)


def compare(part, flags):
    expected = values_for(part, np.random.default_rng(0))
    given = [strips(v, a, part) if a.kind in ("packed", "right") else v.copy()
             for v, a in zip(expected, part.arguments, strict=True)]  # fmt: skip
    integers = {"n": STEPS, "b": BATCH, **dict(zip(part.flags, flags, strict=True))}
    interpret(part.function, dict(zip(part.function.memory, expected, strict=True)), integers, part.sizes)
    guarded = [np.full(len(v) + 2 * GUARD, True if v.dtype == bool else 7, v.dtype) for v in given]
    for whole, values in zip(guarded, given, strict=True):
        whole[GUARD:-GUARD] = values
    at = [whole[GUARD:].__array_interface__["data"][0] for whole in guarded]
    block = np.array([*at, STEPS, BATCH, *flags, *part.tail], np.int64)
    part.run(block.__array_interface__["data"][0])
    single = 3e-4 if part.dtype == np.float32 else 1e-11
    for whole, values, argument in zip(guarded, expected, part.arguments, strict=True):
        edge = True if whole.dtype == bool else 7
        assert (whole[:GUARD] == edge).all(), argument
        assert (whole[-GUARD:] == edge).all(), argument
        if argument.kind not in ("packed", "right", "room"):
            assert np.allclose(whole[GUARD:-GUARD], values, rtol=single, atol=single, equal_nan=True), argument


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
    for made in (text, products.module(target, dtype)):
        assert objects.emitted(made, target)[:4] == b"\x7fELF"


def test_flags_are_known_to_the_caller():
    assert FLAGS == {False: ("keep", "ragged"), True: ("starts", "want_x", "want_p", "ragged")}
