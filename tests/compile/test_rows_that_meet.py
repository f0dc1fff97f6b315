"""Native code for steps whose rows meet, or have several rows for one of the batch."""

import autograd.numpy as np
import pytest
from compile_cases import error, problem
from few import few
from loop_cases import compare_all
from meeting_cells import MEETING, SEVERAL, OneLine

pytest.importorskip("llvmlite", reason="llvmlite is not installed: pip install 'minirnn[fast]'")

import minirnn
from minirnn import threads
from minirnn.call import Call
from minirnn.compile import engine, sequence
from minirnn.compile.engine import program_for
from minirnn.compile.passes import FUSING, optimised
from minirnn.compile.place import place
from minirnn.compile.trace import trace
from minirnn.tier import tier

every = pytest.mark.parametrize("name", [*MEETING, *SEVERAL])


def cell_of(name, dtype=np.float64):
    return OneLine((MEETING | SEVERAL)[name], dtype)


@every
def test_native_numbers_are_those_of_the_step_by_step_loop(name):
    given = problem(cell_of(name), 5, 3)
    with tier("native"):
        assert program_for(Call(*given, None, False, None)).native
        assert error(given) < 1e-10
        assert error(given, checkpoint_every=2, reverse=True) < 1e-10
        assert error(given, resets=np.eye(5, 3) > 0) < 1e-10


@every
def test_one_program_serves_every_batch(name):
    cell = cell_of(name)
    with tier("native"):
        for batch in (1, 2, 9):
            assert error(problem(cell, 3, batch)) < 1e-10


@every
@pytest.mark.parametrize("dtype", few([np.float64, np.float32], [np.float32]))
def test_native_code_is_what_the_interpreter_computes_and_stays_within_its_memory(name, dtype):
    compare_all(cell_of(name, dtype))


@pytest.mark.parametrize("name", [*MEETING, *SEVERAL])
def test_rows_meet_or_do_not(name):
    graph = optimised(trace(*problem(cell_of(name))).graph, FUSING)
    assert place(graph).row_wise == (name in SEVERAL)


@pytest.mark.parametrize("name", MEETING)
def test_threads_and_lengths_change_nothing_where_rows_meet(name, monkeypatch):
    monkeypatch.setattr(sequence, "SHARE", 1.0)  # any work is worth a thread, where rows do not meet
    monkeypatch.setattr(threads, "get_num_threads", lambda: 2)
    given = problem(cell_of(name), 5, 3)
    with tier("native"):
        assert error(given) < 1e-10
        assert error(given, lengths=np.array([5, 1, 3])) < 1e-10


def test_a_batch_without_the_rows_that_a_step_names_runs_step_by_step():
    cell = OneLine(lambda p, h, a: a + np.sum(h[:2], axis=0) + h[[2]][0])
    with tier("native"):
        assert error(problem(cell, 4, 5)) < 1e-10
        assert error(problem(cell, 4, 3)) < 1e-10
        assert engine.prepare(Call(*problem(cell, 4, 2), None, False, None)) == (
            "its step names 3 rows of the batch by number, and 2 came"
        )


@pytest.mark.filterwarnings("ignore::minirnn.transform.UnreachedWarning")
@pytest.mark.parametrize("name", ["sum over rows", "rows by number", "halves of rows"])
def test_the_weights_gradient_alone_and_the_inputs_alone(name):
    cell, state, xs = problem(cell_of(name), 4, 3)

    def loss(way):
        return lambda cell, xs: np.sum(np.sin(minirnn.scan(cell, state, xs, engine=way)[1]))

    with tier("native"):
        for by in (lambda f: minirnn.grad(lambda c: f(c, xs))(cell), lambda f: minirnn.grad(lambda x: f(cell, x))(xs)):
            found, expected = (minirnn.tree.leaves(by(loss(way))) for way in ("compiled", "python"))
            assert all(np.allclose(a, b, rtol=1e-10, atol=1e-12) for a, b in zip(found, expected, strict=True))
