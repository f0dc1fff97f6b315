"""Hypothesis profiles, the cache of generated code, and what several test files share.

Properties are tried on 15 examples, the same in every run. `make properties` and CI (--hypothesis-profile=thorough) try
them on 200, others in every run: one that fails is printed, with the line that repeats it, and kept in .hypothesis.
"""

import os
import shutil
import tempfile

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import minirnn
from minirnn.tier import tier

settings.register_profile("default", max_examples=15, derandomize=True)
settings.register_profile("thorough", max_examples=200, derandomize=False, print_blob=True)
for name in ("default", "thorough"):
    quiet = settings(settings.get_profile(name), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile(name, quiet)
settings.load_profile("default")


def pytest_configure(config):
    """Generated modules of a run are in a folder of its own, which all of its processes share."""
    if not hasattr(config, "workerinput"):
        config.stash[_cache] = os.environ["MINIRNN_CACHE"] = tempfile.mkdtemp(prefix="minirnn-tests-")


def pytest_unconfigure(config):
    if _cache in config.stash:
        shutil.rmtree(config.stash[_cache], ignore_errors=True)


_cache = pytest.StashKey[str]()


@pytest.fixture(autouse=True)
def threads_as_before():
    """A test that sets the number of threads, here or for processes to come, or calls what does (a cluster of Dask's),
    leaves it as it was for the next one."""
    before, environment = minirnn.get_num_threads(), dict(os.environ)
    yield
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.pop(name, None)
        os.environ.update({name: environment[name]} if name in environment else {})
    if minirnn.get_num_threads() != before:
        minirnn.set_num_threads(before)


@pytest.fixture(params=["numpy", "native"])
def on_tier(request):
    """The tier that the test's cells and kernels run on."""
    if request.param == "native":
        pytest.importorskip("llvmlite", reason="llvmlite is not installed: pip install 'minirnn[fast]'")
    with tier(request.param):
        yield request.param


@pytest.fixture(scope="module")
def no_pictures():
    """Trainings draw nothing when they end: to draw takes longer than what they do in tests. See test_shown.py."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("minirnn.train.execute.plot_curves", lambda records, path, title: None)
        yield


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def torch():
    return pytest.importorskip("torch", reason="torch is not installed: pip install 'minirnn[peers]'")


_worst = pytest.StashKey[dict[str, tuple[float, str]]]()  # by row of the table that is printed at the end


@pytest.fixture
def worst_errors(request):
    """worst_errors(table)(row, error, where): the session's largest error of each row is printed at its end."""

    def table(title):
        def record(row, error, where):
            _keep_worst(request.config, {f"{title:7s} {row:20s}": (float(error), where)})

        return record

    return table


def _keep_worst(config, rows):
    worst = config.stash.setdefault(_worst, {})
    for row, found in rows.items():
        worst[row] = max(worst.get(row, (-1.0, "")), found)


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):  # one of several processes: the one that started them prints
        session.config.workeroutput["worst"] = session.config.stash.get(_worst, {})


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node):
    _keep_worst(node.config, getattr(node, "workeroutput", {}).get("worst", {}))


def pytest_terminal_summary(terminalreporter, config):
    worst = config.stash.get(_worst, {})
    if worst:
        terminalreporter.section("worst relative errors against other libraries")
    for row, (error, where) in sorted(worst.items()):
        terminalreporter.write_line(f"{row} {error:.1e}   {where}")
