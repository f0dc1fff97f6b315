"""Hypothesis profiles: 25 examples by default, 200 where slow tests run too; and what several test files share."""

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

for name, examples in {"default": 25, "thorough": 200}.items():
    settings.register_profile(
        name, max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
    )


def pytest_configure(config):
    settings.load_profile("default" if "not slow" in config.getoption("markexpr", "") else "thorough")


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
