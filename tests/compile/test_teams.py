"""Teams: what threads do together is what one does, whenever each of them comes."""

import ctypes
import re
import threading
from functools import partial

import numpy as np
import pytest
from compile_cases import Problem, cell_of, error, numbers, problem
from few import few
from loop_cases import BATCH, STEPS, compare, directions, interpret_team, values_for

pytest.importorskip("llvmlite", reason="llvmlite is not installed: pip install 'minirnn[fast]'")

import minirnn
from minirnn import threads
from minirnn.call import Call
from minirnn.compile import engine, native, sequence, team
from minirnn.compile.llvm import barrier, objects, printer, products
from minirnn.compile.llvm.target import AVX2, AVX512, NEON, PLAIN, host
from minirnn.compile.loops import team as program
from minirnn.compile.loops.interpreter import interpret
from minirnn.compile.loops.listing import listing
from minirnn.compile.team import Team, worthwhile

MORE = ["RNN", "GRU", "MGU", "SRU", "LRU", "LMU", "PhasedLSTM", "mLSTM"]
CELLS = ["LSTM", "MinGRU", "QRNN", "LayerNormGRU", *[pytest.param(name, marks=pytest.mark.slow) for name in MORE]]


@pytest.fixture
def on_threads():
    before = threads.get_num_threads()
    yield minirnn.set_num_threads
    minirnn.set_num_threads(before)


@pytest.fixture
def in_a_team(monkeypatch):
    """Every call is a team's, and small rows are shared out."""
    monkeypatch.setattr(sequence, "worthwhile", lambda program, steps, batch: program.layout.row_wise)
    monkeypatch.setattr(program, "NARROW", 2)


def wide(name, dtype, hidden=70):
    make = minirnn.cells.get(name) if name not in ("RNN", "LSTM", "GRU") else getattr(minirnn, f"{name}Cell")
    return make(6, hidden, rng=np.random.default_rng(0), dtype=dtype)


# ---------------------------------------------------------------- the program
def memory_of(part, values, flags):
    """By name; what a step is given lies where the step before it left it, where nothing begins."""
    memory = dict(zip(part.function.memory, values, strict=True))
    one = (
        {}
        if flags[-2]
        else {name: memory["s" + name[2:]] for name in memory if name[:2] == "in" and "s" + name[2:] in memory}
    )
    return memory | one


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("order", [(1, 0), (2, 0, 1)])
def test_threads_that_come_in_any_order_compute_what_one_computes(name, order, monkeypatch):
    monkeypatch.setattr(program, "NARROW", 2)
    cell = cell_of(name)
    for alone, shared in zip(directions(cell), directions(cell, program.for_team), strict=True):
        for flags in ([*[1] * (len(alone.flags) - 1), 0], [0] * len(alone.flags)):  # never direct
            integers = {"n": STEPS, "b": BATCH, **dict(zip(alone.flags, flags, strict=True))}
            expected, found = (values_for(alone, np.random.default_rng(0)) for _ in range(2))
            interpret(alone.function, memory_of(alone, expected, flags), integers, alone.sizes)
            interpret_team(shared.function, memory_of(shared, found, flags), integers, shared.sizes, order)
            for argument, a, b in zip(alone.arguments, expected, found, strict=True):
                assert np.allclose(a, b, rtol=1e-12, atol=1e-14, equal_nan=True), argument


@pytest.mark.parametrize("name", ["LSTM", "MinGRU", pytest.param("LayerNormGRU", marks=pytest.mark.slow)])
@pytest.mark.parametrize("count", few([2, 3], [3]))
@pytest.mark.parametrize("dtype", few([np.float64, np.float32], [np.float32]))
def test_native_code_of_a_team_is_what_the_interpreter_computes_and_stays_within_its_memory(
    name, count, dtype, on_threads
):
    on_threads(count)
    cell = wide(name, dtype, hidden=37)
    alone, shared = directions(cell), directions(cell, program.for_team)
    native._load_all(shared, np.dtype(dtype).name, team=True)
    for one, part in zip(alone, shared, strict=True):
        at_work, one.tail = Team(part.run, products.room_size(host()) * part.dtype.itemsize), part.tail
        size = len(one.arguments) + 2 + len(one.flags) + len(one.tail)
        one.run = lambda at, of=at_work, size=size: of.run(np.array([(ctypes.c_int64 * size).from_address(at)]))
        for flags in ([*[1] * (len(one.flags) - 1), 0], [0] * len(one.flags)):
            compare(one, flags)


def test_a_linear_recurrence_meets_at_no_step_and_one_with_products_at_each():
    names = ["LSTM", "GRU", "MinGRU", "MinLSTM", "SRU", "LRU", "RGLRU"]
    parts = {name: directions(wide(name, np.float32), program.for_team) for name in names}
    meets = {name: [program.meets_each_step(part.function) for part in parts[name]] for name in names}
    assert meets == {name: [name in ("LSTM", "GRU")] * 2 for name in meets}


def test_the_listing_tells_of_parts_and_barriers():
    text = listing(directions(wide("LSTM", np.float32), program.for_team)[0].function)
    assert "first0, end0 = this thread's part of b*n, by rows" in text
    assert text.count("barrier") == 3  # before the loop, and twice at each step
    assert re.search(r"multiply b x .*, first\d to end\d", text)


@pytest.mark.parametrize("target", [AVX512, AVX2, NEON, PLAIN], ids=lambda target: target.name)
def test_teams_code_for_other_processors_can_be_made(target):
    parts = directions(wide("LSTM", np.float32), program.for_team)
    text = printer.module(target, [(p.function.name, p.function, len(p.sizes)) for p in parts], team=True)
    for made in (text, barrier.module(target)):
        assert objects.emitted(made, target)[:4] == b"\x7fELF"


# ---------------------------------------------------------------- calls
@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_team_gives_what_one_thread_gives_to_the_bit_and_the_reference_gives(name, dtype, in_a_team, on_threads):
    for batch, steps in ((1, 9), (5, 4)):
        given = problem(wide(name, dtype), steps=steps, batch=batch)
        found = []
        for count in (1, 2, 3, 2):
            on_threads(count)
            found.append(numbers(given, "compiled"))
        for other in found[1:]:
            assert all(np.array_equal(a, b) for a, b in zip(other, found[0], strict=True))
        assert error(given) < (1e-11 if dtype == np.float64 else 3e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"reverse": True},
        {"lengths": np.array([5, 1, 3, 0])},
        {"checkpoint_every": 2},
        {"resets": np.eye(5, 4, -1, dtype=bool), "lengths": np.array([5, 4, 3, 0]), "checkpoint_every": 3},
    ],
)
@pytest.mark.parametrize("block", [1, 1 << 19])
def test_a_team_runs_what_calls_ask_for(options, block, in_a_team, on_threads, monkeypatch):
    monkeypatch.setitem(sequence.BLOCK_NUMBERS, True, block)
    on_threads(2)
    assert error(problem(wide("LSTM", np.float64)), **options) < 1e-11


def test_several_blocks_and_products_of_weights_in_parts(in_a_team, on_threads, monkeypatch):
    monkeypatch.setitem(sequence.BLOCK_NUMBERS, True, 1 << 12)
    cell = minirnn.GRUCell(6, products.K_OF_STRIPS // 3 + 3, rng=np.random.default_rng(0), dtype=np.float64)
    on_threads(2)
    assert error(problem(cell, steps=7, batch=3)) < 1e-11


def test_python_threads_that_call_one_layer_wait_for_each_other(in_a_team, on_threads):
    on_threads(3)
    given = problem(wide("LSTM", np.float32), steps=6)
    expected, found = numbers(given, "compiled"), {}

    def call(k):
        found[k] = [numbers(given, "compiled") for _ in range(10)]

    callers = [threading.Thread(target=call, args=(k,)) for k in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(found) == 3
    for runs in found.values():
        assert all(np.array_equal(a, b) for run in runs for a, b in zip(run, expected, strict=True))


def test_blocks_that_follow_each_other_are_one_call_of_a_team_unless_the_work_needs_them_made():
    made = []

    class Noting(Team):
        def run(self, calls):
            made.append(calls[:, 0].tolist())

    at_work = Noting(0, 64)
    block = lambda k: team.Block(at_work, np.array([k]), None)

    def work():
        yield [block(0)]
        yield [block(1)]
        yield []
        assert made == [[0, 1]]
        yield [block(2), lambda: made.append("a copy"), block(3)]
        yield [block(4)]
        return "done"

    assert team.in_one_go(work()) == "done"
    assert made == [[0, 1], [2], "a copy", [3, 4]]


def test_so_many_blocks_are_made_that_somebody_can_interrupt(monkeypatch):
    monkeypatch.setattr(team, "CALLS_AT_ONCE", 2)
    made = []
    team.in_one_go([lambda k=k: made.append(k)] if len(made) == k // 2 * 2 else 1 / 0 for k in range(5))
    assert made == [0, 1, 2, 3, 4]


# ---------------------------------------------------------------- barrier
class Waiting(Team):
    """Its threads wait at a barrier once, and note their ranks; one, whose rank is what is called for, fails before."""

    def __init__(self):
        super().__init__(0, 64)
        self.behind = []

    def _go(self, calls, me):
        rank, count, arrivals, _, _ = (ctypes.c_int64 * len(barrier.THREAD)).from_address(me)
        if calls[0, 0] == rank:
            raise ZeroDivisionError
        team.through_calls()
        objects.function(barrier.NAME, 3)(arrivals, count, me + 8 * (len(barrier.THREAD) - 1))
        self.behind.append(rank)


@pytest.mark.parametrize("failing", [0, 2])
def test_a_thread_that_fails_lets_the_others_through_and_its_error_is_raised(failing, on_threads):
    on_threads(3)
    waiting = Waiting()
    with pytest.raises(ZeroDivisionError):
        waiting.run(np.array([[failing]]))
    assert sorted(waiting.behind) == [rank for rank in range(3) if rank != failing]


def test_whoever_is_interrupted_before_its_part_lets_the_others_through(on_threads):
    on_threads(2)
    behind = []
    with pytest.raises(ZeroDivisionError):
        threads.each(
            lambda rank: behind.append(rank) or (rank == 1 and 1 // 0), range(2), abandon=partial(behind.append, "left")
        )
    assert "left" in behind


def test_within_a_thread_of_ours_a_team_is_that_thread_alone(on_threads):
    on_threads(2)
    waiting = Waiting()
    threads.each(lambda k: waiting.run(np.array([[-1]])) if k == 0 else None, range(2))
    assert waiting.behind == [0]


# ---------------------------------------------------------------- choice
@pytest.mark.parametrize(
    ("kind", "steps", "batch", "inputs", "hidden", "count", "expected"),
    [
        ("LSTM", 50, 16, 64, 1024, 2, True),  # weights from afar
        ("LSTM", 50, 64, 64, 1024, 2, False),  # enough rows for each
        ("LSTM", 50, 4, 64, 256, 2, True),  # too few rows to fill tiles
        ("LSTM", 50, 16, 64, 128, 2, False),
        ("LSTM", 25, 1, 29, 100, 2, False),  # steps too short to meet at
        ("LSTM", 50, 16, 64, 1024, 1, False),
        ("MinGRU", 1000, 1, 128, 128, 2, True),  # which meets at no step
        ("MinGRU", 10, 1, 128, 128, 2, False),
        ("MinGRU", 1000, 64, 128, 128, 2, False),
    ],
)
def test_few_rows_and_wide_weights_are_a_teams(kind, steps, batch, inputs, hidden, count, expected, on_threads):
    on_threads(count)
    make = minirnn.LSTMCell if kind == "LSTM" else minirnn.cells.get(kind)
    cell = make(inputs, hidden, rng=np.random.default_rng(0))
    xs = np.zeros((steps, batch, inputs), np.float32)
    made = engine.program_for(Call(cell, cell.initial_state(batch), xs, None, False, None))
    assert worthwhile(made, steps, batch) is expected


def test_where_rows_meet_there_is_no_team(on_threads):
    on_threads(2)

    @minirnn.cell(w=("hidden", "input"))
    def centred(p, h, x):
        h = np.tanh(x @ p.w.T + h - h.mean(0))
        return h, h

    cell = centred(6, 300, rng=np.random.default_rng(0))
    given = problem(cell, steps=2)
    made = engine.program_for(Call(*Problem(*given), None, False, None))
    assert not worthwhile(made, 10**6, 1)
