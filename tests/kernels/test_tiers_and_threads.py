"""Which tier runs and what is said about it; threads; what a fresh process does."""

import importlib.machinery
import logging
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from kernel_cases import CELLS, both, problem

import minirnn
from minirnn import threads, tree
from minirnn.kernels import tier


def in_a_fresh_process(code, *arguments, **environment):
    """What the code prints in a Python of its own, and what it says on stderr."""
    done = subprocess.run(
        [sys.executable, *arguments, "-c", code], capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr.strip()


RUN = (
    "import numpy, minirnn; layer = minirnn.LSTM(3, 4, rng=numpy.random.default_rng(0)); "
    "x = numpy.ones((5, 2, 3), numpy.float32); outputs = layer(x)[0]; from minirnn.kernels import tier; "
)


# ---------------------------------------------------------------- tiers
def test_importing_minirnn_imports_no_numba():
    assert in_a_fresh_process("import sys, minirnn; print('numba' in sys.modules)")[0] == "False"


@pytest.fixture
def unloaded(monkeypatch):
    monkeypatch.setattr(tier, "_compiled", None)


def test_without_numba_kernels_run_on_numpy_and_one_line_says_so(unloaded, monkeypatch, caplog):
    monkeypatch.setattr(tier, "find_spec", lambda name: None)
    for _ in range(2):
        minirnn.GRU(2, 3, engine="fused")(np.ones((4, 2, 2), np.float32))
    assert [record.getMessage() for record in caplog.records] == [
        "minirnn: Numba is not installed, kernels run on NumPy alone; pip install 'minirnn[fast]'"
    ]
    with pytest.raises(ValueError, match="Numba is not installed"), tier.tier("numba"):
        pass


def test_a_numba_that_fails_is_one_line_too(unloaded, monkeypatch, caplog):
    class Broken:
        @staticmethod
        def find_spec(name, path=None, target=None):
            if name == "minirnn.kernels.native":
                raise ImportError("LLVM is of another time")

    monkeypatch.setattr(tier, "find_spec", lambda name: importlib.machinery.ModuleSpec(name, None))
    for name in [name for name in sys.modules if name.startswith("minirnn.kernels.native")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Broken, *sys.meta_path])
    minirnn.GRU(2, 3, engine="fused")(np.ones((4, 2, 2), np.float32))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert (
        "Numba does not work, kernels run on NumPy alone: ImportError: LLVM is of another time" in record.getMessage()
    )


def test_a_tier_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=r"tier='gpu' came, one of auto, numba, numpy"), tier.tier("gpu"):
        pass


def doubled(x):
    return 2 * x


def test_processes_that_compile_at_once_do_not_load_each_others_code(monkeypatch, tmp_path):
    """Both read the empty index, the second writes it last, and the first writes its code last."""
    config = pytest.importorskip("numba", reason="Numba is not installed: pip install 'minirnn[fast]'").core.config
    from minirnn.kernels.native import jit

    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    with monkeypatch.context() as other_process:
        other_process.setattr(jit, "_PROCESS", "another")
        first = jit.compiled(doubled)
    second, late = jit.compiled(doubled), []
    file = first._cache._cache_file
    save = file._save_data
    monkeypatch.setattr(file, "_save_data", lambda *what: late.append(what))
    monkeypatch.setattr(second._cache._cache_file, "_load_index", dict)
    assert first(np.float32(1.5)) == second(1.5) == 3.0
    save(*late[0])
    assert jit.compiled(doubled)(np.pi) == 2 * np.pi


@pytest.mark.slow
def test_the_first_compilation_is_announced_and_is_cached(tmp_path):
    pytest.importorskip("numba", reason="Numba is not installed: pip install 'minirnn[fast]'")
    files = lambda: {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb?")}
    first, said = in_a_fresh_process(RUN + "print(outputs.sum())", NUMBA_CACHE_DIR=str(tmp_path))
    assert said == "minirnn compiles its kernels for this machine (a few seconds, once; then they are cached)"
    kept = files()
    assert kept
    second, silence = in_a_fresh_process(RUN + "print(outputs.sum())", NUMBA_CACHE_DIR=str(tmp_path))
    assert (second, silence) == (first, "")
    assert files() == kept  # nothing was compiled again


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
    alone = both(made)[0]
    minirnn.set_num_threads(3)
    shared = [both(made)[0] for _ in range(2)]
    assert all(np.array_equal(a, b) for a, b in zip(tree.leaves(shared[0]), tree.leaves(shared[1]), strict=True))
    for a, b in zip(tree.leaves(shared[0]), tree.leaves(alone), strict=True):
        assert np.allclose(a, b, rtol=1e-11, atol=1e-11)


def test_small_problems_stay_on_one_thread_and_large_ones_are_shared(restored):
    pytest.importorskip("numba", reason="Numba is not installed: pip install 'minirnn[fast]'")
    minirnn.set_num_threads(2)
    kernel = tier.compiled_kernels()["lstm"]
    sizes = kernel.sizes((400, 29), (400, 100))
    assert kernel.shares(25, 1, sizes) == [(0, 1)]
    assert kernel.shares(5, 2, sizes) == [(0, 2)]
    assert kernel.shares(50, 16, sizes) == [(0, 8), (8, 16)]


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
