"""Which tier runs and what is said about it; threads; what a fresh process does."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from classic_cases import CELLS, numbers, problem

import minirnn
from minirnn import threads, tier, tree
from minirnn.call import Call
from minirnn.compile import engine, sequence


def in_a_fresh_process(code, *arguments, **environment):
    """What the code prints in a Python of its own, and what it says on stderr."""
    done = subprocess.run(
        [sys.executable, *arguments, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr.strip()


RUN = (
    "import numpy, minirnn; layer = minirnn.LSTM(3, 4, rng=numpy.random.default_rng(0)); "
    "x = numpy.ones((5, 2, 3), numpy.float32); outputs = layer(x)[0]; from minirnn import tier; "
)


# ---------------------------------------------------------------- tiers
def test_importing_minirnn_imports_no_llvm():
    assert in_a_fresh_process("import sys, minirnn; print('llvmlite' in sys.modules)")[0] == "False"


def test_without_llvm_cells_run_on_numpy_and_one_line_says_so():
    hidden = "import sys; sys.modules['llvmlite'] = None; import logging; logging.basicConfig(format='%(message)s'); "
    printed, said = in_a_fresh_process(hidden + RUN + "layer(x); print(outputs.shape, tier.current())")
    assert printed == "(5, 2, 4) numpy"
    assert said == (
        "minirnn: compiled cells run on NumPy alone: llvmlite is not installed; pip install 'minirnn[fast]'"
    )


def test_an_llvm_that_fails_is_one_line_too():
    broken = "import llvmlite.binding as llvm; llvm.create_mcjit_compiler = lambda *a: 1 / 0; "
    code = "import logging; logging.basicConfig(format='%(message)s'); " + broken + RUN + "print(tier.current())"
    printed, said = in_a_fresh_process(code)
    assert printed == "numpy"
    assert said.endswith("llvmlite does not work here: ZeroDivisionError: division by zero")


def test_a_tier_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(tier, "native_reason", lambda: "llvmlite is not installed")
    with pytest.raises(ValueError, match="tier='native': llvmlite is not installed"), tier.tier("native"):
        pass


def test_the_name_that_earlier_versions_wrote_down_is_known():
    with tier.tier("numba"):
        assert tier.chosen() == "native"


def test_a_tier_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="expected one of auto, native, numpy, got 'gpu'"), tier.tier("gpu"):
        pass


# ---------------------------------------------------------------- threads
@pytest.fixture
def restored():
    before = threads.get_num_threads()
    yield
    minirnn.set_num_threads(before)


@pytest.mark.parametrize("kind", CELLS)
def test_shares_of_the_batch_give_what_one_thread_gives(kind, on_tier, restored):
    made = problem(kind, steps=60, batch=24, inputs=40, hidden=64, lengths=np.arange(24) + 30)
    minirnn.set_num_threads(1)
    alone = numbers(made, "compiled")
    minirnn.set_num_threads(3)
    shared = [numbers(made, "compiled") for _ in range(2)]
    assert all(np.array_equal(a, b) for a, b in zip(tree.leaves(shared[0]), tree.leaves(shared[1]), strict=True))
    for a, b in zip(tree.leaves(shared[0]), tree.leaves(alone), strict=True):
        assert np.allclose(a, b, rtol=1e-11, atol=1e-11)


def test_small_problems_stay_on_one_thread_and_large_ones_are_shared(restored):
    pytest.importorskip("llvmlite", reason="llvmlite is not installed: pip install 'minirnn[fast]'")
    minirnn.set_num_threads(2)
    cell = minirnn.LSTMCell(29, 100)

    def shares(steps, batch):
        xs = np.zeros((steps, batch, 29), np.float32)
        program = engine.program_for(Call(cell, cell.initial_state(batch), xs, None, False, None))
        return [span.rows for (span,) in sequence.Problem(program, [], [xs], None).shares()]

    assert shares(25, 1) == [(0, 1)]
    assert shares(5, 2) == [(0, 2)]
    assert shares(50, 16) == [(0, 8), (8, 16)]


@pytest.mark.parametrize("n", [0, -2, 1.5, True, "2"])
def test_set_num_threads_takes_a_positive_integer(n):
    with pytest.raises(ValueError, match="a positive integer was expected"):
        minirnn.set_num_threads(n)


def test_blas_is_limited_too(restored):
    info = pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed: pip install 'minirnn[fast]'")
    minirnn.set_num_threads(1)
    assert {pool["num_threads"] for pool in info.threadpool_info() if pool["user_api"] == "blas"} == {1}


def test_an_error_in_a_thread_is_raised_here_once_all_have_ended():
    ended = []

    def work(i):
        if i == 1:
            raise RuntimeError("in a thread")
        ended.append(i)
        return i

    with pytest.raises(RuntimeError, match="in a thread"):
        threads.each(work, [0, 1, 2])
    assert sorted(ended) == [0, 2]
    assert threads.each(lambda i: i * i, [1, 2, 3]) == [1, 4, 9]


def test_many_callers_at_once_share_the_threads():
    results = [None] * 8

    def call(k):
        results[k] = [threads.each(lambda i: i + k, [0, 1, 2]) for _ in range(20)]

    callers = [threading.Thread(target=call, args=(k,)) for k in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert results == [[[k, k + 1, k + 2]] * 20 for k in range(8)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_runs_kernels():
    code = (
        "import os, warnings, numpy, minirnn; warnings.simplefilter('ignore'); minirnn.set_num_threads(2)\n"
        "layer = minirnn.LSTM(40, 64, rng=numpy.random.default_rng(0)); x = numpy.ones((60, 24, 40), numpy.float32)\n"
        "expected = layer(x)[0]; child = os.fork()\n"
        "if child == 0: os._exit(0 if numpy.array_equal(layer(x)[0], expected) else 1)\n"
        "print(os.waitpid(child, 0)[1])"
    )
    assert in_a_fresh_process(code)[0] == "0"
